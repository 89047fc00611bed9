"""Descriptions that do not tell where their writer is, for connections through a relay only (RFC 8828)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from icelane.sdp.attribute import Attribute
from icelane.sdp.fields import NEUTRAL_CONNECTION, Origin
from icelane.sdp.media import DISCARD_PORT, MediaDescription
from icelane.sdp.session import SessionDescription

# RFC 8839 section 5.1: what stands for "I do not tell" behind raddr and rport.
_NO_ADDRESS: Final = {False: "0.0.0.0", True: "::"}
_NEUTRAL_RTCP: Final = f"{DISCARD_PORT} {NEUTRAL_CONNECTION}"
# Contacts of a person (RFC 8866 sections 5.5 and 5.6).
_CONTACTS: Final = ("u", "e", "p")


def without_host_information(session: SessionDescription) -> SessionDescription:
    """A copy with neutral `o=` and `c=`, no ports, and of the candidates only the relayed ones, without their bases."""
    return SessionDescription(
        origin=Origin(session.origin.session_id, session.origin.session_version),
        version=session.version,
        name=session.name,
        timing=session.timing,
        connection=None if session.connection is None else NEUTRAL_CONNECTION,
        fields=[line for line in session.fields if line.type not in _CONTACTS],
        attributes=_concealed(session.attributes),
        media=[_concealed_section(media) for media in session.media],
    )


def _concealed_section(media: MediaDescription) -> MediaDescription:
    return replace(
        media,
        port=DISCARD_PORT if media.port else 0,
        formats=list(media.formats),
        connection=None if media.connection is None else NEUTRAL_CONNECTION,
        fields=[line for line in media.fields if line.type != "c"],
        attributes=_concealed(media.attributes),
    )


def _concealed(attributes: list[Attribute]) -> list[Attribute]:
    concealed = (_concealed_attribute(attribute) for attribute in attributes)
    return [attribute for attribute in concealed if attribute is not None]


def _concealed_attribute(attribute: Attribute) -> Attribute | None:
    """None for a line that has to go."""
    if attribute.name == "rtcp":
        return Attribute("rtcp", _NEUTRAL_RTCP)
    if attribute.name == "candidate":
        return _concealed_candidate(attribute.value or "")
    # RFC 5245's list of what was chosen holds addresses and nothing that anybody needs.
    return None if attribute.name == "remote-candidates" else attribute


def _concealed_candidate(value: str) -> Attribute | None:
    words = value.split()
    if words[6:8] != ["typ", "relay"]:
        return None
    # Foundation, component, transport, priority, address, port, typ, relay; then pairs.
    pairs = [(name, text) for name, text in zip(words[8::2], words[9::2], strict=False)]
    neutral = {"raddr": _NO_ADDRESS[":" in words[4]], "rport": str(DISCARD_PORT)}
    rest = [word for name, text in pairs for word in (name, neutral.get(name, text))]
    return Attribute("candidate", " ".join([*words[:8], *rest]))
