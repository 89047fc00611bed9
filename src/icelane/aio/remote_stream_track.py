"""A track of what a peer sends: frames are put in by whoever decodes, and wait in a bounded queue."""

from __future__ import annotations

from icelane.aio.frame_queue import DEFAULT_CAPACITY, FrameQueue, QueuePolicy
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.media.codec import MediaKind, RtpCodec


class RemoteStreamTrack(MediaStreamTrack):
    """Made by the peer connection. It begins muted, until something comes; `codec` where frames are not decoded."""

    def __init__(
        self,
        kind: MediaKind,
        identifier: str | None = None,
        *,
        policy: QueuePolicy = "drop-oldest",
        capacity: int = DEFAULT_CAPACITY,
        codec: RtpCodec | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind.value
        self.codec = codec
        self._is_muted = True
        if identifier is not None:
            self._id = identifier
        self._queue: FrameQueue[TrackFrame] = FrameQueue(policy, capacity=capacity)

    @property
    def dropped(self) -> int:
        """Frames that came and nobody read."""
        return self._queue.dropped

    async def recv(self) -> TrackFrame:
        self._require_live()
        return await self._queue.get()

    def stop(self) -> None:
        super().stop()
        self._queue.close(discard=True)

    async def deliver(self, frame: TrackFrame) -> None:
        """A frame came; with the policy `block` this waits for whoever reads.

        It may be a late one of a track that is muted again, which it stays.
        """
        await self._queue.put(frame)

    def deliver_nowait(self, frame: TrackFrame) -> bool:
        """A frame came; False when it was dropped."""
        return self._queue.put_nowait(frame)

    def set_unmuted(self) -> None:
        """Something comes."""
        self._set_muted(False)

    def set_muted(self) -> None:
        """Nothing comes for now."""
        self._set_muted(True)
