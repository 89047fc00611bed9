"""A track that says what it is given, and what is heard pause by pause."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Iterator

import pytest

from icelane.aio.media.speech import MAX_UNHEARD, MAX_UTTERANCE, MAX_WAITING, SPEECH_RATE, SpeechTrack, utterances
from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, TrackFrame, VideoStreamTrack
from icelane.errors import InvalidAccessError, InvalidStateError, LocalProtocolError, MediaStreamError
from icelane.media.pyav import av
from icelane.media.synthetic.sound import Sound, measure_tone, tone
from tests.loops import Run

SECOND = 2 * SPEECH_RATE  # bytes


class Recorded(MediaStreamTrack):
    """Gives frames as fast as they are asked for, and then ends."""

    kind = "audio"

    def __init__(self, frames: Iterator[av.AudioFrame]) -> None:
        super().__init__()
        self._frames = frames

    async def recv(self) -> TrackFrame:
        frame = next(self._frames, None)
        if frame is None:
            raise MediaStreamError("that was all")
        return frame


def scene(*parts: tuple[float, bool], rate: int = 48_000) -> Iterator[av.AudioFrame]:
    """Seconds of voice (True) and of silence, in stereo frames of 20 ms."""
    voice, silence = tone(300, level=-15, rate=rate), Sound(array("h", bytes(2 * rate)), rate=rate, channels=2)
    position = 0
    for seconds, is_voice in parts:
        for _ in range(round(seconds * 50)):
            yield (voice if is_voice else silence).frame(position, rate // 50)
            position += rate // 50


async def heard_in(*parts: tuple[float, bool], pause: float = 0.5) -> list[float]:
    """How long each utterance is, in seconds."""
    return [len(heard) / SECOND async for heard in utterances(Recorded(scene(*parts)), pause=pause)]


def test_it_says_what_it_is_given_and_is_silent_between(run: Run) -> None:
    async def scenario() -> None:
        track = SpeechTrack()
        first = await track.recv()
        track.say(b"\1\2" * 480)
        track.say(b"\3\4" * 240)
        assert track.waiting == pytest.approx(0.03)
        frames = [first, *[await track.recv() for _ in range(3)]]
        sounds = [frame for frame in frames if isinstance(frame, av.AudioFrame)]
        assert [bytes(sound.planes[0])[:960] for sound in sounds] == [
            bytes(960),
            b"\1\2" * 480,
            b"\3\4" * 240 + bytes(480),
            bytes(960),
        ]
        assert [(sound.pts, sound.sample_rate, sound.samples) for sound in sounds] == [
            (index * 480, SPEECH_RATE, 480) for index in range(4)
        ]
        await track.said()

    run(scenario())


def test_frames_of_any_kind_are_said_and_left_as_they_are(run: Run) -> None:
    async def scenario() -> None:
        track, given = SpeechTrack(16_000), list(scene((0.2, True), rate=44_100))
        times = [frame.pts for frame in given]
        track.say(given)
        assert track.waiting == pytest.approx(0.2, abs=0.002)
        assert [frame.pts for frame in given] == times
        said = [await track.recv() for _ in range(8)]
        measured = measure_tone(frame for frame in said if isinstance(frame, av.AudioFrame))
        assert measured.frequency == pytest.approx(300, rel=0.02)
        assert measured.level == pytest.approx(-15, abs=1)

    run(scenario())


def test_whoever_is_interrupted_is_silent(run: Run) -> None:
    async def scenario() -> None:
        track = SpeechTrack()
        track.say(bytes(10 * SECOND))
        waiting = asyncio.ensure_future(track.said())
        await asyncio.sleep(0)
        assert not waiting.done()
        track.hush()
        await waiting
        assert track.waiting == 0

    run(scenario())


def test_a_track_that_has_ended_says_nothing_and_keeps_nobody_waiting(run: Run) -> None:
    async def scenario() -> None:
        track = SpeechTrack()
        track.say(bytes(SECOND))
        waiting = asyncio.ensure_future(track.said())
        await asyncio.sleep(0)
        track.stop()
        with pytest.raises(MediaStreamError):
            await waiting
        with pytest.raises(MediaStreamError):
            track.say(b"\0\0")
        with pytest.raises(MediaStreamError):
            await track.recv()

    run(scenario())


def test_what_cannot_be_said_is_refused_and_changes_nothing(run: Run) -> None:
    async def scenario() -> None:
        track = SpeechTrack()
        with pytest.raises(InvalidAccessError, match="16 bits"):
            track.say(b"\0")
        track.say(bytes(round(MAX_WAITING) * SECOND))
        with pytest.raises(InvalidStateError, match="600 s"):
            track.say(b"\0\0")
        assert track.waiting == MAX_WAITING

    run(scenario())


@pytest.mark.parametrize("rate", [0, 7_999, 11_025, 96_000])
def test_a_rate_without_whole_frames_is_refused(rate: int, run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(LocalProtocolError):
            SpeechTrack(rate)
        with pytest.raises(LocalProtocolError):
            await anext(utterances(AudioStreamTrack(), rate=rate))

    run(scenario())


def test_each_utterance_is_heard_once_with_its_soft_beginning_and_without_the_pause(run: Run) -> None:
    async def scenario() -> None:
        lengths = await heard_in((1.0, False), (0.6, True), (1.0, False), (0.4, True), (0.7, False))
        assert lengths == pytest.approx([0.8, 0.6], abs=0.05)

    run(scenario())


def test_a_short_pause_is_part_of_what_is_said(run: Run) -> None:
    async def scenario() -> None:
        assert await heard_in((0.6, True), (0.3, False), (0.6, True), (0.6, False)) == pytest.approx([1.5], abs=0.05)
        assert len(await heard_in((0.6, True), (0.3, False), (0.6, True), (0.6, False), pause=0.2)) == 2

    run(scenario())


def test_a_click_is_no_word_and_silence_none(run: Run) -> None:
    async def scenario() -> None:
        assert await heard_in((0.5, False), (0.02, True), (1.0, False)) == []
        assert await heard_in((2.0, False)) == []

    run(scenario())


def test_what_is_said_when_the_track_ends_is_heard(run: Run) -> None:
    async def scenario() -> None:
        assert await heard_in((0.5, True)) == pytest.approx([0.5], abs=0.05)

    run(scenario())


def test_who_never_pauses_is_heard_in_pieces(run: Run) -> None:
    async def scenario() -> None:
        lengths = await heard_in((MAX_UTTERANCE + 10, True))
        assert lengths == pytest.approx([MAX_UTTERANCE, 10], abs=0.1)

    run(scenario())


def test_it_is_told_when_somebody_begins_to_speak(run: Run) -> None:
    async def scenario() -> None:
        order: list[str] = []
        note = order.append
        track = Recorded(scene((0.5, True), (1.0, False), (0.5, True), (1.0, False)))
        async for _ in utterances(track, began=lambda: note("began")):
            note("heard")
        assert order == ["began", "heard"] * 2

    run(scenario())


def test_pictures_are_no_utterances(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(LocalProtocolError):
            await anext(utterances(VideoStreamTrack()))

    run(scenario())


class Live(Recorded):
    """Lets others run before each frame, and tells whether somebody waits for one."""

    def __init__(self, frames: Iterator[av.AudioFrame]) -> None:
        super().__init__(frames)
        self.listeners = 0
        self.asked, self.ended = asyncio.Event(), asyncio.Event()

    async def recv(self) -> TrackFrame:
        self.listeners += 1
        self.asked.set()
        try:
            await asyncio.sleep(0)
            return await super().recv()
        except MediaStreamError:
            self.ended.set()
            raise
        finally:
            self.listeners -= 1


def test_it_listens_while_the_consumer_thinks(run: Run) -> None:
    """Who interrupts a long answer is noticed at once, and what he says is not lost."""

    async def scenario() -> None:
        began, second = 0, asyncio.Event()

        def begin() -> None:
            nonlocal began
            began += 1
            if began == 2:
                second.set()

        heard = []
        async for one in utterances(Live(scene((0.5, True), (1.0, False), (0.6, True), (1.0, False))), began=begin):
            heard.append(len(one) / SECOND)
            await asyncio.wait_for(second.wait(), 10)  # thinks until somebody interrupts
        assert heard == pytest.approx([0.5, 0.8], abs=0.05)

    run(scenario())


def test_what_nobody_takes_is_bounded_and_the_oldest_goes(run: Run) -> None:
    async def scenario() -> None:
        pieces = round(MAX_UNHEARD / MAX_UTTERANCE) + 2
        track = Live(scene((0.5, True), (1.0, False), (pieces * MAX_UTTERANCE, True)))
        lengths = []
        async for heard in utterances(track):
            lengths.append(len(heard) / SECOND)
            await track.ended.wait()
        assert sum(lengths[1:]) <= MAX_UNHEARD
        assert len(lengths) == pieces - 1

    run(scenario())


def test_nobody_listens_after_the_last_consumer(run: Run) -> None:
    async def scenario() -> None:
        track = Live(scene((0.5, True), (1.0, False), (3600.0, False)))
        hearing = utterances(track)
        assert isinstance(hearing, AsyncGenerator)
        await anext(hearing)
        await asyncio.sleep(0)
        assert track.listeners == 1
        await hearing.aclose()
        assert track.listeners == 0

    run(scenario())


def test_who_is_cancelled_while_he_waits_leaves_no_listener(run: Run) -> None:
    async def scenario() -> None:
        track = Live(scene((3600.0, False)))

        async def consume() -> None:
            async for _ in utterances(track):
                pass

        consumer = asyncio.ensure_future(consume())
        await track.asked.wait()
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)
        assert track.listeners == 0

    run(scenario())


def test_what_goes_wrong_in_the_callback_is_the_consumers(run: Run) -> None:
    async def scenario() -> None:
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await anext(utterances(Recorded(scene((0.5, True))), began=fail))

    run(scenario())


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_samples_may_lie_in_any_bytes(kind: type[bytearray] | type[memoryview], run: Run) -> None:
    async def scenario() -> None:
        track = SpeechTrack()
        track.say(kind(b"\1\2" * 480))
        frame = await track.recv()
        assert isinstance(frame, av.AudioFrame)
        assert bytes(frame.planes[0])[:960] == b"\1\2" * 480

    run(scenario())
