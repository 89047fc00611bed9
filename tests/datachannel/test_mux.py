"""Channels between two ends, and what a peer that breaks the rules gets."""

from __future__ import annotations

import hashlib
import random

import pytest

from icelane.datachannel.dcep import OpenMessage, encode_ack, encode_open
from icelane.datachannel.event import (
    BufferedAmountLow,
    ChannelAnnounced,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    MessageReceived,
)
from icelane.errors import (
    InvalidAccessError,
    InvalidStateError,
    MessageTooLargeError,
    OperationError,
    RemoteProtocolError,
)
from icelane.sctp.options import SctpOptions
from icelane.sctp.send_queue import OutgoingMessage
from icelane.testing.network import Link
from tests.datachannel.channel_pairs import ChannelPair

DCEP, STRING, BINARY_PARTIAL, BINARY, STRING_PARTIAL, STRING_EMPTY = 50, 51, 52, 53, 54, 56


# -- what it is for


def test_a_channel_carries_text_and_bytes_of_every_kind_both_ways() -> None:
    pair = ChannelPair().start()
    here, there = pair.connected("łódź 🚣", protocol="p")
    said: list[str | bytes] = ["text", "", b"bytes", b"", "ünï", b"\0", bytes(100_000)]
    for data in said:
        pair.a.say(here, data)
        pair.b.say(there, data)
    pair.a.say(here, bytearray(b"array"))
    pair.a.say(here, memoryview(b"view"))
    pair.close()
    assert pair.a.heard(here) == said
    assert pair.b.heard(there) == [*said, b"array", b"view"]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seed", [1, 2])
def test_closing_delivers_everything_that_was_sent_before_it(loss: float, seed: int) -> None:
    """With the hash of what was carried; over links that lose, double and reorder."""
    pair = ChannelPair(Link(delay=0.01, loss=loss, duplication=loss / 2, reordering=loss), seed).start()
    here, there = pair.connected()
    generator = random.Random(seed)
    sent = hashlib.sha256()
    for _ in range(60):
        data = generator.randbytes(generator.randrange(1, 6_000))
        sent.update(data)
        pair.a.say(here, data)
    pair.a.close_channel(here)
    with pytest.raises(InvalidStateError):
        pair.a.say(here, b"too late")
    pair.network.run_until(lambda: pair.a.closed(here) and pair.b.closed(there), 120.0)
    received = hashlib.sha256(b"".join(message.data for message in pair.b.told(MessageReceived)))
    assert received.digest() == sent.digest()
    assert pair.a.closed(here) == ChannelClosed(here, None)
    assert pair.b.closed(there) == ChannelClosed(there, None)
    pair.close(120.0)


def test_a_channel_that_is_created_before_the_connection_opens_with_it() -> None:
    pair = ChannelPair()
    channel = pair.a.open("early")
    assert pair.a.channels.stream_id(channel) is None
    with pytest.raises(InvalidStateError):
        pair.a.say(channel, b"x")
    pair.start()
    pair.network.run_until(lambda: pair.b.told(ChannelAnnounced))
    assert pair.a.told(ChannelOpened) == [ChannelOpened(channel, 0)]
    assert pair.b.told(ChannelAnnounced)[0].label == "early"


def test_data_follows_the_open_at_once_and_does_not_overtake_it() -> None:
    """RFC 8832 section 6: in order until the peer was heard, even on an unordered channel."""
    pair = ChannelPair(Link(delay=0.01, jitter=0.05, reordering=0.3), 3).start()
    channel = pair.a.open("fast", ordered=False)
    messages = [bytes([n]) * 1000 for n in range(30)]
    for message in messages:
        pair.a.say(channel, message)
    pair.close()
    there = pair.b.announced("fast")
    assert pair.b.heard(there) == messages
    assert not pair.b.told(ChannelAnnounced)[0].ordered


def test_stream_ids_follow_the_dtls_role_and_both_sides_may_open_at_once() -> None:
    pair = ChannelPair()
    for n in range(5):
        pair.a.open(f"a{n}")
        pair.b.open(f"b{n}")
    pair.start()
    pair.network.run_until(lambda: all(len(end.told(ChannelAnnounced)) == 5 for end in (pair.a, pair.b)))
    assert [event.stream_id for event in pair.a.told(ChannelOpened)] == [0, 2, 4, 6, 8]
    assert [event.stream_id for event in pair.b.told(ChannelOpened)] == [1, 3, 5, 7, 9]
    pair.close()


def test_a_negotiated_channel_says_nothing_and_works() -> None:
    pair = ChannelPair().start()
    here = pair.a.open("x", negotiated=True, stream_id=77)
    there = pair.b.open("y", negotiated=True, stream_id=77)
    pair.a.say(here, "hello")
    pair.b.say(there, b"hello")
    pair.close()
    assert pair.a.heard(here) == [b"hello"]
    assert pair.b.heard(there) == ["hello"]
    assert not pair.b.told(ChannelAnnounced)


def test_a_message_that_comes_with_the_connection_comes_after_the_channel_has_opened() -> None:
    """COOKIE ACK and the first message may be handled at once, and whoever reads that may answer."""
    pair = ChannelPair()
    here = pair.a.open("x", negotiated=True, stream_id=0)
    there = pair.b.open("y", negotiated=True, stream_id=0)
    for end in (pair.a, pair.b):
        end.start()
    pair.network.run_for(0.025)  # both have sent a COOKIE ECHO, and neither has one
    packets: list[bytes] = []
    pair.network.detach(pair.b.address)
    pair.network.attach(pair.b.address, lambda data, *_: packets.append(data))
    pair.network.run_until(lambda: bool(pair.a.told(ChannelOpened)))
    pair.a.say(here, "hello")
    pair.network.run_for(0.05)
    assert not pair.b.events
    pair.b.run(lambda now: pair.b.channels.handle_batch(packets, now))
    assert [type(event) for event in pair.b.events] == [ChannelOpened, MessageReceived]
    assert pair.b.heard(there) == ["hello"]


def test_a_negotiated_channel_that_the_peer_never_made_is_closed_and_its_stream_used_again() -> None:
    """RFC 8831 section 6.7: the peer resets its side, with a channel or without."""
    pair = ChannelPair().start()
    for _ in range(3):
        here = pair.a.open("alone", negotiated=True, stream_id=77)
        pair.a.say(here, "nobody hears")
        pair.a.close_channel(here)
        pair.network.run_until(lambda here=here: pair.a.closed(here), 1.0)  # type: ignore[misc]
        assert pair.a.closed(here) == ChannelClosed(here, None)
    sent = pair.a.channels.association.statistics.packets_sent
    pair.network.run_for(20.0)
    assert pair.a.channels.association.statistics.packets_sent == sent  # nobody answers an answer
    here = pair.a.open("x", negotiated=True, stream_id=77)
    there = pair.b.open("x", negotiated=True, stream_id=77)
    pair.a.say(here, "hello")
    pair.b.say(there, "hello")
    pair.network.run_for(1.0)
    assert pair.a.heard(here) == pair.b.heard(there) == ["hello"]
    pair.close()


def test_a_channel_that_comes_while_its_stream_is_being_reset_opens_after_that() -> None:
    pair = ChannelPair(Link(delay=0.05)).start()
    here = pair.a.open("alone", negotiated=True, stream_id=77)
    pair.a.close_channel(here)
    pair.network.run_for(0.06)
    there = pair.b.open("late", negotiated=True, stream_id=77)
    assert there not in {event.channel for event in pair.b.told(ChannelOpened)}
    pair.network.run_for(1.0)
    assert pair.a.closed(here)
    assert there in {event.channel for event in pair.b.told(ChannelOpened)}
    assert not pair.b.closed(there)
    again = pair.a.open("again", negotiated=True, stream_id=77)
    pair.b.say(there, "hello")
    pair.network.run_for(1.0)
    assert pair.a.heard(again) == ["hello"]
    pair.b.close_channel(there)
    pair.network.run_until(lambda: pair.a.closed(again) and pair.b.closed(there), 2.0)
    pair.close()


def test_two_that_reset_a_stream_without_a_channel_come_to_an_end() -> None:
    pair = ChannelPair().start()
    ends = (pair.a, pair.b)
    for end in ends:
        end.raw(8, 999, b"what is this?")
    pair.network.run_for(5.0)
    sent = [end.channels.association.statistics.packets_sent for end in ends]
    pair.network.run_for(20.0)
    assert [end.channels.association.statistics.packets_sent for end in ends] == sent
    for end in ends:
        assert not end.channels._awaited
        assert not end.channels._resetting
    pair.close()


def test_limits_are_announced_and_kept() -> None:
    pair = ChannelPair(Link(delay=0.01, loss=0.3), 7).start()
    here, there = pair.connected("lossy", max_retransmits=0)
    timed, _ = pair.connected("timed", max_packet_life_time=20, ordered=False)
    announced = pair.b.told(ChannelAnnounced)
    assert [(event.max_retransmits, event.max_packet_life_time) for event in announced] == [(0, None), (None, 20)]
    for n in range(200):
        pair.a.say(here, str(n))
        pair.a.say(timed, b"t" * 500)
        pair.network.run_for(0.005)
    pair.close()
    numbers = [int(text) for text in pair.b.heard(there)]
    assert numbers == sorted(set(numbers))
    assert 80 < len(numbers) < 200


def test_a_closed_channel_s_stream_is_used_again() -> None:
    pair = ChannelPair(options=SctpOptions(streams=4)).start()
    for n in range(20):
        here, there = pair.connected(str(n))
        pair.a.say(here, f"message {n}")
        (pair.a if n % 2 else pair.b).close_channel(here if n % 2 else there)
        pair.network.run_until(lambda: pair.a.closed(here) and pair.b.closed(there))  # noqa: B023
        assert pair.b.heard(there) == [f"message {n}"]
    pair.close()


def test_both_may_close_a_channel_at_once() -> None:
    pair = ChannelPair(Link(delay=0.01, loss=0.1), 4).start()
    here, there = pair.connected()
    pair.a.close_channel(here)
    pair.b.close_channel(there)
    pair.network.run_until(lambda: pair.a.closed(here) and pair.b.closed(there))
    assert not pair.a.told(ChannelClosing)
    pair.close()


def test_a_channel_that_the_peer_closes_tells_so_first() -> None:
    pair = ChannelPair().start()
    here, there = pair.connected()
    pair.a.close_channel(here)
    pair.network.run_until(lambda: pair.b.closed(there))
    assert [type(event) for event in pair.b.events[-2:]] == [ChannelClosing, ChannelClosed]
    pair.b.close_channel(there)  # nothing is left to close
    assert pair.b.channels.stream_id(there) is None
    assert pair.b.channels.buffered_amount(there) == 0


def test_what_waits_is_counted_and_told_when_it_sinks() -> None:
    pair = ChannelPair().start()
    here, _ = pair.connected()
    assert not pair.a.told(BufferedAmountLow)
    pair.a.channels.set_low_threshold(here, 100_000)
    for _ in range(5):
        pair.a.say(here, bytes(100_000))
    assert pair.a.channels.buffered_amount(here) > 400_000
    pair.network.run_until(lambda: pair.a.told(BufferedAmountLow))
    assert pair.a.channels.buffered_amount(here) <= 100_000
    pair.close()
    assert pair.a.told(BufferedAmountLow) == [BufferedAmountLow(here)]


def test_a_batch_of_records_is_handled_as_one() -> None:
    pair = ChannelPair().start()
    here, there = pair.connected()
    packets: list[bytes] = []
    pair.network.detach(pair.b.address)
    pair.network.attach(pair.b.address, lambda data, *_: packets.append(data))
    pair.a.say(here, bytes(9_000))
    pair.network.run_for(0.015)
    before = pair.network.traffic.sent
    pair.b.run(lambda now: pair.b.channels.handle_batch(packets, now))
    assert pair.network.traffic.sent == before + 1
    assert pair.b.heard(there) == [bytes(9_000)]


def test_what_cannot_be_is_refused() -> None:
    pair = ChannelPair().start()
    for wrong in (
        {"negotiated": True},
        {"negotiated": True, "stream_id": 65_535},
        {"max_retransmits": 1, "max_packet_life_time": 1},
        {"label": "x" * 65_536},
    ):
        with pytest.raises(InvalidAccessError):
            pair.a.open(**wrong)
    pair.a.open(negotiated=True, stream_id=4)
    with pytest.raises(OperationError):
        pair.a.open(negotiated=True, stream_id=4)
    assert len(pair.a.channels) == 1


def test_a_message_longer_than_the_peer_takes_is_refused() -> None:
    """SC-5."""
    pair = ChannelPair().start()
    here, _ = pair.connected()
    pair.a.channels.set_remote(5000, 1000)
    pair.a.say(here, bytes(1000))
    with pytest.raises(MessageTooLargeError):
        pair.a.say(here, bytes(1001))


def test_when_no_stream_is_left_a_channel_cannot_be_opened() -> None:
    pair = ChannelPair(options=SctpOptions(streams=4)).start()
    pair.a.open("one")
    pair.a.open("two")
    with pytest.raises(OperationError):
        pair.a.open("three")
    assert len(pair.a.channels) == 2


def test_when_no_stream_is_left_at_the_connection_a_channel_is_closed() -> None:
    pair = ChannelPair(options=SctpOptions(streams=4))
    channels = [pair.a.open(str(n)) for n in range(3)]
    pair.start()
    closed = pair.a.closed(channels[2])
    assert closed is not None
    assert isinstance(closed.error, OperationError)


def test_an_abort_closes_every_channel_with_the_error() -> None:
    pair = ChannelPair().start()
    here, there = pair.connected()
    error = OperationError("gone")
    pair.a.run(lambda now: pair.a.channels.abort(now, error))
    assert pair.a.closed(here) == ChannelClosed(here, error)
    pair.network.run_until(lambda: pair.b.closed(there))
    closed = pair.b.closed(there)
    assert closed is not None
    assert closed.error is not None
    with pytest.raises(InvalidStateError):
        pair.a.open("again")


# -- SC-6


def opened(pair: ChannelPair, stream_id: int) -> bool:
    """Whether b answered with an ACK, or has a channel on that stream."""
    return any(event.stream_id == stream_id for event in pair.b.told(ChannelAnnounced))


@pytest.mark.parametrize(
    ("stream_id", "message"),
    [
        (1, encode_open(OpenMessage("odd is the server's"))),
        (65_534, encode_open(OpenMessage("x"))[:-1]),
        (4, b"\x03\0\0\0\0\0\0\0\xff\xff\0\0short"),
        (4, encode_open(OpenMessage("x")) + b"longer"),
        (4, b"\x09"),
        (4, encode_ack()),
    ],
)
def test_a_wrong_open_is_answered_by_closing_and_no_ack(stream_id: int, message: bytes) -> None:
    """SC-6: wrong parity, lengths past the end, an unknown message, an ACK without an OPEN."""
    pair = ChannelPair().start()
    before = pair.a.channels.association.statistics.messages_received
    pair.a.raw(stream_id, DCEP, message)
    pair.network.run_for(3.0)
    assert not opened(pair, stream_id)
    assert pair.a.channels.association.statistics.messages_received == before
    assert pair.b.channels.association.idle
    pair.a.raw(stream_id, DCEP, message)  # the stream was reset and is used anew: nothing is left of it
    pair.close()


def test_an_open_on_a_used_stream_closes_that_channel() -> None:
    """SC-6."""
    pair = ChannelPair().start()
    _, there = pair.connected()
    stream_id = pair.b.channels.stream_id(there)
    assert stream_id is not None
    pair.a.raw(stream_id, DCEP, encode_open(OpenMessage("again")))
    pair.network.run_until(lambda: pair.b.closed(there))
    closed = pair.b.closed(there)
    assert closed is not None
    assert isinstance(closed.error, RemoteProtocolError)
    assert len(pair.b.told(ChannelAnnounced)) == 1


def test_an_open_on_the_reserved_stream_gets_no_channel() -> None:
    """SC-6: 65535 (RFC 8832 section 6). No stream has that number, so SCTP itself reports it."""
    pair = ChannelPair().start()
    stream = pair.a.channels.association._life.outbound.queue.stream(65_535)
    message = OutgoingMessage(stream, DCEP, encode_open(OpenMessage("x")), True)
    pair.a.run(lambda _: pair.a.channels.association._life.outbound.send(message))
    pair.network.run_for(1.0)
    assert not pair.b.told(ChannelAnnounced)
    assert pair.b.channels.is_established
    pair.connected("still working")


@pytest.mark.parametrize("ppid", [0, 49, BINARY_PARTIAL, STRING_PARTIAL, 55, 58, 2**32 - 1])
def test_an_unknown_payload_protocol_closes_the_channel(ppid: int) -> None:
    """SC-6; also the two deprecated ones."""
    pair = ChannelPair().start()
    here, there = pair.connected()
    stream_id = pair.a.channels.stream_id(here)
    assert stream_id is not None
    pair.a.raw(stream_id, ppid, b"what")
    pair.network.run_until(lambda: pair.b.closed(there) and pair.a.closed(here))
    assert not pair.b.told(MessageReceived)
    pair.close()


def test_an_ack_on_a_channel_of_the_peer_s_closes_it() -> None:
    """SC-6."""
    pair = ChannelPair().start()
    here, there = pair.connected()
    stream_id = pair.a.channels.stream_id(here)
    assert stream_id is not None
    pair.a.raw(stream_id, DCEP, encode_ack())
    pair.network.run_until(lambda: pair.b.closed(there))


def test_a_message_on_a_stream_without_a_channel_is_dropped_and_released() -> None:
    pair = ChannelPair().start()
    pair.a.raw(8, BINARY, bytes(50_000))
    pair.network.run_for(1.0)
    assert not pair.b.told(MessageReceived)
    assert pair.b.channels.association.statistics.receive_window == SctpOptions().receive_window


@pytest.mark.parametrize("size", [1, 2, 50_000])
def test_what_comes_in_place_of_an_empty_message_is_released_with_it(size: int) -> None:
    """RFC 8831 section 6.6: one byte, of whatever value; a peer that sends more gets all of its window back."""
    pair = ChannelPair().start()
    here, there = pair.connected()
    stream_id = pair.a.channels.stream_id(here)
    assert stream_id is not None
    for _ in range(10):
        pair.a.raw(stream_id, STRING_EMPTY, bytes(size))
    pair.network.run_for(1.0)
    assert pair.b.heard(there) == [""] * 10
    assert pair.b.channels.association.statistics.receive_window == SctpOptions().receive_window


def test_a_peer_can_open_so_many_channels_and_no_more() -> None:
    """SC-5: the others are closed without an ACK."""
    pair = ChannelPair().start()
    for n in range(1024 + 50):
        pair.a.open(str(n))
        if n % 100 == 0:
            pair.network.run_for(0.2)
    pair.network.run_for(10.0)
    assert len(pair.b.told(ChannelAnnounced)) == len(pair.b.channels) == 1024
    assert len(pair.a.channels) == 1024
    assert len(pair.a.told(ChannelClosed)) == 50
