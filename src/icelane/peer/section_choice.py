"""Which sections of an offer are accepted, and whose transport they use (RFC 9143 section 7.3, decision 0019).

There is one transport. Who bundles gets all that we can do on it. Who does not gets the one section that is in use, the
data channels, or the first section of media, in this order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from icelane.peer.media_section import bundle_of, is_alive
from icelane.sdp.session import SessionDescription


@dataclass(frozen=True, slots=True)
class SectionChoice:
    """By index. `idle` is a section of media that is accepted for its transport alone (decision 0035).

    `tagged` is the one that speaks for the transport, None when nothing is accepted.
    """

    accepted: frozenset[int] = frozenset()
    idle: int | None = None
    tagged: int | None = None


def choose_sections(
    offer: SessionDescription, acceptable: Collection[int], in_use: Collection[int] = ()
) -> SectionChoice:
    """`acceptable` are the sections that there is something for here, `in_use` those of the last exchange."""
    wanted = set(acceptable)
    data = data_section_index(offer)
    if data is not None:
        wanted.add(data)
    if not wanted:
        return SectionChoice()
    main = _main_section(sorted(wanted & set(in_use)) or sorted(wanted), data)
    bundle = bundle_of(offer, main)
    accepted = {main} | {index for index in wanted if offer.media[index].mid in bundle}
    tagged = _first_with_port(offer, accepted, bundle, main)
    idle = _idle_section(offer, tagged, accepted)
    return SectionChoice(frozenset(accepted), idle, tagged if idle is None else idle)


def transport_section(session: SessionDescription) -> int | None:
    """Which section speaks for the one transport of a description of ours, or of an answer, and has its candidates."""
    alive = [index for index, section in enumerate(session.media) if section.is_rtp and is_alive(section)]
    data = data_section_index(session)
    if data is None and not alive:
        return None
    return transport_section_index(session, data if data is not None else alive[0])


def sections_in_use(answer: SessionDescription) -> set[int]:
    """The sections that an answer accepts on the one transport."""
    tagged = transport_section(answer)
    if tagged is None:
        return set()
    bundle = bundle_of(answer, tagged)
    alive = {index for index, section in enumerate(answer.media) if is_alive(section)}
    return {index for index in alive if index == tagged or answer.media[index].mid in bundle}


def data_section_index(session: SessionDescription) -> int | None:
    """Where the section is that carries data channels: the first of them that is alive."""
    for index, section in enumerate(session.media):
        # RFC 8841 section 5: the port 0 says that there is no association.
        if section.is_data_channel and is_alive(section) and section.sctp_port != 0:
            return index
    return None


def transport_section_index(session: SessionDescription, index: int) -> int:
    """Which section speaks for the transport of another one (RFC 9143 section 7)."""
    speaker = session.transports()[index].speaker
    return next(other for other, section in enumerate(session.media) if section is speaker)


def _main_section(wanted: list[int], data: int | None) -> int:
    return data if data is not None and data in wanted else wanted[0]


def _first_with_port(offer: SessionDescription, accepted: set[int], bundle: tuple[str | None, ...], main: int) -> int:
    """RFC 9143 section 7.3.1: the first of the group that is accepted, and does not only go bundled."""
    index_by_mid = {offer.media[index].mid: index for index in accepted}
    ordered = [index_by_mid[mid] for mid in bundle if mid in index_by_mid]
    return next((index for index in ordered if offer.media[index].port), main)


def _idle_section(offer: SessionDescription, tagged: int, accepted: set[int]) -> int | None:
    """The section of media that the transport belongs to, None when it is one of those that are accepted.

    A peer with `max-bundle` has made one transport, with the first section of the bundle. Chromium takes it away
    together with all of the bundle when that section is rejected. A peer that has made one for each section says so by
    credentials of their own.
    """
    speaker = transport_section_index(offer, tagged)
    if speaker in accepted or not offer.media[speaker].is_rtp:
        return None
    transports = offer.transports()
    return speaker if transports[tagged].ice_credentials == transports[speaker].ice_credentials else None
