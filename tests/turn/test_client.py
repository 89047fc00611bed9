"""The TURN client engine against a scripted server and a virtual clock."""

from __future__ import annotations

import pytest

from icelane.core.clock import Duration
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.errors import (
    DowngradeError,
    IcelaneError,
    IntegrityError,
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
    TransactionTimeoutError,
    TransportClosedError,
    TurnError,
)
from icelane.stun.attributes import (
    AttributeType,
    encode_address,
    encode_error_code,
    encode_text,
    encode_uint32,
    encode_xor_address,
    parse_uint32,
    parse_xor_address,
)
from icelane.stun.integrity import long_term_key_md5, verify_integrity
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.turn.attributes import IcmpError, encode_address_error_code, encode_icmp, parse_channel_number
from icelane.turn.channel_data import encode_channel_data, encode_channel_data_for_stream, parse_channel_data
from icelane.turn.client import KEEPALIVE_INTERVAL, ClientState, TurnClient
from icelane.turn.client_event import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationRefreshed,
    AllocationReleased,
    ChannelBound,
    ChannelFailed,
    DataReceived,
    IcmpReceived,
    PermissionGranted,
    PermissionRefused,
    Redirected,
    TurnClientEvent,
)
from icelane.turn.client_peer import MAX_CHANNELS, MAX_HOSTS_PER_REQUEST, MAX_PERMISSIONS
from icelane.turn.client_request import AllocateOptions
from icelane.turn.client_traffic import MAX_PAYLOAD
from icelane.turn.translation import build_data_indication, build_icmp_indication, parse_send_indication

LOCAL = SocketAddress("192.0.2.10", 40000)
SERVER = SocketAddress("192.0.2.1", 3478)
UDP = Path(LOCAL, SERVER, Transport.UDP)
TCP = Path(LOCAL, SERVER, Transport.TCP)
RELAYED = SocketAddress("192.0.2.1", 50000)
RELAYED_IPV6 = SocketAddress("2001:db8::1", 50000)
MAPPED = SocketAddress("198.51.100.7", 1234)
PEER = SocketAddress("198.51.100.20", 6000)
OTHER = SocketAddress("198.51.100.21", 6000)
REALM = "example.org"
BINDING_INDICATION = b"\x00\x11"
KEY = long_term_key_md5("alice", REALM, "secret")


class Script:
    """A client, and the server that a test speaks for: it reads requests and writes what it likes."""

    def __init__(
        self,
        path: Path = UDP,
        *,
        username: str | None = "alice",
        visited: list[SocketAddress] | None = None,
        is_proxied: bool = False,
    ) -> None:
        self.clock = VirtualClock()
        self.path = path
        self.nonce = "nonce-1"
        self.client = TurnClient(
            path,
            entropy=SeededEntropy(),
            username=username,
            password="secret",
            visited=visited or (),
            is_proxied=is_proxied,
        )
        self.events: list[TurnClientEvent] = []
        self.sent: list[bytes] = []
        self.keepalives = 0

    def drain(self) -> None:
        while (transmit := self.client.poll_transmit()) is not None:
            assert transmit.path == self.path
            if transmit.data[:2] == BINDING_INDICATION:
                self.keepalives += 1
            else:
                self.sent.append(transmit.data)
        while (event := self.client.poll_event()) is not None:
            self.events.append(event)

    def take_events(self) -> list[TurnClientEvent]:
        self.drain()
        events, self.events = self.events, []
        return events

    def take_requests(self) -> list[Message]:
        self.drain()
        sent, self.sent = self.sent, []
        return [parse_message(data) for data in sent]

    def request(self, method: Method, *, signed: bool = True) -> Message:
        """The one request that was sent since last time."""
        (request,) = self.take_requests()
        assert request.method == method
        assert request.message_class is MessageClass.REQUEST
        if signed:
            verify_integrity(request, KEY)
            assert request.get(AttributeType.NONCE) == self.nonce.encode()
        return request

    def deliver(self, data: bytes, path: Path | None = None) -> None:
        self.client.handle_datagram(data, path or self.path, self.clock.now)
        self.drain()

    def succeed(self, request: Message, *attributes: tuple[int, bytes]) -> None:
        response = MessageBuilder.response_to(request)
        for kind, value in attributes:
            response.add(kind, value)
        self.deliver(response.add_integrity_sha1(KEY).build())

    def refuse(self, request: Message, code: int, *attributes: tuple[int, bytes], signed: bool = True) -> None:
        response = MessageBuilder.response_to(request, MessageClass.ERROR)
        response.add(AttributeType.ERROR_CODE, encode_error_code(code, "No"))
        for kind, value in attributes:
            response.add(kind, value)
        if signed:
            response.add_integrity_sha1(KEY)
        self.deliver(response.build())

    def challenge(self, request: Message, code: int = 401, nonce: str = "nonce-1", realm: str = REALM) -> None:
        self.nonce = nonce
        attributes = (AttributeType.REALM, encode_text(realm)), (AttributeType.NONCE, encode_text(nonce))
        self.refuse(request, code, *attributes, signed=False)

    def grant(self, request: Message, *relayed: SocketAddress, lifetime: int = 600) -> None:
        xor = request.transaction_id
        addresses = [
            (AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(address, xor)) for address in relayed or (RELAYED,)
        ]
        self.succeed(
            request,
            *addresses,
            (AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, xor)),
            (AttributeType.LIFETIME, encode_uint32(lifetime)),
        )

    def allocate(self, options: AllocateOptions | None = None, *, lifetime: int = 600) -> None:
        """Through the challenge to an allocation."""
        self.client.allocate(options or AllocateOptions(), self.clock.now)
        self.challenge(self.request(Method.ALLOCATE, signed=False))
        self.grant(self.request(Method.ALLOCATE), lifetime=lifetime)
        (event,) = self.take_events()
        assert isinstance(event, Allocated)
        assert self.client.state is ClientState.HELD

    def permit(self, *hosts: str) -> None:
        self.client.create_permission(hosts, self.clock.now)
        self.succeed(self.request(Method.CREATE_PERMISSION))
        assert self.take_events() == [PermissionGranted(hosts)]

    def bind(self, peer: SocketAddress) -> int:
        number = self.client.bind_channel(peer, self.clock.now)
        self.succeed(self.request(Method.CHANNEL_BIND))
        assert self.take_events() == [ChannelBound(peer, number)]
        return number

    def advance(self, by: Duration) -> None:
        """Let time pass, stopping at every deadline on the way."""
        end = self.clock.now + by
        while (deadline := self.client.next_timeout()) is not None and deadline <= end:
            self.clock.advance(max(0.0, deadline - self.clock.now))
            self.client.handle_timeout(self.clock.now)
            self.drain()
        self.clock.advance(end - self.clock.now)

    def assert_ended(self, error: type[IcelaneError]) -> IcelaneError:
        """The allocation failed or was lost by such an error, and nothing is left of it."""
        (event,) = self.take_events()
        assert isinstance(event, AllocationFailed | AllocationLost)
        assert type(event.error) is error
        assert self.client.state is ClientState.ENDED
        assert self.client.idle
        assert self.client.next_timeout() is None
        return event.error


def peers_of(request: Message) -> list[str]:
    values = request.get_all(AttributeType.XOR_PEER_ADDRESS)
    return [parse_xor_address(value, request.transaction_id).host for value in values]


# Allocating


def test_an_allocation_takes_a_challenge_and_tells_what_was_granted() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(lifetime=900, dont_fragment=True, reserve_next=True), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    assert request.get(AttributeType.REQUESTED_TRANSPORT) == b"\x11\0\0\0"
    assert request.get(AttributeType.LIFETIME) == encode_uint32(900)
    assert request.get(AttributeType.EVEN_PORT) == b"\x80"
    assert request.has(AttributeType.DONT_FRAGMENT)
    script.succeed(
        request,
        (AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(RELAYED, request.transaction_id)),
        (AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, request.transaction_id)),
        (AttributeType.LIFETIME, encode_uint32(900)),
        (AttributeType.RESERVATION_TOKEN, b"12345678"),
    )
    assert script.take_events() == [
        Allocated(relayed=(RELAYED,), mapped=MAPPED, lifetime=900, reservation_token=b"12345678")
    ]


def test_a_server_without_authentication_is_used_without_credentials() -> None:
    script = Script(username=None)
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.grant(script.request(Method.ALLOCATE, signed=False))
    assert isinstance(script.take_events()[0], Allocated)


def test_a_dual_allocation_has_both_families_or_says_why_not() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(dual=True), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    assert request.get(AttributeType.ADDITIONAL_ADDRESS_FAMILY) == b"\x02\0\0\0"
    script.grant(request, RELAYED, RELAYED_IPV6)
    (event,) = script.take_events()
    assert isinstance(event, Allocated)
    assert event.relayed == (RELAYED, RELAYED_IPV6)

    script = Script()
    script.client.allocate(AllocateOptions(dual=True), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    script.succeed(
        request,
        (AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(RELAYED, request.transaction_id)),
        (AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, request.transaction_id)),
        (AttributeType.LIFETIME, encode_uint32(600)),
        (AttributeType.ADDRESS_ERROR_CODE, encode_address_error_code(AddressFamily.IPV6, 440, "No IPv6")),
    )
    (event,) = script.take_events()
    assert isinstance(event, Allocated)
    assert event.relayed == (RELAYED,)
    assert isinstance(event.additional_error, TurnError)
    assert event.additional_error.code == 440


def test_an_allocation_of_a_family_that_was_not_asked_for_is_given_back() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(family=AddressFamily.IPV6), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.grant(script.request(Method.ALLOCATE), RELAYED)
    script.assert_ended(RemoteProtocolError)
    assert parse_uint32(script.request(Method.REFRESH).get(AttributeType.LIFETIME) or b"") == 0


@pytest.mark.parametrize("missing", ["relayed", "mapped", "lifetime", "zero-lifetime"])
def test_an_incomplete_success_is_a_failure_and_the_allocation_is_given_back(missing: str) -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    attributes = {
        "relayed": (AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(RELAYED, request.transaction_id)),
        "mapped": (AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, request.transaction_id)),
        "lifetime": (AttributeType.LIFETIME, encode_uint32(0 if missing == "zero-lifetime" else 600)),
    }
    attributes.pop(missing, None)
    script.succeed(request, *attributes.values())
    script.assert_ended(MalformedError)
    assert script.request(Method.REFRESH).get(AttributeType.LIFETIME) == bytes(4)


@pytest.mark.parametrize("code", [403, 420, 437, 440, 442, 486, 508])
def test_an_error_of_the_server_is_told_with_its_code(code: int) -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.refuse(script.request(Method.ALLOCATE), code)
    error = script.assert_ended(TurnError)
    assert isinstance(error, TurnError)
    assert (error.code, error.reason, error.server) == (code, "No", "192.0.2.1:3478")


def test_wrong_credentials_are_tried_once() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.challenge(script.request(Method.ALLOCATE))
    error = script.assert_ended(TurnError)
    assert isinstance(error, TurnError)
    assert error.code == 401
    assert script.take_requests() == []


def test_no_answer_at_all_is_a_timeout() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.advance(40)
    assert len(script.take_requests()) == 7
    script.assert_ended(TransactionTimeoutError)


def test_a_closed_connection_ends_whatever_is_going_on() -> None:
    script = Script(TCP)
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.client.handle_closed(TCP, script.clock.now)
    script.assert_ended(TransportClosedError)

    script = Script(TCP)
    script.allocate()
    script.permit(PEER.host)
    script.client.handle_closed(TCP, script.clock.now)
    script.assert_ended(TransportClosedError)
    script.client.handle_closed(TCP, script.clock.now)
    assert script.take_events() == []


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": 0},
        {"lifetime": 1 << 32},
        {"family": AddressFamily.IPV6, "dual": True},
        {"dual": True, "reserve_next": True},
        {"reservation_token": b"short"},
        {"reservation_token": b"12345678", "even_port": True},
        {"reservation_token": b"12345678", "family": AddressFamily.IPV4},
    ],
)
def test_options_that_contradict_each_other_are_refused_here(options: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        AllocateOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


# Authentication


def test_challenges_without_end_stop_after_three_attempts() -> None:
    """TA-13: a server that answers 438 for ever is given up."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.challenge(script.request(Method.ALLOCATE), 438, "nonce-2")
    script.challenge(script.request(Method.ALLOCATE), 438, "nonce-3")
    error = script.assert_ended(TurnError)
    assert isinstance(error, TurnError)
    assert error.code == 438
    assert script.take_requests() == []


def test_a_changed_realm_is_an_error() -> None:
    """TA-13: the realm stays what it was."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.challenge(script.request(Method.ALLOCATE), 438, "nonce-2", realm="evil.example")
    script.assert_ended(RemoteProtocolError)


def test_a_stripped_password_algorithms_attribute_is_a_downgrade() -> None:
    """TA-6: the nonce promises algorithms that the challenge does not hold; no second request goes out."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False), nonce="obMatJos2gAAAnonce")
    script.assert_ended(DowngradeError)
    assert script.take_requests() == []


@pytest.mark.parametrize("damage", ["missing", "wrong", "short"])
def test_an_unsigned_success_over_udp_is_as_if_it_never_came(damage: str) -> None:
    """TA-14, ST-5: retransmissions go on, and the end is an integrity violation, not a timeout."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    forged = MessageBuilder.response_to(request)
    forged.add(AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(OTHER, request.transaction_id))
    forged.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(OTHER, request.transaction_id))
    forged.add(AttributeType.LIFETIME, encode_uint32(600))
    if damage == "wrong":
        forged.add_integrity_sha1(b"another key")
    elif damage == "short":
        forged.add(AttributeType.MESSAGE_INTEGRITY, bytes(19))
    script.deliver(forged.build())
    assert script.take_events() == []
    script.advance(40)
    assert len(script.take_requests()) == 6
    script.assert_ended(IntegrityError)


def test_a_true_answer_after_a_forged_one_still_counts_over_udp() -> None:
    """TA-14: whoever forges a response without the key changes nothing."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    script.deliver(MessageBuilder.response_to(request).add_integrity_sha1(b"another key").build())
    script.grant(request)
    assert isinstance(script.take_events()[0], Allocated)


def test_a_forged_answer_over_tcp_ends_the_request_at_once() -> None:
    """TA-14: on a stream there is no second chance."""
    script = Script(TCP)
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    script.deliver(MessageBuilder.response_to(request).add_integrity_sha1(b"another key").build())
    script.assert_ended(IntegrityError)


def test_what_stands_behind_the_integrity_of_a_response_does_not_count() -> None:
    """ST-4: an appended LIFETIME and relayed address are ignored by the client too."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    response = MessageBuilder.response_to(request)
    response.add(AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(RELAYED, request.transaction_id))
    response.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, request.transaction_id))
    response.add(AttributeType.LIFETIME, encode_uint32(600))
    response.add_integrity_sha1(KEY)
    response.add(AttributeType.RESERVATION_TOKEN, b"evil1234")
    response.add(AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(OTHER, request.transaction_id))
    script.deliver(response.add_fingerprint().build())
    assert script.take_events() == [Allocated(relayed=(RELAYED,), mapped=MAPPED, lifetime=600)]


def test_a_wrong_fingerprint_is_dropped() -> None:
    script = Script(username=None)
    script.client.allocate(AllocateOptions(), script.clock.now)
    request = script.request(Method.ALLOCATE, signed=False)
    response = MessageBuilder.response_to(request).add(AttributeType.FINGERPRINT, bytes(4))
    script.deliver(response.build())
    assert script.take_events() == []
    assert script.client.state is ClientState.REQUESTED


def test_an_unknown_attribute_that_must_be_understood_fails_the_request() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.refuse(script.request(Method.ALLOCATE, signed=False), 401, (0x7FFE, b""), signed=False)
    script.assert_ended(RemoteProtocolError)


def test_a_nonce_that_goes_stale_later_costs_one_more_round() -> None:
    script = Script()
    script.allocate()
    script.client.create_permission([PEER.host], script.clock.now)
    script.client.bind_channel(OTHER, script.clock.now)
    permit, bind = script.take_requests()
    script.challenge(permit, 438, "nonce-2")
    script.challenge(bind, 438, "nonce-2")
    permit, bind = script.take_requests()
    script.succeed(permit)
    script.succeed(bind)
    assert script.take_events() == [PermissionGranted((PEER.host,)), ChannelBound(OTHER, 0x4000)]


# Redirection


def redirect(script: Script, target: SocketAddress, domain: str = "", code: int = 300) -> None:
    script.client.allocate(AllocateOptions(), script.clock.now)
    attributes = [(int(AttributeType.ALTERNATE_SERVER), encode_address(target))]
    if domain:
        attributes.append((AttributeType.ALTERNATE_DOMAIN, encode_text(domain)))
    script.refuse(script.request(Method.ALLOCATE, signed=False), code, *attributes, signed=False)


@pytest.mark.parametrize("code", [300, 508])
def test_a_redirection_is_told_and_ends_the_engine(code: int) -> None:
    """By 300, and by the 508 of a server that is being emptied."""
    script = Script()
    target = SocketAddress("192.0.2.2", 3479)
    redirect(script, target, "b.example.org", code)
    assert script.take_events() == [Redirected(target, "b.example.org")]
    assert script.client.state is ClientState.ENDED
    assert script.client.idle


@pytest.mark.parametrize("code", [300, 508])
@pytest.mark.parametrize(
    ("server", "target"),
    [
        ("8.8.8.8", "127.0.0.1"),
        ("8.8.8.8", "169.254.169.254"),
        ("8.8.8.8", "10.0.0.1"),
        ("8.8.8.8", "192.168.1.1"),
        ("10.0.0.1", "127.0.0.1"),
        ("8.8.8.8", "0.0.0.0"),
        ("2600::1", "fe80::1"),
        ("2600::1", "::1"),
        ("2600::1", "::ffff:8.8.8.8"),
        ("8.8.8.8", "2600::1"),
    ],
)
def test_a_redirection_into_a_network_of_ours_is_refused(server: str, target: str, code: int) -> None:
    """IC-12: a public server must not make us knock at private doors."""
    script = Script(Path(LOCAL, SocketAddress(server, 3478), Transport.UDP))
    redirect(script, SocketAddress(target, 3478), code=code)
    script.assert_ended(RemoteProtocolError)


def test_a_508_that_names_nobody_is_the_end() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.refuse(script.request(Method.ALLOCATE, signed=False), 508, signed=False)
    script.assert_ended(TurnError)


def test_another_error_that_names_a_server_redirects_nobody() -> None:
    script = Script()
    redirect(script, SocketAddress("192.0.2.2", 3479), code=486)
    script.assert_ended(TurnError)


def test_a_508_that_redirects_must_be_signed_once_the_request_is() -> None:
    """IC-12, TA-14: nobody on the way sends a client elsewhere."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    attribute = (AttributeType.ALTERNATE_SERVER, encode_address(SocketAddress("192.0.2.2", 3479)))
    script.refuse(script.request(Method.ALLOCATE), 508, attribute, signed=False)
    assert script.take_events() == []
    assert script.client.state is ClientState.REQUESTED


@pytest.mark.parametrize(("server", "target"), [("10.0.0.1", "192.168.1.1"), ("127.0.0.1", "127.0.0.2")])
def test_a_redirection_within_the_class_of_the_first_server_is_followed(server: str, target: str) -> None:
    """IC-12: whoever names a private server has a private cluster."""
    script = Script(Path(LOCAL, SocketAddress(server, 3478), Transport.UDP))
    redirect(script, SocketAddress(target, 3478))
    assert script.take_events() == [Redirected(SocketAddress(target, 3478), "")]


@pytest.mark.parametrize("target", ["127.0.0.1", "169.254.169.254", "10.0.0.2", "192.168.1.1", "::1", "fe80::1"])
def test_through_a_proxy_no_redirection_leads_into_the_network_behind_it(target: str) -> None:
    """IC-12: the proxy's own address is private as a rule, and says nothing about the server's."""
    script = Script(Path(LOCAL, SocketAddress("10.0.0.1", 3128), Transport.TCP), is_proxied=True)
    script.client.allocate(AllocateOptions(), script.clock.now)
    attribute = (AttributeType.ALTERNATE_SERVER, encode_address(SocketAddress(target, 3478)))
    script.refuse(script.request(Method.ALLOCATE, signed=False), 300, attribute, signed=False)
    script.assert_ended(RemoteProtocolError)


def test_through_a_proxy_redirections_to_public_servers_are_followed_up_to_three() -> None:
    """IC-12: of either family, since the proxy connects; the proxy itself is on the way each time."""
    proxy = SocketAddress("10.0.0.1", 3128)
    target = SocketAddress("2600::1", 3478)
    for hops in range(4):
        script = Script(Path(LOCAL, proxy, Transport.TCP), visited=[proxy] * hops, is_proxied=True)
        redirect(script, target)
        if hops < 3:
            assert script.take_events() == [Redirected(target, "")]
        else:
            script.assert_ended(RemoteProtocolError)


def test_redirections_in_a_circle_and_more_than_three_are_refused() -> None:
    """IC-12: three hops at most, and never back."""
    first = SocketAddress("192.0.2.101", 3478)
    script = Script(visited=[first])
    redirect(script, first)
    script.assert_ended(RemoteProtocolError)

    script = Script(visited=[SocketAddress(f"192.0.2.{100 + i}", 3478) for i in range(3)])
    redirect(script, SocketAddress("192.0.2.200", 3478))
    script.assert_ended(RemoteProtocolError)


# Refreshing and closing


@pytest.mark.parametrize("code", [400, 500])
def test_what_unsigned_errors_said_is_told_when_nothing_better_came(code: int) -> None:
    """TA-14: ignored over UDP as if never received; the last of them stands in the error at the end."""
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    for said in (508, code):
        script.refuse(request, said, signed=False)
    assert script.take_events() == []
    assert script.client.unproven_code == code
    script.advance(40)
    error = script.assert_ended(IntegrityError)  # of the 508, which is not believed; of a 400 alone it is a timeout
    assert f"an unsigned answer said {code}: " in str(error)


def test_a_signed_answer_makes_unsigned_ones_forgotten() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    request = script.request(Method.ALLOCATE)
    script.refuse(request, 500, signed=False)
    script.grant(request)
    assert isinstance(script.take_events()[0], Allocated)
    assert script.client.unproven_code is None


def test_over_a_stream_an_unsigned_error_is_the_end_and_is_told() -> None:
    """TA-14."""
    script = Script(Path(LOCAL, SERVER, Transport.TCP))
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.refuse(script.request(Method.ALLOCATE), 500, signed=False)
    assert "an unsigned answer said 500: " in str(script.assert_ended(IntegrityError))


def test_an_allocation_is_refreshed_a_minute_before_it_ends() -> None:
    script = Script()
    script.allocate(AllocateOptions(lifetime=800), lifetime=800)
    script.advance(739)
    assert script.take_requests() == []
    script.advance(1)
    request = script.request(Method.REFRESH)
    assert request.get(AttributeType.LIFETIME) == encode_uint32(800)
    script.succeed(request, (AttributeType.LIFETIME, encode_uint32(120)))
    assert script.take_events() == [AllocationRefreshed(120)]
    script.advance(60)
    assert script.request(Method.REFRESH).get(AttributeType.LIFETIME) == encode_uint32(800)


def test_an_explicit_refresh_changes_the_lifetime_from_then_on() -> None:
    script = Script()
    script.allocate()
    script.client.refresh(1200, script.clock.now)
    request = script.request(Method.REFRESH)
    assert request.get(AttributeType.LIFETIME) == encode_uint32(1200)
    script.succeed(request, (AttributeType.LIFETIME, encode_uint32(1200)))
    assert script.take_events() == [AllocationRefreshed(1200)]
    with pytest.raises(LocalProtocolError):
        script.client.refresh(0, script.clock.now)


def test_an_allocation_whose_refresh_is_never_answered_is_lost_when_it_expires() -> None:
    script = Script()
    script.allocate()
    script.advance(599)
    assert script.client.state is ClientState.HELD
    script.advance(1)
    script.assert_ended(TransactionTimeoutError)


def test_a_refresh_that_fails_for_now_is_tried_again() -> None:
    script = Script()
    script.allocate()
    script.advance(540)
    script.refuse(script.request(Method.REFRESH), 508)
    assert script.take_events() == []
    script.advance(5)
    script.succeed(script.request(Method.REFRESH), (AttributeType.LIFETIME, encode_uint32(600)))
    assert script.take_events() == [AllocationRefreshed(600)]


@pytest.mark.parametrize("code", [401, 437, 441])
def test_a_refresh_that_is_refused_for_good_loses_the_allocation(code: int) -> None:
    script = Script()
    script.allocate()
    script.permit(PEER.host)
    script.advance(200)
    script.client.refresh(600, script.clock.now)
    request = script.request(Method.REFRESH)
    if code == 401:
        script.challenge(request)
    else:
        script.refuse(request, code)
    script.assert_ended(TurnError)


def test_closing_gives_the_allocation_up_and_forgets_everything() -> None:
    script = Script()
    script.allocate()
    script.permit(PEER.host)
    script.bind(OTHER)
    script.client.close(script.clock.now)
    request = script.request(Method.REFRESH)
    assert request.get(AttributeType.LIFETIME) == bytes(4)
    script.client.close(script.clock.now)
    script.challenge(request, 438, "nonce-2")
    script.succeed(script.request(Method.REFRESH), (AttributeType.LIFETIME, bytes(4)))
    assert script.take_events() == [AllocationReleased()]
    assert script.client.state is ClientState.ENDED
    assert script.client.idle
    assert script.client.next_timeout() is None
    script.client.close(script.clock.now)
    assert script.take_events() == []
    with pytest.raises(LocalProtocolError):
        script.client.allocate(AllocateOptions(), script.clock.now)
    with pytest.raises(LocalProtocolError):
        script.client.send(b"x", PEER)


@pytest.mark.parametrize("answer", [437, None])
def test_closing_ends_also_when_the_server_knows_nothing_or_says_nothing(answer: int | None) -> None:
    script = Script()
    script.allocate()
    script.client.close(script.clock.now)
    if answer is None:
        script.advance(40)
    else:
        script.refuse(script.request(Method.REFRESH), answer)
    assert script.take_events() == [AllocationReleased()]
    assert script.client.idle


def test_closing_before_the_server_has_answered_gives_back_what_it_grants() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.client.close(script.clock.now)
    assert script.client.state is ClientState.ABANDONED
    script.challenge(script.request(Method.ALLOCATE, signed=False))
    script.grant(script.request(Method.ALLOCATE))
    assert script.take_events() == []
    request = script.request(Method.REFRESH)
    assert request.get(AttributeType.LIFETIME) == bytes(4)
    script.succeed(request, (AttributeType.LIFETIME, bytes(4)))
    assert script.take_events() == [AllocationReleased()]

    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.client.close(script.clock.now)
    script.advance(40)
    assert script.take_events() == [AllocationReleased()]
    assert script.client.idle


def test_closing_what_was_never_opened_is_the_end() -> None:
    script = Script()
    script.client.close(script.clock.now)
    assert script.take_events() == [AllocationReleased()]
    assert script.take_requests() == []


def test_the_way_through_nats_is_kept_open_over_udp_only() -> None:
    script = Script()
    script.client.allocate(AllocateOptions(), script.clock.now)
    script.advance(30)
    assert script.keepalives == 0
    script = Script()
    script.allocate()
    script.advance(10 * KEEPALIVE_INTERVAL)
    assert script.keepalives == 10
    script.client.close(script.clock.now)
    script.advance(100)
    assert script.keepalives == 10

    stream = Script(TCP)
    stream.allocate()
    stream.advance(10 * KEEPALIVE_INTERVAL)
    assert stream.keepalives == 0


# Permissions


def test_a_permission_is_renewed_every_four_minutes() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.permit(PEER.host)
    for _ in range(3):
        script.advance(239)
        assert script.take_requests() == []
        script.advance(1)
        request = script.request(Method.CREATE_PERMISSION)
        assert peers_of(request) == [PEER.host]
        script.succeed(request)
    assert script.take_events() == []


def test_permissions_that_are_due_soon_are_renewed_together() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    hosts = [f"198.51.100.{i}" for i in range(1, 21)]
    script.permit(*hosts[:MAX_HOSTS_PER_REQUEST])
    script.advance(10)
    script.permit(*hosts[MAX_HOSTS_PER_REQUEST:])
    script.advance(230)
    requests = script.take_requests()
    assert [len(peers_of(request)) for request in requests] == [MAX_HOSTS_PER_REQUEST]
    script.succeed(requests[0])
    script.advance(10)
    assert peers_of(script.request(Method.CREATE_PERMISSION)) == hosts[MAX_HOSTS_PER_REQUEST:]


def test_a_refused_permission_lets_nothing_in() -> None:
    script = Script()
    script.allocate()
    script.permit(OTHER.host)
    script.client.create_permission([PEER.host, OTHER.host], script.clock.now)
    assert script.client.permits(PEER.host)
    script.refuse(script.request(Method.CREATE_PERMISSION), 403)
    (event,) = script.take_events()
    assert isinstance(event, PermissionRefused)
    assert event.hosts == (PEER.host, OTHER.host)
    assert not script.client.permits(PEER.host)
    assert script.client.permits(OTHER.host), "granted by a request of its own before"
    with pytest.raises(LocalProtocolError, match="no permission"):
        script.client.send(b"x", PEER)


def test_one_host_refused_at_renewal_does_not_take_the_others_with_it() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.permit(PEER.host, OTHER.host)
    script.advance(240)
    script.refuse(script.request(Method.CREATE_PERMISSION), 403)
    first, second = script.take_requests()
    script.refuse(first, 403)
    script.succeed(second)
    (event,) = script.take_events()
    assert isinstance(event, PermissionRefused)
    assert event.hosts == (PEER.host,)
    assert not script.client.permits(PEER.host)
    assert script.client.permits(OTHER.host)


def test_a_renewal_that_is_not_answered_is_repeated_until_the_permission_has_expired() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.permit(PEER.host)
    script.advance(240 + 39.5 + 5)
    assert script.take_events() == []
    script.succeed(script.take_requests()[-1])
    script.advance(360)
    (event,) = script.take_events()
    assert isinstance(event, PermissionRefused)
    assert isinstance(event.error, TransactionTimeoutError)
    assert not script.client.permits(PEER.host)


def test_permissions_are_bounded() -> None:
    script = Script()
    script.allocate()
    with pytest.raises(LocalProtocolError):
        script.client.create_permission([], script.clock.now)
    with pytest.raises(LocalProtocolError):
        script.client.create_permission([f"10.0.0.{i}" for i in range(MAX_HOSTS_PER_REQUEST + 1)], script.clock.now)
    with pytest.raises(MalformedError):
        script.client.create_permission(["example.org"], script.clock.now)
    for i in range(MAX_PERMISSIONS):
        script.client.create_permission([f"10.0.{i >> 8}.{i & 255}"], script.clock.now)
    with pytest.raises(LocalProtocolError):
        script.client.create_permission(["10.1.0.0"], script.clock.now)


# Channels


def test_a_channel_is_bound_once_for_each_peer_and_renewed() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    number = script.bind(PEER)
    assert number == 0x4000
    assert script.client.bind_channel(PEER, script.clock.now) == number
    assert script.take_requests() == []
    assert script.bind(OTHER) == 0x4001
    script.advance(240)
    renewals = script.take_requests()
    assert [parse_channel_number(r.get(AttributeType.CHANNEL_NUMBER) or b"") for r in renewals] == [0x4000, 0x4001]
    for request in renewals:
        script.succeed(request)
    assert script.take_events() == []


def test_a_refused_channel_is_forgotten_and_its_number_not_used_again() -> None:
    script = Script()
    script.allocate()
    script.client.bind_channel(PEER, script.clock.now)
    assert script.client.permits(PEER.host)
    script.refuse(script.request(Method.CHANNEL_BIND), 403)
    (event,) = script.take_events()
    assert isinstance(event, ChannelFailed)
    assert event.peer == PEER
    assert not script.client.permits(PEER.host)
    assert script.bind(PEER) == 0x4001


def test_a_channel_whose_renewals_are_not_answered_ends() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.bind(PEER)
    script.advance(640)
    (event,) = script.take_events()
    assert isinstance(event, ChannelFailed)
    assert not script.client.permits(PEER.host)


def test_what_is_for_peers_that_are_not_kept_runs_out_untold() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.permit(PEER.host, OTHER.host)
    number = script.bind(PEER)
    script.client.keep_peers([OTHER])
    script.advance(240)
    request = script.request(Method.CREATE_PERMISSION)
    assert peers_of(request) == [OTHER.host]
    script.succeed(request)
    assert script.client.permits(PEER.host)
    script.advance(61)
    assert not script.client.permits(PEER.host)
    script.deliver(encode_channel_data(number, b"late"))
    (event,) = script.take_events()
    assert isinstance(event, DataReceived), "the server has the channel until it has run out"
    assert (event.peer, event.payload) == (PEER, b"late")
    script.advance(179)
    request = script.request(Method.CREATE_PERMISSION)
    assert peers_of(request) == [OTHER.host]
    script.succeed(request)
    script.advance(121)
    script.deliver(encode_channel_data(number, b"later"))
    assert script.take_events() == []
    assert not script.client.has_channel(PEER)
    assert script.take_requests() == []
    assert script.client.permits(OTHER.host)
    assert script.bind(PEER) == number, "another would be refused (RFC 8656 section 12)"
    assert script.client.permits(PEER.host)


def test_what_is_not_kept_while_its_renewal_is_under_way_is_not_renewed_again() -> None:
    script = Script()
    script.allocate(lifetime=36000)
    script.permit(PEER.host, OTHER.host)
    script.bind(PEER)
    script.advance(240)
    renewals = script.take_requests()
    assert len(renewals) == 2
    script.client.keep_peers([])
    for request in renewals:
        script.succeed(request)
    script.advance(1200)
    assert [request for request in script.take_requests() if request.method != Method.REFRESH] == []
    assert script.take_events() == []
    assert not script.client.permits(PEER.host)


def test_what_is_wanted_again_is_renewed_again() -> None:
    script = Script()
    script.allocate(lifetime=3600)
    script.permit(PEER.host)
    number = script.bind(PEER)
    script.client.keep_peers([])
    script.permit(PEER.host)
    assert script.client.bind_channel(PEER, script.clock.now) == number
    script.succeed(script.request(Method.CHANNEL_BIND))
    assert script.take_events() == []
    script.advance(240)
    assert sorted(request.method for request in script.take_requests()) == [
        Method.CREATE_PERMISSION,
        Method.CHANNEL_BIND,
    ]


def test_channels_are_bounded() -> None:
    script = Script()
    script.allocate()
    for port in range(MAX_CHANNELS):
        script.client.bind_channel(SocketAddress(PEER.host, 1 + port), script.clock.now)
    with pytest.raises(LocalProtocolError):
        script.client.bind_channel(OTHER, script.clock.now)


# Data


def test_payload_goes_by_channel_once_one_is_bound_and_by_indication_before() -> None:
    script = Script()
    script.allocate()
    script.permit(PEER.host)
    script.client.send(b"early", PEER)
    script.drain()
    assert parse_send_indication(script.sent.pop()) == (PEER, b"early", False)
    number = script.bind(PEER)
    script.client.send(b"late", PEER)
    script.drain()
    assert script.sent.pop() == encode_channel_data(number, b"late")
    script.client.send(b"whole", PEER, dont_fragment=True)
    script.drain()
    assert parse_send_indication(script.sent.pop()) == (PEER, b"whole", True)


def test_channel_data_is_padded_on_a_stream() -> None:
    script = Script(TCP)
    script.allocate()
    number = script.bind(PEER)
    assert script.client.encapsulate(b"12345", PEER) == encode_channel_data_for_stream(number, b"12345")


def test_payload_that_no_datagram_can_carry_is_refused_here() -> None:
    script = Script()
    script.allocate()
    script.permit(PEER.host)
    with pytest.raises(LocalProtocolError):
        script.client.send(bytes(MAX_PAYLOAD + 1), PEER)
    with pytest.raises(LocalProtocolError, match="bind a channel"):
        script.client.send(bytes(MAX_PAYLOAD), PEER)
    script.bind(PEER)
    assert len(parse_channel_data(script.client.encapsulate(bytes(MAX_PAYLOAD), PEER)).payload) == MAX_PAYLOAD


def test_data_comes_in_by_both_ways_from_permitted_peers_only() -> None:
    """TR-8, seen from the client: what the server should not have relayed is dropped here too."""
    script = Script()
    script.allocate()
    number = script.bind(PEER)
    script.permit(OTHER.host)
    script.deliver(encode_channel_data(number, b"one"))
    script.deliver(encode_channel_data(number + 1, b"unbound"))
    script.deliver(build_data_indication(OTHER, b"two", bytes(12)))
    script.deliver(build_data_indication(PEER, b"three", bytes(12)))
    script.deliver(build_data_indication(SocketAddress("198.51.100.99", 1), b"stranger", bytes(12)))
    script.deliver(build_icmp_indication(OTHER, IcmpError(3, 4, 1280), bytes(12)))
    received = script.take_events()
    data = [(event.peer, event.payload) for event in received if isinstance(event, DataReceived)]
    assert data == [(PEER, b"one"), (OTHER, b"two"), (PEER, b"three")]
    assert received[-1] == IcmpReceived(OTHER, IcmpError(3, 4, 1280))
    assert len(received) == 4


def test_nothing_is_taken_from_anywhere_but_the_server() -> None:
    script = Script()
    script.allocate()
    number = script.bind(PEER)
    elsewhere = Path(LOCAL, SocketAddress("192.0.2.66", 3478), Transport.UDP)
    script.deliver(encode_channel_data(number, b"x"), elsewhere)
    script.deliver(build_data_indication(PEER, b"x", bytes(12)), elsewhere)
    script.client.close(script.clock.now)
    request = script.request(Method.REFRESH)
    response = MessageBuilder.response_to(request).add(AttributeType.LIFETIME, bytes(4)).add_integrity_sha1(KEY).build()
    script.deliver(response, elsewhere)
    assert script.take_events() == []
    assert script.client.state is ClientState.RELEASING


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40",
        b"\x40\0\0\x09short",
        b"\x50\0\0\0",
        bytes(20),
        build_data_indication(PEER, b"x", bytes(12))[:-1],
        MessageBuilder(Method.DATA, MessageClass.INDICATION, bytes(12)).build(),
        MessageBuilder(Method.DATA, MessageClass.INDICATION, bytes(12)).add(AttributeType.ICMP, bytes(3)).build(),
        MessageBuilder(Method.SEND, MessageClass.INDICATION, bytes(12)).build(),
        MessageBuilder(Method.REFRESH, MessageClass.SUCCESS, bytes(12)).build(),
        MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).build(),
    ],
)
def test_what_makes_no_sense_is_dropped(data: bytes) -> None:
    """ST-8: unknown and broken messages change nothing and raise nothing."""
    script = Script()
    script.allocate()
    before = script.client.next_timeout()
    script.deliver(data)
    assert script.take_events() == []
    assert script.take_requests() == []
    assert script.client.next_timeout() == before


def test_an_indication_with_an_unknown_attribute_that_must_be_understood_is_dropped() -> None:
    """ST-8."""
    script = Script()
    script.allocate()
    script.permit(PEER.host)
    builder = MessageBuilder(Method.DATA, MessageClass.INDICATION, bytes(12))
    builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(PEER, bytes(12))).add(AttributeType.DATA, b"x")
    script.deliver(builder.build())
    assert len(script.take_events()) == 1
    script.deliver(builder.add(0x7FFE).build())
    assert script.take_events() == []


def test_an_icmp_attribute_is_encoded_as_the_server_does() -> None:
    assert encode_icmp(IcmpError(3, 4, 1280)) == bytes.fromhex("0000060400000500")


def test_an_allocation_is_confirmed_by_a_refresh_at_once_and_only_where_there_is_one() -> None:
    script = Script()
    script.client.confirm(script.clock.now)
    script.drain()
    assert script.sent == []
    script.allocate()
    script.take_events()
    script.client.confirm(script.clock.now)
    request = script.request(Method.REFRESH)
    script.refuse(request, 437)
    script.assert_ended(TurnError)
