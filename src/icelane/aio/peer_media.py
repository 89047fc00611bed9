"""The audio and video of one peer connection: its transceivers, and what the engine tells about them."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.media_port import MediaPort
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.rtp_transceiver import RTCRtpTransceiver
from icelane.errors import MissingExtraError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.registry import CodecRegistry
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.media_event import (
    BitrateLimited,
    FramesReceived,
    KeyFrameRequested,
    MediaEvent,
    StreamsChanged,
    ToneReceived,
    ToneStarted,
    TrackAdded,
    TrackEnded,
    TrackMuted,
    TrackRemoved,
    TrackUnmuted,
)
from icelane.peer.transceiver import Transceiver

Emit = Callable[..., object]

# Streams of the peer's that are known at once: a section names 8 at most, and a stream is forgotten with its last
# track. At the bound a track is in no further stream.
MAX_STREAMS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCapabilities(MediaCapabilities):
    """The codecs of a registry, which is made when media is first spoken of: data alone does without libraries."""

    registry: Callable[[], CodecRegistry]

    def codecs(self, kind: MediaKind) -> tuple[RtpCodec, ...]:
        """Those that go both ways, and those that are only passed on; none where nothing carries media."""
        found = tuple(
            entry.codec
            for entry in self.registry().entries()
            if entry.codec.kind is kind and entry.is_offered and (entry.encoder is None) == (entry.decoder is None)
        )
        return found if any(codec.is_media for codec in found) else ()


class Registry:
    """The registry of a connection: the program's, or one of what this machine has, made when it is asked for."""

    def __init__(self, given: CodecRegistry | None) -> None:
        self._registry = given

    def __call__(self) -> CodecRegistry:
        if self._registry is None:
            self._registry = default_registry()
        return self._registry


class PeerMedia:
    """What `RTCPeerConnection` does with media. `emit` tells its events."""

    def __init__(self, port: MediaPort, configuration: RTCConfiguration, emit: Emit) -> None:
        self.port = port
        self._emit = emit
        self._policy = configuration.track_policy
        self._capacity = configuration.track_capacity
        self._transceivers: dict[Transceiver, RTCRtpTransceiver] = {}
        self._streams: dict[str, MediaStream] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def transceivers(self) -> list[RTCRtpTransceiver]:
        """All that are not stopped, in the order in which they were made."""
        return [self.of(one) for one in self.port.engine.transceivers]

    def of(self, transceiver: Transceiver) -> RTCRtpTransceiver:
        """What the program sees of it."""
        found = self._transceivers.get(transceiver)
        if found is None:
            found = RTCRtpTransceiver(self.port, transceiver, self._policy, self._capacity)
            self._transceivers[transceiver] = found
        return found

    def require_codecs(self, kind: MediaKind) -> None:
        """Raises MissingExtraError where there are none because PyAV is not installed."""
        if not self.port.codecs(kind) and importlib.util.find_spec("av") is None:
            raise MissingExtraError(f"{kind.value} needs PyAV", extra="media")

    def send(self, transceiver: Transceiver, track: MediaStreamTrack) -> RTCRtpTransceiver:
        """The engine has found, or made, a transceiver for `track`."""
        found = self.of(transceiver)
        found.sender._take(track)
        return found

    # From the engine

    def handle_event(self, event: MediaEvent) -> None:
        """Something has happened."""
        if event.transceiver not in self._transceivers and event.transceiver not in self.port.engine.transceivers:
            return  # `update` has ended it, and the same is told once more
        transceiver = self.of(event.transceiver)
        sender, receiver = transceiver.sender, transceiver.receiver
        match event:
            case FramesReceived():
                receiver._pump.told()
            case TrackAdded():
                self._track_added(transceiver, event.transceiver)
            case StreamsChanged():
                self._set_streams(transceiver, event.transceiver.receiver.stream_ids)
            case TrackRemoved():
                receiver.track.set_muted()
                self._set_streams(transceiver, ())
            case TrackEnded():
                self._set_streams(transceiver, ())
                receiver._end()
            case TrackUnmuted():
                receiver.track.set_unmuted()
            case TrackMuted():
                receiver.track.set_muted()
            case KeyFrameRequested():
                sender._key_frame_requested()
            case BitrateLimited():
                sender._bitrate_limited(event.bits_per_second)
            case ToneStarted():
                if sender.dtmf is not None:
                    sender.dtmf._tone_changed(event.tone)
            case ToneReceived():
                receiver._tone_received(event.tone, event.duration)

    def update(self) -> None:
        """What may be sent or received has changed."""
        if self.port.is_closed:
            return
        known = self.port.engine.transceivers
        for transceiver, shown in tuple(self._transceivers.items()):
            if transceiver in known:
                shown.sender._follow()
                shown.receiver._follow()
            else:
                self._set_streams(shown, ())
                del self._transceivers[transceiver]
                self._end(shown)

    def stop(self) -> None:
        """The connection is being closed: every track from the peer ends, and none of ours is read any more."""
        self.port.is_closed = True
        for one in tuple(self._transceivers.values()):
            self._end(one)

    async def close(self) -> None:
        """Wait until nothing is left of it."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
        await self.port.close()

    def _end(self, transceiver: RTCRtpTransceiver) -> None:
        transceiver.receiver._end()
        transceiver.sender._end()
        task = asyncio.create_task(transceiver._close(), name="end of a transceiver")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # Tracks and streams of the peer's (W3C section 4.4.1.5 and 5.1)

    def _track_added(self, transceiver: RTCRtpTransceiver, of: Transceiver) -> None:
        receiver = transceiver.receiver
        streams = self._set_streams(transceiver, of.receiver.stream_ids)
        self._emit(
            "track",
            receiver.track,
            track=receiver.track,
            receiver=receiver,
            transceiver=transceiver,
            streams=streams,
        )

    def _set_streams(self, transceiver: RTCRtpTransceiver, identifiers: Sequence[str]) -> list[MediaStream]:
        track = transceiver.receiver.track
        for identifier, stream in tuple(self._streams.items()):
            if identifier not in identifiers:
                stream._peer_removed(track)
                if not stream.getTracks():
                    del self._streams[identifier]
        found: list[MediaStream] = []
        for identifier in identifiers:
            if identifier not in self._streams and len(self._streams) >= MAX_STREAMS:
                break
            stream = self._streams.setdefault(identifier, MediaStream(identifier=identifier))
            stream._peer_added(track)
            found.append(stream)
        return found
