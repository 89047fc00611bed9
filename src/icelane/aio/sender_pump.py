"""What a sender does while it may send: take frames from its track, encode them, and give them to the engine.

    track.recv() -> pace, frame rate -> queue -> encoder on a thread -> timestamps -> engine
                 -> EncodedFrame, RtpPacket  ------------------------------------->

Of pictures only the newest waits for the encoder, so that a slow one leaves frames out instead of being late. What is
encoded already goes past the queue and is never left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from icelane.aio.frame_pace import FramePace, FrameRateLimit, TimestampMapper
from icelane.aio.frame_queue import FrameQueue
from icelane.aio.media_port import MediaPort
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.rtp_parameters import linear_level
from icelane.aio.sender_encoder import EncoderCounts, EncoderWish, SenderEncoder
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant
from icelane.errors import IcelaneError, MediaStreamError
from icelane.media.codec import MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.codecs.matching import matches
from icelane.media.frame import EncodedFrame
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.transceiver import Transceiver
from icelane.rtp.packet import RtpPacket

if TYPE_CHECKING:
    from icelane.media.pyav import av

_log = logging.getLogger(__name__)

# Sound that waits for its encoder: a second in frames of 20 ms. At the bound the oldest is dropped.
MAX_WAITING_SOUND: Final = 50
# Pictures are counted over the last second, and no more of them.
_RATE_WINDOW: Final[Duration] = 1.0
MAX_RATE: Final = 240

Decoded: TypeAlias = "av.AudioFrame | av.VideoFrame"


@dataclass(slots=True)
class SourceCounts:
    """RTCMediaSourceStats of the track: pictures, or the level and energy of sound, 0 to 1."""

    frames: int = 0
    width: int = 0
    height: int = 0
    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: Duration = 0.0
    arrivals: deque[Instant] = field(default_factory=lambda: deque(maxlen=MAX_RATE))

    def note_picture(self, width: int, height: int, now: Instant) -> None:
        """A picture came."""
        self.frames += 1
        self.width, self.height = width, height
        self.arrivals.append(now)

    def note_sound(self, level: int | None, duration: Duration) -> None:
        """A piece of sound was encoded; `level` is in -dBov."""
        self.audio_level = linear_level(level) or 0.0
        self.total_audio_energy += self.audio_level**2 * duration
        self.total_samples_duration += duration

    def frames_per_second(self, now: Instant) -> int:
        """Pictures of the last second."""
        return sum(now - at < _RATE_WINDOW for at in self.arrivals)


class SenderPump:
    """One sender's. `wish` says what the encoder is to aim at, and how many pictures a second may go out."""

    def __init__(
        self,
        port: MediaPort,
        transceiver: Transceiver,
        wish: Callable[[], EncoderWish],
    ) -> None:
        self.source = SourceCounts()
        self.counts = EncoderCounts()
        self.force_key_frame = False
        self._port = port
        self._transceiver = transceiver
        self._wish = wish
        self._rate_limit = FrameRateLimit(lambda: wish().frame_rate)
        self._track: MediaStreamTrack | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._mapper: TimestampMapper | None = None
        self._failures = 0
        # What was found for a track that is encoded already: the same for every packet, until it is negotiated anew.
        self._passed: tuple[RtpParameters | None, RtpCodec, NegotiatedCodec | None] | None = None
        self._sent_at: deque[Instant] = deque(maxlen=MAX_RATE)

    def frames_per_second(self, now: Instant) -> int:
        """Pictures that went out in the last second."""
        return sum(now - at < _RATE_WINDOW for at in self._sent_at)

    @property
    def is_limited(self) -> bool:
        """Whether the peer takes less than the encoder would give."""
        limit, target = self._wish().limit, self.counts.target_bitrate
        return limit is not None and target is not None and target >= limit

    def follow(self, track: MediaStreamTrack | None) -> None:
        """Send this track from now on; None: nothing."""
        if track is self._track:
            return
        self._stop()
        self._track = track
        if track is not None:
            self._task = asyncio.create_task(self._run(track), name=f"sender of {track.kind}")

    async def close(self) -> None:
        """Stop, and wait until nothing of it is left."""
        self._stop()
        self._track = None
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _run(self, track: MediaStreamTrack) -> None:
        is_video = track.kind == "video"
        if self._mapper is not None:
            self._mapper.begin()
        queue: FrameQueue[tuple[Decoded, Instant, bool]]
        queue = FrameQueue("latest") if is_video else FrameQueue("drop-oldest", capacity=MAX_WAITING_SOUND)
        reading = asyncio.create_task(self._read(track, queue), name=f"reader of {track.kind}")
        encoder = _Encoding(self._port, self._wish, self.counts)
        try:
            while True:
                try:
                    frame, captured_at, begins_anew = await queue.get()
                except MediaStreamError:
                    return
                await self._encode(encoder, frame, captured_at, begins_anew=begins_anew)
        except IcelaneError as error:
            if not self._port.is_closed:
                _log.warning("nothing of the %s track is sent any more: %s", track.kind, error)
        finally:
            reading.cancel()
            queue.close(discard=True)
            await asyncio.gather(reading, encoder.close(), return_exceptions=True)

    # Reading

    async def _read(self, track: MediaStreamTrack, queue: FrameQueue[tuple[Decoded, Instant, bool]]) -> None:
        pace = FramePace()
        try:
            while True:
                frame: object = await track.recv()
                if isinstance(frame, EncodedFrame):
                    self._send_encoded(track, frame)
                elif isinstance(frame, RtpPacket):
                    self._send_packet(track, frame)
                else:
                    await self._pass_on(frame, pace, queue)  # type: ignore[arg-type]  # PyAV's, by recv's contract
        except MediaStreamError:
            return
        except Exception:
            _log.exception("the %s track failed, and is sent no more", track.kind)
        finally:
            queue.close()

    async def _pass_on(self, frame: Decoded, pace: FramePace, queue: FrameQueue[tuple[Decoded, Instant, bool]]) -> None:
        now = monotonic()
        width, height = getattr(frame, "width", 0), getattr(frame, "height", 0)
        if width:
            self.source.note_picture(width, height, now)
        time = pace.time_of(frame)
        begins_anew, wait = pace.follow(time, now)
        if wait > 0:
            await asyncio.sleep(wait)
        if width and not self._rate_limit.admits(time) and not begins_anew:
            return
        if self._is_wanted:
            await queue.put((frame, now, begins_anew))

    @property
    def _is_wanted(self) -> bool:
        return self._transceiver.sends and self._port.is_ready

    # Encoding

    async def _encode(self, encoder: _Encoding, frame: Decoded, captured_at: Instant, *, begins_anew: bool) -> None:
        codec = self._port.sent_codec(self._transceiver)
        if codec is None:
            return
        force, self.force_key_frame = self.force_key_frame, False
        try:
            if await encoder.prepare(codec, begins_anew=begins_anew):
                self._begin_timestamps(codec)
            encoded = await encoder.encode(frame, force_key_frame=force)
            self._failures = 0
        except IcelaneError as error:
            self._failures += 1
            if self._port.is_closed:
                raise
            if self._failures == 1:
                _log.warning("a frame for %s was not encoded: %s", codec.codec.mime_type, error)
            return
        except Exception:  # an encoder of the program's, or a frame that a library cannot take
            self._failures += 1
            if self._failures == 1:
                _log.exception("a frame for %s was not encoded", codec.codec.mime_type)
            return
        if self._port.sent_codec(self._transceiver) != codec:
            return  # an exchange has chosen another meanwhile
        if force and not any(one.is_key for one in encoded):
            self.force_key_frame = True
        mapper = self._mapper
        for one in encoded:
            if codec.codec.kind is MediaKind.AUDIO:
                self.source.note_sound(one.audio_level, one.duration / codec.codec.clock_rate)
            if mapper is not None:
                one.timestamp = mapper.map(one.timestamp, monotonic())
            with suppress(IcelaneError):  # such as a codec that was negotiated away meanwhile
                if self._port.send_frame(self._transceiver, one, captured_at):
                    self._sent_at.append(monotonic())

    def _begin_timestamps(self, codec: NegotiatedCodec) -> None:
        if self._mapper is None or self._mapper.clock_rate != codec.codec.clock_rate:
            self._mapper = TimestampMapper(codec.codec.clock_rate)
        self._mapper.begin()

    # What is encoded already

    def _send_encoded(self, track: MediaStreamTrack, frame: EncodedFrame) -> None:
        codec = self._passed_codec(track)
        if codec is None or not self._is_wanted:
            return
        now = monotonic()
        if self._mapper is None or self._mapper.clock_rate != codec.codec.clock_rate:
            self._begin_timestamps(codec)
        if self._mapper is not None:
            frame = frame.sent_as(codec.payload_type, self._mapper.map(frame.timestamp, now))
        with suppress(IcelaneError):
            self._port.send_frame(self._transceiver, frame, now)

    def _send_packet(self, track: MediaStreamTrack, packet: RtpPacket) -> None:
        codec = self._passed_codec(track)
        if codec is None or not self._is_wanted:
            return
        with suppress(IcelaneError):
            self._port.send_packet(self._transceiver, packet, codec)

    def _passed_codec(self, track: MediaStreamTrack) -> NegotiatedCodec | None:
        """What was negotiated for a track that says what it is encoded as; the codec in use where it does not say."""
        if track.codec is None:
            return self._port.sent_codec(self._transceiver)
        negotiated = self._transceiver.negotiated
        wanted = track.codec
        if self._passed is not None and self._passed[0] is negotiated and self._passed[1] is wanted:
            return self._passed[2]
        found = [one for one in negotiated.send_codecs if matches(one.codec, wanted)] if negotiated is not None else []
        if not found and negotiated is not None and not self._failures:
            self._failures += 1
            _log.warning("the peer takes no %s, and nothing of the track is sent", wanted.mime_type)
        codec = found[0] if found else None
        self._passed = negotiated, wanted, codec
        return codec


class _Encoding:
    """The encoder of a pump, which another codec or another source replaces."""

    def __init__(self, port: MediaPort, wish: Callable[[], EncoderWish], counts: EncoderCounts) -> None:
        self._port = port
        self._wish = wish
        self._counts = counts
        self._encoder: SenderEncoder | None = None

    async def prepare(self, codec: NegotiatedCodec, *, begins_anew: bool) -> bool:
        """Have an encoder of `codec`; whether it is a new one. Raises NotSupportedError, OperationError."""
        encoder = self._encoder
        if encoder is not None and encoder.codec == codec and not begins_anew:
            return False
        await self.close()
        self._encoder = SenderEncoder(codec, self._port.registry, self._port.lane(), self._wish(), self._counts)
        return True

    async def encode(self, frame: Decoded, *, force_key_frame: bool) -> list[EncodedFrame]:
        """See SenderEncoder; `prepare` comes before."""
        if self._encoder is None:
            return []
        return await self._encoder.encode(frame, self._wish(), force_key_frame=force_key_frame)

    async def close(self) -> None:
        """Let the encoder go."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            await encoder.close()
