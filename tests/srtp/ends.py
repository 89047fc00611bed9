"""Two ends of a session, and packets for them."""

from __future__ import annotations

from icelane.rtp.packet import RtpPacket, serialize
from icelane.rtp.rtcp import PictureLossIndication, ReceiverReport, serialize_rtcp
from icelane.srtp.backend import Backend
from icelane.srtp.profile import MasterKeys, ProtectionProfile, keys_from_exporter
from icelane.srtp.session import SrtpSession

SSRC = 0x01020304


def material(profile: ProtectionProfile, seed: int = 0) -> bytes:
    """What an exporter might have given: no byte twice in a key, and nothing in common between seeds."""
    return bytes([(7 * n + 11 * seed) % 251 for n in range(2 * (profile.key_size + profile.salt_size))])


def keys(profile: ProtectionProfile, is_client: bool, seed: int = 0) -> MasterKeys:
    return keys_from_exporter(profile, material(profile, seed), is_client)


def open_session(profile: ProtectionProfile, backend: Backend, is_client: bool, seed: int = 0) -> SrtpSession:
    """One end."""
    mine = keys(profile, is_client, seed)
    return SrtpSession(
        profile,
        local_key=mine.local_key,
        local_salt=mine.local_salt,
        remote_key=mine.remote_key,
        remote_salt=mine.remote_salt,
        backend=backend,
    )


def ends(profile: ProtectionProfile, backend: Backend, seed: int = 0) -> tuple[SrtpSession, SrtpSession]:
    """Client and server."""
    return open_session(profile, backend, True, seed), open_session(profile, backend, False, seed)


def rtp(sequence_number: int, ssrc: int = SSRC, payload: bytes = b"what is said") -> bytes:
    """A packet with a contributing source and a header extension, which stay in the clear."""
    return serialize(
        RtpPacket(
            payload_type=96,
            sequence_number=sequence_number,
            timestamp=960 * sequence_number,
            ssrc=ssrc,
            csrcs=(9,),
            extensions=[(1, b"0")],
            payload=payload,
        )
    )


def rtcp(ssrc: int = SSRC) -> bytes:
    """A compound packet."""
    return serialize_rtcp([ReceiverReport(ssrc), PictureLossIndication(ssrc, 9)])


def counters(session: SrtpSession) -> tuple[int, int, int]:
    """What was refused: not authentic, replayed, malformed."""
    return session.auth_failures, session.replays, session.malformed
