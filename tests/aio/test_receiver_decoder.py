"""What a receiver's decoder makes of frames, losses and pauses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from icelane.aio.media_worker import MediaWorkers
from icelane.aio.receiver_decoder import DecoderCounts, ReceiverDecoder, Work
from icelane.core.clock import Instant, UnixSeconds
from icelane.media.capture_time import CaptureTime, capture_time_of
from icelane.media.codec import MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.codecs.capability import G722, OPUS, PCMU, VP8
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings, MediaFrame
from icelane.media.frame import EncodedFrame
from icelane.media.playout import Conceal, Decode, DecodeForwardErrorCorrection
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone, tone
from tests.aio.calls import encoded_pictures
from tests.loops import Run

CODECS = tuple(
    NegotiatedCodec(codec=codec, payload_type=96 + number) for number, codec in enumerate((OPUS, PCMU, G722, VP8))
)
FIRST = 4_294_960_000  # 32 bits end soon behind it


class Decoding:
    """One decoder with the codecs above, by 96 and on."""

    def __init__(self, kind: MediaKind) -> None:
        self.counts = DecoderCounts()
        self._workers = MediaWorkers(1)
        self.decoder = ReceiverDecoder(kind, lambda: CODECS, default_registry(), self._workers.lane(), self.counts)

    async def decode(self, work: Sequence[Work]) -> list[MediaFrame]:
        frames, _ = await self.decoder.decode(work)
        return frames

    async def close(self) -> None:
        await self.decoder.close()
        await self._workers.close()


def encoded(codec: RtpCodec, payload_type: int, count: int, *, loss: float = 0.0) -> list[EncodedFrame]:
    encoder = default_registry().encoder(codec, EncoderSettings(bitrate=32_000, packet_loss=loss))
    source = tone(500, rate=48_000, channels=1)
    frames = [one for index in range(count) for one in encoder.encode(source.frame(index * 960, 960))]
    for one in frames:
        one.payload_type = payload_type
        one.timestamp = one.timestamp + FIRST & 0xFFFFFFFF
    return frames


def sounds(frames: list[MediaFrame]) -> list[av.AudioFrame]:
    return [frame for frame in frames if isinstance(frame, av.AudioFrame)]


def test_what_was_captured_at_a_known_time_says_so_and_what_is_made_up_does_not(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        frame, skipped = encoded(OPUS, 96, 2)
        frame.captured_at = skipped.captured_at = UnixSeconds(1_000.0)
        work: list[Work] = [Decode(frame), Conceal(960), Decode(skipped, skipped=480)]
        decoded, _ = await decoding.decoder.decode(work, "alice")
        times = [capture_time_of(sound) for sound in sounds(decoded)]
        assert times == [CaptureTime("alice", UnixSeconds(1_000.0)), None, None]
        (unnamed,) = sounds(await decoding.decode([Decode(frame)]))
        assert capture_time_of(unnamed) is None
        await decoding.close()

    run(main())


def test_pictures_say_when_they_were_captured(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.VIDEO)
        (frame,) = encoded_pictures(1)
        frame.payload_type, frame.captured_at, frame.rotation = 99, UnixSeconds(5.0), 90
        ((picture,), _) = await decoding.decoder.decode([frame], "alice")
        assert isinstance(picture, av.VideoFrame)
        assert capture_time_of(picture) == CaptureTime("alice", UnixSeconds(5.0))
        await decoding.close()

    run(main())


def test_a_lost_frame_is_made_up_for_and_times_have_no_gap(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        frames = encoded(OPUS, 96, 20, loss=0.3)
        work: list[Work] = [Decode(frame) for frame in frames]
        work[8] = DecodeForwardErrorCorrection(frames[9], 960)
        work[12] = Conceal(960)
        heard = sounds(await decoding.decode(work))
        assert [frame.pts for frame in heard] == [index * 960 for index in range(20)]
        assert measure_tone(heard[4:]).frequency == pytest.approx(500, rel=0.03)
        assert decoding.counts.frames_decoded == 18
        assert decoding.counts.total_samples_duration == pytest.approx(0.36)
        await decoding.close()

    run(main())


@pytest.mark.parametrize(("codec", "payload_type", "rate"), [(PCMU, 97, 8_000), (G722, 98, 16_000)])
def test_times_count_samples_whatever_the_clock_rate(run: Run, codec: RtpCodec, payload_type: int, rate: int) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        frames = encoded(codec, payload_type, 10)
        work: list[Work] = [Decode(frame) for frame in frames]
        work[5] = Conceal(160)
        heard = sounds(await decoding.decode(work))
        assert {frame.sample_rate for frame in heard} == {rate}
        assert [frame.pts for frame in heard] == [index * rate // 50 for index in range(len(heard))]
        await decoding.close()

    run(main())


def test_the_codec_may_change_from_frame_to_frame(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        one, other = encoded(OPUS, 96, 5), encoded(PCMU, 97, 6)
        heard = sounds(await decoding.decode([Decode(frame) for frame in (*one, *other)]))
        assert [frame.sample_rate for frame in heard] == [48_000] * 5 + [8_000] * 5
        times = [float(frame.pts * frame.time_base) for frame in heard if frame.pts is not None and frame.time_base]
        assert times == sorted(times)
        assert times[-1] == pytest.approx(0.18, abs=0.045)
        await decoding.close()

    run(main())


def test_before_anything_came_there_is_nothing_to_conceal_and_an_unknown_type_is_passed_over(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        unknown = EncodedFrame(data=b"\xf8" + bytes(9), timestamp=0, payload_type=5)
        assert await decoding.decode([Conceal(960), Decode(unknown), DecodeForwardErrorCorrection(unknown, 960)]) == []
        await decoding.close()

    run(main())


def test_sound_that_does_not_decode_is_concealed(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.AUDIO)
        frames = encoded(OPUS, 96, 6)
        frames[3].data = b"\xff" * 3  # a count of frames that are not there
        heard = sounds(await decoding.decode([Decode(frame) for frame in frames]))
        assert sum(frame.samples for frame in heard) == 6 * 960
        assert decoding.counts.failures == 1
        await decoding.close()

    run(main())


def test_pictures_that_do_not_decode_are_told_of_and_those_behind_them_are_left(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.VIDEO)
        frames = encoded_pictures(6)
        for frame in frames:
            frame.payload_type = 99
        frames[2].data = b"\x00\x00"
        seen, has_failed = await decoding.decoder.decode(frames)
        assert has_failed
        assert [read_card(one) for one in seen if isinstance(one, av.VideoFrame)] == [0, 1]
        assert decoding.counts.failures == 1
        assert decoding.counts.key_frames_decoded == 1
        await decoding.close()

    run(main())


def test_a_camera_that_is_held_on_its_side_gives_pictures_that_stand(run: Run) -> None:
    async def main() -> None:
        decoding = Decoding(MediaKind.VIDEO)
        frames = encoded_pictures(2)
        for frame in frames:
            frame.payload_type, frame.rotation = 99, 90
        pictures = [one for one in await decoding.decode(frames) if isinstance(one, av.VideoFrame)]
        assert {(one.width, one.height) for one in pictures} == {(120, 160)}
        assert [one.pts for one in pictures] == [0, 1_800]
        await decoding.close()

    run(main())


def test_what_was_shown_is_counted_with_its_distances_and_pauses() -> None:
    counts = DecoderCounts()
    for at in (10.0, 10.1, 10.3, 16.3):
        counts.note_shown(Instant(at))
    assert counts.total_inter_frame_delay == pytest.approx(6.3)
    assert counts.total_squared_inter_frame_delay == pytest.approx(0.01 + 0.04 + 36)
    assert counts.pauses == 1
    assert counts.total_pauses_duration == pytest.approx(6.0)
    assert counts.frames_per_second(Instant(16.4)) == 1
