"""Two associations over all kinds of links, and one that is lied to."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from struct import pack, unpack

import pytest

from icelane.core.clock import Instant
from icelane.crypto.provider import SystemEntropy
from icelane.errors import (
    AssociationError,
    InvalidAccessError,
    InvalidStateError,
    MessageTooLargeError,
    OperationError,
)
from icelane.sctp.association import SctpAssociation
from icelane.sctp.chunks import ChunkType, encode_chunk, encode_header, encode_sack, parse_chunk_spans
from icelane.sctp.control_chunks import CauseCode, InitChunk, encode_parameter, parse_init
from icelane.sctp.event import AssociationState, BufferedAmountLow, Established, MessageReceived, Terminated
from icelane.sctp.handshake import cookie_of
from icelane.sctp.inbound import OVERHEAD, WINDOW_SLACK
from icelane.sctp.options import SctpOptions
from icelane.sctp.transfer import MAX_EARLIER_SACKS, WARY_PACKETS
from icelane.testing.network import Link
from tests.sctp.pairs import End, Pair, data_chunk, inject, packet_for

LINKS = {
    "perfect": Link(delay=0.01),
    "10 % lost": Link(delay=0.01, loss=0.1),
    "30 % lost": Link(delay=0.01, loss=0.3),
    "reordered": Link(delay=0.01, jitter=0.02, reordering=0.2),
    "doubled": Link(delay=0.01, duplication=0.3, jitter=0.01),
    "everything at once": Link(delay=0.01, loss=0.1, duplication=0.1, reordering=0.1, jitter=0.01),
}
UNORDERED = 4  # a flag of DATA; 3 is a message in one piece
links = pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def kinds_in(packet: bytes) -> list[int]:
    """The types of the chunks in a packet."""
    spans = parse_chunk_spans(packet)
    return [packet[start] for start in spans[::2]]


def reported_gaps(packet: bytes) -> list[int]:
    """The gaps of a packet that is one SACK: firsts and lasts, counted from the cumulative TSN."""
    assert kinds_in(packet) == [ChunkType.SACK]
    count = int.from_bytes(packet[24:26], "big")
    return list(unpack(f">{2 * count}H", packet[28 : 28 + 4 * count]))


# -- what it is for


@links
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_sent_arrives_once_whole_and_in_order_and_closing_loses_nothing(link: Link, seed: int) -> None:
    pair = Pair(link, seed).connect(15.0)
    data = noise(150_000, seed)
    sizes = [1, 60_000, 20, 1132, 1133, 5_000, 40_000, 42_714]
    at = 0
    for size in sizes:
        pair.a.say(1, data[at : at + size])
        pair.b.say(2, data[at : at + size])
        at += size
    assert at == len(data)
    pair.close(120.0)
    for end, stream_id in ((pair.b, 1), (pair.a, 2)):
        assert [len(message.data) for message in end.messages] == sizes
        assert b"".join(message.data for message in end.messages) == data
        assert {message.stream_id for message in end.messages} == {stream_id}


@links
def test_unordered_messages_arrive_once_each(link: Link) -> None:
    pair = Pair(link, 4).connect(15.0)
    messages = [noise(1 + 37 * n, n) for n in range(100)]
    for message in messages:
        pair.a.say(3, message, ordered=False)
    pair.close(120.0)
    assert sorted(message.data for message in pair.b.messages) == sorted(messages)


@links
def test_messages_that_may_be_given_up_arrive_in_order_or_not_at_all(link: Link) -> None:
    pair = Pair(link, 5).connect(15.0)
    for n in range(300):
        limit = {"max_retransmissions": 0} if n % 2 else {"lifetime": 0.05}
        pair.a.say(1, pack(">I", n) * 500, **limit)
        if n % 3 == 0:
            pair.network.run_for(0.01)
    pair.a.say(2, b"this arrives")
    pair.close(120.0)
    numbers = [int.from_bytes(message.data[:4], "big") for message in pair.b.messages if message.stream_id == 1]
    assert numbers == sorted(set(numbers))
    assert all(message.data == message.data[:4] * 500 for message in pair.b.messages if message.stream_id == 1)
    assert pair.b.messages[-1].data == b"this arrives" or any(m.data == b"this arrives" for m in pair.b.messages)


def test_every_chunk_survives_the_wrap_of_tsn_and_ssn() -> None:
    """SC-7."""
    pair = Pair(Link(delay=0.001, loss=0.02))
    for end in (pair.a, pair.b):
        life = end.association._life
        outbound = life.outbound
        life.handshake.initial_tsn = 2**32 - 100
        outbound.next_tsn, outbound.cumulative = 2**32 - 100, 2**32 - 101
        outbound.clear()
    pair.connect()
    for end in (pair.a, pair.b):
        end.association._life.outbound.queue.stream(1).next_ssn = 0
    for n in range(1000):
        pair.a.say(1, pack(">I", n))
        pair.network.run_for(0.001)
    pair.close()
    assert [int.from_bytes(message.data, "big") for message in pair.b.messages] == list(range(1000))


def test_the_largest_message_arrives() -> None:
    pair = Pair(Link(delay=0.01, loss=0.05), 6).connect()
    data = noise(262_144)
    pair.a.say(1, data)
    pair.close()
    assert pair.b.messages[0].data == data


@pytest.mark.parametrize("zero_checksum", [True, False])
def test_checksums_are_left_out_where_both_agree(zero_checksum: bool) -> None:
    """RFC 9653."""
    pair = Pair(other_options=SctpOptions(zero_checksum=zero_checksum)).connect()
    for end in (pair.a, pair.b):
        end.say(0, b"x")
        assert (end.last_sent[-1][8:12] == bytes(4)) == zero_checksum
    pair.close()


# -- beginnings


def test_who_calls_second_finds_the_association_there() -> None:
    """An INIT that arrives first is answered, and `connect` then has nothing to do."""
    pair = Pair()
    pair.a.run(pair.a.association.connect)
    pair.network.run_until(lambda: pair.a.told(Established) and pair.b.told(Established))
    pair.b.run(pair.b.association.connect)
    assert pair.b.association.state is AssociationState.ESTABLISHED
    pair.close()


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.026, 0.06, 0.2, 0.6])
def test_both_may_begin_at_almost_the_same_time(delay: float) -> None:
    pair = Pair()
    pair.a.run(pair.a.association.connect)
    pair.network.run_for(delay)
    pair.b.run(pair.b.association.connect)
    pair.network.run_until(lambda: pair.a.told(Established) and pair.b.told(Established))
    pair.a.say(0, b"a")
    pair.b.say(0, b"b")
    pair.close()
    assert [message.data for end in (pair.a, pair.b) for message in end.messages] == [b"b", b"a"]


@pytest.mark.parametrize("seed", range(10))
def test_a_handshake_over_a_link_that_loses_a_third_is_quick(seed: int) -> None:
    pair = Pair(Link(delay=0.05, loss=0.3), seed + 100)
    start = pair.clock.now
    pair.connect(8.0)
    assert pair.clock.now - start < 8.0


def test_what_is_sent_before_the_association_stands_waits_for_it() -> None:
    pair = Pair()
    pair.a.say(0, b"early")
    pair.connect()
    pair.close()
    assert [message.data for message in pair.b.messages] == [b"early"]


def test_a_peer_that_is_not_there_is_given_up() -> None:
    pair = Pair(Link(loss=1.0))
    pair.a.run(pair.a.association.connect)
    pair.network.run_until(lambda: pair.a.events, 60.0)
    ended = pair.a.end()
    assert ended is not None
    assert isinstance(ended.error, AssociationError)
    pair.check_empty()


def test_a_restart_is_refused() -> None:
    """An INIT on a living association changes nothing, and neither does a cookie of another life."""
    pair = Pair().connect()
    init = InitChunk(99, 100_000, 10, 10, 5, ())
    inject(pair.b, encode_chunk(ChunkType.INIT, 0, init.encode()), tag=0)
    assert pair.network.in_flight == 0
    handshake = pair.b.association._life.handshake
    answer = handshake.answer_init(init, pair.clock.now)
    cookie = answer[20 + 4 :][: int.from_bytes(answer[22:24], "big") - 4]
    inject(pair.b, encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie))
    assert pair.b.association.state is AssociationState.ESTABLISHED
    pair.a.say(0, b"still here")
    pair.close()
    assert pair.b.messages[0].data == b"still here"


def test_a_stale_cookie_is_answered_and_the_handshake_begins_anew() -> None:
    """SC-2: RFC 9260 section 5.2.6."""
    pair = Pair(Link(delay=10.0))
    pair.a.run(pair.a.association.connect)
    pair.network.run_until(lambda: pair.a.association.state is AssociationState.COOKIE_ECHOED)
    echo = pair.a.last_sent[-1]
    pair.clock.advance(61.0)
    pair.b.run(lambda now: pair.b.association.handle_datagram(echo, now))
    error = pair.b.last_sent[-1]
    assert kinds_in(error) == [ChunkType.ERROR]
    assert pair.b.association.state is AssociationState.CLOSED
    pair.network._link = Link(delay=0.01)
    pair.a.run(lambda now: pair.a.association.handle_datagram(error, now))
    assert kinds_in(pair.a.last_sent[-1]) == [ChunkType.INIT]
    pair.network.run_until(lambda: pair.a.told(Established) and pair.b.told(Established))


def test_a_peer_that_asks_again_after_minutes_still_gets_its_cookie_ack() -> None:
    """RFC 9260 section 5.2.4 step 3. When all before were lost, dcsctp asks after 1, 3, 7, 15, 31, 63 and 127 s."""
    pair = Pair()
    b = pair.b
    init = InitChunk(99, 100_000, 10, 10, 5, ())
    answer = b.association._life.handshake.answer_init(init, pair.clock.now)
    echo = encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie_of(parse_init(answer[4:])))
    for pause in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        pair.clock.advance(pause)
        b.last_sent.clear()
        inject(b, echo)
        assert [kinds_in(packet) for packet in b.last_sent] == [[ChunkType.COOKIE_ACK]]
    inject(b, echo, data_chunk(b, 1, b"behind it"))
    assert [message.data for message in b.messages] == [b"behind it"]


# -- flow control


def test_a_slow_reader_slows_the_sender_and_gets_everything() -> None:
    options = SctpOptions(receive_window=600_000, max_message_size=100_000)
    pair = Pair(Link(delay=0.01), options=options).connect()
    pair.b.reading = False
    for _ in range(40):
        pair.a.say(1, bytes(50_000))
    pair.network.run_for(20.0)
    assert 500_000 <= pair.b.received_bytes <= 600_000 + 65_536
    assert pair.a.association.buffered_amount(1) >= 1_300_000
    assert pair.a.association.state is AssociationState.ESTABLISHED
    pair.b.read()
    pair.network.run_for(0.2)
    assert pair.b.received_bytes > 700_000
    pair.b.reading = True
    pair.b.read()
    pair.close()
    assert pair.b.received_bytes == 2_000_000


def test_a_reader_that_is_slow_is_not_buried_under_small_messages() -> None:
    """SC-4: each counts against the window with what it costs beside its bytes."""
    options = SctpOptions(receive_window=100_000, max_message_size=20_000)
    pair = Pair(Link(delay=0.01), options=options).connect()
    pair.b.reading = False
    for _ in range(5_000):
        pair.a.say(1, b"x")
    pair.network.run_for(20.0)
    assert 700 <= len(pair.b.messages) <= (100_000 + WINDOW_SLACK) // OVERHEAD
    assert pair.a.association.state is AssociationState.ESTABLISHED
    pair.b.reading = True
    pair.b.read()
    pair.close()
    assert pair.b.received_bytes == 5_000


def test_a_lost_window_update_is_made_up_for() -> None:
    options = SctpOptions(receive_window=100_000, max_message_size=20_000)
    pair = Pair(Link(delay=0.01), options=options).connect()
    pair.b.reading = False
    for _ in range(20):
        pair.a.say(1, bytes(10_000))
    pair.network.run_for(5.0)
    pair.network.set_link(pair.b.address.host, pair.a.address.host, Link(loss=1.0))
    pair.b.reading = True
    pair.b.read()
    pair.network.set_link(pair.b.address.host, pair.a.address.host, Link(delay=0.01))
    pair.close()
    assert pair.b.received_bytes == 200_000


def test_a_path_that_comes_back_is_used_again() -> None:
    pair = Pair(Link(delay=0.01)).connect()
    pair.network._link = Link(loss=1.0)
    pair.a.say(0, bytes(100_000))
    pair.network.run_for(120.0)
    pair.network._link = Link(delay=0.01)
    start = pair.clock.now
    pair.network.run_until(lambda: pair.b.received_bytes == 100_000)
    assert pair.clock.now - start < 5.0
    pair.close()


def test_unanswered_retransmissions_end_it_where_that_is_asked_for() -> None:
    pair = Pair(Link(delay=0.01), options=SctpOptions(max_retransmissions=4)).connect()
    pair.network._link = Link(loss=1.0)
    pair.a.say(0, b"x")
    pair.network.run_until(lambda: pair.a.end(), 60.0)
    assert pair.a.association.idle


def test_a_peer_that_is_silent_is_not_accused_of_a_protocol_violation() -> None:
    """SC-8: the ABORT of who has waited long enough names our own decision as its cause."""
    pair = Pair(Link(delay=0.01)).connect()
    pair.network._link = Link(loss=1.0)
    pair.a.run(pair.a.association.close)
    pair.network.run_until(lambda: pair.a.end(), 60.0)
    packet = pair.a.last_sent[-1]
    assert kinds_in(packet) == [ChunkType.ABORT]
    assert int.from_bytes(packet[16:18], "big") == CauseCode.USER_INITIATED_ABORT


# -- SACKs


def inject_batch(end: End, offsets: Iterable[int]) -> None:
    """Packets of one unordered message each arrive together: by their TSNs, of which the next in order is 1."""
    packets = [packet_for(end, data_chunk(end, n, b"x", flags=UNORDERED | 3)) for n in offsets]

    def receive_all(now: Instant) -> None:
        end.association.begin_batch()
        for packet in packets:
            end.association.handle_datagram(packet, now)
        end.association.end_batch(now)

    end.run(receive_all)


def test_a_batch_is_answered_by_one_sack() -> None:
    pair = Pair().connect()
    before = pair.network.traffic.sent
    inject_batch(pair.b, range(1, 33))
    assert pair.network.traffic.sent == before + 1
    assert len(pair.b.messages) == 32


def test_each_packet_of_a_batch_behind_a_gap_has_a_sack_of_its_own() -> None:
    """SC-8: a peer that counts reports of what is missing (RFC 9260 section 7.2.4) counts each packet behind it."""
    pair = Pair().connect()
    pair.b.last_sent.clear()
    inject_batch(pair.b, [1, 2, 4, 5, 6])
    assert [reported_gaps(packet) for packet in pair.b.last_sent] == [[2, 2], [2, 3], [2, 4]]


def test_of_many_packets_behind_a_gap_the_latest_have_a_sack_of_their_own() -> None:
    pair = Pair().connect()
    pair.b.last_sent.clear()
    before = pair.network.traffic.sent
    inject_batch(pair.b, range(2, 34))
    sacks = MAX_EARLIER_SACKS + 1
    assert pair.network.traffic.sent == before + sacks
    assert [reported_gaps(packet) for packet in pair.b.last_sent] == [[2, last] for last in range(34 - sacks, 34)]


def test_a_gap_that_a_batch_fills_again_is_reported_too() -> None:
    pair = Pair().connect()
    pair.b.last_sent.clear()
    inject_batch(pair.b, [2, 1, 3, 4])
    assert [reported_gaps(packet) for packet in pair.b.last_sent] == [[2, 2], [], []]


@pytest.mark.parametrize("trouble", [[2, 1], [1, 1]], ids=["a gap", "a duplicate"])
def test_every_second_packet_of_a_batch_has_a_sack_of_its_own_for_a_while_after(trouble: list[int]) -> None:
    """SC-8: the loss of one SACK does not leave a peer waiting whose whole window came in one batch."""
    pair = Pair().connect()
    inject_batch(pair.b, trouble)
    for sacks in (4, 1):
        before = pair.network.traffic.sent
        inject_batch(pair.b, range(1, 9))
        assert pair.network.traffic.sent == before + sacks
        for _ in range(0, WARY_PACKETS, 2):
            inject_batch(pair.b, [1, 2])


def test_every_second_packet_is_acknowledged_and_a_single_one_after_a_while() -> None:
    pair = Pair().connect()
    traffic = pair.network.traffic
    before = traffic.sent
    for n in range(4):
        inject(pair.b, data_chunk(pair.b, 1, b"x", ssn=n))
    assert traffic.sent == before + 2
    inject(pair.b, data_chunk(pair.b, 1, b"x", ssn=4))
    assert traffic.sent == before + 2
    at = pair.b.association.next_timeout()
    assert at is not None
    assert 0.02 <= at - pair.clock.now <= 0.2
    pair.network.run_for(0.2)
    assert traffic.sent >= before + 3


def test_a_gap_a_duplicate_and_the_flag_are_answered_at_once() -> None:
    """RFC 7053 for the flag."""
    pair = Pair().connect()
    for chunk in (
        data_chunk(pair.b, 2, b"x", ssn=1),
        data_chunk(pair.b, 1, b"x"),
        data_chunk(pair.b, 1, b"x"),
        data_chunk(pair.b, 3, b"x", flags=0x0B, ssn=2),
    ):
        before = pair.network.traffic.sent
        inject(pair.b, chunk)
        assert pair.network.traffic.sent == before + 1
        assert kinds_in(pair.b.last_sent[-1]) == [ChunkType.SACK]


def test_a_delayed_sack_goes_with_data() -> None:
    pair = Pair().connect()
    inject(pair.b, data_chunk(pair.b, 1, b"x"))
    pair.b.say(0, b"answer")
    assert kinds_in(pair.b.last_sent[-1]) == [ChunkType.SACK, ChunkType.DATA]


# -- sending


def test_the_backlog_is_told_when_it_sinks_to_its_threshold() -> None:
    pair = Pair().connect()
    pair.a.association.set_low_threshold(1, 50_000)
    for _ in range(4):
        pair.a.say(1, bytes(50_000))
    pair.network.run_until(lambda: pair.a.told(BufferedAmountLow))
    assert pair.a.association.buffered_amount(1) <= 50_000
    pair.close()
    assert pair.a.told(BufferedAmountLow) == [BufferedAmountLow(1)]


@pytest.mark.parametrize(
    ("stream_id", "size", "error"),
    [(0, 100_001, MessageTooLargeError), (0, 0, InvalidAccessError), (65_535, 1, InvalidAccessError),
     (-1, 1, InvalidAccessError)],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(stream_id: int, size: int, error: type[Exception]) -> None:
    """SC-5: too long for the peer."""
    pair = Pair().connect()
    pair.a.association.set_max_message_size(100_000)
    with pytest.raises(error):
        pair.a.say(stream_id, bytes(size))
    assert pair.a.association.idle


def test_no_more_is_buffered_than_the_bound() -> None:
    pair = Pair(options=SctpOptions(send_buffer=1_000_000))
    for _ in range(10):
        pair.a.say(1, bytes(100_000))
    with pytest.raises(OperationError):
        pair.a.say(2, b"x")


def test_options_that_contradict_themselves_are_refused() -> None:
    for wrong in ({"path_mtu": 1161}, {"path_mtu": 100}, {"streams": 0}, {"receive_window": 300_000}):
        with pytest.raises(InvalidAccessError):
            SctpOptions(**wrong)  # type: ignore[arg-type]  # one of the keywords


# -- ends


def test_a_close_before_anything_is_an_end() -> None:
    pair = Pair()
    pair.a.run(pair.a.association.close)
    assert pair.a.events == [Terminated(None)]
    with pytest.raises(InvalidStateError):
        pair.a.run(pair.a.association.connect)


def test_a_close_while_the_handshake_is_under_way_delivers_what_was_sent() -> None:
    pair = Pair()
    pair.a.say(0, b"early")
    for end in (pair.a, pair.b):
        end.run(end.association.connect)
    pair.a.run(pair.a.association.close)
    pair.network.run_until(lambda: pair.a.end() and pair.b.end())
    assert [message.data for message in pair.b.messages] == [b"early"]
    pair.check_empty()


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_both_may_close_at_once(loss: float) -> None:
    pair = Pair(Link(delay=0.02, loss=loss), 8).connect()
    for end in (pair.a, pair.b):
        end.say(1, bytes(30_000))
    for end in (pair.a, pair.b):
        end.run(end.association.close)
    pair.network.run_until(lambda: pair.a.end() and pair.b.end())
    assert pair.a.received_bytes == pair.b.received_bytes == 30_000
    pair.check_empty()


def test_an_abort_ends_both_at_once_and_says_why() -> None:
    pair = Pair().connect()
    pair.a.say(1, bytes(500_000))
    pair.a.run(lambda now: pair.a.association.abort("enough", now))
    pair.network.run_until(pair.b.end)
    ended = pair.b.end()
    assert ended is not None
    assert "enough" in str(ended.error)
    assert pair.a.end() == Terminated(None)
    pair.network.run_until_quiet()
    pair.check_empty()


def test_after_the_end_nothing_is_sent_and_nothing_is_believed() -> None:
    pair = Pair().connect()
    pair.close()
    inject(pair.b, encode_chunk(ChunkType.HEARTBEAT, 0, bytes(8)))
    assert pair.b.association.poll_transmit() is None
    with pytest.raises(InvalidStateError):
        pair.b.say(0, b"x")


# -- SC-2: packets that are not what they should be


HOSTILE: dict[str, Callable[[End], bytes]] = {
    "no chunk": lambda end: packet_for(end),
    "wrong tag": lambda end: packet_for(end, encode_chunk(ChunkType.ABORT, 0), tag=12345),
    "tag of zero": lambda end: packet_for(end, encode_chunk(ChunkType.ABORT, 0), tag=0),
    "reflected tag without the flag": lambda end: packet_for(
        end, encode_chunk(ChunkType.ABORT, 0), tag=end.association._life.peer_tag
    ),
    "bad checksum": lambda end: packet_for(end, encode_chunk(ChunkType.ABORT, 0))[:8] + b"\1\2\3\4" + b"\6\0\0\4",
    "bundled INIT": lambda end: packet_for(
        end, encode_chunk(ChunkType.INIT, 0, InitChunk(1, 9000, 1, 1, 1).encode()), encode_chunk(6, 0), tag=0
    ),
    "INIT behind another": lambda end: packet_for(
        end, encode_chunk(4, 0), encode_chunk(ChunkType.INIT, 0, InitChunk(1, 9000, 1, 1, 1).encode())
    ),
    "other ports": lambda end: encode_header(5001, 5000, end.association._life.handshake.local_tag) + bytes(4),
    "short": lambda end: packet_for(end)[:11],
}


def of_length(length: int) -> Callable[[End], bytes]:
    """A chunk that says it has that length, and has 8."""
    return lambda end: packet_for(end, pack(">BBHI", ChunkType.HEARTBEAT, 0, length, 0))


HOSTILE |= {f"chunk of length {length}": of_length(length) for length in (0, 1, 2, 3, 9, 65_535)}


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_packet_that_is_not_for_us_changes_nothing(attack: Callable[[End], bytes]) -> None:
    """SC-2."""
    pair = Pair().connect()
    data = attack(pair.b)
    before = pair.b.association.statistics.packets_discarded
    pair.b.run(lambda now: pair.b.association.handle_datagram(data, now))
    assert pair.b.association.statistics.packets_discarded == before + 1
    assert pair.network.in_flight == 0
    assert pair.b.association.state is AssociationState.ESTABLISHED


@pytest.mark.parametrize(
    ("kind", "goes_on", "reports"),
    [(0x3F, False, False), (0x7F, False, True), (0xBF, True, False), (0xFF, True, True)],
)
def test_an_unknown_chunk_is_treated_as_its_type_asks(kind: int, goes_on: bool, reports: bool) -> None:
    """SC-2: RFC 9260 section 3.2."""
    pair = Pair().connect()
    inject(pair.b, encode_chunk(kind, 0, b"what"), data_chunk(pair.b, 1, b"x", flags=0x0B))
    assert bool(pair.b.messages) == goes_on
    answered = [kind for packet in list(pair.b.last_sent)[-1:] for kind in kinds_in(packet)]
    assert (ChunkType.ERROR in answered) == reports


@pytest.mark.parametrize("init", [InitChunk(1, 9000, 0, 1, 1), InitChunk(1, 9000, 1, 0, 1)])
def test_an_init_without_streams_is_aborted(init: InitChunk) -> None:
    """SC-2."""
    pair = Pair()
    inject(pair.b, encode_chunk(ChunkType.INIT, 0, init.encode()), tag=0)
    assert kinds_in(pair.b.last_sent[-1]) == [ChunkType.ABORT]
    assert pair.b.association.state is AssociationState.CLOSED


def test_an_init_with_a_tag_of_zero_is_dropped() -> None:
    """SC-2."""
    pair = Pair()
    inject(pair.b, encode_chunk(ChunkType.INIT, 0, InitChunk(0, 9000, 1, 1, 1).encode()), tag=0)
    assert pair.network.in_flight == 0


def test_an_init_costs_us_nothing_that_is_kept() -> None:
    """SC-2, SC-4: answers that nobody polls are bounded too."""
    pair = Pair()
    init = encode_chunk(ChunkType.INIT, 0, InitChunk(7, 9000, 1, 1, 1).encode())
    packet = packet_for(pair.b, init, tag=0)
    for _ in range(1000):
        pair.b.association.handle_datagram(packet, pair.clock.now)
    assert len(pair.b.association._life.packets) <= 16
    assert pair.b.association.state is AssociationState.CLOSED


@pytest.mark.parametrize("cookie", [b"", b"x" * 65, b"x" * 900])
def test_a_bad_cookie_establishes_nothing(cookie: bytes) -> None:
    """SC-2."""
    pair = Pair()
    inject(pair.b, encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie))
    assert pair.b.association.state is AssociationState.CLOSED


@pytest.mark.parametrize("kind", [kind for kind in range(256) if kind not in (ChunkType.ABORT, ChunkType.INIT)])
def test_every_chunk_type_with_nothing_or_nonsense_in_it_is_survived_in_every_state(kind: int) -> None:
    """SC-2: nothing but ABORT and violations ends an association, and no exception comes out."""
    for body in (b"", b"\0", b"\xff" * 5, bytes(16), b"\xff" * 40):
        fresh, young, pair = Pair(), Pair(), Pair().connect()
        young.a.run(young.a.association.connect)
        for end in (fresh.a, young.a, pair.a):
            inject(end, encode_chunk(kind, 0xFF, body))
            end.run(end.association.handle_timeout)


# -- SC-3, SC-4, SC-5: abort


@pytest.mark.parametrize("gaps", [[0xFFFF, 0xFFFF], [5, 3], [1, 0xFFFF]])
def test_a_sack_that_lies_ends_the_association_on_both_sides(gaps: list[int]) -> None:
    """SC-3."""
    pair = Pair().connect()
    pair.a.say(0, b"x")
    cumulative = pair.a.association._life.outbound.cumulative
    inject(pair.a, encode_sack(cumulative, 1 << 20, [cumulative + gap for gap in gaps], []))
    ended = pair.a.end()
    assert ended is not None
    assert "never sent" in str(ended.error)
    pair.network.run_until(pair.b.end)
    pair.network.run_until_quiet()
    pair.check_empty()


def test_a_flood_into_a_closed_window_is_aborted_with_bounded_memory() -> None:
    """SC-4."""
    options = SctpOptions(receive_window=300_000, max_message_size=100_000)
    pair = Pair(options=options).connect()
    pair.b.reading = False
    for n in range(2_000):
        if pair.b.end():
            break
        inject(pair.b, data_chunk(pair.b, 1, bytes(1000), ssn=n & 0xFFFF))
        statistics = pair.b.association.statistics
        assert sum(len(message.data) for message in pair.b.messages) <= 300_000 + 65_536
        assert statistics.receive_window >= 0
    ended = pair.b.end()
    assert ended is not None
    assert "window" in str(ended.error)


def test_a_message_that_is_too_long_is_cut_off_before_it_is_whole() -> None:
    """SC-5."""
    options = SctpOptions(max_message_size=50_000)
    pair = Pair(other_options=options).connect()
    pair.a.say(1, bytes(60_000))
    pair.network.run_until(lambda: pair.a.end() and pair.b.end())
    assert not pair.b.told(MessageReceived)
    pair.network.run_until_quiet()
    pair.check_empty()


def test_a_data_chunk_without_data_ends_the_association() -> None:
    """SC-4: header-only chunks (RFC 9260 section 6.2)."""
    pair = Pair().connect()
    inject(pair.b, data_chunk(pair.b, 1, b""))
    assert pair.b.end() is not None


# -- SC-7


@pytest.mark.parametrize("size", [0, 8, 1100, 60_000])
def test_a_heartbeat_is_echoed_unless_it_would_not_fit(size: int) -> None:
    """SC-7."""
    pair = Pair().connect()
    info = encode_parameter(1, noise(size))
    before = pair.network.traffic.sent
    inject(pair.b, encode_chunk(ChunkType.HEARTBEAT, 0, info))
    assert pair.network.traffic.sent == before + (size <= 1100)
    if size <= 1100:
        assert pair.b.last_sent[-1][12:] == encode_chunk(ChunkType.HEARTBEAT_ACK, 0, info)


def test_answers_that_wait_are_bounded() -> None:
    """SC-7: a packet of 300 heartbeats, and one of 300 unknown chunks."""
    pair = Pair().connect()
    for kind in (ChunkType.HEARTBEAT, 0xFF):
        before = pair.network.traffic.sent
        inject(pair.b, encode_chunk(kind, 0, bytes(4)) * 300)
        assert pair.network.traffic.sent == before + 1
        assert len(kinds_in(pair.b.last_sent[-1])) <= 16


def test_a_silent_peer_is_asked_whether_it_is_there() -> None:
    pair = Pair().connect()
    pair.network.run_for(40.0)
    assert any(ChunkType.HEARTBEAT in kinds_in(packet) for packet in pair.a.last_sent)
    assert any(ChunkType.HEARTBEAT_ACK in kinds_in(packet) for packet in pair.b.last_sent)
    pair.close()


def test_tags_and_tsns_come_from_the_entropy_that_was_given() -> None:
    """SC-9, ST-12: what two associations of one process have in common is nothing."""
    many = [SctpAssociation(entropy=SystemEntropy()) for _ in range(50)]
    for association in many:
        association.connect(Instant(0.0))
    inits = {association.poll_transmit() for association in many}
    assert len(inits) == 50
