"""Bytes for a session that plays: nothing but what the peer protected comes through, once, and both backends agree."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import AuthenticationError, InvalidAccessError, MalformedError, NotSupportedError, ReplayError
from icelane.rtp.classify import is_rtcp
from icelane.rtp.packet import RtpPacket
from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.session import SrtpSession

_RTP = bytes.fromhex("9160 ffff 00000002 00000003 00000004 bede 0001 10303100") + b"payload"
_LATER = bytes.fromhex("8060 0000 00000002 00000003") + b"later"
_RTCP = bytes.fromhex("80c9 0001 00000003 81ce 0002 00000003 00000009")


def _backends() -> list[Backend]:
    try:
        return [python_backend(), native_backend()]
    except NotSupportedError:
        return [python_backend()]


def _session(profile: ProtectionProfile, backend: Backend) -> SrtpSession:
    key, salt = bytes(range(profile.key_size)), bytes(range(profile.salt_size))
    return SrtpSession(profile, local_key=key, local_salt=salt, remote_key=key, remote_salt=salt, backend=backend)


def _sealed(profile: ProtectionProfile) -> list[bytes]:
    return _session(profile, python_backend()).protect_batch([_RTP, _LATER, _RTCP])


_BACKENDS = _backends()
_SEALED = {profile: _sealed(profile) for profile in ProtectionProfile}

SEEDS = [*(packet for packets in _SEALED.values() for packet in packets), _RTP, _RTCP, b"", b"\x80"]
DICTIONARY = [b"\x80", b"\x9f", b"\xff\xff", b"\xbe\xde\x00\x01", b"\x80\x00\x00\x00", b"\x80\xc8", b"\x90\x60"]


def run(data: bytes) -> Hashable:
    """What each profile makes of it."""
    outcomes: list[Hashable] = []
    for profile, (first, later, report) in _SEALED.items():
        seen: list[Hashable] = []
        for backend in _BACKENDS:
            session = _session(profile, backend)
            assert session.unprotect(first) == _RTP
            outcome = _unprotect(session, data)
            if isinstance(outcome, bytes):
                assert data in (later, report)
            else:
                # Whatever that was, the stream goes on, and nobody else has got one.
                assert session.unprotect_batch([later, report]) == [_LATER, _RTCP]
                assert session.stream_count == 1
            assert session.unprotect_batch([first, data]) == [None, None]
            sealed = _protect(session, data)
            counts = session.auth_failures, session.replays, session.malformed
            seen.append((outcome, counts, sealed, _read(_session(profile, backend), sealed)))
        assert all(other == seen[0] for other in seen)
        outcomes.append(repr(seen[0])[:20])
    return tuple(outcomes)


def _unprotect(session: SrtpSession, data: bytes) -> Hashable:
    try:
        return session.unprotect_rtcp(data) if is_rtcp(data) else session.unprotect(data)
    except (AuthenticationError, MalformedError, ReplayError) as error:
        return type(error).__name__


def _read(session: SrtpSession, sealed: bytes | None) -> Hashable:
    """What is found in a packet that is authentic, whatever it is."""
    if sealed is None:
        return None
    packets, reports, unreadable = session.unprotect_packets([sealed])
    return tuple([_told(packet) for packet in packets]), tuple(reports), unreadable


def _protect(session: SrtpSession, data: bytes) -> bytes | None:
    try:
        return session.protect_batch([data])[0]
    except InvalidAccessError:
        return None


def _told(packet: RtpPacket) -> Hashable:
    numbers = (packet.payload_type, packet.sequence_number, packet.timestamp, packet.ssrc, packet.marker)
    elements = (tuple(packet.extensions), packet.csrcs, packet.extension_profile, packet.padding_length)
    return numbers, elements, packet.payload
