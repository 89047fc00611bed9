"""Whole descriptions of ours: which sections they have, and in which order (RFC 9429 sections 5.2 and 5.3).

A section keeps its place for the life of the connection. One that was rejected keeps it too, until something new takes
it over under another mid; that is called recycling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from icelane.errors import InvalidAccessError
from icelane.peer.media_section import (
    LocalTransport,
    is_alive,
    write_data_section,
    write_idle_section,
    write_rejected_section,
)
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
    def has_data(self) -> bool:
        """Whether a section for data channels was agreed on."""
        return any(section.is_data_channel and self.is_alive(i) for i, section in enumerate(self.local.media))


def build_offer(
    origin: Origin, negotiated: NegotiatedSections | None, transport: LocalTransport, *, wants_data: bool, next_mid: int
) -> SessionDescription:
    """The offer that goes on with `negotiated`, None at the beginning. New sections have mids from `next_mid` on."""
    sections: list[MediaDescription] = []
    for index, section in enumerate(negotiated.local.media if negotiated else ()):
        if negotiated and negotiated.is_alive(index) and section.is_data_channel:
            sections.append(write_data_section(section.mid, transport, section))
        elif negotiated and negotiated.is_alive(index) and negotiated.has_data:
            sections.append(write_idle_section(section, transport))
        else:
            sections.append(write_rejected_section(section))
    if wants_data and not (negotiated and negotiated.has_data):
        mid = _unused_mid(sections, next_mid)
        _place(sections, write_data_section(mid, transport, None))
    return _session(origin, sections, [section.mid for section in sections if is_alive(section)], transport)


def build_answer(origin: Origin, offer: SessionDescription, transport: LocalTransport) -> SessionDescription:
    """The answer to `offer`: its sections in their places, with the data channels accepted."""
    accepted = data_section_index(offer)
    idle = None if accepted is None else _idle_section_index(offer, accepted)
    sections = []
    for index, section in enumerate(offer.media):
        if index == accepted:
            sections.append(write_data_section(section.mid, transport, section))
        elif index == idle:
            sections.append(write_idle_section(section, transport))
        else:
            sections.append(write_rejected_section(section))
    # RFC 9143 section 7.3: only what the offer bundled is bundled, and the section of the transport comes first.
    alive = {section.mid for section in sections if is_alive(section)}
    return _session(origin, sections, [mid for mids in offer.bundle_groups for mid in mids if mid in alive], transport)


def data_section_index(session: SessionDescription) -> int | None:
    """Where the section is that carries data channels: the first of them that is alive."""
    for index, section in enumerate(session.media):
        # RFC 8841 section 5: the port 0 says that there is no association.
        if section.is_data_channel and is_alive(section) and section.sctp_port != 0:
            return index
    return None


def transport_section_index(session: SessionDescription, data: int) -> int:
    """Which section speaks for the transport of the data channels, and has its candidates (RFC 9143 section 7)."""
    speaker = session.transports()[data].speaker
    return next(index for index, section in enumerate(session.media) if section is speaker)


def _idle_section_index(offer: SessionDescription, data: int) -> int | None:
    """The section of media that the transport of the data channels belongs to, None when it is their own.

    A peer with `max-bundle` has made one transport, with the first section of the bundle. Chromium takes it away
    together with all of the bundle when that section is rejected. A peer that has made one for each section says so by
    credentials of their own.
    """
    speaker = transport_section_index(offer, data)
    transports = offer.transports()
    if speaker == data or not offer.media[speaker].is_rtp:
        return None
    return speaker if transports[data].ice_credentials == transports[speaker].ice_credentials else None


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


def _place(sections: list[MediaDescription], section: MediaDescription) -> None:
    """Put a new section where one was rejected, or behind all others (RFC 9429 section 5.2.2)."""
    for index, standing in enumerate(sections):
        if not is_alive(standing):
            sections[index] = section
            return
    sections.append(section)


def _unused_mid(sections: list[MediaDescription], next_mid: int) -> str:
    # The peer may have made up any mids for its sections, numbers too.
    used = {section.mid for section in sections}
    return next(mid for mid in map(str, range(next_mid, next_mid + len(used) + 1)) if mid not in used)


def _is_number(mid: str) -> bool:
    return mid.isascii() and mid.isdigit() and len(mid) <= 9
