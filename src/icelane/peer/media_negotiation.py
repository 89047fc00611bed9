"""What descriptions do with transceivers: which section is whose, and what both sides agree on in it.

    offer ours        sections of transceivers, with the numbers that they had
    offer the peer's  associate: each section with its transceiver, one that waits for it, or a new one
    answer            codecs, extensions and directions that both want: `Transceiver.negotiated`

(RFC 9429 sections 5.2, 5.3 and 5.10, W3C webrtc-pc section 4.4.1.5.)
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from icelane.core.entropy import Entropy
from icelane.media.codec import RTX, MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.codecs.matching import agreed, matches
from icelane.peer.media_capabilities import EXTENSIONS, MediaCapabilities, kind_of, retransmits
from icelane.peer.media_event import NegotiatedMediaEvent, StreamsChanged, TrackAdded, TrackEnded, TrackRemoved
from icelane.peer.media_section import is_alive
from icelane.peer.payload_type import ExtensionIdentifiers, PayloadTypes
from icelane.peer.rtp_agreement import agree_on_media
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.rtp_section import RTP_PROTOCOL, RtpSection, read_formats, read_stream_ids, read_track_id
from icelane.peer.transceiver import RECEIVING, SENDING, Transceiver, TransceiverState, intersect, reverse, state_of
from icelane.peer.transceiver_list import TransceiverList
from icelane.rtp.header_extension import MAX_TWO_BYTE_ID
from icelane.rtp.packet import MAX_ONE_BYTE_ID
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import Direction, HeaderExtension
from icelane.sdp.session import SessionDescription

_CNAME_BYTES: Final = 12

# The transceivers of an offer of ours, and the mids that are theirs once it is set.
Associations = tuple[tuple[str, Transceiver], ...]


class MediaNegotiation:
    """`transceivers` belongs to the application. Without capabilities there are none, and all media is rejected."""

    def __init__(self, entropy: Entropy, capabilities: MediaCapabilities | None) -> None:
        self.transceivers = TransceiverList(entropy, capabilities)
        self._entropy = entropy
        self._payload_types = PayloadTypes()
        self._extensions = ExtensionIdentifiers()
        self._cname = ""
        self._events: list[NegotiatedMediaEvent] = []
        # Sections whose transceivers are stopped, and that are there for their transport: at most as many as there may
        # be in a description, for each was the first that is alive.
        self._idle_mids: set[str] = set()
        self._before: dict[Transceiver, TransceiverState] | None = None

    # What descriptions of ours say

    def offered_section(self, transceiver: Transceiver, mid: str, before: MediaDescription | None) -> RtpSection:
        """A section of an offer; `before` is the same one in the last exchange, if it was there."""
        kind = transceiver.kind
        return RtpSection(
            kind=kind,
            mid=mid if before is None else before.mid,
            protocol=RTP_PROTOCOL if before is None else before.protocol,
            direction=transceiver.wanted_direction,
            formats=self._offered_formats(transceiver),
            extensions=self._offered_extensions(transceiver),
            sender=transceiver.sender,
            cname=self.cname,
            names_streams=transceiver.wanted_direction in SENDING or transceiver.sender.has_sent,
        )

    def answered_section(self, offer: SessionDescription, index: int) -> RtpSection | None:
        """How a section of the peer's offer is accepted, None when it is not."""
        section = offer.media[index]
        transceiver = self.transceivers.by_mid(mid_of(section, index))
        formats = self._answered_formats(section, transceiver)
        allows_mixed = section.has("extmap-allow-mixed") or offer.has("extmap-allow-mixed")
        if transceiver is None or transceiver.is_stopping or not formats:
            return None
        return RtpSection(
            kind=transceiver.kind,
            mid=section.mid,
            protocol=section.protocol,
            direction=intersect(transceiver.wanted_direction, reverse(offer.direction(section))),
            formats=formats,
            extensions=_answered_extensions(section, transceiver.kind, allows_mixed=allows_mixed),
            sender=transceiver.sender,
            cname=self.cname,
            names_streams=transceiver.wanted_direction in SENDING or transceiver.sender.has_sent,
            allows_mixed=allows_mixed,
            reduced_size=section.rtcp_rsize,
        )

    def acceptable_sections(self, offer: SessionDescription) -> set[int]:
        """The sections of media of the peer's offer that we have a codec for, and have not stopped."""
        return {index for index, section in enumerate(offer.media) if self._is_acceptable(section, index)}

    @property
    def cname(self) -> str:
        """What all that we send is called in common (RFC 7022), for one connection."""
        if not self._cname:
            self._cname = base64.b64encode(self._entropy.token(_CNAME_BYTES)).decode()
        return self._cname

    # What setting a description does

    def set_local_offer(self, associations: Associations) -> None:
        """An offer of ours is set: its sections are those of their transceivers from now on."""
        self._remember()
        for mid, transceiver in associations:
            transceiver.mid = mid
            transceiver.receiver.is_receptive = transceiver.wanted_direction in RECEIVING
            transceiver.sender.is_held = transceiver.wanted_direction not in SENDING

    def set_remote_offer(self, offer: SessionDescription, accepted: Iterable[int]) -> None:
        """An offer of the peer's is set, of which we mean to accept these sections."""
        self._remember()
        self._dissociate_missing(offer)
        accepted = set(accepted)
        for index, section in enumerate(offer.media):
            transceiver = self.transceivers.by_mid(mid_of(section, index))
            if not is_alive(section):
                self._stop(transceiver)
            elif index in accepted and (kind := kind_of(section.kind)) is not None:
                transceiver = transceiver or self._associate(kind, section, index, offer.direction(section))
                self._hear(transceiver, section, reverse(offer.direction(section)))

    def set_answer(
        self, local: SessionDescription, remote: SessionDescription, in_use: Iterable[int], *, we_answer: bool
    ) -> None:
        """Both descriptions are there; `in_use` are the sections that both accept on the one transport."""
        in_use = set(in_use)
        for index, (ours, theirs) in enumerate(zip(local.media, remote.media, strict=True)):
            transceiver = self.transceivers.by_mid(mid_of(ours, index))
            if transceiver is None:
                continue
            if index not in in_use:
                self._stop(transceiver)
                continue
            direction = local.direction(ours) if we_answer else reverse(remote.direction(theirs))
            self._agree(transceiver, ours, theirs, direction, we_answer)

    def settle(self) -> None:
        """The exchange is over: those whose section is rejected go."""
        self._before = None
        for transceiver in self.transceivers:
            if transceiver.is_stopped or (transceiver.is_stopping and transceiver.mid is None):
                self.transceivers.remove(transceiver)

    def roll_back(self) -> None:
        """The offer was taken back, ours or the peer's (W3C section 4.4.1.5, step 4.5.10)."""
        before, self._before = self._before, None
        if before is None:
            return
        for transceiver in self.transceivers:
            transceiver.sender.is_held = False
            state = before.get(transceiver)
            if state is None and transceiver.mid is None:
                continue  # made by the application since
            self._bring_back(transceiver, state or TransceiverState(None, (), False, None))
            if state is None and transceiver.is_from_peer:
                self._end(transceiver)

    def note_stopped(self, transceiver: Transceiver) -> None:
        """The application has stopped it."""
        self._events.append(TrackEnded(transceiver))

    def take_events(self) -> tuple[NegotiatedMediaEvent, ...]:
        """What happened since last time, in order."""
        events, self._events = tuple(self._events), []
        return events

    # Whether an offer would change something

    def needs_negotiation(
        self, local: SessionDescription | None, remote: SessionDescription | None, *, we_offered: bool
    ) -> bool:
        """W3C section 4.7.3, what it says of transceivers. The descriptions are the current ones."""
        return any(self._needs(one, local, remote, we_offered) for one in self.transceivers)

    def _needs(
        self,
        transceiver: Transceiver,
        local: SessionDescription | None,
        remote: SessionDescription | None,
        we_offered: bool,
    ) -> bool:
        if transceiver.is_stopping:
            return not transceiver.is_stopped and transceiver.mid is not None
        index = None if local is None or remote is None else _index_of(local, transceiver.mid)
        if index is None or local is None or remote is None:
            return True
        ours, theirs = local.media[index], remote.media[index]
        if transceiver.direction in SENDING and not _says_streams(ours, transceiver):
            return True
        wanted = transceiver.wanted_direction
        if we_offered:
            return wanted is not local.direction(ours) and wanted is not reverse(remote.direction(theirs))
        return intersect(wanted, reverse(remote.direction(theirs))) is not local.direction(ours)

    # Formats and extensions

    def _is_acceptable(self, section: MediaDescription, index: int) -> bool:
        if not is_alive(section) or not section.is_rtp or mid_of(section, index) in self._idle_mids:
            return False
        transceiver = self.transceivers.by_mid(mid_of(section, index))
        if transceiver is not None and transceiver.is_stopping:
            return False
        return bool(self._answered_formats(section, transceiver))

    def _answered_formats(
        self, section: MediaDescription, transceiver: Transceiver | None
    ) -> tuple[NegotiatedCodec, ...]:
        kind = kind_of(section.kind)
        if kind is None:
            return ()
        ours = self.transceivers.codecs_for(kind, transceiver)
        pairs = _common(ours, read_formats(section))
        if transceiver is not None and transceiver.preferred_codecs:
            pairs.sort(key=lambda pair: ours.index(pair[0]))
        formats = tuple(
            NegotiatedCodec(
                codec=answer,
                payload_type=offered.payload_type,
                rtx_payload_type=offered.rtx_payload_type if retransmits(ours) else None,
            )
            for codec, offered in pairs
            if (answer := agreed(codec, offered.codec)) is not None
        )
        return formats if any(one.codec.is_media for one in formats) else ()

    def _offered_formats(self, transceiver: Transceiver) -> tuple[NegotiatedCodec, ...]:
        """What was negotiated comes first, with its numbers; an answer's order is that of the offer."""
        ours = self.transceivers.codecs_for(transceiver.kind, transceiver)
        before = transceiver.negotiated.receive_codecs if transceiver.negotiated is not None else ()
        known = [(codec, one) for codec, one in _common(ours, before)]
        numbers = {number for _, one in known for number in (one.payload_type, one.rtx_payload_type)}
        taken = {number for number in numbers if number is not None}
        formats = {
            codec: self._with_rtx(codec, one.payload_type, one.rtx_payload_type, ours, taken) for codec, one in known
        }
        for codec in ours:
            if codec.name.lower() != RTX and codec not in formats:
                number = self._payload_types.of(codec, taken=taken)
                taken.add(number)
                formats[codec] = self._with_rtx(codec, number, None, ours, taken)
        if transceiver.preferred_codecs:
            return tuple(formats[codec] for codec in ours if codec in formats)
        return tuple(formats.values())

    def _with_rtx(
        self, codec: RtpCodec, number: int, rtx: int | None, ours: tuple[RtpCodec, ...], taken: set[int]
    ) -> NegotiatedCodec:
        """Whoever asks again for what is lost, by `nack`, gets it by a stream of its own (RFC 4588)."""
        if not retransmits(ours) or not codec.is_media or "nack" not in codec.feedback:
            rtx = None
        elif rtx is None:
            rtx = self._payload_types.of(codec, is_rtx=True, taken=taken)
            taken.add(rtx)
        return NegotiatedCodec(codec=codec, payload_type=number, rtx_payload_type=rtx)

    def _offered_extensions(self, transceiver: Transceiver) -> tuple[HeaderExtension, ...]:
        before = transceiver.negotiated.receive_extensions if transceiver.negotiated is not None else ()
        numbers = {uri: number for number, uri in before}
        for uri in EXTENSIONS[transceiver.kind]:
            if uri not in numbers and (number := self._extensions.of(uri, taken=numbers.values())) is not None:
                numbers[uri] = number
        return tuple(HeaderExtension(number, uri) for uri, number in numbers.items())

    def _settle_numbers(self, transceiver: Transceiver, negotiated: RtpParameters) -> None:
        ours = self.transceivers.codecs_for(transceiver.kind, None)
        for codec, one in _common(ours, negotiated.receive_codecs):
            self._payload_types.settle(codec, one.payload_type)
            if one.rtx_payload_type is not None:
                self._payload_types.settle(codec, one.rtx_payload_type, is_rtx=True)
        for number, uri in negotiated.receive_extensions:
            self._extensions.settle(uri, number)

    # Association, directions and rollback

    def _remember(self) -> None:
        if self._before is None:
            self._before = {one: state_of(one) for one in self.transceivers}

    def _associate(self, kind: MediaKind, section: MediaDescription, index: int, direction: Direction) -> Transceiver:
        waiting = self.transceivers.waiting_for(kind) if direction in RECEIVING else None
        transceiver = waiting or self.transceivers.add_for_peer(kind, read_track_id(section))
        transceiver.mid = mid_of(section, index)
        return transceiver

    def _dissociate_missing(self, offer: SessionDescription) -> None:
        """The peer has replaced its offer by another one, in which a new section is no more."""
        mids = {mid_of(section, index) for index, section in enumerate(offer.media)}
        for transceiver in self.transceivers:
            if transceiver.mid is not None and transceiver.mid not in mids:
                before = self._before.get(transceiver) if self._before is not None else None
                if before is None or before.mid is None:
                    self._bring_back(transceiver, TransceiverState(None, (), False, None))
                    if transceiver.is_from_peer:
                        self._end(transceiver)

    def _bring_back(self, transceiver: Transceiver, state: TransceiverState) -> None:
        if transceiver.is_stopped:
            return
        heard, hears = transceiver.fired_direction in RECEIVING, state.fired_direction in RECEIVING
        transceiver.mid = state.mid
        transceiver.receiver.stream_ids = state.stream_ids
        transceiver.receiver.is_receptive = state.is_receptive and not transceiver.is_stopping
        transceiver.fired_direction = state.fired_direction
        if heard and not hears:
            self._events.append(TrackRemoved(transceiver))
        elif hears and not heard:
            self._events.append(TrackAdded(transceiver))

    def _end(self, transceiver: Transceiver) -> None:
        if not transceiver.is_stopping:
            self._events.append(TrackEnded(transceiver))
        self.transceivers.remove(transceiver)

    def _stop(self, transceiver: Transceiver | None) -> None:
        if transceiver is None or transceiver.is_stopped:
            return
        if not transceiver.is_stopping:
            self._events.append(TrackEnded(transceiver))
        transceiver.stop()

    def _hear(self, transceiver: Transceiver, section: MediaDescription, direction: Direction) -> None:
        """W3C section 5.1.1: what the application is told of the way in; `direction` is as we see it."""
        if transceiver.is_stopping:
            return
        heard, hears = transceiver.fired_direction in RECEIVING, direction in RECEIVING
        receiver = transceiver.receiver
        streams = read_stream_ids(section) if hears else ()
        is_changed = streams != receiver.stream_ids
        receiver.stream_ids = streams
        transceiver.fired_direction = direction
        if hears and not heard:
            self._events.append(TrackAdded(transceiver))
        elif heard and not hears:
            receiver.is_receptive = False
            self._events.append(TrackRemoved(transceiver))
        elif hears and is_changed:
            self._events.append(StreamsChanged(transceiver))

    def _agree(
        self,
        transceiver: Transceiver,
        ours: MediaDescription,
        theirs: MediaDescription,
        direction: Direction,
        we_answer: bool,
    ) -> None:
        transceiver.negotiated = agree_on_media(transceiver.mid or "", ours, theirs, we_answer=we_answer)
        self._settle_numbers(transceiver, transceiver.negotiated)
        if not we_answer:
            self._hear(transceiver, theirs, direction)
        elif transceiver.fired_direction in RECEIVING and direction not in RECEIVING:
            transceiver.fired_direction = direction
            self._events.append(TrackRemoved(transceiver))
        if transceiver.is_stopping:
            # Stopped while the offer was out: the next one rejects the section. What speaks for the transport is not
            # rejected but idle, and that is the end of the transceiver as well.
            if ours.direction is Direction.INACTIVE:
                self._idle_mids.add(transceiver.mid or "")
                transceiver.stop()
            return
        transceiver.current_direction = direction
        transceiver.sender.is_held = False  # what was agreed on decides from here, whoever offered
        transceiver.receiver.is_receptive = direction in RECEIVING
        transceiver.sender.has_sent = transceiver.sender.has_sent or direction in SENDING


def mid_of(section: MediaDescription, index: int) -> str:
    """How the section is called here, also where it has no mid (RFC 9429 section 5.10 makes one up)."""
    return section.mid if section.mid is not None else f"#{index}"


def _index_of(session: SessionDescription, mid: str | None) -> int | None:
    return next((i for i, section in enumerate(session.media) if mid_of(section, i) == mid), None)


def _says_streams(section: MediaDescription, transceiver: Transceiver) -> bool:
    return bool(section.msids) and set(read_stream_ids(section)) == set(transceiver.sender.stream_ids)


def _common(ours: tuple[RtpCodec, ...], theirs: tuple[NegotiatedCodec, ...]) -> list[tuple[RtpCodec, NegotiatedCodec]]:
    """The codecs that both have, in the order of `theirs`, each once."""
    left = [codec for codec in ours if codec.name.lower() != RTX]
    pairs = []
    for one in theirs:
        found = next((codec for codec in left if matches(codec, one.codec)), None)
        if found is not None:
            left.remove(found)
            pairs.append((found, one))
    return pairs


def _answered_extensions(
    section: MediaDescription, kind: MediaKind, *, allows_mixed: bool
) -> tuple[HeaderExtension, ...]:
    """Those that we know, by the peer's numbers, and seen from our side; each number and each URI once.

    Numbers that take headers of two bytes (RFC 8285 section 4.3) are taken from a peer that allows both kinds in one
    stream, as our packets have two bytes only where they need them.
    """
    largest = MAX_TWO_BYTE_ID if allows_mixed else MAX_ONE_BYTE_ID
    found: dict[str, HeaderExtension] = {}
    for one in section.header_extensions:
        is_known = one.uri in EXTENSIONS[kind] and one.uri not in found and 1 <= one.id <= largest
        if (
            is_known
            and one.direction is not Direction.INACTIVE
            and one.id not in [other.id for other in found.values()]
        ):
            direction = None if one.direction is None else reverse(one.direction)
            found[one.uri] = HeaderExtension(one.id, one.uri, direction)
    return tuple(found.values())
