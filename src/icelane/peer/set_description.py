"""A description that was set, and how it is shown: with the candidates that came after it."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.errors import InvalidAccessError, InvalidModificationError, MalformedError, OperationError
from icelane.peer.description import Description
from icelane.peer.local_generation import LocalGeneration, LocalGenerations
from icelane.peer.offer_answer import copy_session
from icelane.peer.section_choice import data_section_index, transport_section
from icelane.peer.signaling_state import DescriptionType
from icelane.peer.transport_command import IceParameters
from icelane.sdp.attribute import Attribute
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.validation import check_answer, check_description

_TRICKLED: tuple[str, ...] = ("candidate", "end-of-candidates")


@dataclass(frozen=True, slots=True)
class SetDescription:
    """One of the four: current or pending, local or remote. A local one is kept without its candidates.

    `tagged` is the section that speaks for the one transport, and has its candidates; None when nothing needs one.
    """

    type: DescriptionType
    session: SessionDescription
    tagged: int | None

    @property
    def data_section(self) -> int | None:
        """Where the section for data channels is that this side wants."""
        return data_section_index(self.session)

    @property
    def ice(self) -> IceParameters | None:
        """The credentials of the transport, None when no section needs one."""
        if self.tagged is None:
            return None
        credentials = self.session.ice_credentials(self.session.media[self.tagged])
        return None if credentials is None else IceParameters(credentials.ufrag, credentials.password)


def describe(kind: DescriptionType, session: SessionDescription) -> SetDescription:
    """A description of ours, or an answer, whose sections that are alive say whose the transport is."""
    return SetDescription(kind, session, transport_section(session))


def show_remote(applied: SetDescription | None) -> Description | None:
    """What the peer wrote, and the candidates that were added since."""
    return None if applied is None else Description(applied.type, str(applied.session))


def show_local(applied: SetDescription | None, generations: LocalGenerations) -> Description | None:
    """What we wrote, with the candidates of its generation that are known by now (W3C section 4.4.1.5)."""
    if applied is None:
        return None
    ice = applied.ice
    generation = generations.find(ice.ufrag) if ice is not None else None
    if generation is None:
        return Description(applied.type, str(applied.session))
    return Description(applied.type, str(_with_candidates(applied, generation)))


def check_unchanged(created: SessionDescription | None, text: str) -> SessionDescription:
    """`created`, when `text` is it. Candidates and line ends may differ: they are not looked at.

    Raises InvalidModificationError (W3C section 4.4.2).
    """
    if created is None:
        raise InvalidModificationError("no such description was made last")
    try:
        given = parse_session(text)
    except MalformedError as error:
        raise InvalidModificationError(f"the description was changed after it was made: {error}") from None
    if str(_without_candidates(given)) != str(created):
        raise InvalidModificationError("the description was changed after it was made")
    return created


def parse_remote(text: str, offer: SetDescription | None) -> SessionDescription:
    """The peer's offer, or its answer to `offer`.

    Raises OperationError for what is no description (W3C: RTCError, `sdp-syntax-error`), and InvalidAccessError for one
    that WebRTC does not allow.
    """
    try:
        session = parse_session(text)
    except MalformedError as error:
        raise OperationError(f"the description does not parse: {error}") from error
    try:
        if offer is None:
            check_description(session, is_offer=True)
        else:
            check_answer(offer.session, session)
    except MalformedError as error:
        raise InvalidAccessError(f"the description cannot be used: {error}") from error
    return session


def _with_candidates(applied: SetDescription, generation: LocalGeneration) -> SessionDescription:
    session = copy_session(applied.session)
    if (index := applied.tagged) is not None:
        section = session.media[index]
        section.add(*(Attribute("candidate", value) for value in generation.candidates))
        if generation.is_complete:
            section.add(Attribute("end-of-candidates"))
    return session


def _without_candidates(session: SessionDescription) -> SessionDescription:
    session.remove(*_TRICKLED)
    for section in session.media:
        section.remove(*_TRICKLED)
    return session
