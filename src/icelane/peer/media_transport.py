"""SRTP over the checked path: keys from DTLS, packets in and out in batches (RFC 5764, RFC 7983, RFC 5761).

    datagram (128..191) -> on a path that ICE has checked? -> no: dropped and counted, by SecureTransport
                                                           -> DTLS is up: authenticated and decrypted
                                                           -> it is not yet: held, at most MAX_EARLY
    decrypted           -> second byte 192..223: RTCP, otherwise RTP

What is not authentic reaches nothing behind it: no table, no report and no path learns of it (SR-2).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from icelane.dtls.options import DtlsRole, SrtpProfile
from icelane.dtls.security import KeyingMaterial
from icelane.errors import MalformedError
from icelane.rtp.packet import RtpPacket, serialize
from icelane.rtp.rtcp import RtcpPacket, parse_rtcp, serialize_rtcp
from icelane.srtp.profile import keys_for_role
from icelane.srtp.session import SrtpSession

# Packets of a peer whose DTLS was finished a moment before ours. At the bound the newest are dropped: the oldest have
# the beginning of the first key frame.
MAX_EARLY: Final = 256
MAX_EARLY_BYTES: Final = 256 * 1024
# Protected packets that may be sent again as they are, where retransmission has no stream of its own: as many as the
# history of all such streams is expected to ask for. At the bound the oldest goes, and is not sent again.
MAX_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What the finished handshake of DTLS gives to SRTP, and which end of it we are."""

    profile: SrtpProfile
    material: KeyingMaterial = field(repr=False)
    role: DtlsRole

    def open_session(self) -> SrtpSession:
        """The session of both directions (RFC 5764 section 4.2: the client writes with the client's key)."""
        keys = keys_for_role(
            client_key=self.material.client_key,
            server_key=self.material.server_key,
            client_salt=self.material.client_salt,
            server_salt=self.material.server_salt,
            is_client=self.role is DtlsRole.CLIENT,
        )
        return SrtpSession(
            self.profile,
            local_key=keys.local_key,
            local_salt=keys.local_salt,
            remote_key=keys.remote_key,
            remote_salt=keys.remote_salt,
        )


class MediaTransport:
    """Between protected packets and those that streams read and write.

    `early` counts packets that found no room before there were keys, `refused` those that were not authentic, came
    twice or too late, `malformed` those that were authentic and do not parse.
    """

    def __init__(self) -> None:
        self.early = 0
        self.malformed = 0
        self._refused_before = 0
        self._session: SrtpSession | None = None
        self._early: list[bytes] = []
        self._early_bytes = 0
        # By SSRC and sequence number. A number is protected once (RFC 3711 section 9.1).
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    # Inputs

    def set_keys(self, keys: SrtpKeys) -> list[bytes]:
        """DTLS is up. Returns what was held until now, to be given to `unprotect`."""
        self._session = keys.open_session()
        held, self._early, self._early_bytes = self._early, [], 0
        return held

    def reset(self) -> None:
        """Another DTLS association begins: with what was before, nothing can be read or written any more."""
        self._refused_before = self.refused
        self._session = None
        self._kept.clear()
        self._early.clear()
        self._early_bytes = 0

    def unprotect(self, packets: list[bytes]) -> tuple[list[RtpPacket], list[RtcpPacket]]:
        """What was authentic among `packets`, in its order. Before there are keys it is held."""
        if self._session is None:
            self._hold(packets)
            return [], []
        rtp, compounds, unreadable = self._session.unprotect_packets(packets)
        self.malformed += unreadable
        rtcp: list[RtcpPacket] = []
        for data in compounds:
            try:
                rtcp += parse_rtcp(data)
            except MalformedError:
                self.malformed += 1
        return rtp, rtcp

    # Outputs

    def protect(self, packets: list[RtpPacket], plainly_repeated: frozenset[int] = frozenset()) -> list[bytes]:
        """The datagrams of RTP packets; none before there are keys.

        Of the SSRCs in `plainly_repeated` a packet may come a second time, and is sent just as it was the first time.
        """
        session = self._session
        if session is None or not packets:
            return []
        if not plainly_repeated:
            return session.protect_packets(packets)
        return [data for packet in packets if (data := self._protect(session, packet, plainly_repeated)) is not None]

    def protect_rtcp(self, packets: Sequence[RtcpPacket]) -> list[bytes]:
        """The datagram of one compound, or short, RTCP packet; none before there are keys."""
        if self._session is None or not packets:
            return []
        return [self._session.protect_rtcp(serialize_rtcp(packets))]

    # Properties and privates

    @property
    def is_ready(self) -> bool:
        """Whether there are keys."""
        return self._session is not None

    @property
    def refused(self) -> int:
        """Packets that were not authentic, not new, or no SRTP at all."""
        session = self._session
        if session is None:
            return self._refused_before
        return self._refused_before + session.auth_failures + session.replays + session.malformed

    def _hold(self, packets: Sequence[bytes]) -> None:
        for data in packets:
            if len(self._early) >= MAX_EARLY or self._early_bytes + len(data) > MAX_EARLY_BYTES:
                self.early += 1
                continue
            self._early.append(data)
            self._early_bytes += len(data)

    def _protect(self, session: SrtpSession, packet: RtpPacket, kept: frozenset[int]) -> bytes | None:
        if packet.ssrc not in kept:
            return session.protect(serialize(packet))
        key = (packet.ssrc, packet.sequence_number)
        if (known := self._kept.get(key)) is not None:
            return known
        data = session.protect(serialize(packet))
        self._kept[key] = data
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return data
