"""What WebRTC demands of a description beyond its grammar (RFC 9429, RFC 8827, RFC 9143, RFC 8839).

Nothing here depends on the state of a connection; that an answer fits its offer is the most that is compared. Every
refusal names the section, as `m-line 2 (video, mid v)`. Sections that are rejected may say what they like, and so may
those of protocols that are none of WebRTC's, which the answerer rejects.
"""

from __future__ import annotations

from typing import Final

from icelane.errors import MalformedError
from icelane.sdp.lines import shown
from icelane.sdp.media import DATA_PROTOCOLS, RTP_PROTOCOLS, MediaDescription
from icelane.sdp.session import SessionDescription
from icelane.sdp.transport import SectionTransport
from icelane.sdp.transport_attributes import MIN_PWD, MIN_UFRAG, Setup

# RFC 8859: what the sections of a bundle have in common once they are one transport.
_TRANSPORT_ATTRIBUTES: Final = ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "tls-id")
# How much of a mid or a kind a refusal repeats.
_SHOWN: Final = 16
# RFC 5763 section 5, RFC 4145 section 4.1: what may answer what.
_ANSWERS: Final = {
    Setup.ACTPASS: {Setup.ACTIVE, Setup.PASSIVE},
    Setup.ACTIVE: {Setup.PASSIVE},
    Setup.PASSIVE: {Setup.ACTIVE},
}


def check_description(session: SessionDescription, *, is_offer: bool) -> None:
    """Raise MalformedError unless every section that is alive can become a secured transport."""
    _check_mids(session)
    _check_bundles(session)
    for index, transport in enumerate(session.transports()):
        if transport.media.is_rejected or not _is_webrtc(transport.media):
            continue
        try:
            _check_keys(transport)
            _check_setup(transport, is_offer)
            _check_ice(transport)
            _check_rtcp(transport)
            _check_bundled(transport, is_offer)
        except MalformedError as error:
            raise MalformedError(f"{_name(session, index)}: {error}") from None


def check_answer(offer: SessionDescription, answer: SessionDescription) -> None:
    """Raise MalformedError unless `answer` passes `check_description` and answers `offer`, section by section."""
    check_description(answer, is_offer=False)
    if len(answer.media) != len(offer.media):
        raise MalformedError(f"the answer has {len(answer.media)} sections, the offer {len(offer.media)}")
    bundled = _check_answered_bundles(offer, answer)
    for index, (offered, answered) in enumerate(zip(offer.transports(), answer.transports(), strict=True)):
        try:
            _check_same_section(offered.media, answered.media)
            if not answered.media.is_rejected:
                _check_accepted(offered, answered, bundled)
        except MalformedError as error:
            raise MalformedError(f"{_name(answer, index)}: {error}") from None


def _name(session: SessionDescription, index: int) -> str:
    media = session.media[index]
    mid = "" if media.mid is None else f", mid {media.mid[:_SHOWN]}"
    return f"m-line {index} ({media.kind[:_SHOWN]}{mid})"


def _is_webrtc(media: MediaDescription) -> bool:
    return media.protocol in RTP_PROTOCOLS or media.protocol in DATA_PROTOCOLS


def _check_mids(session: SessionDescription) -> None:
    seen: set[str] = set()
    for index, media in enumerate(session.media):
        mid = media.mid
        if mid in seen:
            raise MalformedError(f"{_name(session, index)}: an earlier section has the same mid")
        if mid is not None:
            seen.add(mid)


def _check_bundles(session: SessionDescription) -> None:
    """Every mid of a bundle is that of a section, and is in one bundle once."""
    mids = {media.mid for media in session.media}
    seen: set[str] = set()
    for group in session.bundle_groups:
        for mid in group:
            if mid not in mids:
                raise MalformedError(f"a BUNDLE group names the mid {shown(mid)}, which no section has")
            if mid in seen:
                raise MalformedError(f"the mid {shown(mid)} is in BUNDLE groups twice")
            seen.add(mid)


def _check_keys(transport: SectionTransport) -> None:
    """Keys come from DTLS, with a certificate that is known by a strong hash (RFC 8827 section 6.5)."""
    fingerprints = transport.fingerprints
    if not fingerprints:
        # The same section: SDES, whose keys stand in the description, is not to be used.
        keys = "keys by a=crypto (SDES), which WebRTC forbids, and " if transport.media.has("crypto") else ""
        raise MalformedError(f"{keys}no a=fingerprint")
    if not any(fingerprint.is_strong for fingerprint in fingerprints):
        weak = ", ".join(sorted({fingerprint.algorithm[:_SHOWN] for fingerprint in fingerprints}))
        raise MalformedError(f"only fingerprints by {shown(weak)}; one by SHA-256, SHA-384 or SHA-512 is needed")


def _check_setup(transport: SectionTransport, is_offer: bool) -> None:
    setup = transport.setup
    if setup is None:
        raise MalformedError("no a=setup")
    if setup is Setup.HOLDCONN:
        raise MalformedError("a=setup:holdconn, which DTLS does not know")  # RFC 5763 section 5
    if setup is Setup.ACTPASS and not is_offer:
        raise MalformedError("a=setup:actpass in an answer, which has to choose")


def _check_ice(transport: SectionTransport) -> None:
    credentials = transport.ice_credentials
    if credentials is None:
        raise MalformedError("a=ice-ufrag and a=ice-pwd are not both there")
    if len(credentials.ufrag) < MIN_UFRAG:
        raise MalformedError(f"the ICE ufrag has {len(credentials.ufrag)} characters, {MIN_UFRAG} are the least")
    if len(credentials.password) < MIN_PWD:
        raise MalformedError(f"the ICE password has {len(credentials.password)} characters, {MIN_PWD} are the least")


def _check_rtcp(transport: SectionTransport) -> None:
    if transport.media.is_rtp and not transport.rtcp_mux:
        raise MalformedError("no a=rtcp-mux, and RTCP has no port of its own in WebRTC")


def _check_bundled(transport: SectionTransport, is_offer: bool) -> None:
    """A section that shares a transport says nothing else about it than the section that speaks for it.

    In an offer this holds only for those that go bundled or not at all: to a peer that does not bundle, the others are
    transports of their own (RFC 9143 section 7.1.3).
    """
    if not transport.is_bundled or (is_offer and not transport.media.bundle_only):
        return
    for name in _TRANSPORT_ATTRIBUTES:
        own = transport.media.get_all(name)
        if own and sorted(own) != sorted(transport.values_of_others(name)):
            raise MalformedError(f"another a={name} than in the section that it is bundled with")


def _check_same_section(offered: MediaDescription, answered: MediaDescription) -> None:
    if answered.kind != offered.kind:
        raise MalformedError(f"the offer has {shown(offered.kind)} here")
    if not answered.is_rejected and offered.is_rejected:
        raise MalformedError("accepts what the offer had switched off")  # RFC 3264 section 6
    # Who rejects a section need not say which: its place does.
    if answered.mid != offered.mid and not (answered.mid is None and answered.is_rejected):
        raise MalformedError("the offer's mid here is " + ("none" if offered.mid is None else shown(offered.mid)))


def _check_accepted(offered: SectionTransport, answered: SectionTransport, bundled: set[str]) -> None:
    if not _is_same_protocol(offered.media.protocol, answered.media.protocol):
        # RFC 3264 section 6; and whoever turns SAVPF into AVP on the way would have it in the clear.
        raise MalformedError(f"{shown(answered.media.protocol)} is no answer to {shown(offered.media.protocol)}")
    if offered.media.bundle_only and answered.media.mid not in bundled:
        raise MalformedError("accepts without BUNDLE what was offered with it only")  # RFC 9143 section 7.3.2
    wanted, chosen = offered.setup, answered.setup
    if wanted in _ANSWERS and chosen is not None and chosen not in _ANSWERS[wanted]:
        raise MalformedError(f"a=setup:{chosen.value} is no answer to a=setup:{wanted.value}")


def _is_same_protocol(offered: str, answered: str) -> bool:
    # Peers of the drafts answer DTLS/SCTP to either name; it is the same on the wire.
    return offered == answered or (offered in DATA_PROTOCOLS and answered in DATA_PROTOCOLS)


def _check_answered_bundles(offer: SessionDescription, answer: SessionDescription) -> set[str]:
    """The mids that the answer bundles."""
    offered_by_mid = {mid: number for number, group in enumerate(offer.bundle_groups) for mid in group}
    bundled: set[str] = set()
    for group in answer.bundle_groups:
        offered = {offered_by_mid.get(mid) for mid in group}
        if len(offered) > 1 or None in offered:
            raise MalformedError("a BUNDLE group of the answer is not within one of the offer")
        bundled.update(group)
    return bundled
