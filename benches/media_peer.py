"""One end of a call, over a library of somebody's: `python -m benches.media_peer LIBRARY SIGNALING_FD`.

`media.py` starts two, and gives them a socket to tell each other descriptions and candidates. Each is asked on its
standard input; the one that is told to `open` is the offerer, and sends:

    {"do": "open", "kind", "streams", "profile"} -> {}        `profile`: the only one of SRTP that it offers, or ""
    {"do": "expect", "kind", "profile"}          -> {}        the other end, before
    {"do": "counts"}                             -> {...}     what came since it was asked last: see `_do_counts`
    {"do": "close"}                              -> {}        each end

Kinds: `packets` are pictures that are encoded already, 10 packets of 1200 bytes in each, and are not decoded; `large`
are the same with 50 packets in each; `opus` a tone; `720p` pictures that move; `clock` pictures with the clock of this
machine in them, whose age is measured when they are read.

aiortc is given what it lacks: a receiver that does not decode, and packets of 1200 bytes instead of 1300.

Standard library, PyAV and that one library only, but for the clock, whose pictures are ours in all cases.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
import time
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from benches.peer_end import Aiortc, End, Json, Library, serve

# Pictures are as large as those of a stream with 2.9 Mbit/s, or 14.4 Mbit/s, at 30 a second, and come more often.
PACKET_SIZE, PACKETS_PER_SECOND = 1200, 2000
PACKETS_PER_PICTURE = {"packets": 10, "large": 50}
# The beginning of a key frame of VP8 with 640 by 480 (RFC 6386 section 9.1); what follows is never decoded.
KEY_FRAME = bytes.fromhex("1000009d012a8002e001")
ROOM_FOR_HEADERS = 60
CLOCK_RATE = 90_000
TICKS_PER_SECOND = 100_000
"""Of the clock in the pictures."""


def clock() -> int:
    """The time that all processes of this machine share."""
    return int(time.monotonic() * TICKS_PER_SECOND) & 0xFFFFFFFF


class Pace:
    """Says when the next of `rate` things a second is due."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began_at: float | None = None
        self.index = -1

    async def reach_next(self) -> int:
        """Wait for it; its number. What is late is not caught up by more than a tenth of a second."""
        now = time.monotonic()
        if self._began_at is None or now - self._began_at - (self.index + 1) / self._rate > 0.1:
            self._began_at = now - (self.index + 1) / self._rate
        self.index += 1
        await asyncio.sleep(max(0.0, self._began_at + self.index / self._rate - now))
        return self.index


def sources(library: MediaLibrary, kind: str) -> Callable[[], Any]:
    """What makes a track of `kind` for that library."""
    av = importlib.import_module("av")
    base: Any = library.track_class()

    class Packets(base):  # type: ignore[misc]  # a class of somebody's
        kind = "video"
        codec = library.vp8()

        def __init__(self) -> None:
            super().__init__()
            self._rate = PACKETS_PER_SECOND // PACKETS_PER_PICTURE[kind]
            self._pace = Pace(self._rate)
            self._payload = library.payload(PACKETS_PER_PICTURE[kind])

        async def recv(self) -> Any:
            index = await self._pace.reach_next()
            return library.encoded(self._payload, index * CLOCK_RATE // self._rate)

    class Opus(base):  # type: ignore[misc]  # as above
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._pace = Pace(50)
            wave = array("h", [round(8_000 * math.sin(2 * math.pi * 440 * i / 48_000)) for i in range(960)])
            self._sound = array("h", [value for value in wave for _ in range(2)]).tobytes()

        async def recv(self) -> Any:
            index = await self._pace.reach_next()
            frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
            frame.planes[0].update(self._sound)
            frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 960, Fraction(1, 48_000)
            return frame

    class Pictures(base):  # type: ignore[misc]  # as above
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self._pace = Pace(30)
            self._cycle = [_moving(av, 1280, 720, index) for index in range(30)] if kind == "720p" else []
            self._draw = library.draw_card if kind == "clock" else None

        async def recv(self) -> Any:
            index = await self._pace.reach_next()
            frame = self._draw(640, 480, clock()) if self._draw is not None else self._cycle[index % 30]
            frame.pts, frame.time_base = index * CLOCK_RATE // 30, Fraction(1, CLOCK_RATE)
            return frame

    made: Callable[[], Any] = {"packets": Packets, "large": Packets, "opus": Opus}.get(kind, Pictures)
    return made


def _moving(av: Any, width: int, height: int, index: int) -> Any:
    """A gradient that moves by 8 pixels in each picture."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        line = bytes((x + 8 * index) & 0xFF for x in range(plane.line_size + plane.height))
        plane.update(b"".join(line[y : y + plane.line_size] for y in range(plane.height)))
    return frame


class MediaLibrary:
    """What libraries differ in beyond `Library`; as it stands, icelane."""

    def __init__(self) -> None:
        self._icelane: Any = importlib.import_module("icelane")
        self._frame: Any = importlib.import_module("icelane.media.frame").EncodedFrame
        self.data: Library = Library()
        cards: Any = importlib.import_module("icelane.media.synthetic.clock_card")
        self.draw_card: Callable[..., Any] = cards.draw_card
        self.read_card: Callable[..., int | None] = cards.read_card

    def track_class(self) -> type:
        found: type = self._icelane.MediaStreamTrack
        return found

    def vp8(self) -> Any:
        return importlib.import_module("icelane.media.codecs.capability").VP8

    def payload(self, packets: int) -> bytes:
        """A picture that fills so many packets."""
        return KEY_FRAME + bytes(packets * (PACKET_SIZE - ROOM_FOR_HEADERS) - len(KEY_FRAME))

    def encoded(self, payload: bytes, timestamp: int) -> Any:
        return self._frame(data=payload, timestamp=timestamp, is_key=True)

    def use_profile(self, name: str) -> None:
        """Offer and accept this profile of SRTP alone."""
        options = importlib.import_module("icelane.dtls.options")
        options.DtlsOptions.__init__.__kwdefaults__["srtp_profiles"] = (options.SrtpProfile[name],)

    def leave_encoded(self) -> None:
        """Decode nothing; here that is what happens to a track that nobody reads."""

    async def take_encoded(self, connection: Any, track: Any) -> None:
        """Take what comes, without decoding."""
        receiver = next(one for one in connection.getReceivers() if one.track is track)
        async for _ in receiver.encoded_frames():
            pass

    async def received(self, connection: Any) -> int:
        """Packets of media."""
        return sum(one.packetsReceived for one in (await connection.getStats()).of_type("inbound-rtp"))


class AiortcMedia(MediaLibrary):
    """aiortc, with our clock."""

    def __init__(self) -> None:
        self._aiortc: Any = importlib.import_module("aiortc")
        self._av: Any = importlib.import_module("av")
        self.data = Aiortc()
        source = str(Path(__file__).parents[1] / "src")
        sys.path.append(source)
        try:
            cards: Any = importlib.import_module("icelane.media.synthetic.clock_card")
        finally:
            sys.path.remove(source)
        self.draw_card = cards.draw_card
        self.read_card = cards.read_card
        importlib.import_module("aiortc.codecs.vpx").PACKET_MAX = PACKET_SIZE - ROOM_FOR_HEADERS  # type: ignore[attr-defined]

    def track_class(self) -> type:
        found: type = self._aiortc.MediaStreamTrack
        return found

    def vp8(self) -> Any:
        return None

    def payload(self, packets: int) -> bytes:
        return KEY_FRAME + bytes(packets * (PACKET_SIZE - ROOM_FOR_HEADERS - 8) - len(KEY_FRAME))

    def encoded(self, payload: bytes, timestamp: int) -> Any:
        packet = self._av.Packet(payload)
        packet.pts, packet.time_base = timestamp, Fraction(1, CLOCK_RATE)
        return packet

    def use_profile(self, name: str) -> None:
        transport: Any = importlib.import_module("aiortc.rtcdtlstransport")
        transport.SRTP_PROFILES[:] = [getattr(transport, "SRTP_" + name.replace("_HMAC", ""))]

    def leave_encoded(self) -> None:
        receiver: Any = importlib.import_module("aiortc.rtcrtpreceiver")
        receiver.get_decoder = lambda _: _NoDecoder()

    async def take_encoded(self, connection: Any, track: Any) -> None:
        del connection
        while True:
            await track.recv()

    async def received(self, connection: Any) -> int:
        found = (await connection.getStats()).values()
        return sum(one.packetsReceived for one in found if one.type == "inbound-rtp")


class _NoDecoder:
    def decode(self, _frame: Any) -> list[Any]:
        return []


LIBRARIES: dict[str, Callable[[], MediaLibrary]] = {"icelane": MediaLibrary, "aiortc": AiortcMedia}


class CallEnd(End):
    """One call after the other."""

    def __init__(self, library: MediaLibrary, writer: asyncio.StreamWriter) -> None:
        super().__init__(library.data, writer)
        self._media = library
        self._kind = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._frames = 0
        self._ages: list[float] = []
        self._packets = 0

    # What is asked

    async def _do_expect(self, kind: str, profile: str) -> Json:
        self._prepare(kind, profile)
        return {}

    async def _do_open(self, kind: str, streams: int, profile: str) -> Json:
        self._prepare(kind, profile)
        self._connect()
        make = sources(self._media, kind)
        for _ in range(streams):
            self._connection.addTrack(make())
        await self._offer()
        return {}

    async def _do_counts(self) -> Json:
        """Frames that were decoded, their ages in milliseconds, and packets of the wire: since the last time."""
        packets = await self._media.received(self._connection)
        found = {"frames": self._frames, "ages": self._ages, "packets": packets - self._packets}
        self._frames, self._ages, self._packets = 0, [], packets
        return found

    async def _do_close(self) -> Json:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._library.close(self._connection)
        return {}

    # What comes

    def _prepare(self, kind: str, profile: str) -> None:
        self._kind = kind
        self._frames, self._ages, self._packets = 0, [], 0
        if profile:
            self._media.use_profile(profile)
        if kind in PACKETS_PER_PICTURE:
            self._media.leave_encoded()

    def _connect(self) -> None:
        super()._connect()
        self._connection.on("track")(self._take)

    def _take(self, event: Any) -> None:
        track = getattr(event, "track", event)
        taking = (
            self._media.take_encoded(self._connection, track)
            if self._kind in PACKETS_PER_PICTURE
            else self._read(track)
        )
        self._tasks.append(asyncio.ensure_future(taking))

    async def _read(self, track: Any) -> None:
        while True:
            frame = await track.recv()
            self._frames += 1
            if self._kind == "clock":
                now, number = clock(), self._media.read_card(frame)
                if number is not None:
                    self._ages.append((now - number & 0xFFFFFFFF) * 1000 / TICKS_PER_SECOND)


if __name__ == "__main__":
    open_library = LIBRARIES[sys.argv[1]]
    asyncio.run(serve(lambda writer: CallEnd(open_library(), writer), int(sys.argv[2])))
