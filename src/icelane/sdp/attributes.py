"""The attributes that we know, and what has to hold for each: a description with a wrong one does not parse.

Everything else is kept as it came and means nothing to us (RFC 8866 section 5.13). A list of attributes is what a
session and a section have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute, TypedAttribute
from icelane.sdp.rtp_attributes import (
    parse_format_parameters,
    parse_header_extension,
    parse_milliseconds,
    parse_msid,
    parse_rid,
    parse_rtcp_feedback,
    parse_rtcp_port,
    parse_rtp_map,
    parse_simulcast,
    parse_source_attribute,
    parse_source_group,
)
from icelane.sdp.transport_attributes import (
    parse_fingerprint,
    parse_group,
    parse_ice_options,
    parse_ice_pwd,
    parse_ice_ufrag,
    parse_max_message_size,
    parse_mid,
    parse_sctp_map,
    parse_sctp_port,
    parse_setup,
    parse_tls_id,
)

PARSERS: Final[dict[str, Callable[[str], object]]] = {
    "extmap": parse_header_extension,
    "fingerprint": parse_fingerprint,
    "fmtp": parse_format_parameters,
    "group": parse_group,
    "ice-options": parse_ice_options,
    "ice-pwd": parse_ice_pwd,
    "ice-ufrag": parse_ice_ufrag,
    "max-message-size": parse_max_message_size,
    "maxptime": parse_milliseconds,
    "mid": parse_mid,
    "msid": parse_msid,
    "ptime": parse_milliseconds,
    "rid": parse_rid,
    "rtcp": parse_rtcp_port,
    "rtcp-fb": parse_rtcp_feedback,
    "rtpmap": parse_rtp_map,
    "sctp-port": parse_sctp_port,
    "sctpmap": parse_sctp_map,
    "setup": parse_setup,
    "simulcast": parse_simulcast,
    "ssrc": parse_source_attribute,
    "ssrc-group": parse_source_group,
    "tls-id": parse_tls_id,
}
"""What reads the value of an attribute, by its name."""

# Two of one of these would let two readers of a description understand two things.
SINGULAR: Final = frozenset(
    {"ice-pwd", "ice-ufrag", "max-message-size", "mid", "sctp-port", "setup", "simulcast", "tls-id"}
)
"""Attributes that a session or a section has once at most."""


def check_attribute(attribute: Attribute) -> None:
    """Raise MalformedError when we know the attribute and its value is wrong or missing."""
    parse = PARSERS.get(attribute.name)
    if parse is None:
        return
    if attribute.value is None:
        raise MalformedError(f"a={attribute.name} needs a value")
    parse(attribute.value)


class AttributeList:
    """What has attributes, in the order of the text: a session or a section.

    What was parsed has been checked, so the typed properties raise nothing. For attributes that were added with a wrong
    value they raise MalformedError.
    """

    __slots__ = ()
    attributes: list[Attribute]

    def add(self, *attributes: Attribute | TypedAttribute) -> None:
        """Append them in this order."""
        for attribute in attributes:
            self.attributes.append(attribute if isinstance(attribute, Attribute) else attribute.to_attribute())

    def replace(self, name: str, value: str | None = None) -> None:
        """Write this value where the first line of the attribute stands, or at the end, and drop its other lines."""
        positions = [i for i, attribute in enumerate(self.attributes) if attribute.name == name]
        if not positions:
            self.attributes.append(Attribute(name, value))
            return
        self.attributes[positions[0]] = Attribute(name, value)
        for position in reversed(positions[1:]):
            del self.attributes[position]

    def remove(self, *names: str) -> None:
        """Drop every line of the attributes of these names."""
        self.attributes[:] = [attribute for attribute in self.attributes if attribute.name not in names]

    def has(self, name: str) -> bool:
        """Whether the attribute is there, with a value or without."""
        return any(attribute.name == name for attribute in self.attributes)

    def get(self, name: str) -> str | None:
        """The value of the first of that name, "" when it has none, None when it is not there."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    def get_all(self, name: str) -> list[str]:
        """The values of all of that name in their order, "" for those without."""
        return [attribute.value or "" for attribute in self.attributes if attribute.name == name]
