"""A TURN server that trusts, remembers or grants too much."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import random

from icelane.core.clock import Instant
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.stun import integrity
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Message, MessageBuilder, Method
from icelane.testing.clock import DEFAULT_EPOCH
from icelane.turn import attributes, authentication, binding, request, response, server
from icelane.turn.allocate import Allocates
from icelane.turn.allocation import Allocation, Channel, Permission, Relay
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.authentication import Authenticator, Identity
from icelane.turn.binding import BindingAnswers
from icelane.turn.credentials import Credential, CredentialStore
from icelane.turn.limiter import Allowance, SourceLimiter
from icelane.turn.peer_policy import PeerPolicy, Verdict, _OwnAddresses
from icelane.turn.refusal import Refusal
from icelane.turn.relay_acquisition import RelayAcquisition
from icelane.turn.request import parse_create_permission
from icelane.turn.response import Responder
from icelane.turn.server import TurnServer
from tests.broken.breaks_credentials import an_expiry_is_never_over, an_expiry_is_whatever_int_reads
from tests.broken.breaks_limits import odd_ports_are_not_given_back, quotas_count_nothing
from tests.broken.breaks_stun import (
    attributes_after_integrity_are_believed,
    nonces_are_not_authenticated,
    nonces_are_not_bound_to_their_source,
    nonces_live_for_ever,
    the_cookie_is_not_looked_at,
    what_must_be_understood_need_not_be,
)
from tests.broken.registry import breaks, swap

ALLOCATE = "tests/turn/test_server_allocate.py"
AUTHENTICATION = "tests/turn/test_server_authentication.py"
BEHAVIOR = "tests/turn/test_binding.py"
BINDING = "tests/turn/test_server_binding.py"
CREDENTIALS = "tests/turn/test_server_credentials.py"
LIMITS = "tests/turn/test_server_limits.py"
PERMISSIONS = "tests/turn/test_server_permissions.py"
REFRESH = "tests/turn/test_server_refresh.py"
CHANNELS = "tests/turn/test_server_channels.py"

ANYWHERE = Verdict(allowed=True, wire_host="192.0.2.1")


# ST


@breaks("ST-4", test=(f"{AUTHENTICATION}::test_what_stands_behind_the_integrity_is_as_if_absent",
                      f"{AUTHENTICATION}::test_credentials_behind_the_integrity_are_no_credentials",
                      f"{AUTHENTICATION}::test_a_transport_behind_the_integrity_is_no_transport"))  # fmt: skip
def the_server_believes_what_was_appended() -> None:
    attributes_after_integrity_are_believed()


@breaks("ST-5", "TA-1", test=(f"{AUTHENTICATION}::test_no_method_works_without_integrity",
                              f"{AUTHENTICATION}::test_each_thing_wrong_with_a_request_has_its_answer"))  # fmt: skip
def who_shows_no_integrity_is_believed() -> None:
    claim = Authenticator._claim

    def unchecked(self: Authenticator, message: Message) -> authentication._Claim:
        if message.integrity_offset is None and message.has(AttributeType.NONCE):
            message.integrity_offset = 0
        return claim(self, message)

    swap(Authenticator, "_claim", unchecked)
    swap(integrity, "has_well_formed_integrity", lambda message: True)
    swap(integrity, "verify_integrity", lambda message, key: None)


@breaks("ST-5", test=f"{AUTHENTICATION}::test_integrity_of_an_illegal_size_is_400_or_nothing")
def the_size_of_integrity_is_not_looked_at() -> None:
    swap(integrity, "has_well_formed_integrity", lambda message: True)


@breaks("ST-8", test=f"{BINDING}::test_what_must_be_understood_and_is_not_is_listed_once_each")
def the_server_skips_what_it_must_understand() -> None:
    what_must_be_understood_need_not_be()


@breaks("ST-8", test=f"{BINDING}::test_what_asks_nothing_is_answered_nothing")
def the_server_answers_any_cookie() -> None:
    the_cookie_is_not_looked_at()


@breaks("ST-8", test=f"{BINDING}::test_an_unknown_method_is_dropped_with_or_without_credentials")
def unknown_methods_are_answered() -> None:
    def refuse(self: TurnServer, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        raise Refusal(400, "no-such-method")

    class Every(dict[int, object]):
        def get(self, key: int, default: object = None) -> object:
            return super().get(key, refuse)

    swap(server, "_HANDLERS", Every(server._HANDLERS))
    known_in = request.known_in
    swap(request, "known_in", lambda method, dont_fragment: known_in(Method.REFRESH, dont_fragment))


@breaks("ST-10", test=f"{BINDING}::test_no_answer_holds_what_it_was_not_meant_to")
def answers_are_built_in_a_used_buffer() -> None:
    send = Responder.send
    used: list[bytes] = []

    def leaky(self: Responder, response: MessageBuilder, message: Message, path: Path) -> bytes:
        used.append(message.raw)
        return send(self, response.add(AttributeType.SOFTWARE, used[-1][20:60]), message, path)

    swap(Responder, "send", leaky)


@breaks("ST-12", test=f"{LIMITS}::test_seeding_pythons_generator_makes_nothing_repeat")
def tokens_and_ports_come_from_the_global_generator() -> None:
    swap(SystemEntropy, "token", lambda self, size: random.randbytes(size))
    swap(SystemEntropy, "below", lambda self, limit: random.randrange(limit))


# TA


@breaks("TA-1", test=f"{AUTHENTICATION}::test_each_thing_wrong_with_a_request_has_its_answer")
def every_mistake_is_challenged() -> None:
    # Not by `swap`: the others still have to catch the real one.
    def challenge(code: int, reason: str, **_: object) -> Refusal:
        return Refusal(401, reason, challenge=True)

    vars(authentication)["Refusal"] = challenge


@breaks(
    "TA-1", test=f"{AUTHENTICATION}::test_another_user_on_an_allocation_is_441_and_437_where_it_asks_for_one_of_its_own"
)
def an_allocation_is_everybodys() -> None:
    class Anybody(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    swap(Allocation, "username", Anybody("anybody"))


@breaks("TA-2", "TA-3", test=(f"{AUTHENTICATION}::test_no_two_sources_get_the_same_nonce",
                              f"{AUTHENTICATION}::test_a_nonce_is_good_only_where_it_was_issued"))  # fmt: skip
def the_server_issues_one_nonce_for_all() -> None:
    nonces_are_not_bound_to_their_source()


@breaks("TA-4", test=f"{AUTHENTICATION}::test_a_tampered_nonce_is_438")
def the_server_takes_any_nonce() -> None:
    nonces_are_not_authenticated()


@breaks("TA-4", test=f"{AUTHENTICATION}::test_a_nonce_lives_ten_minutes_and_may_be_five_seconds_early")
def the_server_takes_a_nonce_of_any_age() -> None:
    nonces_live_for_ever()


@breaks("TA-5", test=f"{AUTHENTICATION}::test_a_list_that_was_altered_or_a_choice_that_is_not_on_it_is_400")
def the_list_of_algorithms_may_be_shortened() -> None:
    def whatever_is_chosen(message: Message) -> None:
        return None

    swap(authentication, "_algorithm", whatever_is_chosen)


@breaks("TA-8", test=f"{CREDENTIALS}::test_a_name_whose_expiry_is_not_plain_digits_is_401")
def the_server_reads_expiries_as_int_does() -> None:
    an_expiry_is_whatever_int_reads()


@breaks("TA-9", test=f"{CREDENTIALS}::test_an_expired_credential_begins_nothing")
def the_server_looks_at_no_expiry() -> None:
    an_expiry_is_never_over()


@breaks("TA-9", test=(f"{CREDENTIALS}::test_strict_expiry_ends_the_allocation_with_the_credential",
                      f"{CREDENTIALS}::test_strict_expiry_holds_when_the_calendar_is_set_ahead"))  # fmt: skip
def strict_expiry_is_forgotten() -> None:
    swap(Authenticator, "strict_end", lambda self, credential, now: None)


@breaks("TA-9", "TA-11", test=(f"{CREDENTIALS}::test_by_default_what_was_begun_in_time_goes_on",
                               f"{CREDENTIALS}::test_a_dropped_secret_begins_nothing_and_ends_nothing"))  # fmt: skip
def every_request_is_judged_as_an_allocate() -> None:
    authenticate = Authenticator.authenticate

    def anew(self: Authenticator, message: Message, path: Path, known: Credential | None, now: Instant) -> Identity:
        return authenticate(self, message, path, None, now)

    swap(Authenticator, "authenticate", anew)


@breaks("TA-11", test=f"{CREDENTIALS}::test_a_dropped_secret_begins_nothing_and_ends_nothing")
def a_reload_keeps_the_old_secrets() -> None:
    set_credentials = Authenticator.set_credentials

    def once(self: Authenticator, credentials: CredentialStore) -> None:
        if not hasattr(self, "_credentials"):
            set_credentials(self, credentials)

    swap(Authenticator, "set_credentials", once)


# TR


@breaks("TR-1", "TR-3", test=(f"{PERMISSIONS}::test_no_closed_peer_gets_a_route_by_any_method",
                              f"{PERMISSIONS}::test_one_denied_peer_among_six_denies_all"))  # fmt: skip
def permissions_are_not_judged() -> None:
    swap(PeerPolicy, "check_permission", lambda self, peer, family: ANYWHERE)


@breaks("TR-1", test=f"{PERMISSIONS}::test_no_closed_peer_gets_a_route_by_any_method")
def only_the_port_of_a_permission_is_judged() -> None:
    def check(self: PeerPolicy, peer: SocketAddress, family: AddressFamily) -> Verdict:
        return self.check(peer, family) if peer.port else ANYWHERE

    swap(PeerPolicy, "check_permission", check)


@breaks("TR-1", test=(f"{PERMISSIONS}::test_no_closed_peer_gets_a_route_by_any_method",
                      f"{PERMISSIONS}::test_our_own_services_are_closed"))  # fmt: skip
def channels_are_not_judged() -> None:
    check = PeerPolicy.check
    swap(PeerPolicy, "check", lambda self, peer, family: ANYWHERE)
    swap(PeerPolicy, "check_permission", check)


@breaks("TR-3", test=f"{PERMISSIONS}::test_one_denied_peer_among_six_denies_all")
def permissions_are_installed_as_they_are_judged() -> None:
    def one_by_one(self: TurnServer, message: Message, path: Path, identity: Identity, now: Instant) -> None:
        allocation = self._existing(path)
        for peer in parse_create_permission(message):
            relay, verdict = self._judge(allocation, peer, self._policy.check_permission)
            self._table.permit(allocation, peer.host, relay, verdict, now)
        self._responder.succeed(MessageBuilder.response_to(message), message, path, identity)

    server._HANDLERS[Method.CREATE_PERMISSION] = one_by_one


@breaks("TR-5", test=(f"{PERMISSIONS}::test_our_own_services_are_closed",
                      f"{PERMISSIONS}::test_of_a_relay_address_only_the_relay_ports_are_open"))  # fmt: skip
def the_server_does_not_know_itself() -> None:
    def nothing_is_ours(self: _OwnAddresses) -> dict[str, Verdict]:
        return {}

    swap(_OwnAddresses, "verdicts", nothing_is_ours)


@breaks("TR-6", test=f"{PERMISSIONS}::test_the_allow_list_opens_what_is_closed_by_default_and_nothing_else")
def the_server_lets_the_allow_list_open_everything() -> None:
    refusal = PeerPolicy._refusal

    def allow_first(self: PeerPolicy, family: AddressFamily, number: int) -> str | None:
        return None if self._allowed[family].label(number) is not None else refusal(self, family, number)

    swap(PeerPolicy, "_refusal", allow_first)


@breaks("TR-7", test=f"{PERMISSIONS}::test_a_new_policy_ends_what_it_refuses_at_once")
def a_new_policy_is_for_new_permissions() -> None:
    swap(AllocationTable, "apply_policy", lambda self, policy: None)


@breaks("TR-8", test=f"{PERMISSIONS}::test_a_permission_expires_after_five_minutes_without_any_traffic")
def the_plane_is_not_told_that_a_permission_expired() -> None:
    def forget(self: AllocationTable, allocation: Allocation, permission: Permission) -> None:
        del allocation.permissions_by_host[permission.peer_host]

    swap(AllocationTable, "_remove_permission", forget)


@breaks("TR-8", test=f"{CHANNELS}::test_a_channel_expires_after_ten_minutes_without_any_traffic")
def the_plane_is_not_told_that_a_channel_expired() -> None:
    def forget(self: AllocationTable, allocation: Allocation, channel: Channel) -> None:
        del allocation.channels_by_number[channel.number]
        del allocation.channels_by_peer[channel.peer]

    swap(AllocationTable, "_remove_channel", forget)


@breaks("TR-9", test=f"{ALLOCATE}::test_what_cannot_be_granted_has_its_code_and_leaves_nothing")
def any_transport_is_taken_for_udp() -> None:
    swap(attributes, "parse_requested_transport", lambda value: attributes.PROTOCOL_UDP)


@breaks("TR-9", test=f"{BINDING}::test_tcp_to_peers_is_refused")
def a_connect_is_taken_for_a_permission() -> None:
    server._HANDLERS[Method.CONNECT] = TurnServer._handle_create_permission
    server._HANDLERS[Method.CONNECTION_BIND] = TurnServer._handle_refresh


# TQ


@breaks("TQ-2", test=f"{LIMITS}::test_a_flood_of_strangers_leaves_nothing_and_keeps_nobody_out")
def issued_nonces_are_kept() -> None:
    issued: dict[SocketAddress, bytes] = {}
    challenge = Authenticator.add_challenge

    def keep(self: Authenticator, response: MessageBuilder, path: Path, now: Instant) -> None:
        challenge(self, response, path, now)
        issued[path.remote] = response.build()

    swap(Authenticator, "add_challenge", keep)


@breaks("TQ-3", test=(f"{LIMITS}::test_one_source_is_challenged_a_thousand_times_and_then_two_hundred_times_a_second",
                      f"{LIMITS}::test_an_ipv6_source_is_its_64_bits",
                      f"{LIMITS}::test_a_stale_or_foreign_nonce_counts_as_none"))  # fmt: skip
def the_server_challenges_without_limit() -> None:
    swap(SourceLimiter, "allow", lambda self, host, now: Allowance(True))


@breaks("TQ-3", test=f"{LIMITS}::test_a_request_with_a_nonce_of_ours_is_never_counted")
def a_flood_silences_who_proved_his_address() -> None:
    swap(Authenticator, "holds_valid_nonce", lambda self, message, path, now: False)


@breaks("TQ-3", test=f"{LIMITS}::test_streams_are_not_limited")
def streams_are_limited_too() -> None:
    swap(Transport, "reliable", property(lambda self: False))


@breaks("TQ-4", test=f"{LIMITS}::test_no_stranger_gets_much_more_than_he_sends")
def a_challenge_always_has_its_phrase() -> None:
    swap(response, "_CHALLENGE_AMPLIFICATION", 1000)


@breaks("TQ-4", test=f"{LIMITS}::test_no_stranger_gets_much_more_than_he_sends")
def a_short_nonce_always_has_its_438() -> None:
    refusal_response = Responder._refusal_response

    def answer(
        self: Responder, refusal: Refusal, message: Message, path: Path, identity: Identity | None, now: Instant
    ) -> MessageBuilder | None:
        return refusal_response(self, refusal, message, path._replace(transport=Transport.TCP), identity, now)

    swap(Responder, "_refusal_response", answer)


@breaks("TQ-4", test=f"{LIMITS}::test_no_stranger_gets_much_more_than_he_sends")
def every_answer_names_the_software() -> None:
    send = Responder.send

    def boast(self: Responder, response: MessageBuilder, message: Message, path: Path) -> bytes:
        return send(self, response.add(AttributeType.SOFTWARE, b"icelane"), message, path)

    swap(Responder, "send", boast)


@breaks("TQ-4", test=f"{BEHAVIOR}::test_nobody_gets_much_more_than_he_sends_from_two_addresses_either[pair0]")
def an_answer_says_everything_however_short_the_request() -> None:
    swap(binding, "MAX_AMPLIFICATION", 1000.0)


@breaks("TQ-3", test=f"{BEHAVIOR}::test_a_source_that_may_be_forged_is_heard_only_so_often[CHANGE-REQUEST]")
def whoever_asks_is_answered_from_elsewhere() -> None:
    swap(BindingAnswers, "_allows", lambda self, path, now: True)


@breaks("TQ-5", test=(f"{LIMITS}::test_the_thirteenth_allocation_of_a_user_is_486",
                      f"{LIMITS}::test_two_hundred_at_once_never_pass_the_limit"))  # fmt: skip
def the_server_counts_no_allocations() -> None:
    quotas_count_nothing()


@breaks("TQ-5", test=(f"{ALLOCATE}::test_a_plane_that_binds_nothing_is_asked_so_often_and_then_it_is_508",
                      f"{LIMITS}::test_a_refused_request_takes_no_slot"))  # fmt: skip
def a_failed_allocate_keeps_its_slot() -> None:
    def drop(self: Allocates, client: Path) -> None:
        del self._pending_by_client[client]

    swap(Allocates, "_drop", drop)


@breaks("TQ-5", test=f"{ALLOCATE}::test_a_retransmission_gets_the_same_bytes_and_counts_once")
def a_retransmission_is_another_request() -> None:
    table_add = AllocationTable.add

    def forget_transaction(
        self: AllocationTable, allocation: Allocation, relays: list[Relay], lifetime: int, now: Instant
    ) -> None:
        allocation.transaction_id = b""
        table_add(self, allocation, relays, lifetime, now)

    swap(AllocationTable, "add", forget_transaction)


@breaks("TQ-6", test=(f"{LIMITS}::test_a_pool_that_is_exhausted_is_508_and_comes_back_whole",
                      f"{LIMITS}::test_ten_rounds_of_the_pool_lose_no_port"))  # fmt: skip
def the_server_loses_odd_ports() -> None:
    odd_ports_are_not_given_back()


@breaks("TQ-6", test=(f"{LIMITS}::test_ten_rounds_of_the_pool_lose_no_port",
                      f"{ALLOCATE}::test_a_reservation_waits_thirty_seconds"))  # fmt: skip
def unclaimed_reservations_are_kept() -> None:
    swap(RelayAcquisition, "_drop_reservation", lambda self, token: None)


# OP


@breaks("OP-7", test=f"{REFRESH}::test_a_step_of_the_calendar_moves_no_lifetime")
def lifetimes_follow_the_calendar() -> None:
    handle_timeout = TurnServer.handle_timeout

    def by_calendar(self: TurnServer, now: Instant) -> None:
        unix_time = self._authenticator._wall_clock.unix_time(now)
        handle_timeout(self, Instant(unix_time - DEFAULT_EPOCH + 1000.0))

    swap(TurnServer, "handle_timeout", by_calendar)
