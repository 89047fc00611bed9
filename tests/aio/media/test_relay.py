"""One track, several readers."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.media.blackhole import MediaBlackhole
from icelane.aio.media.relay import MediaRelay, RelayStreamTrack
from icelane.aio.media_stream_track import MediaStreamTrack, VideoStreamTrack
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.errors import MediaStreamError
from icelane.media.codec import MediaKind
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from tests.aio.media.files import GivenTrack, pictures
from tests.loops import Run


def frame(number: int) -> EncodedFrame:
    return EncodedFrame(data=b"", timestamp=number)


async def read(track: MediaStreamTrack) -> int:
    got = await track.recv()
    assert isinstance(got, EncodedFrame)
    return got.timestamp


def test_every_reader_gets_every_frame(run: Run) -> None:
    async def scenario() -> None:
        source, relay = RemoteStreamTrack(MediaKind.AUDIO), MediaRelay()
        readers = [relay.subscribe(source) for _ in range(3)]
        waiting = [asyncio.ensure_future(read(reader)) for reader in readers]
        await asyncio.sleep(0)
        for number in range(3):
            source.deliver_nowait(frame(number))
        assert await asyncio.gather(*waiting) == [0, 0, 0]
        assert [[await read(reader) for _ in range(2)] for reader in readers] == [[1, 2]] * 3
        for reader in readers:
            reader.stop()

    run(scenario())


def test_an_unbuffered_reader_gets_the_newest(run: Run) -> None:
    async def scenario() -> None:
        source, relay = RemoteStreamTrack(MediaKind.VIDEO), MediaRelay()
        newest, every = relay.subscribe(source, buffered=False), relay.subscribe(source)
        assert isinstance(newest, RelayStreamTrack)
        waiting = [asyncio.ensure_future(read(reader)) for reader in (newest, every)]
        await asyncio.sleep(0)
        source.deliver_nowait(frame(0))
        await asyncio.gather(*waiting)
        for number in range(1, 6):
            source.deliver_nowait(frame(number))
        assert [await read(every) for _ in range(5)] == [1, 2, 3, 4, 5]
        assert await read(newest) == 5
        assert newest.dropped == 4
        newest.stop()
        every.stop()

    run(scenario())


def test_a_slow_reader_loses_the_oldest_and_memory_is_bounded(run: Run) -> None:
    async def scenario() -> None:
        source, relay = RemoteStreamTrack(MediaKind.AUDIO), MediaRelay()
        reader = relay.subscribe(source)
        assert isinstance(reader, RelayStreamTrack)
        waiting = asyncio.ensure_future(read(reader))
        await asyncio.sleep(0)
        for number in range(300):
            source.deliver_nowait(frame(number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await waiting
        assert len(reader._queue) <= 100
        assert reader.dropped > 100
        reader.stop()

    run(scenario())


def test_the_end_of_the_source_is_the_end_of_every_reader(run: Run) -> None:
    async def scenario() -> None:
        source, relay = GivenTrack(MediaKind.VIDEO, pictures(2)), MediaRelay()
        readers = [relay.subscribe(source), relay.subscribe(source)]

        async def count(reader: MediaStreamTrack) -> int:
            number = 0
            try:
                while True:
                    await reader.recv()
                    number += 1
            except MediaStreamError:
                return number

        assert await asyncio.gather(*map(count, readers)) == [2, 2]
        states: list[str] = [reader.readyState for reader in readers]
        assert states == ["ended", "ended"]
        late = relay.subscribe(source)
        with pytest.raises(MediaStreamError):
            await late.recv()

    run(scenario())


def test_the_source_is_left_alone_when_nobody_reads_and_taken_up_again(run: Run) -> None:
    async def scenario() -> None:
        source, relay = RemoteStreamTrack(MediaKind.AUDIO), MediaRelay()
        first = relay.subscribe(source)
        source.deliver_nowait(frame(0))
        assert await read(first) == 0
        first.stop()
        await asyncio.sleep(0)
        source.deliver_nowait(frame(1))
        await asyncio.sleep(0.01)
        states: list[str] = [source.readyState]
        assert states == ["live"]
        second = relay.subscribe(source)
        assert await read(second) == 1
        second.stop()
        assert not relay._tasks_by_source
        assert not relay._readers_by_source

    run(scenario())


def test_a_blackhole_reads_and_ends(run: Run) -> None:
    async def scenario() -> None:
        hole = MediaBlackhole()
        finite, endless = GivenTrack(MediaKind.VIDEO, pictures(3)), RemoteStreamTrack(MediaKind.AUDIO)
        for track in (finite, endless, endless):
            hole.addTrack(track)
        await hole.start()
        await hole.start()
        endless.deliver_nowait(frame(1))
        await asyncio.sleep(0.02)
        states: list[str] = [finite.readyState, endless.readyState]
        assert states == ["ended", "live"]
        await hole.stop()
        await hole.stop()

    run(scenario())


def test_a_blackhole_lets_go_of_what_has_ended_or_failed(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(VideoStreamTrack):
        async def recv(self) -> av.VideoFrame:
            raise ZeroDivisionError("a mistake")

    async def scenario() -> None:
        hole = MediaBlackhole()
        tracks = GivenTrack(MediaKind.VIDEO, pictures(3)), Broken()
        for track in tracks:
            hole.addTrack(track)
        await hole.start()
        await asyncio.sleep(0.02)
        assert "the video track failed, and is read no more" in caplog.text
        assert not hole._tasks
        await hole.stop()

    run(scenario())
