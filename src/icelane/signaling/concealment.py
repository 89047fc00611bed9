"""What a relay-only room passes on: signals that do not tell where their sender is.

What passes is rebuilt from what we know, and what we do not know does not pass:

    a candidate        if it is relayed, at an address, from its parsed fields; of extensions those of browsers, and in
                       place of the address behind it (`raddr`) nothing
    lines of SDP       v= o= s= t= m= b= and c=, neutral where they tell something (RFC 8828); attributes in _ATTRIBUTES
    everything else    what is written like an address is one of nobody, wherever it stands

What does not parse is not passed on, because nobody knows what it tells. A client that means to tell its address can
hide it in any word, such as an ufrag, or say it in a `message`: this protects whoever does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.ice.candidate import Candidate, CandidateType, is_address, parse_candidate
from icelane.sdp.attribute import Attribute
from icelane.sdp.media import MediaDescription
from icelane.sdp.privacy import without_host_information
from icelane.sdp.session import SessionDescription, parse_session
from icelane.signaling.messages import CandidateInit, Description, SignalData

# RFC 8839 section 5.1: what stands for "I do not tell" behind raddr and rport.
_UNTOLD: Final = {False: SocketAddress("0.0.0.0", 9), True: SocketAddress("::", 9)}
_NOBODY: Final = "0.0.0.0"

# RFC 8839 section 5.4: ice-char.
_ICE_CHARACTERS: Final = re.compile(r"[A-Za-z0-9+/]{1,256}")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
# What browsers write behind a candidate.
_EXTENSIONS: Final = {
    "generation": _DIGITS,
    "ufrag": _ICE_CHARACTERS,
    "network-id": _DIGITS,
    "network-cost": _DIGITS,
}
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_TRANSPORTS: Final = ("udp", "tcp")
_TCP_TYPES: Final = ("active", "passive", "so")

# Of lines that a parsed description keeps as they were, those that tell nothing.
_LINES: Final = ("b",)
# What JSEP (RFC 8829) and browsers write. Names have one spelling; a reader passes over those that it does not know.
_ATTRIBUTES: Final = frozenset({
    "group", "mid", "msid", "msid-semantic", "bundle-only", "label",
    "ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "ice-pacing", "candidate", "end-of-candidates",
    "fingerprint", "setup", "connection", "tls-id", "dtls-id",
    "sendrecv", "sendonly", "recvonly", "inactive",
    "rtcp", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize", "rtcp-fb", "rtcp-xr",
    "rtpmap", "fmtp", "ptime", "maxptime", "framerate", "imageattr", "extmap", "extmap-allow-mixed",
    "ssrc", "ssrc-group", "rid", "simulcast", "content", "x-google-flag", "packetization-supported",
    "sctp-port", "sctpmap", "max-message-size", "dcmap", "dcsa",
})  # fmt: skip

_IPV4: Final = re.compile(r"(?<![0-9])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])")
# Groups of hexadecimal digits. With `::` or seven colons they are an address; ranges such as 480:16:800 are not.
_COLONS: Final = re.compile(r"[0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,}")
_COLONS_OF_IPV6: Final = 7
_FINGERPRINT: Final = re.compile(r"[0-9A-Za-z-]{1,32} +[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,127}")
_LOCAL_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\.local(?![A-Za-z0-9_-])", re.IGNORECASE)


def concealed(data: SignalData) -> SignalData | None:
    """A copy that tells no address but those of relays; None when nothing is left of it.

    Raises MalformedError for a description that does not parse.
    """
    description, candidate = data.description, data.candidate
    if description is not UNSET:
        description = _concealed_description(description)
    if isinstance(candidate, CandidateInit):
        candidate = _concealed_init(candidate) or UNSET
    if description is UNSET and candidate is UNSET:
        return None
    return SignalData(description=description, candidate=candidate)


def _concealed_description(description: Description) -> Description:
    if not description.sdp:  # a rollback has none
        return description
    session = without_host_information(parse_session(description.sdp))
    session.name = "-"
    owners: list[SessionDescription | MediaDescription] = [session, *session.media]
    for owner in owners:
        kept = (line for line in owner.fields if line.type in _LINES)
        owner.fields = [line._replace(value=without_addresses(line.value)) for line in kept]
        owner.attributes = list(_concealed_attributes(owner))
    for media in session.media:
        media.kind, media.protocol = without_addresses(media.kind), without_addresses(media.protocol)
        media.formats = [without_addresses(text) for text in media.formats]
    return msgspec.structs.replace(description, sdp=str(session))


def _concealed_attributes(owner: SessionDescription | MediaDescription) -> Iterator[Attribute]:
    for attribute in owner.attributes:
        if attribute.name == "candidate":
            candidate = _concealed_candidate(attribute.value or "")
            if candidate is not None:
                yield Attribute("candidate", candidate.attribute_value)
        elif attribute.name in _ATTRIBUTES:
            value = attribute.value
            yield attribute if value is None else Attribute(attribute.name, without_addresses(value))


def _concealed_init(init: CandidateInit) -> CandidateInit | None:
    text = ""
    if init.candidate:  # empty is the end of candidates
        candidate = _concealed_candidate(init.candidate)
        if candidate is None:
            return None
        text = str(candidate)
    return msgspec.structs.replace(
        init, candidate=text, sdp_mid=_told(init.sdp_mid), username_fragment=_told(init.username_fragment)
    )


def _concealed_candidate(text: str) -> Candidate | None:
    try:
        candidate = parse_candidate(text)
    except MalformedError:
        return None
    if candidate.type is not CandidateType.RELAYED or not is_address(candidate.host):
        return None
    if candidate.transport not in _TRANSPORTS or _FOUNDATION.fullmatch(candidate.foundation) is None:
        return None
    return replace(
        candidate,
        related=_UNTOLD[":" in candidate.host],
        tcp_type=candidate.tcp_type if candidate.tcp_type in _TCP_TYPES else None,
        extensions=tuple((name, value) for name, value in candidate.extensions if _is_known(name, value)),
    )


def _is_known(name: str, value: str) -> bool:
    pattern = _EXTENSIONS.get(name)
    return pattern is not None and pattern.fullmatch(value) is not None


def _told(text: str | UnsetType | None) -> str | UnsetType | None:
    return without_addresses(text) if isinstance(text, str) else text


def without_addresses(text: str) -> str:
    """`text` with 0.0.0.0 in place of whatever is written like an IP address or a name of mDNS in it."""
    if ("." not in text and ":" not in text) or _FINGERPRINT.fullmatch(text):
        return text
    return _LOCAL_NAME.sub(_NOBODY, _IPV4.sub(_NOBODY, _COLONS.sub(_hidden, text)))


def _hidden(found: re.Match[str]) -> str:
    text = found[0]
    return _NOBODY if "::" in text or text.count(":") >= _COLONS_OF_IPV6 else text
