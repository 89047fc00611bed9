"""Whole descriptions of ours: which sections they have, and in which order (RFC 9429 sections 5.2 and 5.3).

A section keeps its place for the life of the connection. One that was rejected keeps it too, until something new takes
it over under another mid; that is called recycling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from icelane.errors import InvalidAccessError
from icelane.peer.media_negotiation import Associations, MediaNegotiation, mid_of
from icelane.peer.media_section import (
    LocalTransport,
    is_alive,
    write_data_section,
    write_idle_section,
    write_rejected_section,
)
from icelane.peer.rtp_section import write_rtp_section
from icelane.peer.section_choice import SectionChoice, transport_section
from icelane.peer.transceiver import Transceiver
from icelane.sdp.attribute import Attribute
from icelane.sdp.fields import Origin
from icelane.sdp.media import MediaDescription
from icelane.sdp.session import BUNDLE, SessionDescription
from icelane.sdp.transport_attributes import Group

# RFC 8840 section 4.1.1 and RFC 8445 section 10.
ICE_OPTIONS: Final = "trickle ice2"


@dataclass(frozen=True, slots=True)
class NegotiatedSections:
    """The two descriptions of the last exchange that came to its end; both have the same number of sections."""

    local: SessionDescription
    remote: SessionDescription

    def is_alive(self, index: int) -> bool:
        """Whether both sides want the section."""
        return is_alive(self.local.media[index]) and is_alive(self.remote.media[index])

    @property
    def alive(self) -> set[int]:
        """The sections that both sides want."""
        return {index for index in range(len(self.local.media)) if self.is_alive(index)}

    @property
    def tagged(self) -> int | None:
        """The section that speaks for the transport, None when nothing is alive."""
        return transport_section(self.local)

    @property
    def recyclable(self) -> list[int]:
        """The places that something new may take: those behind the section that speaks for the transport.

        Chromium makes another transport for a section that becomes the first of a bundle, though RFC 9143 has it keep
        the one that there is.
        """
        first = 0 if self.tagged is None or not self.is_alive(self.tagged) else self.tagged + 1
        return [index for index in range(first, len(self.local.media)) if not self.is_alive(index)]

    @property
    def has_data(self) -> bool:
        """Whether a section for data channels was agreed on."""
        return any(section.is_data_channel and self.is_alive(i) for i, section in enumerate(self.local.media))


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """An offer, and which transceivers have which mids once it is set."""

    session: SessionDescription
    associations: Associations = ()


def build_offer(
    origin: Origin,
    negotiated: NegotiatedSections | None,
    transport: LocalTransport,
    media: MediaNegotiation,
    *,
    wants_data: bool,
    next_mid: int,
) -> OfferPlan:
    """The offer that goes on with `negotiated`, None at the beginning. New sections have mids from `next_mid` on."""
    sections: list[MediaDescription] = []
    associations: dict[Transceiver, str] = {}
    for index, section in enumerate(negotiated.local.media if negotiated else ()):
        is_wanted = negotiated is not None and negotiated.is_alive(index)
        transceiver = media.transceivers.by_mid(mid_of(section, index)) if is_wanted else None
        if transceiver is not None and not transceiver.is_stopping:
            associations[transceiver] = mid_of(section, index)
            sections.append(write_rtp_section(media.offered_section(transceiver, "", section), transport))
        elif negotiated is not None and is_wanted and section.is_data_channel:
            sections.append(write_data_section(section.mid, transport, section))
        elif negotiated is not None and index == negotiated.tagged and _has_more(negotiated, media):
            sections.append(write_idle_section(section, transport))
        else:
            sections.append(write_rejected_section(section))
    recyclable = [] if negotiated is None else negotiated.recyclable
    for transceiver in media.transceivers:
        if transceiver not in associations and not transceiver.is_stopping:
            mid = transceiver.mid if transceiver.mid not in (None, *_mids(sections)) else None
            associations[transceiver] = mid = mid or _unused_mid(sections, next_mid)
            _place(sections, write_rtp_section(media.offered_section(transceiver, mid, None), transport), recyclable)
    if wants_data and not (negotiated and negotiated.has_data):
        mid = _unused_mid(sections, next_mid)
        _place(sections, write_data_section(mid, transport, None), recyclable)
    session = _session(origin, sections, _bundle_in_order(sections, negotiated), transport)
    return OfferPlan(session, tuple((mid, transceiver) for transceiver, mid in associations.items()))


def build_answer(
    origin: Origin,
    offer: SessionDescription,
    transport: LocalTransport,
    media: MediaNegotiation,
    choice: SectionChoice,
) -> SessionDescription:
    """The answer to `offer`: its sections in their places, with those of `choice` accepted."""
    sections = []
    for index, section in enumerate(offer.media):
        accepted = media.answered_section(offer, index) if index in choice.accepted and section.is_rtp else None
        if accepted is not None:
            sections.append(write_rtp_section(accepted, transport))
        elif index in choice.accepted and not section.is_rtp:
            sections.append(write_data_section(section.mid, transport, section))
        elif index == choice.idle:
            sections.append(write_idle_section(section, transport))
        else:
            sections.append(write_rejected_section(section))
    # RFC 9143 section 7.3: only what the offer bundled is bundled, and the section of the transport comes first.
    alive = {section.mid for section in sections if is_alive(section)}
    return _session(origin, sections, [mid for mids in offer.bundle_groups for mid in mids if mid in alive], transport)


def _bundle_in_order(sections: list[MediaDescription], negotiated: NegotiatedSections | None) -> list[str | None]:
    """The sections that were bundled keep their order, and so the one that speaks for the transport its place."""
    alive = [section.mid for section in sections if is_alive(section)]
    groups = negotiated.local.bundle_groups if negotiated is not None else []
    before = [mid for mids in groups for mid in mids if mid in alive]
    return [*before, *(mid for mid in alive if mid not in before)]


def _has_more(negotiated: NegotiatedSections, media: MediaNegotiation) -> bool:
    """Whether there is something that an idle section's transport is kept for: what was agreed on, and goes on."""
    mids = {negotiated.local.media[index].mid for index in negotiated.alive}
    return negotiated.has_data or any(not one.is_stopping and one.mid in mids for one in media.transceivers)


def check_follows(negotiated: NegotiatedSections | None, offer: SessionDescription) -> None:
    """Raises InvalidAccessError when `offer` does not go on with `negotiated` (RFC 9429 section 5.2.2, RFC 3264 8).

    Sections never vanish, and one that is alive changes neither its mid nor its kind.
    """
    if negotiated is None:
        return
    if len(offer.media) < len(negotiated.remote.media):
        raise InvalidAccessError("the offer has fewer sections than were negotiated")
    for index, before in enumerate(negotiated.remote.media):
        section = offer.media[index]
        if negotiated.is_alive(index) and (section.mid, section.kind) != (before.mid, before.kind):
            raise InvalidAccessError(f"the offer has another mid or kind in section {index}, which is in use")


def highest_mid(sections: Iterable[MediaDescription]) -> int:
    """The greatest of the mids that are numbers as ours are, -1 without any."""
    return max((int(mid) for section in sections if (mid := section.mid) is not None and _is_number(mid)), default=-1)


def copy_session(session: SessionDescription) -> SessionDescription:
    """A copy whose attributes can be changed without changing `session`."""
    media = [replace(section, attributes=list(section.attributes)) for section in session.media]
    return replace(session, attributes=list(session.attributes), media=media)


def _session(
    origin: Origin, sections: list[MediaDescription], bundle: list[str | None], transport: LocalTransport
) -> SessionDescription:
    session = SessionDescription(origin=origin, media=sections)
    mids = tuple(mid for mid in bundle if mid is not None)
    if mids:
        session.add(Group(BUNDLE, mids))
    if transport.is_lite:
        session.add(Attribute("ice-lite"))
    session.add(Attribute("ice-options", ICE_OPTIONS))
    return session


def _place(sections: list[MediaDescription], section: MediaDescription, recyclable: list[int]) -> None:
    """Put a new section where the last exchange rejected one, or behind all others (RFC 9429 section 5.2.2)."""
    if recyclable:
        sections[recyclable.pop(0)] = section
    else:
        sections.append(section)


def _mids(sections: list[MediaDescription]) -> set[str | None]:
    return {section.mid for section in sections}


def _unused_mid(sections: list[MediaDescription], next_mid: int) -> str:
    # The peer may have made up any mids for its sections, numbers too.
    used = _mids(sections)
    return next(mid for mid in map(str, range(next_mid, next_mid + len(used) + 1)) if mid not in used)


def _is_number(mid: str) -> bool:
    return mid.isascii() and mid.isdigit() and len(mid) <= 9
