"""What a receiver gets, as a track of encoded frames: for a recorder, or for senders of other connections."""

from __future__ import annotations

from icelane.aio.frame_queue import FrameQueue
from icelane.aio.media_port import MediaPort
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.aio.receiver_pump import ReceiverPump
from icelane.errors import InvalidStateError, MediaStreamError
from icelane.media.codec import RtpCodec
from icelane.media.frame import EncodedFrame
from icelane.peer.transceiver import Transceiver


class EncodedTrack(MediaStreamTrack):
    """Made by a receiver. `codec` is that of the frame that came last; before one came, what was agreed on first."""

    def __init__(self, port: MediaPort, transceiver: Transceiver, pump: ReceiverPump) -> None:
        super().__init__()
        self.kind = transceiver.kind.value
        self._port = port
        self._transceiver = transceiver
        self._pump = pump
        self._queue: FrameQueue[EncodedFrame] | None = None
        self.codec = next((one for _, one in self._codecs()), None)

    @property
    def cname(self) -> str | None:
        """What the peer calls itself in RTCP: tracks of one name have one clock. None before it has said so."""
        inbound = self._port.inbound(self._transceiver)
        return inbound.cname or None if inbound is not None else None

    async def recv(self) -> TrackFrame:
        """The next frame, from a key frame on. Raises InvalidStateError when the encoded frames are read elsewhere."""
        self._require_live()
        if self._queue is None:
            if self._pump.has_encoded:
                raise InvalidStateError("the encoded frames are read already")
            self._queue = self._pump.open_encoded()
        try:
            frame = await self._queue.get()
        except MediaStreamError:
            self.stop()
            raise
        self.codec = next((one for number, one in self._codecs() if number == frame.payload_type), self.codec)
        return frame

    def request_key_frame(self) -> None:
        """Have the peer send a key frame: a sender whose peer asks for one does that."""
        if not self._port.is_closed:
            self._port.request_key_frame(self._transceiver)

    def stop(self) -> None:
        super().stop()
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.close(discard=True)
            self._pump.close_encoded()

    def _end(self) -> None:
        """Nothing will come any more; what waits can still be read."""
        if self._queue is None:
            self.stop()

    def _codecs(self) -> list[tuple[int, RtpCodec]]:
        negotiated = self._transceiver.negotiated
        codecs = negotiated.receive_codecs if negotiated is not None else ()
        return [(one.payload_type, one.codec) for one in codecs if one.codec.is_media]
