"""A whole description: what holds for the session, and its sections (RFC 8866 section 5).

What is parsed is written again as it was: unknown attributes and lines stay, and so do the order of attributes and the
sections that nobody understands. Only what a reader cannot see changes: line ends become CRLF, the types of lines stand
in the order of RFC 8866, and several spaces between the words of `o=`, `c=` and `m=` become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute, parse_attribute
from icelane.sdp.attributes import SINGULAR, AttributeList, check_attribute
from icelane.sdp.fields import Connection, Origin, parse_connection, parse_origin, parse_timing
from icelane.sdp.lines import Line, format_lines, parse_lines
from icelane.sdp.media import MediaDescription, direction_of, parse_media_line
from icelane.sdp.rtp_attributes import Direction
from icelane.sdp.transport import SectionTransport, speakers
from icelane.sdp.transport_attributes import (
    Fingerprint,
    Group,
    IceCredentials,
    Setup,
    parse_group,
    parse_ice_options,
)

# More sections are MalformedError. A conference that sends each participant's streams in sections has some dozens.
MAX_MEDIA: Final = 256

BUNDLE: Final = "BUNDLE"

# RFC 8866 section 5: the order of lines. Repetitions and time zones belong to the times before them.
_ORDER: Final = "vosiuepcbtka"
_RANKS: Final = {letter: rank for rank, letter in enumerate(_ORDER)} | {letter: _ORDER.index("t") for letter in "rz"}
_UNKNOWN_RANK: Final = _ORDER.index("k")


@dataclass(kw_only=True, slots=True)
class SessionDescription(AttributeList):
    """An offer or an answer.

    `fields` holds the lines of the session that are none of `v=`, `o=`, `s=`, `c=`, `a=` and the first `t=`.
    """

    origin: Origin
    version: int = 0
    name: str = "-"
    timing: str = "0 0"
    connection: Connection | None = None
    fields: list[Line] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    media: list[MediaDescription] = field(default_factory=list)

    def __str__(self) -> str:
        lines = self._session_lines()
        for media in self.media:
            lines += _media_lines(media)
        return format_lines(lines)

    def section(self, mid: str) -> MediaDescription | None:
        """The first section with that mid."""
        return next((media for media in self.media if media.mid == mid), None)

    @property
    def groups(self) -> list[Group]:
        """Every group, whatever it is for."""
        return [parse_group(value) for value in self.get_all(Group.NAME)]

    @property
    def bundle_groups(self) -> list[tuple[str, ...]]:
        """The mids of each group whose sections share a transport (RFC 9143)."""
        return [group.mids for group in self.groups if group.semantics == BUNDLE]

    @property
    def is_ice_lite(self) -> bool:
        """Whether the agent only answers checks (RFC 8839 section 5.3)."""
        return self.has("ice-lite")

    @property
    def ice_options(self) -> tuple[str, ...]:
        """The ICE options, from the session and all sections, each once."""
        values = [value for owner in (self, *self.media) for value in owner.get_all("ice-options")]
        return tuple(dict.fromkeys(option for value in values for option in parse_ice_options(value)))

    def transports(self) -> list[SectionTransport]:
        """What holds for the transport of each section, in their order."""
        found = speakers(self.media, self.bundle_groups)
        return [SectionTransport(self, media, speaker) for media, speaker in zip(self.media, found, strict=True)]

    def transport(self, media: MediaDescription) -> SectionTransport:
        """What holds for the transport of `media`, one of our sections. For more than one, `transports` is cheaper."""
        found = next((transport for transport in self.transports() if transport.media is media), None)
        return found or SectionTransport(self, media, media)

    def ice_credentials(self, media: MediaDescription) -> IceCredentials | None:
        """What holds for `media`: its own, its bundle's, or the session's; None unless both are there."""
        return self.transport(media).ice_credentials

    def fingerprints(self, media: MediaDescription) -> list[Fingerprint]:
        """What holds for `media`; the certificate has to match one (RFC 8122 section 5)."""
        return self.transport(media).fingerprints

    def setup(self, media: MediaDescription) -> Setup | None:
        """What holds for `media`."""
        return self.transport(media).setup

    def tls_id(self, media: MediaDescription) -> str | None:
        """What holds for `media`."""
        return self.transport(media).tls_id

    def direction(self, media: MediaDescription) -> Direction:
        """What holds for `media`: sendrecv when nothing is written (RFC 8866 section 6.7)."""
        return media.direction or direction_of(self) or Direction.SENDRECV

    def _session_lines(self) -> list[Line]:
        first = [Line("v", str(self.version)), Line("o", str(self.origin)), Line("s", self.name)]
        rest = _in_order([*_connection_lines(self.connection), Line("t", self.timing), *self.fields])
        return [*first, *rest, *_attribute_lines(self)]


def parse_session(text: str) -> SessionDescription:
    """The description that `text` is. Raises MalformedError, with the number of the line where there is one.

    What WebRTC demands beyond the grammar is `validation`'s.
    """
    lines = parse_lines(text)
    starts = [i for i, line in enumerate(lines) if line.type == "m"]
    if len(starts) > MAX_MEDIA:
        raise MalformedError(f"a description has at most {MAX_MEDIA} sections, not {len(starts)}")
    bounds = [*starts, len(lines)]
    session = _parse_session_section(lines[: bounds[0]])
    session.media = [_parse_media_section(lines[start:end], start + 1) for start, end in pairwise(bounds)]
    return session


def _parse_session_section(lines: Sequence[Line]) -> SessionDescription:
    if not lines or lines[0] != ("v", "0"):
        raise MalformedError("line 1: a description begins with v=0")
    session = SessionDescription(origin=parse_origin(_only_value(lines, "o")), name=_only_value(lines, "s"))
    times = [line for line in lines if line.type == "t"]
    if not times:
        raise MalformedError("the session has no line t=")
    session.timing = parse_timing(times[0].value)
    if any(line.type == "c" for line in lines):
        session.connection = parse_connection(_only_value(lines, "c"))
    _only_value(lines, "v")
    session.fields = _in_order(line for line in lines if line.type not in "vosca" and line is not times[0])
    session.attributes = _parse_attributes(lines, 1)
    return session


def _parse_media_section(lines: Sequence[Line], number: int) -> MediaDescription:
    """The section that begins with line `number` of the text."""
    try:
        media = parse_media_line(lines[0].value)
    except MalformedError as error:
        raise MalformedError(f"line {number}: {error}") from None
    # A second c= would be another layer of a hierarchical encoding (RFC 8866 section 5.7).
    first = next((line for line in lines if line.type == "c"), None)
    if first is not None:
        media.connection = parse_connection(first.value)
    media.fields = _in_order(line for line in lines if line.type not in "ma" and line is not first)
    media.attributes = _parse_attributes(lines, number)
    return media


def _parse_attributes(lines: Sequence[Line], number: int) -> list[Attribute]:
    """The attributes among `lines`, the first of which is line `number` of the text."""
    attributes = []
    seen = set()
    for i, line in enumerate(lines, number):
        if line.type != "a":
            continue
        try:
            attribute = parse_attribute(line.value)
            check_attribute(attribute)
        except MalformedError as error:
            raise MalformedError(f"line {i}: {error}") from None
        if attribute.name in SINGULAR:
            if attribute.name in seen:
                raise MalformedError(f"line {i}: a second a={attribute.name}")
            seen.add(attribute.name)
        attributes.append(attribute)
    return attributes


def _only_value(lines: Sequence[Line], letter: str) -> str:
    values = [line.value for line in lines if line.type == letter]
    if len(values) != 1:
        raise MalformedError(f"the session has {len(values)} lines {letter}=, not one")
    return values[0]


def _media_lines(media: MediaDescription) -> list[Line]:
    middle = _in_order([*_connection_lines(media.connection), *media.fields])
    return [Line("m", media.media_line), *middle, *_attribute_lines(media)]


def _connection_lines(connection: Connection | None) -> list[Line]:
    return [] if connection is None else [Line("c", str(connection))]


def _attribute_lines(owner: AttributeList) -> list[Line]:
    return [attribute.line for attribute in owner.attributes]


def _in_order(lines: Iterable[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: _RANKS.get(line.type, _UNKNOWN_RANK))
