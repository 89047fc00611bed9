"""What a receiver does with what comes: decode it for its track, hand it out encoded, or leave it.

    engine -> pictures, instructions about sound -> backlog -> decoder on a thread -> track's queue -> recv()
                                                 -> encoded_frames()
           -> packets                            -> rtp_packets()

Nothing is decoded for a track that nobody reads. What came last waits in the backlog. Who begins to read gets what is
new, so that sound and pictures begin together: what is older is decoded, because later frames need it, and not shown.
When the backlog of pictures has overflowed meanwhile, a key frame is asked for then. A track that was read and is left
with a full queue for IDLE_TIME is treated in the same way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from icelane.aio.frame_queue import FrameQueue, QueuePolicy
from icelane.aio.media_port import MediaPort
from icelane.aio.media_stream_track import TrackFrame
from icelane.aio.receiver_decoder import DecoderCounts, ReceiverDecoder, Work
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant
from icelane.errors import IcelaneError, MediaStreamError
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.frame import EncodedFrame
from icelane.media.playout import Decode
from icelane.peer.transceiver import Transceiver
from icelane.rtp.packet import RtpPacket

_log = logging.getLogger(__name__)

# What waits for a track that nobody reads yet: two seconds of either kind. Of sound the oldest is dropped at the bound,
# of pictures all, for those behind a gap are of no use.
MAX_BACKLOG: Final = {MediaKind.AUDIO: 100, MediaKind.VIDEO: 60}
# Frames that wait for whoever reads `encoded_frames`, and packets for `rtp_packets`; dropped in the same way.
MAX_ENCODED: Final = 256
MAX_PACKETS: Final = 1000
# A track whose queue is full and that was not read for so long is read by nobody.
IDLE_TIME: Final[Duration] = 10.0
# What is decoded in one turn of a codec thread: little enough that other streams have theirs soon.
_MAX_TURN: Final = {MediaKind.AUDIO: 10, MediaKind.VIDEO: 1}
# Decoded frames that wait unless the configuration says otherwise: two seconds of sound, one of pictures.
DEFAULT_CAPACITY: Final = {MediaKind.AUDIO: 100, MediaKind.VIDEO: 30}


class ReceivedTrack(RemoteStreamTrack):
    """The track of a receiver: it knows whether anybody reads it. `begins` until somebody who does has caught up."""

    def __init__(self, kind: MediaKind, identifier: str, policy: QueuePolicy, capacity: int | None) -> None:
        super().__init__(kind, identifier, policy=policy, capacity=capacity or DEFAULT_CAPACITY[kind])
        self._readers = 0
        self._read_at: Instant | None = None
        self.begins = policy != "block"  # who must have every frame gets what has waited, too
        self._read = asyncio.Event()

    async def recv(self) -> TrackFrame:
        if not self.is_read(monotonic()):
            self.begins = self._queue.policy != "block"
        self._readers += 1
        self._read.set()
        try:
            return await super().recv()
        finally:
            self._readers -= 1
            self._read_at = monotonic()

    def is_read(self, now: Instant) -> bool:
        """Whether somebody waits for a frame, or has taken one not long ago."""
        if self._readers:
            return True
        if self._read_at is None:
            return False
        return not self._queue.is_full or now - self._read_at < IDLE_TIME

    @property
    def is_left(self) -> bool:
        """Whether nobody has read since `forget`."""
        return not self._readers and self._read_at is None

    def forget(self) -> None:
        """Nobody reads any more, and what waits is too old for whoever will."""
        self._read_at = None
        self._queue.drop_all()


class ReceiverPump:
    """One receiver's. `told` is called by the connection when the engine has something."""

    def __init__(self, port: MediaPort, transceiver: Transceiver, track: ReceivedTrack) -> None:
        self.counts = DecoderCounts()
        self.last: tuple[EncodedFrame, Instant] | None = None
        self._port = port
        self._transceiver = transceiver
        self._track = track
        self._kind = transceiver.kind
        self._backlog: deque[Work] = deque()
        self._needs_key_frame = False
        self._wake = track._read
        self._task: asyncio.Task[None] | None = None
        self._encoded: FrameQueue[EncodedFrame] | None = None
        self._encoded_needs_key_frame = False
        self._packets: FrameQueue[RtpPacket] | None = None

    def told(self) -> None:
        """The engine has frames or packets."""
        if self._task is None and not self._port.is_closed:
            self._task = asyncio.create_task(self._run(), name=f"receiver of {self._kind.value}")
        self._fetch()
        if self._backlog and not self._track.is_left:
            self._wake.set()

    @property
    def heard_at(self) -> Instant | None:
        """When the last packet came."""
        inbound = self._port.inbound(self._transceiver)
        return inbound.heard_at if inbound is not None else None

    @property
    def has_encoded(self) -> bool:
        """Whether somebody takes encoded frames."""
        return self._encoded is not None

    @property
    def has_packets(self) -> bool:
        """Whether somebody takes packets."""
        return self._packets is not None

    def open_encoded(self) -> FrameQueue[EncodedFrame]:
        """Frames as they come, from now on; a key frame is asked for."""
        self._encoded = FrameQueue("drop-oldest", capacity=MAX_ENCODED)
        self._encoded_needs_key_frame = self._kind is MediaKind.VIDEO
        if self._encoded_needs_key_frame and self._port.inbound(self._transceiver) is not None:
            self._port.request_key_frame(self._transceiver)
        return self._encoded

    def open_packets(self) -> FrameQueue[RtpPacket]:
        """Packets as they come, from now on."""
        self._packets = FrameQueue("drop-oldest", capacity=MAX_PACKETS)
        self._port.engine.media.keep_packets(self._transceiver)
        return self._packets

    def close_encoded(self) -> None:
        """Nobody reads them any more."""
        self._encoded = None

    def close_packets(self) -> None:
        """Nobody reads them any more."""
        self._packets = None
        self._port.engine.media.keep_packets(self._transceiver, is_wanted=False)

    def end(self) -> None:
        """The track has ended for good."""
        self._backlog.clear()
        for queue in (self._encoded, self._packets):
            if queue is not None:
                queue.close()
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Stop, and wait until nothing of it is left."""
        self.end()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    # From the engine

    def _fetch(self) -> None:
        """Take what the engine has, as far as there is room: what it keeps is bounded in its own way."""
        port, transceiver, now = self._port, self._transceiver, monotonic()
        if self._packets is not None:
            while (packet := port.poll_packet(transceiver)) is not None:
                self._packets.put_nowait(packet)
        if self._kind is MediaKind.VIDEO:
            while (frame := port.poll_frame(transceiver)) is not None:
                self.last = frame, now
                self._hand_out(frame)
                self._keep_picture(frame, now)
            return
        while (playout := port.poll_playout(transceiver)) is not None:
            if isinstance(playout, Decode):
                self.last = playout.frame, now
                self._hand_out(playout.frame)
            if len(self._backlog) >= MAX_BACKLOG[self._kind]:
                self._backlog.popleft()
            self._backlog.append(playout)

    def _keep_picture(self, frame: EncodedFrame, now: Instant) -> None:
        if self._needs_key_frame and not frame.is_key:
            return
        if frame.is_key and not self._track.is_read(now):
            self._backlog.clear()  # who begins to read begins here
        self._needs_key_frame = False
        self._backlog.append(frame)
        if len(self._backlog) > MAX_BACKLOG[self._kind]:
            self._backlog.clear()
            self._needs_key_frame = True
            if self._track.is_read(now):
                self._port.request_key_frame(self._transceiver)

    def _hand_out(self, frame: EncodedFrame) -> None:
        queue = self._encoded
        if queue is None or (self._encoded_needs_key_frame and not frame.is_key):
            return
        self._encoded_needs_key_frame = False
        if self._kind is MediaKind.VIDEO and queue.is_full:
            queue.drop_all()
            self._encoded_needs_key_frame = not frame.is_key
            if self._encoded_needs_key_frame:
                self._port.request_key_frame(self._transceiver)
                return
        queue.put_nowait(frame)

    # To the track

    async def _run(self) -> None:
        decoder: ReceiverDecoder | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._track.is_read(monotonic()):
                    self._track.forget()
                    continue
                if self._needs_key_frame and not self._backlog:
                    self._port.request_key_frame(self._transceiver)
                if self._backlog and decoder is None:
                    decoder = self._open_decoder()
                while self._backlog and decoder is not None and self._track.is_read(monotonic()):
                    await self._decode(decoder)
        except MediaStreamError:
            return
        except IcelaneError as error:
            if not self._port.is_closed:
                _log.warning("what comes for the %s track is not decoded: %s", self._kind.value, error)
        except Exception:  # a decoder of the program's
            _log.exception("what comes for the %s track is not decoded any more", self._kind.value)
        finally:
            if decoder is not None:
                await decoder.close()

    def _open_decoder(self) -> ReceiverDecoder:
        port = self._port
        return ReceiverDecoder(self._kind, self._codecs, port.registry, port.lane(), self.counts)

    def _codecs(self) -> tuple[NegotiatedCodec, ...]:
        negotiated = self._transceiver.negotiated
        return negotiated.receive_codecs if negotiated is not None else ()

    def _take(self) -> tuple[list[Work], bool]:
        """What to decode next, and whether the track is to show it."""
        backlog, track = self._backlog, self._track
        if track.begins:
            work = backlog.popleft()
            track.begins = bool(backlog)  # the newest that there is
            return [work], not track.begins
        return [backlog.popleft() for _ in range(min(len(backlog), _MAX_TURN[self._kind]))], True

    async def _decode(self, decoder: ReceiverDecoder) -> None:
        work, is_shown = self._take()
        inbound = self._port.inbound(self._transceiver)
        frames, has_failed = await decoder.decode(work, inbound.cname if inbound is not None else None)
        if has_failed and self._kind is MediaKind.VIDEO:
            self._backlog.clear()
            self._needs_key_frame = True
            self._port.request_key_frame(self._transceiver)
        if is_shown:
            for frame in frames:
                if self._kind is MediaKind.VIDEO:
                    self.counts.note_shown(monotonic())
                await self._track.deliver(frame)
