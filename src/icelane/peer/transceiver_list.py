"""The transceivers of a connection, in the order in which they were made, and what the application does with them.

The verbs are those of W3C webrtc-pc section 5.1. Each either succeeds or raises, and what raises has changed nothing;
whether a negotiation is needed afterwards is asked for apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from icelane.core.entropy import Entropy, random_uuid
from icelane.errors import InvalidAccessError, InvalidModificationError, InvalidStateError, NotSupportedError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.transceiver import (
    RECEIVING,
    SENDING,
    RtpReceiver,
    RtpSender,
    Transceiver,
    direction_of,
)
from icelane.sdp.attribute import parse_token
from icelane.sdp.rtp_attributes import Direction

_SSRC_LIMIT: Final = 2**32 - 1


class TransceiverList:
    """All that are not stopped, and those whose stop is not negotiated yet."""

    def __init__(self, entropy: Entropy, capabilities: MediaCapabilities | None) -> None:
        self._entropy = entropy
        self.capabilities = capabilities
        self._transceivers: list[Transceiver] = []
        self._made = 0

    def __iter__(self) -> Iterator[Transceiver]:
        return iter(tuple(self._transceivers))

    def __len__(self) -> int:
        return len(self._transceivers)

    # Commands of the application

    def add_track(self, track_id: str, kind: MediaKind, stream_ids: Sequence[str] = ()) -> Transceiver:
        """W3C `addTrack`: by a transceiver that has never sent and has nothing to send, otherwise by a new one.

        Raises InvalidAccessError when the track is sent already, or when an identifier is no token of SDP.
        """
        streams = _checked(track_id, stream_ids)
        if any(one.sender.track_id == track_id for one in self._transceivers):
            raise InvalidAccessError("the track is sent by this connection already")
        idle = next((one for one in self._transceivers if _can_take(one, kind)), None)
        if idle is None:
            made = self.add(kind, Direction.SENDRECV, track_id=track_id, stream_ids=streams)
            made.is_from_add_track = True
            return made
        idle.sender.track_id, idle.sender.stream_ids = track_id, streams
        idle.direction = direction_of(True, idle.direction in RECEIVING)
        idle.is_from_peer = False  # from now on the application wants it: no rollback takes it away
        return idle

    def remove_track(self, transceiver: Transceiver) -> None:
        """W3C `removeTrack`: send no more; the way in stays. Nothing happens when it is stopped, or sends nothing."""
        self._check_known(transceiver)
        if transceiver.is_stopping or transceiver.sender.track_id is None:
            return
        transceiver.sender.track_id = None
        transceiver.direction = direction_of(False, transceiver.direction in RECEIVING)

    def add(
        self,
        kind: MediaKind,
        direction: Direction = Direction.SENDRECV,
        *,
        track_id: str | None = None,
        stream_ids: Sequence[str] = (),
    ) -> Transceiver:
        """W3C `addTransceiver`. Raises NotSupportedError without codecs of the kind, and as `add_track` does."""
        if self.capabilities is None or not self.capabilities.codecs(kind):
            raise NotSupportedError(f"this connection has no codecs for {kind.value}")
        streams = _checked(track_id, stream_ids)
        transceiver = self._make(kind, direction, track_id, streams)
        self._transceivers.append(transceiver)
        return transceiver

    def replace_track(self, transceiver: Transceiver, track_id: str | None) -> None:
        """W3C `replaceTrack`: another track of the same kind, without negotiation; None sends nothing.

        Raises InvalidStateError when the transceiver is stopped.
        """
        self._check_open(transceiver)
        transceiver.sender.track_id = track_id

    def set_streams(self, transceiver: Transceiver, stream_ids: Sequence[str]) -> None:
        """W3C `setStreams`. Raises as `add_track` and InvalidStateError when the transceiver is stopped."""
        self._check_open(transceiver)
        transceiver.sender.stream_ids = _checked(None, stream_ids)

    def set_direction(self, transceiver: Transceiver, direction: Direction) -> None:
        """What is wanted from the next exchange on. Raises InvalidStateError when the transceiver is stopped."""
        self._check_open(transceiver)
        transceiver.direction = direction

    def set_codec_preferences(self, transceiver: Transceiver, codecs: Sequence[RtpCodec]) -> None:
        """W3C `setCodecPreferences`: only these, in this order; none of them means the capabilities as they are.

        Raises InvalidModificationError for a codec that is not among the capabilities, and when there is none but
        retransmission and tones.
        """
        self._check_known(transceiver)
        known = () if self.capabilities is None else self.capabilities.codecs(transceiver.kind)
        wanted = tuple(dict.fromkeys(codecs))
        if any(codec not in known for codec in wanted):
            raise InvalidModificationError("a preferred codec is not among the capabilities")
        if wanted and not any(codec.is_media for codec in wanted):
            raise InvalidModificationError("no preferred codec carries media")
        transceiver.preferred_codecs = wanted

    def stop(self, transceiver: Transceiver) -> bool:
        """W3C `stop`: nothing is sent or received from now on. Returns whether that is new."""
        self._check_known(transceiver)
        if transceiver.is_stopping:
            return False
        transceiver.is_stopping = True
        transceiver.receiver.is_receptive = False
        return True

    # What descriptions do

    def add_for_peer(self, kind: MediaKind, track_id: str | None) -> Transceiver:
        """For a section that the peer offers, and that no transceiver of ours takes over."""
        taken = {one.receiver.track_id for one in self._transceivers}
        transceiver = self._make(kind, Direction.RECVONLY, None, ())
        if track_id is not None and track_id not in taken:
            transceiver.receiver.track_id = track_id
        transceiver.is_from_peer = True
        self._transceivers.append(transceiver)
        return transceiver

    def by_mid(self, mid: str | None) -> Transceiver | None:
        """The one that a section with this mid is of."""
        return next((one for one in self._transceivers if mid is not None and one.mid == mid), None)

    def waiting_for(self, kind: MediaKind) -> Transceiver | None:
        """The one of addTrack, without a section yet, that one of the peer's takes over (RFC 9429 section 5.10)."""
        return next(
            (
                one
                for one in self._transceivers
                if one.kind is kind and one.mid is None and one.is_from_add_track and not one.is_stopping
            ),
            None,
        )

    def codecs_for(self, kind: MediaKind, transceiver: Transceiver | None) -> tuple[RtpCodec, ...]:
        """What may be negotiated: the preferences if there are any, otherwise what we are capable of."""
        if transceiver is not None and transceiver.preferred_codecs:
            return transceiver.preferred_codecs
        return () if self.capabilities is None else self.capabilities.codecs(kind)

    def remove(self, transceiver: Transceiver) -> None:
        """Its section is rejected, or never was negotiated."""
        transceiver.stop()
        self._transceivers.remove(transceiver)

    def _make(
        self, kind: MediaKind, direction: Direction, track_id: str | None, stream_ids: tuple[str, ...]
    ) -> Transceiver:
        self._made += 1
        ssrc, rtx_ssrc = self._unused_ssrcs()
        return Transceiver(
            number=self._made,
            kind=kind,
            direction=direction,
            sender=RtpSender(
                label=track_id or random_uuid(self._entropy),
                ssrc=ssrc,
                rtx_ssrc=rtx_ssrc,
                track_id=track_id,
                stream_ids=stream_ids,
            ),
            receiver=RtpReceiver(track_id=random_uuid(self._entropy)),
        )

    def _unused_ssrcs(self) -> tuple[int, int]:
        """Two that none of ours has; 0 is left out, because some take it for none."""
        used = {ssrc for one in self._transceivers for ssrc in (one.sender.ssrc, one.sender.rtx_ssrc)}
        found: list[int] = []
        while len(found) < 2:
            ssrc = self._entropy.below(_SSRC_LIMIT) + 1
            if ssrc not in used:
                used.add(ssrc)
                found.append(ssrc)
        return found[0], found[1]

    def _check_known(self, transceiver: Transceiver) -> None:
        if transceiver not in self._transceivers and not transceiver.is_stopped:
            raise InvalidAccessError("the transceiver belongs to another connection")

    def _check_open(self, transceiver: Transceiver) -> None:
        self._check_known(transceiver)
        if transceiver.is_stopping:
            raise InvalidStateError("the transceiver is stopped")


def _can_take(transceiver: Transceiver, kind: MediaKind) -> bool:
    sender = transceiver.sender
    return (
        transceiver.kind is kind
        and sender.track_id is None
        and not transceiver.is_stopping
        and not sender.has_sent
        and transceiver.current_direction not in SENDING
    )


def _checked(track_id: str | None, stream_ids: Sequence[str]) -> tuple[str, ...]:
    """The streams, each once. What `a=msid` cannot say is InvalidAccessError."""
    for text in (*stream_ids, *(() if track_id is None else (track_id,))):
        try:
            parse_token(text, "identifier of a track or stream")
        except ValueError as error:
            raise InvalidAccessError(str(error)) from None
    return tuple(dict.fromkeys(stream_ids))
