"""DT-8: bad networks and bad pieces. The clock is virtual; the compiled backend follows it."""

from __future__ import annotations

import resource
import time

import pytest

from icelane.crypto.certificate import KeyType
from icelane.dtls.backend import Backend
from icelane.dtls.connection import DtlsState
from icelane.dtls.options import DtlsOptions
from icelane.dtls.record import MAX_FRAGMENTS, ContentType, HandshakeType
from icelane.testing.network import Link
from tests.dtls.pair import Endpoint, Pair, certificate
from tests.dtls.raw_peer import vector
from tests.dtls.refragment import Refragmenter

SEEDS = range(12)


def ended(pair: Pair) -> bool:
    return pair.both(DtlsState.CONNECTED) or DtlsState.FAILED in (pair.client.state(), pair.server.state())


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_handshake_completes_on_a_lossy_path(native: Backend, loss: float, seed: int) -> None:
    """DT-8: within 10 s up to 20 % each way, with reordering and doubles."""
    link = Link(delay=0.02, jitter=0.02, loss=loss, duplication=0.1, reordering=0.2)
    pair = Pair(native, link=link, seed=seed)
    pair.start()
    pair.network.run_until(lambda: pair.both(DtlsState.CONNECTED), timeout=10)
    assert pair.client.completed.keying_material == pair.server.completed.keying_material


def test_half_of_all_datagrams_may_be_lost(native: Backend) -> None:
    """DT-8: most handshakes complete, and the others end after 30 s and not later."""
    connected = 0
    for seed in range(40):
        pair = Pair(native, link=Link(delay=0.02, loss=0.5), seed=seed)
        pair.start()
        pair.network.run_for(30.1)
        assert pair.client.state() in (DtlsState.CONNECTED, DtlsState.FAILED)
        assert pair.server.state() in (DtlsState.CONNECTED, DtlsState.FAILED)
        connected += pair.both(DtlsState.CONNECTED)
    assert connected >= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_certificate_passes_a_small_mtu_in_spite_of_loss(native: Backend, seed: int) -> None:
    """DT-8: MTU 576, less 28 bytes of IP and UDP, and ten datagrams in a flight."""
    options = DtlsOptions(mtu=548)
    pair = Pair(
        native,
        client_certificate=certificate("long", KeyType.RSA, 4096),
        server_certificate=certificate("long too", KeyType.RSA, 4096),
        client_options=options,
        server_options=options,
        link=Link(delay=0.02, loss=0.1, reordering=0.1, duplication=0.05, mtu=548),
        seed=seed,
    )
    pair.start()
    pair.network.run_until(lambda: pair.both(DtlsState.CONNECTED), timeout=20)


@pytest.mark.parametrize("reordering", [0.0, 0.5])
def test_doubles_and_reordering_do_no_harm(backend: Backend, reordering: float) -> None:
    """DT-8: over both backends, because nothing has to be repeated."""
    for seed in range(5):
        link = Link(delay=0.01, jitter=0.001, duplication=1.0, reordering=reordering, reorder_delay=0.005)
        pair = Pair(backend, server_certificate=certificate("rsa", KeyType.RSA), link=link, seed=seed)
        pair.connect()
        pair.exchange()


def shake_hands(pair: Pair, to_server: Refragmenter, to_client: Refragmenter) -> int:
    """Carry the flights over in other pieces; returns how many."""
    pair.client.hold = pair.server.hold = True
    pair.start()
    pieces = 0
    for _ in range(4):
        for one, other, cutter in ((pair.client, pair.server, to_server), (pair.server, pair.client, to_client)):
            flight, one.sent = one.sent, []
            for piece in cutter.cut(flight):
                other.receive(piece)
                pieces += 1
    return pieces


@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (7, 0), (100, 0), (100, 60), (20, 19)])
def test_messages_may_come_in_any_pieces(backend: Backend, size: int, overlap: int) -> None:
    """DT-8: pieces of one byte, and pieces that overlap."""
    pair = Pair(backend)
    pieces = shake_hands(pair, *(Refragmenter(size, overlap=overlap) for _ in range(2)))
    assert pair.both(DtlsState.CONNECTED)
    assert pieces > (1000 if size == 1 else 10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("size", "overlap"), [(30, 0), (100, 0), (100, 60)])
def test_the_pieces_may_come_in_any_order(backend: Backend, size: int, overlap: int, seed: int) -> None:
    """DT-8: within the 64 records of the replay window."""
    pair = Pair(backend)
    shake_hands(pair, *(Refragmenter(size, overlap=overlap, seed=seed + which) for which in (0, 100)))
    assert pair.both(DtlsState.CONNECTED)


def fragment(kind: int, sequence: int, length: int, offset: int, content: bytes, number: int) -> bytes:
    numbers = ((length, 3), (sequence, 2), (offset, 3), (len(content), 3))
    body = bytes((kind,)) + b"".join(value.to_bytes(width, "big") for value, width in numbers) + content
    return bytes((ContentType.HANDSHAKE,)) + b"\xfe\xfd\0\0" + number.to_bytes(6, "big") + vector(2, body)


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def flood(end: Endpoint, length: int) -> None:
    """Ten thousand pieces of messages that are never complete."""
    for number in range(10_000):
        kind = HandshakeType.CERTIFICATE if number % 2 else HandshakeType.CLIENT_KEY_EXCHANGE
        end.receive(fragment(kind, number % 50, length, number % (length - 1), b"x", 100 + number))


@pytest.mark.parametrize("length", [60_000, 2**24 - 1])
def test_incomplete_messages_cost_no_memory(backend: Backend, length: int) -> None:
    """DT-8: pieces of 60 kB and of 16 MB, of which one byte comes: some MB at most, and an end after 30 s."""
    pairs = [Pair(backend) for _ in range(2)]
    for pair in pairs:
        pair.client.start()
        pair.server.start()
        pair.network.run_until_quiet()
    pair = Pair(backend)
    pair.server.start()
    before = resident()
    flood(pair.server, length)
    assert resident() - before < 8 * 2**20
    assert pair.server.connection.discarded >= 10_000 - MAX_FRAGMENTS
    pair.network.run_for(30.1)
    assert pair.server.state() is DtlsState.FAILED


def test_the_flights_are_repeated_by_the_clock_that_is_told(native: Backend) -> None:
    """DT-8: after 0.25, 0.6, 1.2 ... s, ten times, whatever the clock of the machine says."""
    pair = Pair(native)
    pair.client.hold = True
    start = pair.network.clock.now
    pair.client.start()
    times = []
    while pair.client.state() is DtlsState.CONNECTING:
        at = pair.client.next_timeout()
        assert at is not None
        pair.network.run_for(at - pair.network.clock.now)
        times.append(round(at - start, 2))
    assert times == [0.25, 0.62, 1.19, 2.03, 3.3, 5.2, 8.04, 12.31, 18.72, 28.33, 30.0]
    # The flight once, and each of ten repetitions twice.
    assert len(pair.client.sent) == 21
    # RFC 6347 section 4.2.4: the same message, in a record with a number of its own
    assert len({datagram[13:] for datagram in pair.client.sent}) == 1
    numbers = [int.from_bytes(datagram[5:11], "big") for datagram in pair.client.sent]
    assert numbers == [0, *(number for number in range(1, 11) for _ in range(2))]


def test_a_client_that_hears_data_before_the_server_s_last_flight_asks_for_it_at_once(native: Backend) -> None:
    """DT-8: data that cannot be read yet shows that the flight was lost; waiting for the timer would be a waste."""
    pair = Pair(native)
    pair.start()
    pair.network.run_until(lambda: pair.client.sent and len(pair.client.sent) >= 2)
    pair.server.hold = True
    pair.network.run_until(lambda: pair.server.state() is DtlsState.CONNECTED)
    lost = len(pair.server.sent)
    pair.network.run_for(1.0)
    flights = len(pair.client.sent)
    pair.server.run(lambda now: pair.server.connection.send(b"early", now))
    pair.client.receive(pair.server.sent[-1])
    assert len(pair.client.sent) == flights + 2
    pair.client.receive(pair.server.sent[-1])
    assert len(pair.client.sent) == flights + 2, "and not again for every packet"
    assert lost


def test_a_repeated_finished_has_a_number_and_nonce_of_its_own(native: Backend) -> None:
    """DT-7: the copies of a flight are protected one by one."""
    pair = Pair(native)
    pair.client.hold = True
    pair.start()
    pair.server.receive(pair.client.sent.pop())
    pair.network.run_for(29)
    finished = [datagram[-48:] for datagram in pair.client.sent if datagram[-61:-56] == b"\x16\xfe\xfd\0\1"]
    assert len(finished) == 21
    assert len({record[:8] for record in finished}) == 11
    assert len(set(finished)) == 11, "one number never protects two different messages"


@pytest.mark.long
def test_the_other_backend_repeats_by_the_clock_of_the_machine(pyopenssl: Backend) -> None:
    """DT-8: OpenSSL's own second; the one test that waits for it."""
    pair = Pair(pyopenssl)
    pair.client.hold = True
    pair.client.start()
    began = time.monotonic()
    while len(pair.client.sent) < 2 and time.monotonic() - began < 5:
        at = pair.client.next_timeout()
        assert at is not None
        pair.network.clock.advance(max(0.0, at - pair.network.clock.now))
        time.sleep(0.05)
        pair.client.handle_timeout()
        pair.network.clock = type(pair.network.clock)()
    assert 0.9 < time.monotonic() - began < 3
    assert len(pair.client.sent) == 3, "the repetition goes out twice"
