"""Drives the TURN server engine without a socket: a clock, a plane that checks what it is told, and clients."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import (
    AttributeType,
    PasswordAlgorithm,
    encode_password_algorithms,
    encode_uint32,
    encode_xor_address,
    parse_error_code,
    parse_uint32,
    parse_xor_address,
)
from icelane.stun.integrity import (
    long_term_key_md5,
    long_term_key_sha256,
    userhash,
    verify_fingerprint,
    verify_integrity,
    verify_integrity_sha256,
)
from icelane.stun.message import HEADER_SIZE, Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.turn.access_list import AccessLists
from icelane.turn.allocation import Allocation, AllocationEnded
from icelane.turn.attributes import encode_channel_number, encode_requested_transport
from icelane.turn.credentials import CredentialStore, RestCredentials, Secret, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.refusal import RequestRefused
from icelane.turn.routes import (
    AssignRelayPort,
    BindRelayPort,
    ChannelRoute,
    Command,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.server import Event, TurnServer
from icelane.turn.server_config import TurnServerConfig

REALM: Final = "example.org"
RELAY: Final = "9.9.9.9"
RELAY_V6: Final = "2620:fe::9"
SERVER: Final = SocketAddress(RELAY, 3478)
SERVER_V6: Final = SocketAddress(RELAY_V6, 3478)
PEER: Final = SocketAddress("8.8.8.8", 5000)
OTHER_PEER: Final = SocketAddress("8.8.4.4", 5000)
PEER_V6: Final = SocketAddress("2606:4700::1111", 5000)
USERS: Final = {"alice": "secret", "bob": "hunter2"}

Attribute = tuple[int, bytes] | SocketAddress
"""An attribute as type and value; an address alone is an XOR-PEER-ADDRESS."""

UDP_RELAY: Final = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(17))


def lifetime(seconds: int) -> tuple[int, bytes]:
    """A LIFETIME attribute."""
    return AttributeType.LIFETIME, encode_uint32(seconds)


def path_from(host: str = "192.0.2.1", port: int = 40000, transport: Transport = Transport.UDP) -> Path:
    """The path of a client at that address."""
    return Path(SERVER_V6 if ":" in host else SERVER, SocketAddress(host, port), transport)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, checked for what holds for all: it parses, and every byte of padding is zero (ST-10)."""

    message: Message

    @property
    def code(self) -> int | None:
        """The error code; None for a success."""
        value = self.message.get(AttributeType.ERROR_CODE)
        return parse_error_code(value).code if value is not None else None

    @property
    def lifetime(self) -> int:
        return parse_uint32(self[AttributeType.LIFETIME])

    @property
    def relayed(self) -> list[SocketAddress]:
        """The relayed addresses as the client is told them."""
        values = self.message.get_all(AttributeType.XOR_RELAYED_ADDRESS)
        return [parse_xor_address(value, self.message.transaction_id) for value in values]

    def __getitem__(self, attribute_type: int) -> bytes:
        value = self.message.get(attribute_type)
        assert value is not None, f"{attribute_type:#06x} is not in {self.message}"
        return value

    def has(self, attribute_type: int) -> bool:
        return self.message.has(attribute_type)


class FakePlane:
    """Carries out commands on paper, and fails the test when they make no sense together."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.bound: set[SocketAddress] = set()
        self.owners: dict[SocketAddress, Path] = {}
        self.permissions: dict[tuple[Path, SocketAddress, str], PermissionRoute] = {}
        self.channels: dict[tuple[Path, int], ChannelRoute] = {}
        self.answer: Callable[[BindRelayPort], bool | None] = lambda _: True
        """Whether a port can be bound; None holds the answer back until `answer_held`."""
        self.held: list[BindRelayPort] = []

    @property
    def empty(self) -> bool:
        return not (self.bound or self.owners or self.permissions or self.channels)

    def carry_out(self, command: Command) -> bool | None:
        """Take one command; for a bind returns the answer, None when there is none yet."""
        self.commands.append(command)
        match command:
            case BindRelayPort():
                return self._bind(command)
            case AssignRelayPort(relay, client, _):
                assert relay in self.bound, f"{command} before it is bound"
                assert relay not in self.owners, f"{command}, which is somebody's"
                self.owners[relay] = client
            case ReleaseRelayPort(relay):
                self._release(relay)
            case InstallPermissionRoute(route):
                assert self.owners.get(route.relay) == route.client, f"{command} on a relay that is not the client's"
                self.permissions[route.client, route.relay, route.peer_host] = route
            case RemovePermissionRoute(route):
                del self.permissions[route.client, route.relay, route.peer_host]
            case InstallChannelRoute(route):
                assert self.owners.get(route.relay) == route.client, f"{command} on a relay that is not the client's"
                self.channels[route.client, route.channel] = route
            case RemoveChannelRoute(route):
                del self.channels[route.client, route.channel]
        return None

    def _bind(self, command: BindRelayPort) -> bool | None:
        wanted = _ports_of(command)
        assert not wanted & self.bound, f"{command}, which is bound already"
        answer = self.answer(command)
        if answer is None:
            self.held.append(command)
        elif answer:
            self.bound |= wanted
        return answer

    def _release(self, relay: SocketAddress) -> None:
        waiting = {port for command in self.held for port in _ports_of(command)}
        assert relay in self.bound | waiting, f"{relay} is released but not bound"
        assert relay not in {route.relay for route in self.permissions.values()}, f"{relay} still has a permission"
        assert relay not in {route.relay for route in self.channels.values()}, f"{relay} still has a channel"
        self.bound.discard(relay)
        self.owners.pop(relay, None)


def _ports_of(command: BindRelayPort) -> set[SocketAddress]:
    relay = command.relay
    return {relay, relay._replace(port=relay.port + 1)} if command.and_next else {relay}


class ServerDriver:
    """The engine in its surroundings. Every mutation is followed by one drain, as a real driver does it.

    `sent`, `events` and `plane.commands` keep everything that came out.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str] = USERS,
        secrets: Sequence[Secret] = (),
        leeway: float = 0.0,
        policy: PeerPolicy | None = None,
        relay_addresses: tuple[str, ...] = (RELAY, RELAY_V6),
        relay_ports: range = range(50000, 60000),
        external_addresses: Mapping[str, str] | None = None,
        seed: int = 1,
        entropy: Entropy | None = None,
        nonce_key: bytes | None = None,
        clock: VirtualClock | None = None,
        realm: str = REALM,
        config: TurnServerConfig | None = None,
        access: AccessLists | None = None,
    ) -> None:
        """`config` gives the settings that have no argument here; the arguments win."""
        self.clock = clock or VirtualClock()
        external = external_addresses or {}
        self.policy = policy or PeerPolicy(
            relay_addresses=relay_addresses,
            relay_ports=relay_ports,
            external_addresses=external,
            own_listeners=frozenset((SERVER, SERVER_V6)),
        )
        base = config or settings()
        self.engine = TurnServer(
            replace(
                base,
                realm=realm,
                relay_addresses=relay_addresses,
                relay_ports=relay_ports,
                external_addresses=external,
                policy=self.policy,
            ),
            credentials=credentials(users, secrets, leeway),
            entropy=entropy or SeededEntropy(seed),
            wall_clock=self.clock,
            nonce_key=nonce_key,
            access=access,
        )
        self.plane = FakePlane()
        self.sent: list[tuple[Path, bytes]] = []
        self.events: list[Event] = []
        self._transactions = 0
        self._callers = 0

    # What happens to the engine

    def send(self, data: bytes, path: Path) -> bytes | None:
        """Hand the engine a datagram; returns what went back to `path`, None for silence."""
        before = len(self.sent)
        self.engine.handle_datagram(data, path, self.clock.now)
        self.drain()
        answers = [answer for to, answer in self.sent[before:] if to == path]
        assert len(answers) <= 1, "two answers to one request"
        return answers[0] if answers else None

    def advance(self, seconds: float) -> None:
        """Let time pass, waking the engine when it asked for it and not otherwise."""
        target = Instant(self.clock.now + seconds)
        while (deadline := self.engine.next_timeout()) is not None and deadline <= target:
            self.clock.advance(max(0.0, deadline - self.clock.now))
            self.engine.handle_timeout(self.clock.now)
            self.drain()
            left = self.engine.next_timeout()
            assert left is None or left > deadline, "what was due is still due"
        self.clock.advance(max(0.0, target - self.clock.now))

    def answer_held(self, bound: bool) -> None:
        """Give the answers that the plane held back."""
        held, self.plane.held = self.plane.held, []
        for command in held:
            self._answer(command, bound)
            self.drain()

    def disconnect(self, path: Path) -> None:
        """The client's stream closes."""
        self.engine.handle_closed(path, self.clock.now)
        self.drain()

    def close(self) -> None:
        """End everything, after which nothing may be left anywhere."""
        self.engine.close()
        self.drain()
        self.assert_nothing_is_left()

    def drain(self) -> None:
        """Poll everything to None, answering binds after each round as a real driver does."""
        answers: deque[tuple[BindRelayPort, bool]] = deque()
        while True:
            while (command := self.engine.poll_command()) is not None:
                answer = self.plane.carry_out(command)
                if isinstance(command, BindRelayPort) and answer is not None:
                    answers.append((command, answer))
            while (transmit := self.engine.poll_transmit()) is not None:
                self.sent.append((transmit.path, transmit.data))
            while (event := self.engine.poll_event()) is not None:
                self.events.append(event)
            if not answers:
                return
            self._answer(*answers.popleft())

    def _answer(self, command: BindRelayPort, bound: bool) -> None:
        if bound:
            self.plane.bound |= _ports_of(command)
            self.engine.handle_relay_bound(command.bind_id, self.clock.now)
        else:
            self.engine.handle_relay_failed(command.bind_id, self.clock.now)

    # What tests ask

    def assert_nothing_is_left(self) -> None:
        assert self.engine.idle
        assert self.plane.empty
        assert self.engine.next_timeout() is None

    @property
    def refusals(self) -> list[RequestRefused]:
        return [event for event in self.events if isinstance(event, RequestRefused)]

    @property
    def ended(self) -> list[AllocationEnded]:
        return [event for event in self.events if isinstance(event, AllocationEnded)]

    def allocation(self, caller: Caller) -> Allocation | None:
        return self.engine.allocations.get(caller.path)

    def caller(
        self,
        username: str = "alice",
        password: str | None = None,
        *,
        path: Path | None = None,
        algorithm: PasswordAlgorithm | None = None,
    ) -> Caller:
        """A client; without `path` each one has a port of its own."""
        self._callers += 1
        password = USERS.get(username, "") if password is None else password
        return Caller(self, username, password, path or path_from(port=40000 + self._callers), algorithm)

    def transaction_id(self) -> bytes:
        """One that no other request has."""
        self._transactions += 1
        return b"transact" + self._transactions.to_bytes(4, "big")


@dataclass(slots=True)
class Caller:
    """A client that knows the long-term mechanism, and can be told to get it wrong.

    `algorithm` makes it one of RFC 8489, which repeats PASSWORD-ALGORITHMS; None one of RFC 5389, as browsers are.
    """

    driver: ServerDriver
    username: str
    password: str
    path: Path
    algorithm: PasswordAlgorithm | None = None
    realm: str = REALM
    hashed_name: bool = False
    nonce: bytes | None = None
    algorithms: bytes = b""
    challenged_at: Instant = field(default=Instant(0.0))

    def challenge(self) -> Reply:
        """Ask without credentials, and take the nonce of the answer."""
        raw = self.driver.send(
            MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, self.driver.transaction_id()).build(), self.path
        )
        assert raw is not None, "no challenge"
        reply = checked(raw)
        assert reply.code == 401
        self.nonce = reply[AttributeType.NONCE]
        self.algorithms = reply[AttributeType.PASSWORD_ALGORITHMS]
        self.challenged_at = self.driver.clock.now
        return reply

    @property
    def key(self) -> bytes:
        derive = long_term_key_sha256 if self.algorithm is PasswordAlgorithm.SHA256 else long_term_key_md5
        return derive(self.username, self.realm, self.password)

    def build(
        self,
        method: int,
        *attributes: Attribute,
        transaction_id: bytes | None = None,
        fingerprint: bool = False,
        appended: Iterable[Attribute] = (),
    ) -> bytes:
        """An authenticated request; `appended` stands behind the integrity."""
        if self.nonce is None or self.driver.clock.now - self.challenged_at > 300:
            self.challenge()
        assert self.nonce is not None
        transaction_id = transaction_id or self.driver.transaction_id()
        builder = MessageBuilder(method, MessageClass.REQUEST, transaction_id)
        _add(builder, attributes, transaction_id)
        if self.hashed_name:
            builder.add(AttributeType.USERHASH, userhash(self.username, self.realm))
        else:
            builder.add(AttributeType.USERNAME, self.username.encode())
        builder.add(AttributeType.REALM, self.realm.encode()).add(AttributeType.NONCE, self.nonce)
        if self.algorithm is None:
            builder.add_integrity_sha1(self.key)
        else:
            builder.add(AttributeType.PASSWORD_ALGORITHMS, self.algorithms)
            builder.add(AttributeType.PASSWORD_ALGORITHM, encode_password_algorithms([(self.algorithm, b"")]))
            builder.add_integrity_sha256(self.key)
        _add(builder, appended, transaction_id)
        return (builder.add_fingerprint() if fingerprint else builder).build()

    def send(self, data: bytes) -> Reply | None:
        """Send a request as it is; the answer is checked, its integrity included where it has to have some."""
        raw = self.driver.send(data, self.path)
        if raw is None:
            return None
        reply = checked(raw)
        request = parse_message(data)
        assert reply.message.transaction_id == request.transaction_id
        assert reply.message.method == request.method
        assert (reply.message.fingerprint_offset is None) == (request.fingerprint_offset is None)
        if reply.message.message_class is MessageClass.SUCCESS or reply.message.integrity_offset is not None:
            (verify_integrity if self.algorithm is None else verify_integrity_sha256)(reply.message, self.key)
        return reply

    def request(
        self,
        method: int,
        *attributes: Attribute,
        transaction_id: bytes | None = None,
        fingerprint: bool = False,
        appended: Iterable[Attribute] = (),
    ) -> Reply:
        """Send an authenticated request that is to be answered."""
        data = self.build(
            method, *attributes, transaction_id=transaction_id, fingerprint=fingerprint, appended=appended
        )
        reply = self.send(data)
        assert reply is not None, "silence"
        return reply

    def allocate(self, *attributes: Attribute, fingerprint: bool = False) -> Reply:
        return self.request(Method.ALLOCATE, UDP_RELAY, *attributes, fingerprint=fingerprint)

    def refresh(self, *attributes: Attribute) -> Reply:
        return self.request(Method.REFRESH, *attributes)

    def release(self) -> Reply:
        return self.refresh(lifetime(0))

    def permit(self, *peers: SocketAddress) -> Reply:
        return self.request(Method.CREATE_PERMISSION, *peers)

    def bind(self, channel: int, peer: SocketAddress) -> Reply:
        number = (AttributeType.CHANNEL_NUMBER, encode_channel_number(channel))
        return self.request(Method.CHANNEL_BIND, number, peer)


def settings(**changes: object) -> TurnServerConfig:
    """A configuration with some settings of your own, for `ServerDriver(config=...)`."""
    base = TurnServerConfig(realm=REALM, relay_addresses=(RELAY,), policy=PeerPolicy())
    return replace(base, **changes)  # type: ignore[arg-type]  # the names and types are the dataclass's own


def credentials(users: Mapping[str, str], secrets: Sequence[Secret] = (), leeway: float = 0.0) -> CredentialStore:
    """Static and ephemeral users."""
    return CredentialStore(StaticUsers(users), RestCredentials(secrets, leeway))


def checked(raw: bytes) -> Reply:
    """A response that parses, whose padding is zero and whose FINGERPRINT is right if it is there."""
    message = parse_message(raw)
    position = HEADER_SIZE
    while position < len(raw):
        length = raw[position + 2] << 8 | raw[position + 3]
        end = position + 4 + length
        position = end + (-length & 3)
        assert not any(raw[end:position]), "padding that is not zero"
    if message.fingerprint_offset is not None:
        verify_fingerprint(message)
    return Reply(message)


def _add(builder: MessageBuilder, attributes: Iterable[Attribute], transaction_id: bytes) -> None:
    for attribute in attributes:
        if isinstance(attribute, SocketAddress):
            builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(attribute, transaction_id))
        else:
            builder.add(*attribute)
