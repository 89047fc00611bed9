"""What an application does with the audio and video of a connection (W3C webrtc-pc section 5).

Transceivers are handed out to be read; whatever changes them is a verb here. Frames go through `media`, whose verbs
that send are to be followed by `flush`; those here do it themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from icelane.core.clock import Duration, Instant
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.frame import EncodedFrame
from icelane.media.tones import DEFAULT_DURATION, DEFAULT_GAP
from icelane.peer.media_plane import MediaPlane
from icelane.peer.negotiation import Negotiation
from icelane.peer.transceiver import Transceiver
from icelane.rtp.header_extension import ExtensionMap
from icelane.rtp.packet import RtpPacket
from icelane.sdp.rtp_attributes import Direction


class ConnectionMedia(ABC):
    """The verbs about transceivers, which may ask for a negotiation, and those about what they send and receive."""

    negotiation: Negotiation
    media: MediaPlane

    @property
    def transceivers(self) -> tuple[Transceiver, ...]:
        """All that are not stopped, in the order in which they were made."""
        return tuple(self.negotiation.media.transceivers)

    # Commands: transceivers. They raise what the verbs of TransceiverList do, and InvalidStateError once closed.

    def add_track(self, track_id: str, kind: MediaKind, stream_ids: Sequence[str] = ()) -> Transceiver:
        """W3C `addTrack`."""
        self._check_open()
        transceiver = self.negotiation.media.transceivers.add_track(track_id, kind, stream_ids)
        self._update_negotiation_needed()
        return transceiver

    def remove_track(self, transceiver: Transceiver) -> None:
        """W3C `removeTrack`, by the transceiver whose sender it is."""
        self._check_open()
        self.negotiation.media.transceivers.remove_track(transceiver)
        self._update_negotiation_needed()

    def add_transceiver(
        self,
        kind: MediaKind,
        direction: Direction = Direction.SENDRECV,
        *,
        track_id: str | None = None,
        stream_ids: Sequence[str] = (),
    ) -> Transceiver:
        """W3C `addTransceiver`."""
        self._check_open()
        transceivers = self.negotiation.media.transceivers
        transceiver = transceivers.add(kind, direction, track_id=track_id, stream_ids=stream_ids)
        self._update_negotiation_needed()
        return transceiver

    def set_direction(self, transceiver: Transceiver, direction: Direction) -> None:
        """What is wanted from the next exchange on."""
        self._check_open()
        self.negotiation.media.transceivers.set_direction(transceiver, direction)
        self._update_negotiation_needed()

    def set_streams(self, transceiver: Transceiver, stream_ids: Sequence[str]) -> None:
        """W3C `setStreams`."""
        self._check_open()
        self.negotiation.media.transceivers.set_streams(transceiver, stream_ids)
        self._update_negotiation_needed()

    def replace_track(self, transceiver: Transceiver, track_id: str | None) -> None:
        """W3C `replaceTrack`: needs no negotiation."""
        self._check_open()
        self.negotiation.media.transceivers.replace_track(transceiver, track_id)

    def set_codec_preferences(self, transceiver: Transceiver, codecs: Sequence[RtpCodec]) -> None:
        """W3C `setCodecPreferences`: the next exchange goes by it."""
        self._check_open()
        self.negotiation.media.transceivers.set_codec_preferences(transceiver, codecs)

    def stop_transceiver(self, transceiver: Transceiver, now: Instant) -> None:
        """W3C `stop`: says goodbye, and the next exchange rejects the section."""
        self._check_open()
        if not self.negotiation.media.transceivers.stop(transceiver):
            return
        self.negotiation.media.note_stopped(transceiver)
        self._tell_media()
        self._follow_media(now)
        self._settle(now)
        self._update_negotiation_needed()

    # Commands: media

    def send_frame(
        self, transceiver: Transceiver, frame: EncodedFrame, now: Instant, *, captured_at: Instant | None = None
    ) -> bool:
        """See `MediaPlane.send_frame`."""
        is_sent = self.media.send_frame(transceiver, frame, now, captured_at=captured_at)
        self._send_from_media(now)
        return is_sent

    def send_packet(
        self, transceiver: Transceiver, packet: RtpPacket, now: Instant, *, extensions: ExtensionMap | None = None
    ) -> bool:
        """See `MediaPlane.send_packet`."""
        is_sent = self.media.send_packet(transceiver, packet, now, extensions=extensions)
        self._send_from_media(now)
        return is_sent

    def insert_tones(
        self,
        transceiver: Transceiver,
        tones: str,
        now: Instant,
        *,
        duration: Duration = DEFAULT_DURATION,
        gap: Duration = DEFAULT_GAP,
    ) -> None:
        """W3C `insertDTMF`; durations in seconds."""
        self.media.insert_tones(transceiver, tones, now, duration=duration, gap=gap)
        self._settle(now)

    def request_key_frame(self, transceiver: Transceiver, now: Instant) -> None:
        """A decoder of ours cannot go on."""
        self.media.request_key_frame(transceiver, now)
        self._settle(now)

    # Privates

    def _follow_media(self, now: Instant) -> None:
        self.media.follow(self.negotiation.media.transceivers, now)

    def _update_negotiation_needed(self) -> None:
        self._need(self.negotiation.update_negotiation_needed())

    @abstractmethod
    def _tell_media(self) -> None:
        """What the negotiation has to say about tracks."""

    @abstractmethod
    def _need(self, needed: bool) -> None:
        """Tell that a negotiation is needed, if it is."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise InvalidStateError once closed."""

    @abstractmethod
    def _send_from_media(self, now: Instant) -> None:
        """Let out what media has to send, and its events: nothing else has changed."""

    @abstractmethod
    def _settle(self, now: Instant) -> None:
        """Carry on with what the verb has changed."""
