"""One section of a description of ours, and what a section of the peer's says (RFC 9429 section 5, RFC 8841).

    m=application 9 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 0.0.0.0
    a=ice-ufrag:EsAwXCXw
    a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y
    a=fingerprint:sha-256 ...
    a=setup:actpass
    a=mid:0
    a=sctp-port:5000
    a=max-message-size:262144

Those of audio and video are in `rtp_section`. One that nothing here takes is rejected; but one that the peer's only
transport belongs to is accepted and idle (decision 0035).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.dtls.options import DtlsRole
from icelane.errors import InvalidAccessError
from icelane.peer.transport_command import IceParameters, RemoteTransport
from icelane.sdp.attribute import Attribute, TypedAttribute
from icelane.sdp.media import DATA_CHANNEL_FORMAT, MediaDescription
from icelane.sdp.session import SessionDescription
from icelane.sdp.transport_attributes import Fingerprint, SctpMap, Setup

# Every implementation uses 5000, and only one association fits on a DTLS transport.
LOCAL_SCTP_PORT: Final = 5000
# What we take in one message; Chromium says the same.
LOCAL_MAX_MESSAGE_SIZE: Final = 262_144
# RFC 8841 sections 5 and 6: what holds where the peer wrote nothing.
DEFAULT_SCTP_PORT: Final = 5000
DEFAULT_MAX_MESSAGE_SIZE: Final = 65_536

# Candidates of one description that are looked at; more are left out. A peer with twenty interfaces has fewer.
MAX_REMOTE_CANDIDATES: Final = 200

DATA_PROTOCOL: Final = "UDP/DTLS/SCTP"
# draft-ietf-mmusic-sctp-sdp-05, as aiortc and old browsers write it: streams of an sctpmap.
_LEGACY_STREAMS: Final = 65_535

_ROLE_BY_SETUP: Final = {Setup.ACTIVE: DtlsRole.SERVER, Setup.PASSIVE: DtlsRole.CLIENT}
_SETUP_BY_ROLE: Final = {DtlsRole.CLIENT: Setup.ACTIVE, DtlsRole.SERVER: Setup.PASSIVE}


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """What a description of ours says about our end of the transport."""

    ice: IceParameters
    fingerprints: tuple[tuple[str, bytes], ...]
    setup: Setup
    is_lite: bool = False


def write_data_section(mid: str | None, transport: LocalTransport, like: MediaDescription | None) -> MediaDescription:
    """The section of the data channels, in the form of `like`, the section that it goes on with or answers."""
    section = MediaDescription(kind="application", protocol=DATA_PROTOCOL, formats=[DATA_CHANNEL_FORMAT])
    if like is not None:
        section.protocol = like.protocol
    section.add(*transport_attributes(transport))
    if mid is not None:
        section.add(Attribute("mid", mid))
    if like is not None and DATA_CHANNEL_FORMAT not in like.formats:
        # Peers of before RFC 8841 have the port where the format is now, and do not know a=sctp-port.
        section.formats = [str(LOCAL_SCTP_PORT)]
        section.add(SctpMap(LOCAL_SCTP_PORT, DATA_CHANNEL_FORMAT, _LEGACY_STREAMS))
    else:
        section.add(Attribute("sctp-port", str(LOCAL_SCTP_PORT)))
    section.add(Attribute("max-message-size", str(LOCAL_MAX_MESSAGE_SIZE)))
    return section


def write_rejected_section(like: MediaDescription) -> MediaDescription:
    """The section that keeps the place of one that is rejected, or was (RFC 9429 section 5.3.1): port 0."""
    section = MediaDescription(kind=like.kind, protocol=like.protocol, formats=list(like.formats), port=0)
    if (mid := like.mid) is not None:
        section.add(Attribute("mid", mid))
    if like.is_rtp:
        section.add(Attribute("inactive"))
    return section


def write_idle_section(like: MediaDescription, transport: LocalTransport) -> MediaDescription:
    """A section of media that is there for its transport alone: nothing is sent on it, and nothing received."""
    section = MediaDescription(kind=like.kind, protocol=like.protocol, formats=list(like.formats))
    section.add(*transport_attributes(transport))
    if (mid := like.mid) is not None:
        section.add(Attribute("mid", mid))
    section.add(Attribute("inactive"), Attribute("rtcp-mux"))
    section.add(*(one for one in like.attributes if one.name in ("rtpmap", "fmtp")))
    return section


def transport_attributes(transport: LocalTransport) -> list[Attribute | TypedAttribute]:
    """How a section says which transport is its own."""
    return [
        Attribute("ice-ufrag", transport.ice.ufrag),
        Attribute("ice-pwd", transport.ice.password),
        *(Fingerprint(algorithm, value) for algorithm, value in transport.fingerprints),
        Attribute("setup", transport.setup.value),
    ]


def is_alive(section: MediaDescription) -> bool:
    """Whether the section carries something: a bundle-only one does, though its port is 0."""
    return not section.is_rejected


def read_remote_transport(session: SessionDescription, index: int) -> RemoteTransport:
    """What `session` says about the transport of a section. Raises InvalidAccessError when ICE or DTLS is missing."""
    transports = session.transports()
    ice = transports[index].ice_credentials
    fingerprints = tuple((one.algorithm, one.value) for one in transports[index].fingerprints)
    if ice is None or not fingerprints:
        raise InvalidAccessError("a section that is not rejected needs ICE credentials and a fingerprint")
    shared = [session.media[one] for one in sections_of_transport(session, index)]
    candidates = dict.fromkeys(text for section in shared for text in section.candidates)
    return RemoteTransport(
        ice=IceParameters(ice.ufrag, ice.password),
        fingerprints=fingerprints,
        is_lite=session.is_ice_lite,
        ice_options=frozenset(session.ice_options),
        tls_id=transports[index].tls_id,
        candidates=tuple(candidates)[:MAX_REMOTE_CANDIDATES],
        end_of_candidates=session.has("end-of-candidates") or any(section.end_of_candidates for section in shared),
    )


def bundle_of(session: SessionDescription, index: int) -> tuple[str | None, ...]:
    """The mids of the bundle that a section is in, none when it is in none."""
    mid = session.media[index].mid
    return next((mids for mids in session.bundle_groups if mid in mids), ())


def sections_of_transport(session: SessionDescription, index: int) -> list[int]:
    """Where the sections are that share the transport of one: bundled with it, and with the same credentials.

    A peer that bundles puts the candidates where its first section is, also when that is one that we reject.
    """
    bundle = bundle_of(session, index)
    transports = session.transports()
    credentials = transports[index].ice_credentials
    return [
        other
        for other, transport in enumerate(transports)
        if other == index or (transport.media.mid in bundle and transport.ice_credentials == credentials)
    ]


def read_sctp(section: MediaDescription) -> tuple[int, int]:
    """The peer's SCTP port, and how long a message to it may be, 0 for any length."""
    port, size = section.sctp_port, section.max_message_size
    return DEFAULT_SCTP_PORT if port is None else port, DEFAULT_MAX_MESSAGE_SIZE if size is None else size


def role_against(setup: Setup | None) -> DtlsRole | None:
    """The DTLS role that is left to us: None when the peer leaves the choice.

    Raises InvalidAccessError for a peer that wants no connection, or does not say.
    """
    if setup is Setup.ACTPASS:
        return None
    if setup is None or (role := _ROLE_BY_SETUP.get(setup)) is None:
        raise InvalidAccessError(f"a=setup is {setup.value if setup else 'missing'}: there would be no DTLS")
    return role


def setup_for(role: DtlsRole) -> Setup:
    """How an answer says that we have this role."""
    return _SETUP_BY_ROLE[role]
