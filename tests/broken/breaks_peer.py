"""Peer connections that let anybody speak to DTLS, and that talk to more than the TURN server."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import replace

from icelane.aio import peer_driver
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress
from icelane.dtls.connection import DtlsState
from icelane.ice.agent import IceAgent
from icelane.ice.consent import Consent
from icelane.ice.options import IceOptions
from icelane.peer import candidate_text, ice_transport, local_candidates, negotiation, relays, secure_transport
from icelane.peer.connection import PeerConnection
from icelane.peer.host_names import HostNames
from icelane.peer.ice_transport import IceTransport
from icelane.peer.local_candidates import LocalCandidates
from icelane.peer.secure_transport import SecureTransport
from icelane.turn import redirect
from tests.broken.registry import breaks, swap

TRANSPORT = "tests/peer/test_secure_transport.py"
RELAY_ONLY = "tests/scenarios/test_relay_only.py"
STRICT = "tests/scenarios/test_relay_strict.py"
HIDDEN = "tests/scenarios/test_hidden_addresses.py"
WIRE = "tests/aio/test_relay_only_on_the_wire.py"
LAB = "tests/lab/test_relay_only.py"
HELLO = f"{TRANSPORT}::test_a_client_hello_from_elsewhere_reaches_nobody"
DEATH = "tests/scenarios/test_a_path_dies.py"
MANY = "tests/aio/test_many_connections.py::test_five_hundred_connections_twice_leave_nothing_behind"
RENEWED_NO_MORE = "test_after_a_change_to_strict_nothing_is_renewed_for_addresses_that_are_not_relayed[relay]"
GATHERING = "tests/aio/test_peer_gathering.py"
ONLY_SERVER = f"{RELAY_ONLY}::test_not_one_packet_goes_to_anybody_but_the_turn_server"


@breaks("DT-1", test=(f"{HELLO}[in the handshake-valid-once-server]",
                      f"{HELLO}[in the handshake-TLS_NULL_WITH_NULL_NULL-1,000 a second-server]",
                      f"{HELLO}[between ICE and the ClientHello-valid-once-server]"))  # fmt: skip
def any_source_may_speak_to_dtls() -> None:
    def handle_record(self: SecureTransport, data: bytes, path: Path, now: Instant) -> None:
        if self._dtls is None:
            self._hold(data, path)
        else:
            self._dtls.handle_datagram(data, now)
            self._drain_dtls(now)

    swap(SecureTransport, "_handle_record", handle_record)


@breaks("DT-1", "DT-2", test=f"{HELLO}[before the first check-valid-once-server]")
def dtls_of_strangers_is_held_too() -> None:
    swap(IceAgent, "has_authenticated", lambda self, path: True)


@breaks("DT-2", test=(f"{TRANSPORT}::test_dtls_of_a_source_that_has_proved_the_password_waits_for_its_pair",
                      f"{TRANSPORT}::test_dtls_that_comes_before_the_answer_waits_for_the_fingerprint"))  # fmt: skip
def dtls_in_front_of_a_valid_pair_is_dropped() -> None:
    def drop(self: SecureTransport, data: bytes, path: Path) -> None:
        self.discarded += 1

    swap(SecureTransport, "_hold", drop)


@breaks("DT-2", test=f"{TRANSPORT}::test_what_is_held_is_bounded[100]")
def any_number_of_datagrams_is_held() -> None:
    swap(secure_transport, "MAX_HELD", 1_000_000)


@breaks("DT-2", test=f"{TRANSPORT}::test_what_is_held_is_bounded[5000]")
def any_number_of_bytes_is_held() -> None:
    swap(secure_transport, "MAX_HELD_BYTES", 1_000_000_000)


@breaks("DT-2", test=f"{TRANSPORT}::test_no_client_hello_leaves_before_a_valid_pair")
def the_client_hello_does_not_wait_for_a_pair() -> None:
    set_remote = SecureTransport.set_remote

    def at_once(self: SecureTransport, fingerprints, role, now: Instant) -> None:  # type: ignore[no-untyped-def]
        set_remote(self, fingerprints, role, now)
        if self._dtls is not None and not self._started:
            self._started = True
            self.state = DtlsState.CONNECTING
            self._dtls.start(now)

    swap(SecureTransport, "set_remote", at_once)


@breaks("SC-1", test=f"{TRANSPORT}::test_sctp_before_dtls_makes_no_association[as it is]")
def what_is_not_dtls_goes_to_sctp() -> None:
    handle_packet = SecureTransport._handle_packet

    def anything(self: SecureTransport, data: bytes, path: Path, now: Instant) -> None:
        if data[0] == 0x13:
            self._payloads.append(data)
        else:
            handle_packet(self, data, path, now)

    swap(SecureTransport, "_handle_packet", anything)
    _associate_at_once()


@breaks("SC-1", test=f"{TRANSPORT}::test_sctp_before_dtls_makes_no_association[in a record of epoch 0]")
def records_in_plaintext_go_to_sctp() -> None:
    handle_record = SecureTransport._handle_record

    def anything(self: SecureTransport, data: bytes, path: Path, now: Instant) -> None:
        if data[0] == 0x17 and data[3:5] == b"\0\0":
            self._payloads.append(data[13:])
        else:
            handle_record(self, data, path, now)

    swap(SecureTransport, "_handle_record", anything)
    _associate_at_once()


def _associate_at_once() -> None:
    begin = PeerConnection.__init__

    def associated(self: PeerConnection, *arguments: object, **options: object) -> None:
        begin(self, *arguments, **options)  # type: ignore[arg-type]
        self._associated = True

    swap(PeerConnection, "__init__", associated)


@breaks("IC-3", test=f"{TRANSPORT}::test_a_hundred_thousand_datagrams_of_strangers_are_dropped_and_counted[before]")
def datagrams_of_strangers_are_kept() -> None:
    handle_batch = SecureTransport.handle_batch

    def keep(self: SecureTransport, batch: Iterable[tuple[bytes, Path]], now: Instant) -> None:
        datagrams = list(batch)
        self._held.extend(datagrams)
        handle_batch(self, datagrams, now)

    swap(SecureTransport, "handle_batch", keep)


@breaks("IC-3", test=f"{TRANSPORT}::test_a_hundred_thousand_datagrams_of_strangers_are_dropped_and_counted[after]")
def datagrams_of_strangers_are_taken() -> None:
    swap(IceAgent, "accepts", lambda self, path: True)


@breaks("IC-4", test=f"{TRANSPORT}::test_after_the_nomination_nothing_from_elsewhere_moves_the_destination[0x80]")
def data_goes_to_where_it_last_came_from() -> None:
    handle_batch = SecureTransport.handle_batch

    def follow(self: SecureTransport, batch: Iterable[tuple[bytes, Path]], now: Instant) -> None:
        datagrams = list(batch)
        handle_batch(self, datagrams, now)
        for data, path in datagrams:
            if data[0] >= 20 and self.ice.agent._carrier is not None:
                self.ice.agent._carrier[1].path = path

    swap(SecureTransport, "handle_batch", follow)


@breaks("IC-5", test=f"{DEATH}::test_it_has_failed_thirty_seconds_after_the_last_answer_and_nothing_is_sent_any_more"
                     "[both ways-busy]")  # fmt: skip
def the_whole_stack_goes_on_without_consent() -> None:
    begin = Consent.__init__

    def patient(self: Consent, options: IceOptions, *more) -> None:  # type: ignore[no-untyped-def]
        begin(self, replace(options, consent_expiry=1e9), *more)

    swap(Consent, "__init__", patient)


@breaks("IC-7", test=f"{GATHERING}::test_of_the_peer_s_names_only_those_of_mdns_are_looked_up[asyncio-all]")
def any_name_of_the_peer_is_looked_up() -> None:
    swap(ice_transport, "is_mdns_name", lambda host: True)


@breaks("IC-7", "IC-8", test=f"{GATHERING}::test_of_the_peer_s_names_only_those_of_mdns_are_looked_up[asyncio-relay]")
def names_are_looked_up_with_relay_only_too() -> None:
    add = IceTransport.add_remote_candidate

    def add_and_ask(self: IceTransport, line: str, now: Instant) -> None:
        self._relay_only, policy = False, self._relay_only
        try:
            add(self, line, now)
        finally:
            self._relay_only = policy

    swap(IceTransport, "add_remote_candidate", add_and_ask)


@breaks("IC-7", test=f"{GATHERING}::test_of_the_peer_s_names_only_those_of_mdns_are_looked_up[uvloop-all]")
def the_driver_asks_the_system_for_names() -> None:
    async def ask(self: peer_driver.PeerDriver, name: str) -> None:
        socket.getaddrinfo(name, 0)

    swap(peer_driver.PeerDriver, "_resolve", ask)


@breaks("IC-8", test=(f"{ONLY_SERVER}[in the open-one end]",
                      f"{WIRE}::test_a_capture_shows_packets_to_the_turn_server_alone[udp]",
                      f"{LAB}::test_both_hosts_send_to_the_turn_server_only[relay-cgnat, open]"))  # fmt: skip
def host_candidates_are_used_with_relay_only() -> None:
    add_base = IceTransport.add_base

    def add(self: IceTransport, base: SocketAddress, preference: int, now: Instant, **how: bool) -> None:
        add_base(self, base, preference, now, **how)
        if self._relay_only:
            self.agent.add_local_candidate(self._make.host(base, preference), base, now)
            self._settle(now)

    swap(IceTransport, "add_base", add)


@breaks("IC-8", test=f"{RELAY_ONLY}::test_what_is_told_of_a_candidate_is_its_relayed_address_and_nothing_else")
def the_mapped_address_is_told_with_relay_only() -> None:
    swap(local_candidates, "without_related", lambda candidate: candidate)
    swap(candidate_text, "check_is_relayed", lambda candidate: None)


@breaks("IC-8", test=f"{RELAY_ONLY}::test_a_peer_that_knocks_at_the_door_is_not_answered")
def checks_are_answered_from_our_own_address() -> None:
    handle_stun = IceTransport.handle_stun

    def answer(self: IceTransport, data: bytes, path: Path, now: Instant) -> None:
        base = path.local
        if base in self._preferences_by_base and not self.agent._session.checklist.has_base(base):
            self.agent.add_local_candidate(self._make.host(base, 1), base, now)
        self._relay_only, policy = False, self._relay_only
        handle_stun(self, data, path, now)
        self._relay_only = policy

    swap(IceTransport, "handle_stun", answer)


@breaks("IC-8", test=f"{RELAY_ONLY}::test_without_a_turn_server_there_is_no_way_and_none_is_tried[silent]")
def a_turn_server_that_fails_is_done_without() -> None:
    fail = IceTransport._fail

    def fall_back(self: IceTransport, base, url, error) -> None:  # type: ignore[no-untyped-def]
        fail(self, base, url, error)
        if self._relay_only:
            self._relay_only = self._make.relay_only = False
            for known in self._preferences_by_base:
                self._use_directly(known, Instant(0.0))

    swap(IceTransport, "_fail", fall_back)
    swap(candidate_text, "check_is_relayed", lambda candidate: None)


@breaks("IC-8", test=f"{RELAY_ONLY}::test_without_a_turn_server_there_is_no_way_and_none_is_tried[wrong password]")
def a_failure_tells_where_we_are() -> None:
    fail = IceTransport._fail

    def tell(self: IceTransport, base, url, error) -> None:  # type: ignore[no-untyped-def]
        self._relay_only, policy = False, self._relay_only
        fail(self, base, url, error)
        self._relay_only = policy

    swap(IceTransport, "_fail", tell)


@breaks(
    "IC-8", test=f"{RELAY_ONLY}::test_after_a_change_to_relay_a_restart_leaves_the_direct_path_for_good[who changed]"
)
def a_change_of_policy_is_forgotten_by_the_restart() -> None:
    restart = IceTransport.restart

    def without_policy(self: IceTransport, credentials, now: Instant, **policy) -> None:  # type: ignore[no-untyped-def]
        restart(self, credentials, now)

    swap(IceTransport, "restart", without_policy)
    swap(candidate_text, "check_is_relayed", lambda candidate: None)
    change = negotiation.Negotiation.change_ice_configuration

    def outdate_only(self: negotiation.Negotiation, *, relay_only: bool, strict: bool) -> None:
        change(self, relay_only=self.relay_only)

    swap(negotiation.Negotiation, "change_ice_configuration", outdate_only)


@breaks("IC-8", test=f"{STRICT}::test_of_a_peer_only_its_relayed_addresses_are_asked_for_and_sent_to[in the open]")
def a_strict_connection_takes_every_candidate() -> None:
    add = IceTransport.add_remote_candidate

    def add_all(self: IceTransport, line: str, now: Instant) -> None:
        self._strict, policy = False, self._strict
        try:
            add(self, line, now)
        finally:
            self._strict = policy

    swap(IceTransport, "add_remote_candidate", add_all)


@breaks("IC-8", test=f"{STRICT}::test_a_check_from_an_address_that_nobody_announced_gets_nothing")
def a_strict_connection_answers_whoever_knows_the_password() -> None:
    swap(IceAgent, "_may_learn", lambda self, address: True)


@breaks("IC-8", test=f"{STRICT}::{RENEWED_NO_MORE}")
def a_strict_connection_renews_what_it_asked_for_before() -> None:
    swap(relays.Relays, "keep_peers", lambda self, peers: None)


@breaks("IC-9", test=f"{HIDDEN}::test_no_address_of_this_machine_is_told_and_a_neighbour_finds_us_by_name[True]")
def addresses_are_told_though_they_are_to_be_hidden() -> None:
    swap(LocalCandidates, "_named", lambda self, candidate, names: candidate)


@breaks("IC-9", test=f"{HIDDEN}::test_behind_a_nat_the_reflexive_candidate_does_not_say_what_is_behind_it")
def related_addresses_are_told_though_they_are_to_be_hidden() -> None:
    swap(local_candidates, "without_related", lambda candidate: candidate)


@breaks("IC-9", test=f"{HIDDEN}::test_a_server_in_our_own_network_does_not_give_us_away")
def a_server_is_believed_where_it_sees_what_is_to_be_hidden() -> None:
    swap(LocalCandidates, "may_tell", lambda self, mapped: True)


@breaks("IC-9", test=f"{HIDDEN}::test_each_connection_has_a_name_of_its_own_and_keeps_it_over_a_restart")
def one_name_serves_every_connection() -> None:
    swap(HostNames, "of", lambda self, host: "6a1f4c1e-0000-4000-8000-000000000000.local")


@breaks("IC-12", test=f"{RELAY_ONLY}::test_a_public_turn_server_cannot_send_us_to_a_private_one[127.0.0.1]")
def a_redirection_is_followed_wherever_it_leads() -> None:
    swap(redirect, "check_redirect", lambda visited, target, **_: None)


@breaks("IC-12", test=f"{RELAY_ONLY}::test_a_chain_of_redirections_ends_after_three_hops")
def each_redirection_counts_as_the_first() -> None:
    allocate = relays.Relays._allocate

    def forgetful(self: relays.Relays, path, server, visited, now: Instant, family=None) -> None:  # type: ignore[no-untyped-def]
        allocate(self, path, server, (), now, family)

    swap(relays.Relays, "_allocate", forgetful)


@breaks(
    "DT-3", test="tests/aio/test_certificate.py::test_a_peer_with_our_own_certificate_is_refused_in_good_order[asyncio]"
)
def a_failed_connection_is_started() -> None:
    def start(self: SecureTransport, now: Instant) -> None:
        if self._started or self._dtls is None or self.ice.agent.data_path is None:
            return
        self._started = True
        self._dtls.start(now)
        self._drain_dtls(now)

    swap(SecureTransport, "_start", start)


@breaks("SD-2", test="tests/aio/test_hostile_descriptions.py::"
                     "test_hostile_offers_answers_and_candidates_leave_the_connection_alive[asyncio]")  # fmt: skip
def a_refused_description_ends_the_connection() -> None:
    set_remote = PeerConnection.set_remote_description

    def set_or_end(self: PeerConnection, description, now: Instant) -> None:  # type: ignore[no-untyped-def]
        try:
            set_remote(self, description, now)
        except Exception:
            self.abort(now)
            raise

    swap(PeerConnection, "set_remote_description", set_or_end)


@breaks("SD-2", test="tests/aio/test_hostile_descriptions.py::"
                     "test_hostile_offers_answers_and_candidates_leave_the_connection_alive[asyncio]")  # fmt: skip
def what_does_not_parse_raises_what_nobody_expects() -> None:
    set_remote = PeerConnection.set_remote_description

    def set_or_raise(self: PeerConnection, description, now: Instant) -> None:  # type: ignore[no-untyped-def]
        try:
            set_remote(self, description, now)
        except Exception as error:
            raise ZeroDivisionError(str(error)) from error

    swap(PeerConnection, "set_remote_description", set_or_raise)


@breaks("OP-8", test=f"{MANY}[asyncio-some]")
def sockets_stay_open_at_the_end() -> None:
    abandon = peer_driver.PeerDriver.abandon

    def keep(self: peer_driver.PeerDriver) -> None:
        self._sockets_by_base.clear()
        abandon(self)

    swap(peer_driver.PeerDriver, "abandon", keep)


@breaks("OP-8", test=f"{MANY}[asyncio-some]")
def connections_are_remembered_for_ever() -> None:
    begin = PeerConnection.__init__
    remembered: list[PeerConnection] = []

    def remember(self: PeerConnection, *arguments: object, **options: object) -> None:
        begin(self, *arguments, **options)  # type: ignore[arg-type]
        remembered.append(self)

    swap(PeerConnection, "__init__", remember)
