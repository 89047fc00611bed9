"""Floods against a server in a process of its own, from many sources of 127.0.0.0/8.

`make test` sends a tenth (FLOOD_SCALE), `make test-long` everything. Times and rates are those of the checks; memory is
the server's alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import secrets
import selectors
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from benches import turn_client
from benches.turn_client import Credentials, Flow, TurnError
from icelane.core.net import SocketAddress, Transport
from icelane.server.descriptors import allow_many_descriptors
from tests.scale import scaled
from tests.server.clients import PASSWORD, REALM, USER
from tests.server.served import Holdings, Served, served

MIB = 1 << 20
CREDENTIALS = Credentials(username=USER, password=PASSWORD)
WINDOW = 64  # requests without an answer at a time: a socket's buffer holds more, so nothing is lost but by the server
PATIENCE = 10.0
ALLOCATE_ERROR, BINDING_SUCCESS = 0x0113, 0x0101

# `make test` runs the first, `make test-long` both.
SIZES = pytest.mark.parametrize("scale", [scaled, pytest.param(int, marks=pytest.mark.long)], ids=["scaled", "full"])
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@pytest.fixture(autouse=True)
def _many_sockets() -> None:
    allow_many_descriptors()


def hosts() -> Iterator[str]:
    """All of 127.0.0.0/8 but its first addresses, in no order."""
    order = random.Random(7)
    while True:
        yield f"127.{order.randrange(1, 255)}.{order.randrange(256)}.{order.randrange(1, 255)}"


def sources() -> Iterator[tuple[str, int]]:
    """Any port of every host."""
    return ((host, 0) for host in hosts())


def exchange_all(
    server: SocketAddress, requests: Iterator[bytes], count: int, from_hosts: Iterator[str], wait: float = PATIENCE
) -> Counter[int]:
    """Send each request from a socket of its own, WINDOW at a time; how often each message type came back.

    Gives up on the answers of a window after `wait` seconds; type 0 counts those that did not come.
    """
    answers: Counter[int] = Counter()
    for start in range(0, count, WINDOW):
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            for _ in range(min(WINDOW, count - start)):
                client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                client.bind((next(from_hosts), 0))
                client.connect(server)
                client.send(next(requests))
                selector.register(client, selectors.EVENT_READ)
            deadline = time.monotonic() + wait
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    assert isinstance(key.fileobj, socket.socket)
                    answers[struct.unpack_from("!H", key.fileobj.recv(2048))[0]] += 1
                    selector.unregister(key.fileobj)
            answers[0] += len(selector.get_map())
    return +answers


def bindings() -> Iterator[bytes]:
    while True:
        yield turn_client.encode(turn_client.BINDING_REQUEST)


def stranger_allocates() -> Iterator[bytes]:
    """Allocate requests of strangers: without credentials, then with a user, a nonce and an integrity made up."""
    transport = (turn_client.REQUESTED_TRANSPORT, bytes((17, 0, 0, 0)))
    for number in itertools.count():
        if number % 2 == 0:
            yield turn_client.encode(turn_client.ALLOCATE_REQUEST, [transport])
            continue
        identity = [
            (turn_client.USERNAME, b"user-%d" % number),
            (turn_client.REALM, REALM.encode()),
            (turn_client.NONCE, b"obMatJos2gAAA" + secrets.token_urlsafe(16).encode()),
        ]
        yield turn_client.encode(turn_client.ALLOCATE_REQUEST, [transport, *identity], secrets.token_bytes(16))


def junk(seed: int) -> Iterator[bytes]:
    """TQ-10: random bytes, truncated and lying STUN, ChannelData of strangers, DTLS application data and alerts."""
    order = random.Random(seed)
    binding = turn_client.encode(turn_client.BINDING_REQUEST)
    while True:
        yield order.randbytes(order.randrange(1, 400))
        yield binding[: order.randrange(1, 20)]
        yield binding[:2] + b"\xff\xfc" + binding[4:]
        yield b"\x40\x00\x00\x64" + order.randbytes(100)
        yield b"\x00\x16" + order.randbytes(60)
        yield b"\x17\xfe\xfd" + order.randbytes(60)
        yield b"\x15\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x02\x28"


def open_flow(server: Served, transport: Transport, origins: Iterator[tuple[str, int]]) -> Flow:
    """A client that is connected and has nothing yet. Over TLS it trusts whoever is there."""
    tls = None
    if transport is Transport.TLS:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return turn_client.connect(server.listening[transport], origins, is_stream=transport.reliable, tls=tls)


def open_flows(
    server: Served,
    count: int,
    transport: Transport = Transport.UDP,
    peer: tuple[str, int] | None = None,
    origins: Iterator[tuple[str, int]] | None = None,
) -> list[Flow]:
    """Clients with allocations; with `peer` each has a permission and a channel too.

    Each comes from the next of `origins`; without, each from any port of one host.
    """
    flows = [open_flow(server, transport, origins or sources()) for _ in range(count)]
    try:
        turn_client.open_allocations(flows, CREDENTIALS)
        if peer is not None:
            turn_client.create_permissions(flows, CREDENTIALS, peer)
            turn_client.bind_channels(flows, CREDENTIALS, peer)
    except TurnError:
        close_flows(flows, release=False)
        raise
    return flows


def close_flows(flows: Sequence[Flow], *, release: bool = True) -> None:
    if release:
        turn_client.release_allocations(flows, CREDENTIALS)
    for flow in flows:
        flow.socket.close()


def settled(server: Served, wanted: Callable[[Holdings], bool]) -> Holdings:
    """What the server holds once `wanted` is true, or after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(holdings := server.holdings()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return holdings


def warmed_up(server: Served) -> Holdings:
    """What the server holds once it has opened what it opens once and keeps: libuv's /dev/null, caches, pools."""
    for transport in (Transport.UDP, Transport.TCP):
        close_flows(open_flows(server, 1, transport))
    exchange_all(server.listening[Transport.UDP], stranger_allocates(), 400, hosts())
    exchange_all(server.listening[Transport.UDP], bindings(), 200, hosts())
    return settled(server, lambda holdings: holdings.idle)


@contextlib.contextmanager
def in_background(flood: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
    """Run `flood(stopped)` in a thread for as long as the block; what it raises fails the test."""
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            flood(stop.is_set)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures, failures


@LOOPS
def test_binding_requests_from_many_sources_are_all_answered_and_leave_nothing(loop: str) -> None:
    """TQ-1: 3,000 sources; at most 5 MB more memory, no state."""
    with served(loop=loop) as server:
        address = server.listening[Transport.UDP]
        before = warmed_up(server)
        answers = exchange_all(address, bindings(), 3000, hosts())
        after = server.holdings()
        assert answers == {BINDING_SUCCESS: 3000}
        assert after.is_back_at(before), (after, before)
        assert after.idle
        assert after.resident - before.resident <= 5 * MIB
        assert not after.unhandled


@LOOPS
@SIZES
def test_unauthenticated_allocates_leave_nothing_and_keep_nobody_out(loop: str, scale: Callable[[int], int]) -> None:
    """TQ-2: 50,000 of them, half with a garbage integrity; a client with credentials allocates within a second."""
    count = scale(50_000)
    with served(loop=loop) as server:
        address = server.listening[Transport.UDP]
        before = warmed_up(server)
        took: list[float] = []
        answers: Counter[int] = Counter()

        def flood(stopped: Callable[[], bool]) -> None:
            requests, from_hosts = stranger_allocates(), hosts()
            while not stopped() or answers.total() < count:
                answers.update(exchange_all(address, requests, 10 * WINDOW, from_hosts))

        with in_background(flood):
            for transport in (Transport.UDP, Transport.TCP):
                began = time.monotonic()
                flows = open_flows(server, 1, transport)
                took.append(time.monotonic() - began)
                close_flows(flows)
        after = settled(server, lambda holdings: holdings.idle and holdings.is_back_at(before))
        print(f"{answers.total()} requests, a client allocated in {max(took):.3f} s, "
              f"{(after.resident - before.resident) / MIB:.1f} MiB more")  # fmt: skip
        assert max(took) < 1
        assert answers.total() >= count
        assert set(answers) == {ALLOCATE_ERROR}
        assert after.idle
        assert after.is_back_at(before), (after, before)
        assert after.resident - before.resident <= 5 * MIB
        assert not after.unhandled


def test_challenges_to_one_source_stop_and_nobody_else_notices() -> None:
    """TQ-3: beyond 1,000 and 200 per second silence, one record; streams, other sources and holders of nonces go on."""
    with served() as server:
        address = server.listening[Transport.UDP]
        # Before the flood: a client at the same address as the flood, who has got its nonce.
        holder = turn_client.connect(address, itertools.repeat(("127.9.9.9", 0)), is_stream=False)
        turn_client.open_allocations([holder], CREDENTIALS)
        records = server.holdings().records
        began = time.monotonic()
        # From a second on nobody answers: then a window is waited for in vain.
        answers = exchange_all(address, stranger_allocates(), 1500, itertools.repeat("127.9.9.9"), wait=0.05)
        elapsed = time.monotonic() - began
        answered = answers[ALLOCATE_ERROR]
        assert answers[0] + answered == 1500
        # Each window in vain is a little later: the bucket drains meanwhile, and the last answers may be late.
        assert 990 <= answered <= 1000 + 200 * elapsed + 1
        assert answers[0] > 100
        again = exchange_all(address, stranger_allocates(), 50, itertools.repeat("127.9.9.10"))
        assert again == {ALLOCATE_ERROR: 50}
        turn_client.create_permissions([holder], CREDENTIALS, ("127.0.0.1", 9))
        flows = open_flows(server, 1, Transport.TCP)
        assert server.holdings().records - records < 60
        close_flows([*flows, holder])
        print(f"{answered} of 1500 answered in {elapsed:.2f} s")


@LOOPS
def test_every_relay_port_is_usable_again_after_all_were_taken(loop: str) -> None:
    """TQ-6: a pool of 100: exhausted, 508, given back, and all 100 again, ten times."""
    turn = {
        "relay_addresses": ["127.77.6.1"],  # where no other program takes a port of the pool
        "relay_ports": "61100-61199",
        "quota": {"allocations_per_user": 1000},
    }
    with served(turn, loop=loop) as server:
        empty = warmed_up(server)
        for cycle in range(10):
            transport = Transport.TCP if cycle % 3 == 2 else Transport.UDP
            flows = open_flows(server, 100, transport)
            assert {flow.relay[1] for flow in flows} == set(range(61_100, 61_200))
            with pytest.raises(TurnError, match="508"):
                open_flows(server, 1)
            assert server.holdings().collections["ports"] == 100
            # TCP clients just leave, every other time.
            close_flows(flows, release=cycle % 2 == 0 or transport is Transport.UDP)
            assert settled(server, lambda holdings: holdings.idle).idle
        after = settled(server, lambda holdings: holdings.descriptors == empty.descriptors)
        assert after.collections == empty.collections
        assert after.descriptors == empty.descriptors


def test_reserved_ports_come_back_when_nobody_claims_them() -> None:
    """TQ-6: EVEN-PORT with R takes the pool in pairs; unclaimed tokens give their ports back (here after 0.2 s)."""
    turn = {
        "relay_addresses": ["127.77.6.2"],
        "relay_ports": "61200-61219",
        "quota": {"allocations_per_user": 1000},
    }
    wish = [(0x0018, b"\x80"), (turn_client.REQUESTED_TRANSPORT, bytes((17, 0, 0, 0)))]
    with served(turn, {"reservation_lifetime": 0.2}) as server:
        for _ in range(5):
            flows = [
                turn_client.connect(server.listening[Transport.UDP], sources(), is_stream=False) for _ in range(10)
            ]
            turn_client._request(flows, CREDENTIALS, turn_client.ALLOCATE_REQUEST, wish)
            assert server.holdings().collections["ports"] == 20
            close_flows(flows)
            assert settled(server, lambda holdings: holdings.idle).idle


@SIZES
def test_invalid_packets_leave_nothing_and_harm_nobody(scale: Callable[[int], int]) -> None:
    """TQ-10: 50,000 packets per second for a minute; no state, no record per packet, a client loses under 5 %."""
    rate, duration = scale(50_000), scale(60)
    with served() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        address = server.listening[Transport.UDP]
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(1)
        flow, *_ = open_flows(server, 1, peer=peer.getsockname())
        before = server.holdings()
        sent_junk = 0

        def flood(stopped: Callable[[], bool]) -> None:
            nonlocal sent_junk
            with contextlib.ExitStack() as stack:
                senders = []
                for host in itertools.islice(hosts(), 50):
                    senders.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
                    senders[-1].bind((host, 0))
                packets = list(itertools.islice(junk(1), 2000))
                began = time.monotonic()
                for number in itertools.count():
                    if number % 50 == 0:
                        if stopped():
                            return
                        time.sleep(max(0.0, began + number / rate - time.monotonic()))
                    senders[number % 50].sendto(packets[number % 2000], address)
                    sent_junk += 1

        arrived = sent = 0
        payload = bytes(160)
        with in_background(flood):
            deadline = time.monotonic() + duration
            while time.monotonic() < deadline:
                flow.socket.send(turn_client.channel_data_prefix(len(payload)) + payload)
                sent += 1
                with contextlib.suppress(TimeoutError):
                    peer.recv(2048)
                    arrived += 1
                time.sleep(0.005)
        after = server.holdings()
        print(f"{sent_junk / duration:.0f} invalid packets/s for {duration} s, {arrived} of {sent} arrived, "
              f"{(after.resident - before.resident) / MIB:.1f} MiB more")  # fmt: skip
        assert sent_junk > rate * duration * 0.5
        assert arrived >= 0.95 * sent
        assert after.is_back_at(before), (after, before)
        assert after.records - before.records < 10
        assert after.resident - before.resident <= 5 * MIB
        assert not after.unhandled
        close_flows([flow])
        assert server.holdings().idle


@pytest.mark.parametrize(("loop", "transport"), [("uvloop", Transport.UDP), ("asyncio", Transport.TCP)])
def test_a_thousand_idle_allocations_twice_lead_back_to_the_start(loop: str, transport: Transport) -> None:
    """With permissions, channels and live timers; then all released: all as before, and memory flat the second time."""
    turn = {"quota": {"allocations_per_user": 2000, "bytes_per_second_per_user": 1 << 30}}
    with served(turn, loop=loop) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        close_flows(open_flows(server, 10, transport, peer.getsockname()))
        start = warmed_up(server)
        cycles: list[Holdings] = []
        for _ in range(2):
            flows = open_flows(server, 1000, transport, peer.getsockname())
            held = server.holdings()
            assert held.collections["allocations"] == held.collections["relays"] == 1000
            assert held.collections["deadlines"] == 3000
            close_flows(flows)
            cycles.append(settled(server, lambda holdings: holdings.is_back_at(start)))
            per_allocation = (held.resident - start.resident) / 1000
            print(f"{per_allocation / 1024:.1f} KiB per idle allocation with a permission and a channel")
            assert cycles[-1].is_back_at(start), (cycles[-1], start)
            assert cycles[-1].idle
        first, second = cycles
        print(f"{(second.resident - first.resident) / MIB:+.2f} MiB after the second cycle")
        assert second.resident - first.resident <= 2 * MIB
        assert not second.unhandled


def test_the_key_of_the_flooding_client_is_the_one_of_the_server() -> None:
    """The benches' client makes its own keys; if it were wrong, every flood above would be of strangers."""
    material = f"{USER}:{REALM}:{PASSWORD}".encode()
    assert CREDENTIALS.key(REALM.encode()) == hashlib.md5(material, usedforsecurity=False).digest()
