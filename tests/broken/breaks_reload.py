"""A server that is changed and emptied badly: strangers stay in, calls are lost, commands are anybody's."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import traceback

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import Path
from icelane.errors import ConfigurationError
from icelane.server import admin_socket, credential_source, reload, revoked_file
from icelane.server.config import Config
from icelane.server.turn_server import TurnServer as Server
from icelane.stun.message import Message
from icelane.turn import revocation
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.authentication import Authenticator
from icelane.turn.credential_lookup import CredentialLookups
from icelane.turn.refusal import Refusal
from icelane.turn.server import TurnServer as Engine
from tests.broken.registry import breaks, swap

LOOKUP = "tests/turn/test_credential_lookup.py"
OPERATION = "tests/turn/test_server_operation.py"
REVOCATION = "tests/turn/test_revocation.py"
SOURCE = "tests/server/test_credential_source.py"
RELOAD = "tests/server/test_reload.py"
REVOKED_FILE = "tests/server/test_revoked_file.py"
ADMIN = "tests/server/test_admin.py"


@breaks("TR-7", test=f"{OPERATION}::test_a_peer_that_is_denied_by_a_reload_is_cut_off_at_once")
def a_reload_leaves_the_routes_of_denied_peers() -> None:
    swap(AllocationTable, "apply_policy", lambda self, policy: None)


@breaks("TR-12", test=f"{OPERATION}::test_a_static_user_who_is_removed_by_a_reload_is_gone")
def a_user_who_was_removed_keeps_his_allocation() -> None:
    swap(Engine, "_removed_users", lambda self, credentials, now: set())


@breaks("TA-11", test=f"{OPERATION}::test_a_secret_that_is_removed_by_a_reload_ends_nothing")
def the_rotation_of_a_secret_ends_calls() -> None:
    def everybody(self: Engine, credentials: object, now: Instant) -> set[Path]:
        return {allocation.client for allocation in self.allocations}

    swap(Engine, "_removed_users", everybody)


@breaks("TA-9", test=f"{OPERATION}::test_strict_expiry_that_is_switched_on_ends_what_has_expired")
def strict_expiry_counts_for_newcomers_only() -> None:
    swap(AllocationTable, "watch_credentials", lambda self, now: None)


@breaks("TR-12", test=f"{OPERATION}::test_a_revoked_credential_ends_now_and_is_refused_until_it_expires[user-True]")
def what_was_revoked_may_come_back() -> None:
    swap(revocation.Revocations, "covers", lambda self, credential, kid, unix_time: False)


@breaks("TR-12", test=f"{REVOCATION}::test_memory_is_bounded_and_nothing_that_counts_is_forgotten")
def revocations_grow_for_ever() -> None:
    def add(self: revocation.Revocations, entry: revocation.Revocation, until: UnixSeconds, unix_time: object) -> None:
        self._ends_by_entry[entry] = until

    swap(revocation.Revocations, "add", add)


@breaks("TR-12", test=f"{OPERATION}::test_a_revoked_credential_does_not_come_back_with_a_leeway_that_is_raised[True]")
def a_revocation_ends_by_the_leeway_of_its_day() -> None:
    swap(revocation, "MAX_LEEWAY", 0)


@breaks("TR-12", test=f"{REVOKED_FILE}::test_a_file_that_cannot_be_used_is_named")
def lines_that_are_not_understood_are_skipped() -> None:
    def lenient(text: str) -> revocation.Revocation:
        return revocation.Revocation(name=text)

    swap(revoked_file, "parse_revocation", lenient)
    swap(revoked_file, "read_file", lambda path: path.read_text() if path.exists() else "")


@breaks("OP-1", test=f"{OPERATION}::test_a_server_that_drains_begins_nothing_and_ends_nothing")
def a_draining_server_takes_newcomers() -> None:
    swap(Engine, "drain", lambda self, alternates=frozenset(): None)


@breaks(
    "OP-1",
    test=f"{RELOAD}::test_a_server_that_drains_is_not_ready_at_once_and_is_done_with_its_last_allocation[uvloop]",
)
def stopping_does_not_wait() -> None:
    async def at_once(self: Server) -> bool:
        self.begin_drain()
        return True

    swap(Server, "drain", at_once)


@breaks(
    "OP-1",
    test=f"{RELOAD}::test_a_server_that_drains_is_not_ready_at_once_and_is_done_with_its_last_allocation[uvloop]",
)
def a_draining_server_says_that_it_is_ready() -> None:
    swap(Server, "ready", property(lambda self: True))


@breaks("OP-12", test=f"{RELOAD}::test_the_reloaded_list_of_revocations_ends_and_refuses[uvloop]")
def half_of_a_bad_configuration_counts() -> None:
    whole = Server.reload

    def eager(self: Server, config: Config) -> reload.Reloaded:
        try:
            return whole(self, config)
        except ConfigurationError:
            self._config = config
            raise

    swap(Server, "reload", eager)


@breaks(
    "OP-3",
    test=f"{RELOAD}::test_after_a_restart_a_client_is_challenged_again_only_without_a_shared_nonce_key"
    "[uvloop-shared-key]",
)
def the_nonce_key_of_the_configuration_is_not_used() -> None:
    init = Engine.__init__

    def own_key(self: Engine, config: object, **arguments: object) -> None:
        init(self, config, **arguments | {"nonce_key": None})  # type: ignore[arg-type]  # passed on as they came

    swap(Engine, "__init__", own_key)


@breaks("TA-12", test=f"{LOOKUP}::test_a_name_that_nobody_knows_is_refused_and_making_names_up_is_slowed")
def names_may_be_made_up_for_ever() -> None:
    swap(Authenticator, "count_unknown", lambda self, path, username, now: None)


@breaks("TA-3", test=f"{LOOKUP}::test_only_so_many_wait_at_a_time")
def everybody_may_wait_for_a_look_up() -> None:
    def begin(self: CredentialLookups, message: Message, client: Path, username: str, now: Instant) -> None:
        try:
            roomy(self, message, client, username, now)
        except Refusal:
            held, self._requests_by_id = self._requests_by_id, {}
            roomy(self, message, client, username, now)
            self._requests_by_id |= held

    roomy = CredentialLookups.begin
    swap(CredentialLookups, "begin", begin)


@breaks("CR-6", test=f"{SOURCE}::test_what_fails_lets_nobody_in_and_is_reported_without_its_text[uvloop-raises]")
def the_text_of_a_strangers_exception_is_logged() -> None:
    swap(credential_source, "frames_of", traceback.format_exception)


@breaks("OP-14", test=f"{ADMIN}::test_the_socket_is_its_owner_s_alone_and_goes_with_the_server[uvloop]")
def the_admin_socket_is_everybody_s() -> None:
    swap(admin_socket, "_OWNER_ONLY", 0o666)
