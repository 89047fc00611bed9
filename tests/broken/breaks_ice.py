"""ICE that believes too much, and sends for too long."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress
from icelane.errors import IntegrityError
from icelane.ice import agent, candidate, check, checklist, exchange, role
from icelane.ice.agent import IceAgent
from icelane.ice.consent import Consent
from icelane.ice.exchange import Answered, CheckExchange
from icelane.ice.mux_table import MuxTable
from icelane.ice.pair import CandidatePair, PairState
from icelane.ice.session import Session
from icelane.stun.integrity import verify_integrity
from icelane.stun.message import Message
from tests.broken.registry import breaks, swap

SECURITY = "tests/ice/test_agent_security.py"
MUX = "tests/ice/test_mux_table.py"
PEER = "tests/peer/test_secure_transport.py"
SHARED_PORT = "tests/aio/test_udp_mux.py"
AGENT = "tests/ice/test_agent.py"
EARLY = f"{SECURITY}::test_a_check_with_a_wrong_sender_that_came_early_is_forgotten_with_the_credentials"
BAD_REQUEST = f"{SECURITY}::test_a_request_that_is_not_the_peer_s_changes_nothing_and_is_not_answered"


@breaks("IC-1", test=f"{BAD_REQUEST}[wrong MI-while checking]")
def the_integrity_of_requests_is_not_verified() -> None:
    swap(agent, "verify_integrity", lambda message, key: None)


@breaks("IC-1", test=f"{BAD_REQUEST}[no MI-once connected]")
def requests_without_integrity_are_taken() -> None:
    def where_present(message: Message, key: bytes) -> None:
        if message.integrity_offset is not None:
            verify_integrity(message, key)

    swap(agent, "verify_integrity", where_present)


@breaks("IC-1", test=(f"{BAD_REQUEST}[a wrong sender-once connected]", EARLY))
def only_half_of_the_username_counts() -> None:
    class Anybody(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    parse = check.parse_username

    def parse_receiver(message: Message) -> tuple[str, str]:
        receiver, sender = parse(message)
        return receiver, Anybody(sender)

    swap(check, "parse_username", parse_receiver)


@breaks("IC-2", test=f"{SECURITY}::test_an_answer_that_the_peer_did_not_sign_is_as_if_it_had_never_come")
def the_integrity_of_answers_is_not_verified() -> None:
    swap(exchange, "verify_integrity", lambda message, key: None)


@breaks("IC-2", test=f"{SECURITY}::test_an_answer_that_the_peer_did_not_sign_is_as_if_it_had_never_come")
def an_answer_with_a_wrong_mac_ends_the_check() -> None:
    match = CheckExchange.match

    def match_or_end(self: CheckExchange, response: Message, path: Path, now: Instant) -> Answered | None:
        try:
            if self.remote is not None:
                verify_integrity(response, self.remote.password.encode())
        except IntegrityError:
            sent = self._sent_by_id[response.transaction_id]
            self._forget(response.transaction_id)
            return Answered(sent, False, None, True)
        return match(self, response, path, now)

    swap(CheckExchange, "match", match_or_end)


@breaks(
    "IC-2", test=f"{SECURITY}::test_an_answer_from_elsewhere_fails_the_pair_if_the_peer_signed_it_and_is_ignored_if_not"
)
def an_answer_may_come_from_anywhere() -> None:
    match = CheckExchange.match

    def match_anywhere(self: CheckExchange, response: Message, path: Path, now: Instant) -> Answered | None:
        sent = self._sent_by_id.get(response.transaction_id)
        return match(self, response, path if sent is None else sent.pair.path, now)

    swap(CheckExchange, "match", match_anywhere)


@breaks("IC-3", test=f"{SECURITY}::test_data_is_accepted_only_from_addresses_that_were_checked")
def data_is_taken_from_every_port_of_the_peer() -> None:
    swap(IceAgent, "accepts", lambda self, path: any(path.remote.host == one.remote.host for one in self._accepted))


@breaks("IC-3", test=f"{SECURITY}::test_data_is_accepted_only_from_addresses_that_were_checked")
def data_is_taken_before_a_check_is_answered() -> None:
    swap(IceAgent, "accepts", lambda self, path: any(pair.path == path for pair in self._session.checklist))


@breaks("IC-4", test=f"{SECURITY}::test_the_controlled_side_nominates_nobody_who_does_not_answer_a_check")
def a_nomination_needs_no_answered_check() -> None:
    trigger = Session._trigger

    def nominate_at_once(self: Session, pair: CandidatePair, now: Instant) -> None:
        trigger(self, pair, now)
        if pair.nominate_on_success:
            pair.state = PairState.SUCCEEDED
            pair.last_response = now
            self.selected = pair

    swap(Session, "_trigger", nominate_at_once)


@breaks("IC-4", test=f"{SECURITY}::test_data_and_checks_from_another_source_do_not_move_where_data_goes")
def data_goes_where_the_last_check_came_from() -> None:
    react = Session._react

    def follow(self: Session, found: check.Check, path: Path, now: Instant) -> None:
        react(self, found, path, now)
        pair = self.checklist.pair_at(path)
        if pair is not None and self.selected is not None:
            self.selected = pair

    swap(Session, "_react", follow)


@breaks("IC-5", test=f"{SECURITY}::test_when_consent_has_expired_nothing_is_sent_any_more")
def consent_never_expires() -> None:
    swap(Consent, "has_expired", lambda self, now: False)
    swap(Consent, "next_timeout", lambda self: min(self._check_at, self._probe_at, self._lost_at))


@breaks("IC-5", test=f"{SECURITY}::test_answers_with_a_wrong_mac_do_not_renew_consent")
def requests_and_data_renew_consent() -> None:
    def renew(self: Consent, now: Instant) -> None:
        self._heard = self.last_response = now

    swap(Consent, "handle_data", renew)
    swap(Consent, "handle_request", renew)


@breaks("IC-5", test=("tests/ice/test_consent.py::test_checks_are_four_to_six_seconds_apart_with_jitter",
                      f"{SECURITY}::test_consent_checks_are_four_to_six_seconds_apart"))  # fmt: skip
def consent_checks_have_no_jitter() -> None:
    swap(Consent, "_after_interval", lambda self, now: Instant(now + 5.0))


@breaks("IC-6", test=f"{SECURITY}::test_a_storm_of_candidates_makes_100_pairs_at_most_and_is_checked_at_the_pace")
def there_is_no_bound_on_pairs() -> None:
    swap(checklist.Checklist, "_make_room", lambda self, pair, role: True)


@breaks("IC-7", test="tests/ice/test_candidate.py::test_only_a_uuid_under_local_is_a_name_to_resolve")
def every_name_under_local_is_resolved() -> None:
    swap(candidate, "is_mdns_name", lambda host: host.lower().endswith(".local"))


@breaks("IC-7", test=f"{AGENT}::test_candidates_with_a_name_are_for_the_caller_to_resolve")
def the_agent_takes_names() -> None:
    swap(candidate, "is_address", lambda host: True)


@breaks("IC-10", test=f"{SECURITY}::test_old_credentials_are_refused_after_a_restart")
def old_credentials_stay_good() -> None:
    swap(Session, "retire", lambda self: None)


@breaks("IC-11", test="tests/ice/test_role.py::test_a_storm_of_conflicts_changes_the_role_only_so_often")
def roles_change_without_an_end() -> None:
    swap(role, "MAX_ROLE_CHANGES", 1_000_000)


@breaks("IC-3", test=f"{MUX}::test_a_check_alone_binds_nothing")
def a_shared_port_binds_whoever_names_a_ufrag() -> None:
    find = MuxTable.find

    def bind(self: MuxTable[str], data: bytes, source: SocketAddress) -> str | None:
        found = find(self, data, source)
        if found is not None:
            self._connections_by_source[source] = found
        return found

    swap(MuxTable, "find", bind)


@breaks("IC-3", test=f"{MUX}::test_a_source_that_is_validated_is_not_taken_over")
def a_shared_port_gives_a_source_to_whoever_came_last() -> None:
    def settle(self: MuxTable[str], connection: str, *, ufrags, validated, authenticated, **more) -> list[str]:  # type: ignore[no-untyped-def]
        self._connections_by_ufrag |= dict.fromkeys(ufrags, connection)
        self._connections_by_source |= dict.fromkeys([*validated, *authenticated], connection)
        return []

    swap(MuxTable, "settle", settle)


@breaks("IC-3", test=f"{MUX}::test_a_peer_that_has_proved_itself_where_another_one_was_makes_its_owner_ask")
def a_shared_port_lets_anybody_answer_for_a_source() -> None:
    swap(MuxTable, "_sure_owner", lambda self, source: None)


@breaks("IC-3", test=f"{MUX}::test_a_source_in_doubt_is_whose_check_is_answered")
def a_shared_port_gives_a_source_in_doubt_to_a_signed_check() -> None:
    settle = MuxTable.settle

    def settle_and_take(self: MuxTable[str], connection: str, **told) -> list[str]:  # type: ignore[no-untyped-def]
        contested = settle(self, connection, **told)
        for source in self._owners_by_source:
            for other, entry in self._entries.items():
                if self._sure_owner(source) is None and source in entry.authenticated:
                    self._connections_by_source[source] = other
        return contested

    swap(MuxTable, "settle", settle_and_take)


@breaks(
    "IC-3",
    test=(
        f"{MUX}::test_what_rests_on_a_signature_alone_is_the_newest_one_s_until_somebody_is_sure",
        f"{SHARED_PORT}::test_a_forged_source_does_not_lock_its_owner_out_of_a_lite_agent_s_port",
    ),
)
def a_shared_port_takes_a_signature_for_a_proof() -> None:
    swap(MuxTable, "_is_sure", lambda self, connection, source: source not in self._entries[connection].doubted)


@breaks("IC-3", test=f"{PEER}::test_a_lite_agent_has_reached_its_peer_when_all_of_its_handshake_went_there")
def a_lite_agent_takes_a_check_for_a_proof() -> None:
    swap(IceAgent, "unproven", property(lambda self: frozenset()))


@breaks("OP-8", test=f"{MUX}::test_at_the_end_nothing_is_left")
def a_shared_port_forgets_nobody() -> None:
    swap(MuxTable, "remove", lambda self, connection: None)
