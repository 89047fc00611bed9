"""The two forms of what packets of media pass through count, keep and wait alike."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant
from icelane.media.payload.packetizer import Fragment
from icelane.rtp.packet import RtpPacket
from tests.twin.twins import pure_form, running_form

pytestmark = pytest.mark.twin


def forms(name: str) -> tuple[ModuleType, ModuleType]:
    return running_form(name), pure_form(name)


RECEPTION, MISSING = forms("icelane.media.reception"), forms("icelane.media.missing_packets")
HISTORY, FRAMES = forms("icelane.media.packet_history"), forms("icelane.media.frame_buffer")
DELAY, PACKETIZER = forms("icelane.media.arrival_delay"), forms("icelane.media.payload.packetizer")
VP8 = forms("icelane.media.payload.vp8")

steps = st.lists(st.tuples(st.integers(-1100, 3100), st.integers(0, 0xFFFFFFFF), st.floats(0, 0.5)), max_size=40)


@given(first=st.integers(0, 0xFFFF), arrivals=steps)
def test_numbers_and_losses_are_counted_alike(first: int, arrivals: list[tuple[int, int, float]]) -> None:
    """A number may lie up to 1,023 behind the highest one, which is more places than a machine word has."""
    told: list[list[object]] = []
    for module in RECEPTION:
        source, now, number = module.Reception(7, 90_000), Instant(1.0), first
        told.append([])
        for step, timestamp, seconds in arrivals:
            now, number = Instant(now + seconds), number + step
            extended = source.receive(number & 0xFFFF, timestamp, now)
            told[-1] += [extended, extended >= 0 and source.mark(extended), source.extended(number & 0xFFFF)]
        told[-1] += [source.report_block(now), source.packets_lost, source.jitter, source.restarts, source.highest]
    assert told[0] == told[1]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.floats(0, 0.2)), max_size=40))
def test_missing_packets_are_asked_for_alike(actions: list[tuple[str, int, float]]) -> None:
    told: list[list[object]] = []
    for module in MISSING:
        missing, now = module.MissingPackets(), Instant(1.0)
        told.append([])
        for action, number, seconds in actions:
            now = Instant(now + seconds)
            if action == "a":
                missing.add(number, number + 5, now)
            elif action == "b":
                told[-1].append(missing.arrived(number, now))
            elif action == "c":
                missing.repaired(number, now)
            elif action == "d":
                missing.forget_before(number)
            else:
                told[-1].append(missing.due(now))
            told[-1] += [len(missing), missing.next_at, missing.round_trip, missing.reordering]
    assert told[0] == told[1]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 3000), st.floats(0, 0.7)), max_size=40))
def test_histories_keep_the_same_packets(sent: list[tuple[int, int, float]]) -> None:
    told: list[list[object]] = []
    for module in HISTORY:
        history, now = module.PacketHistory(), Instant(1.0)
        told.append([])
        for number, size, seconds in sent:
            now = Instant(now + seconds)
            history.keep([RtpPacket(96, number, 0, 1, bytes(size)), RtpPacket(96, number ^ 1, 0, 1, b"x")], now)
            told[-1] += [len(history), history.size]
        for number, _, _ in sent:
            found = history.take(number, 0.05, now)
            told[-1].append(found and (found.sequence_number, len(found.payload)))
    assert told[0] == told[1]


pieces = st.tuples(st.integers(0, 30), st.booleans(), st.booleans(), st.booleans(), st.floats(0, 0.3))


@given(st.lists(pieces, max_size=60))
def test_frames_come_out_alike(arrivals: list[tuple[int, bool, bool, bool, float]]) -> None:
    told: list[list[object]] = []
    for module in FRAMES:
        buffer, now = module.FrameBuffer(90_000), Instant(1.0)
        told.append([])
        for number, begins, ends, is_key, seconds in arrivals:
            now = Instant(now + seconds)
            packet = RtpPacket(96, number, 0, 1, b"x", ends)
            fragment = Fragment((b"x",), begins, is_key=is_key or None)
            told[-1].append(buffer.insert(number, number // 3 * 3000, packet, fragment, now))
            buffer.handle_timeout(now)
            while (frame := buffer.take(now)) is not None:
                numbers = [one.sequence_number for one in frame.packets]
                told[-1].append((frame.timestamp, numbers, frame.is_key, frame.follows_gap, frame.play_at))
            told[-1] += [len(buffer), buffer.next_at, buffer.frames_dropped, buffer.lacks_key_frame(now)]
            told[-1] += [buffer.first_wanted, buffer.delay(now), buffer.wants_key_frame]
    assert told[0] == told[1]


@given(st.lists(st.tuples(st.integers(-200_000, 1 << 33), st.floats(0, 3)), max_size=60))
def test_delays_are_estimated_alike(arrivals: list[tuple[int, float]]) -> None:
    told: list[list[object]] = []
    for module in DELAY:
        delay, now = module.ArrivalDelay(90_000, 0.95), Instant(1.0)
        told.append([])
        for timestamp, seconds in arrivals:
            now = Instant(now + seconds)
            lateness = delay.learn(timestamp, now)
            delay.was_late(lateness / 2, now)
            told[-1] += [lateness, delay.expected(timestamp), delay.needed(now)]
    assert told[0] == told[1]


@given(data=st.binary(max_size=400), room=st.integers(32, 90), payload=st.binary(max_size=12))
def test_payloads_are_written_and_read_alike(data: bytes, room: int, payload: bytes) -> None:
    first, second = (module.Vp8Packetizer(0x7FFF).packetize(data, room) for module in VP8)
    assert first == second
    assert PACKETIZER[0].even_spans(3, 3 + len(data), room) == PACKETIZER[1].even_spans(3, 3 + len(data), room)
    told = []
    for module in VP8:
        try:
            told.append(repr(module.Vp8Depacketizer().parse(payload)))
        except Exception as error:
            told.append(f"{type(error).__name__}: {error}")
    assert told[0] == told[1]
