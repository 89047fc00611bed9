"""The engine against a model that is simple enough to be seen to be right, and against nonsense."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from icelane.core.clock import Instant
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.turn.attributes import (
    encode_address_family,
    encode_channel_number,
    encode_even_port,
    encode_requested_transport,
)
from icelane.turn.peer_policy import PeerPolicy
from tests.turn.server_driver import (
    RELAY,
    RELAY_V6,
    UDP_RELAY,
    Attribute,
    Caller,
    ServerDriver,
    lifetime,
    path_from,
)
from tests.turn.server_driver import settings as server_settings

pytestmark = pytest.mark.twin

CLIENTS = st.integers(0, 3)
PEERS = [
    SocketAddress("8.8.8.8", 5000),
    SocketAddress("8.8.8.8", 5001),
    SocketAddress("8.8.4.4", 5000),
    SocketAddress("2606:4700::1111", 5000),
]
PEER_CHOICE = st.sampled_from(PEERS)
NUMBERS = st.sampled_from([0x4000, 0x4001, 0x4002])
LIFETIMES = st.sampled_from([None, 0, 1, 700, 4000])
FAMILIES = st.sampled_from([None, AddressFamily.IPV4, AddressFamily.IPV6])
FORBIDDEN = "8.8.4.4"


@dataclass
class Model:
    """What RFC 8656 says a client has, by when it ends."""

    families: dict[AddressFamily, float] = field(default_factory=dict)
    permissions: dict[str, float] = field(default_factory=dict)
    channels: dict[int, tuple[SocketAddress, float]] = field(default_factory=dict)

    def drop_family(self, family: AddressFamily) -> None:
        self.families.pop(family, None)
        self.permissions = {
            host: end for host, end in self.permissions.items() if SocketAddress(host, 0).family != family
        }
        self.channels = {number: bound for number, bound in self.channels.items() if bound[0].family != family}

    def expire(self, now: float) -> None:
        for family in [family for family, end in self.families.items() if end <= now]:
            self.drop_family(family)
        self.permissions = {host: end for host, end in self.permissions.items() if end > now}
        self.channels = {number: bound for number, bound in self.channels.items() if bound[1] > now}


def granted(asked: int | None) -> int:
    return 600 if asked is None else max(600, min(asked, 3600))


class Lifecycles(RuleBasedStateMachine):
    """Any order of requests, waiting, disconnecting and reloading."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = ServerDriver(config=server_settings(allocations_per_user=3))
        self.open_policy = True
        self.callers: list[Caller] = [
            self.driver.caller(path=path_from(port=number + 1, transport=Transport.TCP)) for number in range(4)
        ]
        self.models = [Model() for _ in range(4)]

    @property
    def now(self) -> Instant:
        return self.driver.clock.now

    def allowed(self, host: str) -> bool:
        return self.open_policy or host != FORBIDDEN

    @rule(client=CLIENTS, asked=LIFETIMES, family=FAMILIES, both=st.booleans())
    def allocate(self, client: int, asked: int | None, family: AddressFamily | None, both: bool) -> None:
        attributes: list[Attribute] = [] if asked is None else [lifetime(asked)]
        if family is not None:
            attributes.append((AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(family)))
        elif both:
            value = encode_address_family(AddressFamily.IPV6)
            attributes.append((AttributeType.ADDITIONAL_ADDRESS_FAMILY, value))
        model = self.models[client]
        reply = self.callers[client].allocate(*attributes)
        if model.families:
            assert reply.code == 437
        elif sum(bool(other.families) for other in self.models) == 3:
            assert reply.code == 486
        else:
            families = [family or AddressFamily.IPV4, *([AddressFamily.IPV6] if both and family is None else [])]
            assert [relayed.family for relayed in reply.relayed] == families
            assert reply.lifetime == granted(asked)
            model.families = dict.fromkeys(families, self.now + granted(asked))

    @rule(client=CLIENTS, asked=LIFETIMES, family=FAMILIES)
    def refresh(self, client: int, asked: int | None, family: AddressFamily | None) -> None:
        attributes: list[Attribute] = [] if asked is None else [lifetime(asked)]
        if family is not None:
            attributes.append((AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(family)))
        model = self.models[client]
        reply = self.callers[client].refresh(*attributes)
        chosen = [one for one in model.families if family in (None, one)]
        if not model.families:
            assert reply.code == 437
        elif not chosen:
            assert reply.code == 443
        else:
            assert reply.lifetime == (0 if asked == 0 else granted(asked))
            for one in chosen:
                if asked == 0:
                    model.drop_family(one)
                else:
                    model.families[one] = self.now + granted(asked)

    @rule(client=CLIENTS, peers=st.lists(PEER_CHOICE, min_size=1, max_size=3))
    def permit(self, client: int, peers: list[SocketAddress]) -> None:
        model = self.models[client]
        reply = self.callers[client].permit(*peers)
        if not model.families:
            assert reply.code == 437
            return
        wrong = {443 if peer.family not in model.families else 403 for peer in peers if not self.fits(model, peer)}
        if wrong:
            assert reply.code in wrong
            return
        assert reply.code is None
        for peer in peers:
            model.permissions[peer.host] = self.now + 300

    @rule(client=CLIENTS, number=NUMBERS, peer=PEER_CHOICE)
    def bind(self, client: int, number: int, peer: SocketAddress) -> None:
        model = self.models[client]
        code = self.callers[client].bind(number, peer).code
        by_number = model.channels.get(number, (peer, 0))[0]
        by_peer = next((known for known, bound in model.channels.items() if bound[0] == peer), number)
        if not model.families:
            assert code == 437
        elif by_number != peer or by_peer != number:
            assert code == 400
        elif not self.fits(model, peer):
            assert code == (443 if peer.family not in model.families else 403)
        else:
            assert code is None
            model.permissions[peer.host] = self.now + 300
            model.channels[number] = (peer, self.now + 600)

    def fits(self, model: Model, peer: SocketAddress) -> bool:
        return peer.family in model.families and self.allowed(peer.host)

    @rule(seconds=st.sampled_from([0.0, 1.0, 100.0, 299.0, 300.0, 301.0, 600.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.driver.advance(seconds)
        for model in self.models:
            model.expire(self.now)

    @rule(client=CLIENTS)
    def disconnect(self, client: int) -> None:
        self.driver.disconnect(self.callers[client].path)
        self.models[client] = Model()

    @rule()
    def reload_policy(self) -> None:
        self.open_policy = not self.open_policy
        deny = () if self.open_policy else (FORBIDDEN,)
        self.driver.engine.set_peer_policy(PeerPolicy(relay_addresses=(RELAY, RELAY_V6), deny=deny))
        self.driver.drain()
        for model in self.models:
            model.permissions = {host: end for host, end in model.permissions.items() if self.allowed(host)}
            model.channels = {number: at for number, at in model.channels.items() if self.allowed(at[0].host)}

    @invariant()
    def the_plane_relays_what_the_model_says(self) -> None:
        plane, engine = self.driver.plane, self.driver.engine
        for caller, model in zip(self.callers, self.models, strict=True):
            owned = [relay for relay, owner in plane.owners.items() if owner == caller.path]
            assert sorted(relay.family for relay in owned) == sorted(model.families)
            assert {host for path, _, host in plane.permissions if path == caller.path} == model.permissions.keys()
            channels = {number: route for (path, number), route in plane.channels.items() if path == caller.path}
            assert {number: route.peer for number, route in channels.items()} == {
                number: peer for number, (peer, _) in model.channels.items()
            }
            assert all(route.relay in owned for route in channels.values())
        deadlines = [
            end
            for model in self.models
            for end in (
                *model.families.values(),
                *model.permissions.values(),
                *(at for _, at in model.channels.values()),
            )
        ]
        assert engine.next_timeout() == min(deadlines, default=None)
        assert len(engine.allocations) == sum(bool(model.families) for model in self.models)
        assert engine.idle == (not deadlines)

    def teardown(self) -> None:
        self.driver.close()


Lifecycles.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


# TR-8, TQ-8: allocations, permissions and channels live exactly as long as the model's.
TestLifecycles = Lifecycles.TestCase


# Nonsense

ATTRIBUTE_TYPES = st.one_of(st.sampled_from([int(kind) for kind in AttributeType]), st.integers(0, 0xFFFF))
ODD_ATTRIBUTES: list[tuple[int, bytes]] = [
    UDP_RELAY,
    lifetime(0),
    lifetime(0xFFFFFFFF),
    (AttributeType.EVEN_PORT, encode_even_port(True)),
    (AttributeType.EVEN_PORT, encode_even_port(False)),
    (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6)),
    (AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6)),
    (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6)),
    (AttributeType.CHANNEL_NUMBER, encode_channel_number(0x4000)),
]
ATTRIBUTES = st.one_of(st.sampled_from(ODD_ATTRIBUTES), PEER_CHOICE, st.tuples(ATTRIBUTE_TYPES, st.binary(max_size=24)))
METHODS = st.one_of(st.sampled_from([int(method) for method in Method]), st.integers(0, 0xFFF))


@st.composite
def steps(draw: st.DrawFn) -> tuple[int, int, list[Attribute], list[tuple[int, int]], float, int]:
    """A request, what is done to its bytes, how long to wait, and what the plane says to a bind."""
    damage = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=2))
    return (
        draw(st.integers(0, 2)),
        draw(METHODS),
        draw(st.lists(ATTRIBUTES, max_size=5)),
        damage if draw(st.booleans()) else [],
        draw(st.sampled_from([0.0, 0.0, 1.0, 31.0, 301.0])),
        draw(st.integers(0, 3)),
    )


@settings(max_examples=150)
@given(st.lists(steps(), max_size=25))
def test_no_sequence_of_requests_raises_or_leaves_anything(
    sequence: list[tuple[int, int, list[Attribute], list[tuple[int, int]], float, int]],
) -> None:
    """FZ-1: authenticated nonsense, damaged bytes, planes that fail or hesitate, clients that go."""
    driver = ServerDriver(relay_ports=range(50000, 50006))
    callers = [driver.caller(path=path_from(port=number + 1, transport=Transport.TCP)) for number in range(3)]
    for who, method, attributes, damage, wait, bound in sequence:
        driver.plane.answer = lambda _, bound=bound: (True, True, False, None)[bound]  # type: ignore[misc]
        caller = callers[who]
        data = bytearray(caller.build(method, *attributes))
        for place, change in damage:
            data[place % len(data)] ^= change
        driver.send(bytes(data), caller.path)
        if bound == 2:
            driver.answer_held(True)
        elif bound == 1 and driver.plane.held:
            driver.disconnect(caller.path)
            driver.answer_held(False)
        driver.advance(wait)
    if driver.plane.held:
        driver.answer_held(True)
    driver.advance(4000)
    driver.assert_nothing_is_left()
    driver.close()


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise(data: bytes, framed: bool) -> None:
    """FZ-1."""
    driver = ServerDriver()
    caller = driver.caller()
    caller.allocate()
    if framed:
        data = b"\0\3" + (len(data) & ~3).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data[: len(data) & ~3]
    driver.send(data, caller.path)
    driver.send(data, path_from("203.0.113.5", 5))
    driver.close()
