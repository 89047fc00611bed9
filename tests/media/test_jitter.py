"""Sound: what the decoder is told, packet by packet."""

from __future__ import annotations

import pytest

from icelane.core.clock import NEVER, Instant, later
from icelane.media.frame import EncodedFrame
from icelane.media.jitter import MAX_FRAMES, MAX_SILENCE, START_DELAY, JitterBuffer
from icelane.media.playout import Conceal, Decode, DecodeForwardErrorCorrection, Playout
from icelane.media.statistics import InboundStatistics

pytestmark = pytest.mark.twin

FRAME = 960


class Player:
    """A buffer, fed by packet number and played on a virtual clock."""

    def __init__(self, *, fec: bool = False, redundant: bool = True) -> None:
        self.redundant = redundant
        self.statistics = InboundStatistics()
        self.buffer = JitterBuffer(48_000, self.statistics, duration=FRAME, forward_error_correction=fec)
        self.now = Instant(100.0)
        self.said: list[Playout] = []

    def put(self, number: int, *, timestamp: int | None = None, level: int | None = None) -> bool:
        at = number * FRAME if timestamp is None else timestamp
        frame = EncodedFrame(data=b"x", timestamp=at, duration=FRAME, audio_level=level)
        return self.buffer.insert(number, at, frame, self.now, has_redundancy=self.redundant)

    def wait(self, seconds: float) -> None:
        end = later(self.now, seconds)
        while self.buffer.next_at <= end:
            self.now = max(self.now, self.buffer.next_at)
            self.said += self.buffer.advance(self.now)
        self.now = end

    def put_each(self, numbers: range, *, lost: tuple[int, ...] = (), level: int | None = None) -> None:
        for number in numbers:
            if number not in lost:
                self.put(number, level=level)
            self.wait(0.02)

    @property
    def words(self) -> list[str]:
        return [word(one) for one in self.said]


def word(one: Playout) -> str:
    match one:
        case Decode():
            return str(one.frame.timestamp // FRAME)
        case DecodeForwardErrorCorrection():
            return f"fec{one.frame.timestamp // FRAME - 1}"
        case Conceal():
            return "pause" if one.silence else "conceal"


def test_frames_are_played_one_behind_the_other() -> None:
    player = Player()
    player.put_each(range(10))
    player.wait(0.02)
    assert player.words == [str(number) for number in range(9)]
    assert player.statistics.concealed_samples == 0
    assert player.statistics.jitter_buffer_delay / player.statistics.jitter_buffer_emitted_count == pytest.approx(
        START_DELAY
    )


def test_packets_in_wrong_order_are_played_in_theirs() -> None:
    player = Player()
    for number in (1, 0, 3, 2):
        player.put(number)
    player.wait(0.1)
    assert player.words[:4] == ["0", "1", "2", "3"]


def test_a_lost_packet_is_made_up_for_by_the_next_one() -> None:
    player = Player(fec=True)
    player.put_each(range(10), lost=(4,))
    player.wait(0.02)
    assert player.words == ["0", "1", "2", "3", "fec4", "5", "6", "7", "8"]
    assert player.statistics.fec_samples == FRAME
    assert player.statistics.concealed_samples == 0


def test_of_several_lost_packets_only_the_last_is() -> None:
    player = Player(fec=True)
    player.buffer.minimum_delay = 0.1
    player.put_each(range(20), lost=(8, 9, 10))
    assert player.words[7:13] == ["7", "conceal", "conceal", "fec10", "11", "12"]
    assert player.statistics.concealment_events == 1


def test_without_forward_error_correction_it_is_concealed() -> None:
    player = Player()
    player.put_each(range(10), lost=(4,))
    assert player.words[3:6] == ["3", "conceal", "5"]
    assert player.statistics.concealed_samples == FRAME
    assert player.statistics.silent_concealed_samples == 0


def test_where_the_next_packet_has_no_redundancy_it_is_concealed() -> None:
    """An encoder may send FEC for what it takes to be speech alone, though FEC was agreed on."""
    player = Player(fec=True, redundant=False)
    player.put_each(range(10), lost=(4,))
    assert player.words[3:6] == ["3", "conceal", "5"]
    assert player.statistics.concealed_samples == FRAME
    assert player.statistics.fec_samples == 0


def test_a_pause_of_the_source_is_no_loss() -> None:
    """DTX: timestamps go on, sequence numbers do not."""
    player = Player(fec=True)
    player.put_each(range(5))
    player.wait(0.4)
    player.put(5, timestamp=25 * FRAME)
    player.wait(0.04)
    assert player.words[:5] == ["0", "1", "2", "3", "4"]
    assert player.words[-2:] == ["pause", "25"] or player.words[-1] == "25"
    assert "fec24" not in player.words
    counts = player.statistics
    assert counts.silent_concealed_samples == counts.concealed_samples == 20 * FRAME
    assert counts.jitter_buffer_delay / counts.jitter_buffer_emitted_count == pytest.approx(START_DELAY, abs=0.001)


def test_a_frame_that_is_late_is_played_and_the_delay_has_grown() -> None:
    player = Player()
    player.put_each(range(10))
    player.wait(0.1)
    for number in range(10, 16):
        player.put(number)
    player.put_each(range(16, 60))
    played = [one for one in player.words if one != "conceal"]
    assert player.statistics.removed_samples_for_acceleration <= FRAME
    assert len(set(map(str, range(50))) - set(played)) <= 1
    assert player.buffer.delay(player.now) > 0.08
    assert player.words.count("conceal") <= 6


def test_the_delay_comes_down_again_slowly() -> None:
    player = Player()
    player.put_each(range(10))
    player.wait(0.1)
    for number in range(10, 16):
        player.put(number)
    player.put_each(range(16, 2000))
    counts = player.statistics
    assert player.buffer.delay(player.now) < 0.03
    assert 0 < counts.removed_samples_for_acceleration <= 6 * FRAME
    assert counts.concealed_samples <= 6 * FRAME


def test_silence_is_left_out_rather_than_sound() -> None:
    player = Player()
    player.buffer.minimum_delay = 0.2
    player.put_each(range(50), level=20)
    player.buffer.minimum_delay = 0.0
    player.put_each(range(50, 60), level=20)
    before = player.statistics.removed_samples_for_acceleration
    player.put_each(range(60, 100), level=90)
    player.put_each(range(100, 160), level=90)
    skipped = [one for one in player.said if isinstance(one, Decode) and one.skipped]
    assert player.statistics.removed_samples_for_acceleration - before >= 5 * FRAME
    assert all(one.skipped == FRAME for one in skipped)


def test_more_delay_that_is_asked_for_is_inserted_in_silence() -> None:
    player = Player()
    player.put_each(range(20), level=90)
    player.buffer.synchronization_delay = 0.2
    player.put_each(range(20, 300), level=90)
    played = [one for one in player.said if isinstance(one, Decode)]
    assert player.statistics.inserted_samples_for_deceleration >= 6 * FRAME
    assert [one.frame.timestamp // FRAME for one in played] == list(range(len(played)))


def test_after_a_stall_what_has_piled_up_is_passed_over() -> None:
    player = Player()
    player.put_each(range(50))
    player.wait(1.5)
    for number in range(50, 125):
        player.put(number)
    player.put_each(range(125, 400))
    counts = player.statistics
    behind = player.now - player.buffer.expected(int(player.words[-1]) * FRAME)
    assert behind < 1.1
    assert counts.removed_samples_for_acceleration > 0
    assert player.words[-1] not in ("conceal", "pause")


def test_after_a_long_silence_nothing_is_said_until_a_packet_comes() -> None:
    player = Player()
    player.put_each(range(5))
    player.wait(10.0)
    assert player.buffer.next_at == NEVER
    assert len(player.said) <= 6 + MAX_SILENCE / 0.02
    said = len(player.said)
    player.put_each(range(5, 10))
    player.wait(0.02)
    assert player.words[said:] == ["5", "6", "7", "8"]


def test_a_media_clock_that_jumps_begins_anew() -> None:
    player = Player()
    player.put_each(range(20))
    for number in range(20, 40):
        player.put(number, timestamp=10**9 + number * FRAME)
        player.wait(0.02)
    assert [one for one in player.words if one not in ("conceal", "pause")][-5:] == [
        str((10**9 + number * FRAME) // FRAME) for number in range(33, 38)
    ]
    for number in range(40, 60):
        player.put(number, timestamp=number * FRAME)
        player.wait(0.02)
    assert player.words[-1] == "57"


def test_a_straggler_changes_nothing() -> None:
    player = Player()
    player.put_each(range(100))
    before = player.buffer.delay(player.now)
    assert not player.put(10)
    assert player.buffer.delay(player.now) == before
    player.put_each(range(100, 110))
    assert "conceal" not in player.words


def test_a_packet_that_is_no_sound_is_not_missing() -> None:
    player = Player(fec=True)
    player.put_each(range(5))
    for number in (5, 6):
        player.buffer.skip(number)
        player.wait(0.02)
    player.put(7)
    player.wait(0.06)
    assert "fec6" not in player.words
    assert player.statistics.fec_samples == 0


def test_what_waits_is_bounded() -> None:
    player = Player()
    for number in range(MAX_FRAMES + 50):
        player.put(number)
        assert len(player.buffer) <= MAX_FRAMES
    assert not player.put(MAX_FRAMES)


def test_a_program_that_was_suspended_does_not_catch_up() -> None:
    player = Player()
    player.put_each(range(5))
    player.now = later(player.now, 30.0)
    assert len(player.buffer.advance(player.now)) <= 60
