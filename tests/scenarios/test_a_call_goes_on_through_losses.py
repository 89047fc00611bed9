"""Sound and pictures through a link that loses, delays, reorders and repeats packets: what a user sees and hears of it.

Each runs for a minute of virtual time with 20 seeds, and with 25 ms each way.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from icelane.core.clock import Instant, later
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.playout import Conceal, Decode, Playout
from tests.media.call import OPUS, OPUS_WITHOUT_FEC, VP8, Call, Faults, film, number_of_frame, opus_frame, talk

SECONDS = 60
SEEDS = range(20)
LOSSY = Faults(loss=0.05, jitter=0.005)


def longest_gap(playouts: list[tuple[Instant, Playout]]) -> float:
    """The longest time that was concealed in a row, in seconds."""
    longest = gap = 0
    for _, playout in playouts:
        gap = gap + playout.duration if isinstance(playout, Conceal) and not playout.silence else 0
        longest = max(longest, gap)
    return longest / 48_000


def played(call: Call) -> list[int]:
    """The frames that were decoded, by their number."""
    return [
        int.from_bytes(playout.frame.data[2:5], "big") for _, playout in call.playouts if isinstance(playout, Decode)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_sound_has_no_gap_above_60_ms_at_5_percent_loss(seed: int) -> None:
    call = Call(OPUS, seed=seed, there=LOSSY, back=LOSSY)
    talk(call, SECONDS)
    counts = call.inbound.statistics
    assert longest_gap(call.playouts) <= 0.060
    assert counts.concealed_samples <= 0.01 * counts.total_samples_received
    assert counts.jitter_buffer_delay <= 0.06 * counts.jitter_buffer_emitted_count
    assert played(call) == sorted(set(played(call)))


@pytest.mark.parametrize("seed", SEEDS)
def test_pictures_freeze_for_3_percent_of_the_time_at_most_at_5_percent_loss(seed: int) -> None:
    call = Call(VP8, seed=seed, there=LOSSY, back=LOSSY)
    sent = film(call, SECONDS)
    counts = call.inbound.statistics
    times = [at for at, _ in call.frames]
    shown = [number_of_frame(frame) for _, frame in call.frames]
    assert counts.total_freezes_duration <= 0.03 * SECONDS
    assert max(after - before for before, after in pairwise(times)) <= 1.0
    assert shown == sorted(set(shown))
    assert len(shown) >= 0.99 * sent
    assert counts.pli_count <= 4
    assert call.outbound.statistics.retransmitted_packets_sent <= 0.15 * call.outbound.statistics.packets_sent


@pytest.mark.parametrize("codec", [OPUS, VP8])
def test_nothing_is_concealed_dropped_or_asked_for_on_a_good_link(codec: RtpCodec) -> None:
    call = Call(codec)
    if codec.kind is MediaKind.AUDIO:
        talk(call, SECONDS)
        assert played(call) == list(range(len(played(call))))
    else:
        assert film(call, SECONDS) == len(call.frames)
    counts = call.inbound.statistics
    assert (counts.concealed_samples, counts.frames_dropped, counts.packets_discarded) == (0, 0, 0)
    assert (counts.nack_count, counts.pli_count, counts.freeze_count) == (0, 0, 0)
    assert (counts.inserted_samples_for_deceleration, counts.removed_samples_for_acceleration) == (0, 0)
    assert call.outbound.remote.packets_lost == 0
    assert call.outbound.remote.round_trip_time == pytest.approx(0.05, abs=0.001)


def test_packets_that_overtake_each_other_and_come_twice_are_heard_once_and_in_order() -> None:
    faults = Faults(jitter=0.04, duplication=0.1, reordering=0.1)
    call = Call(OPUS, there=faults)
    talk(call, SECONDS)
    counts = call.inbound.statistics
    assert played(call) == sorted(set(played(call)))
    assert counts.concealed_samples <= 0.005 * counts.total_samples_received
    call = Call(VP8, there=faults)
    sent = film(call, SECONDS)
    shown = [number_of_frame(frame) for _, frame in call.frames]
    assert shown == sorted(set(shown))
    assert len(shown) >= 0.99 * sent


def test_a_bad_link_is_slow_and_goes_on() -> None:
    faults = Faults(loss=0.2, jitter=0.02, duplication=0.02, reordering=0.02)
    call = Call(VP8, there=faults, back=faults)
    sent = film(call, SECONDS)
    assert len(call.frames) >= 0.8 * sent
    call = Call(OPUS_WITHOUT_FEC, there=faults, back=faults)
    talk(call, SECONDS)
    assert len(played(call)) >= 0.75 * SECONDS / 0.02


@pytest.mark.parametrize("codec", [OPUS, VP8])
def test_after_a_link_was_down_for_three_seconds_the_call_goes_on(codec: RtpCodec) -> None:
    down = Faults(hold=lambda _count, now: None if 1020 <= now < 1023 else 0.0)
    call = Call(codec, there=down, back=down)
    if codec.kind is MediaKind.AUDIO:
        talk(call, 40)
        heard = [at for at, playout in call.playouts if isinstance(playout, Decode)]
    else:
        film(call, 40)
        heard = [at for at, _ in call.frames]
    assert any(1023 <= at <= 1023.5 for at in heard)
    assert not any(1020.5 <= at < 1023 for at in heard)
    assert max(heard) >= 1039.9


def test_a_link_that_stalls_delays_sound_for_a_while_only() -> None:
    """Half a second of packets piles up and comes at once, as WLAN does it."""
    stall = Faults(hold=lambda _count, now: max(1020.5 - now, 0.0) if 1020 <= now < 1020.5 else 0.0)
    call = Call(OPUS, there=stall)
    talk(call, SECONDS)
    counts = call.inbound.statistics
    delays = [at - 1000 - 0.02 * number - 0.025 for at, number in _heard_at(call)]
    assert max(delays) <= 0.65
    assert delays[-1] <= 0.12
    assert counts.concealed_samples <= 0.7 * 48_000
    assert len(set(played(call))) >= SECONDS / 0.02 * 0.97


def _heard_at(call: Call) -> list[tuple[Instant, int]]:
    return [
        (at, int.from_bytes(playout.frame.data[2:5], "big"))
        for at, playout in call.playouts
        if isinstance(playout, Decode)
    ]


def test_a_stream_without_retransmission_of_its_own_is_repaired_as_well() -> None:
    call = Call(VP8, rtx=False, there=LOSSY, back=LOSSY)
    sent = film(call, SECONDS)
    assert len(call.frames) >= 0.99 * sent
    assert call.inbound.statistics.total_freezes_duration <= 0.03 * SECONDS


def test_numbers_go_round_without_anybody_noticing() -> None:
    call = Call(VP8)
    sent = film(call, 220, size=12_000)
    assert call.outbound.statistics.packets_sent > 1 << 16
    assert len(call.frames) == sent
    assert call.outbound.remote.packets_lost == 0


@pytest.mark.parametrize("drift", [-0.0005, 0.0005])
def test_a_sender_whose_clock_is_off_is_followed(drift: float) -> None:
    """Ten times as much as clocks are off: the delay stays, and a frame is inserted or left out now and then."""
    call = Call(OPUS, there=Faults(jitter=0.005))
    start = call.now
    for number in range(12_000):
        call.run_until(later(start, number * 0.02 * (1 + drift)))
        call.send(opus_frame(number))
    counts = call.inbound.statistics
    delays = [
        at - start - 0.02 * (1 + drift) * number - 0.025 for at, number in _heard_at(call)[len(call.playouts) // 2 :]
    ]
    assert max(delays) < 0.09
    assert min(delays) > 0.0
    assert counts.concealed_samples + counts.removed_samples_for_acceleration <= 12 * 960
