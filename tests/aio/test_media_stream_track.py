"""Tracks: what programs derive from and what they read."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, TrackFrame, VideoStreamTrack
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.errors import MediaStreamError
from icelane.media.codec import MediaKind
from icelane.media.pyav import av
from tests.loops import Run


def test_silence_comes_in_frames_of_20_ms(run: Run) -> None:
    async def scenario() -> None:
        track, loop = AudioStreamTrack(), asyncio.get_running_loop()
        start = loop.time()
        frames = [await track.recv() for _ in range(4)]
        assert 0.055 < loop.time() - start < 0.5
        sounds = [frame for frame in frames if isinstance(frame, av.AudioFrame)]
        assert [(sound.pts, sound.samples, sound.sample_rate) for sound in sounds] == [
            (index * 160, 160, 8_000) for index in range(4)
        ]
        assert not any(any(bytes(sound.planes[0])) for sound in sounds)

    run(scenario())


def test_pictures_come_30_a_second(run: Run) -> None:
    async def scenario() -> None:
        track = VideoStreamTrack()
        frames = [await track.recv() for _ in range(3)]
        pictures = [frame for frame in frames if isinstance(frame, av.VideoFrame)]
        assert [(picture.pts, picture.width, picture.height) for picture in pictures] == [
            (index * 3_000, 640, 480) for index in range(3)
        ]

    run(scenario())


def test_a_track_of_a_program_has_its_own_recv(run: Run) -> None:
    class Counter(VideoStreamTrack):
        async def recv(self) -> TrackFrame:
            pts, time_base = await self.next_timestamp()
            frame = av.VideoFrame(16, 16, "rgb24")
            frame.pts, frame.time_base = pts, time_base
            return frame

    async def scenario() -> None:
        track = Counter()
        await track.recv()
        frame = await track.recv()
        assert isinstance(frame, av.VideoFrame)
        assert frame.pts == 3_000

    run(scenario())


def test_the_end_of_a_track_is_told_once_and_ends_recv(run: Run) -> None:
    async def scenario() -> None:
        for track in (AudioStreamTrack(), VideoStreamTrack(), RemoteStreamTrack(MediaKind.AUDIO)):
            told = list[str]()
            track.on("ended", lambda told=told: told.append("on"))
            track.onended = lambda event, told=told: told.append(event.type)
            states: list[str] = [track.readyState]
            track.stop()
            track.stop()
            assert [*states, track.readyState] == ["live", "ended"]
            assert told == ["on", "ended"]
            assert not track.has_listener("ended")
            with pytest.raises(MediaStreamError):
                await track.recv()

    run(scenario())


def test_stopping_a_track_ends_whoever_waits_for_it(run: Run) -> None:
    async def scenario() -> None:
        for track in (AudioStreamTrack(), VideoStreamTrack(), RemoteStreamTrack(MediaKind.VIDEO)):
            if not isinstance(track, RemoteStreamTrack):
                await track.recv()
            waiting = asyncio.ensure_future(track.recv())
            await asyncio.sleep(0)
            track.stop()
            with pytest.raises(MediaStreamError):
                await waiting

    run(scenario())


def test_a_source_that_slept_goes_on_from_now(run: Run) -> None:
    async def scenario() -> None:
        track, loop = AudioStreamTrack(), asyncio.get_running_loop()
        await track.recv()
        assert track._pace._start is not None
        track._pace._start -= 60  # as if a minute had gone by
        start = loop.time()
        for _ in range(3):
            await track.recv()
        assert loop.time() - start > 0.035

    run(scenario())


def test_a_track_has_an_identifier_of_its_own() -> None:
    assert MediaStreamTrack().id != MediaStreamTrack().id
    assert UUID(MediaStreamTrack().id).version == 4
    assert RemoteStreamTrack(MediaKind.AUDIO, "given").id == "given"


def test_a_track_without_recv_says_so(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(NotImplementedError):
            await MediaStreamTrack().recv()

    run(scenario())


def test_a_remote_track_is_muted_until_something_comes(run: Run) -> None:
    async def scenario() -> None:
        track, told = RemoteStreamTrack(MediaKind.VIDEO, policy="latest"), list[str]()
        track.on("mute", lambda: told.append("mute"))
        track.on("unmute", lambda: told.append("unmute"))
        assert (track.kind, track.muted) == ("video", True)
        frames = [av.VideoFrame(16, 16, "yuv420p") for _ in range(3)]
        track.set_unmuted()
        assert not track.muted
        await track.deliver(frames[0])
        assert track.deliver_nowait(frames[1])
        assert await track.recv() is frames[1]
        assert track.dropped == 1
        track.set_muted()
        assert track.deliver_nowait(frames[0])  # a late one
        assert told == ["unmute", "mute"]
        track.stop()
        assert not track.deliver_nowait(frames[2])

    run(scenario())
