"""The Python backend: the same as the native one, over `cryptography`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import cryptography

from icelane.errors import (
    AuthenticationError,
    InvalidAccessError,
    InvalidStateError,
    MalformedError,
    RemoteProtocolError,
    ReplayError,
)
from icelane.rtp.classify import is_rtcp
from icelane.rtp.packet import HEADER_SIZE, RtpPacket, parse_rtp_packet, serialize
from icelane.srtp.key_derivation import SessionKeys, StreamKeys
from icelane.srtp.limits import MAX_LOCAL_STREAMS, MAX_PACKET_SIZE, MAX_REMOTE_STREAMS, MAX_RTCP_PACKETS
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.replay import ReplayWindow, estimate_index
from icelane.srtp.transform import INDEX_SIZE, RTCP_HEADER_SIZE, CounterMode, Gcm, Transform

_ENCRYPTED: Final = 1 << 31


class PythonBackend:
    """There everywhere."""

    name = "python"

    def __init__(self) -> None:
        self.version = f"cryptography {cryptography.__version__}"

    def open_sender(self, profile: ProtectionProfile, keys: SessionKeys) -> PythonSender:
        """See Backend."""
        return PythonSender(profile, keys)

    def open_receiver(self, profile: ProtectionProfile, keys: SessionKeys) -> PythonReceiver:
        """See Backend."""
        return PythonReceiver(profile, keys)


class PythonSender:
    """See Sender."""

    def __init__(self, profile: ProtectionProfile, keys: SessionKeys) -> None:
        self._rtp = _transform(profile, keys.rtp)
        self._rtcp = _transform(profile, keys.rtcp)
        self._windows_by_ssrc: dict[int, ReplayWindow] = {}
        self._next_rtcp_index = 0

    def protect(self, packet: bytes) -> bytes:
        """See Sender."""
        try:
            size = _rtp_header_size(packet, 0)
        except MalformedError as error:
            raise InvalidAccessError(f"no RTP packet: {error}") from error
        ssrc = int.from_bytes(packet[8:12], "big")
        window = self._windows_by_ssrc.get(ssrc)
        if window is None:
            if len(self._windows_by_ssrc) == MAX_LOCAL_STREAMS:
                raise InvalidAccessError(f"more than {MAX_LOCAL_STREAMS} streams")
            window = self._windows_by_ssrc[ssrc] = ReplayWindow()
        index = estimate_index(window.highest, packet[2] << 8 | packet[3])
        try:
            window.check(index)
        except ReplayError as error:
            raise InvalidStateError("a packet of this number was protected already") from error
        window.add(index)
        return self._rtp.seal_rtp(packet, size, ssrc, index)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """See Sender."""
        try:
            _check_rtcp(packet, 0)
        except MalformedError as error:
            raise InvalidAccessError(f"no RTCP packet: {error}") from error
        index = self._next_rtcp_index
        if index == MAX_RTCP_PACKETS:
            raise InvalidStateError("the keys are used up")
        self._next_rtcp_index += 1
        ssrc = int.from_bytes(packet[4:8], "big")
        return self._rtcp.seal_rtcp(packet, ssrc, index, (index | _ENCRYPTED).to_bytes(INDEX_SIZE, "big"))

    def protect_batch(self, packets: list[bytes]) -> list[bytes]:
        """See Sender."""
        return [self.protect_rtcp(packet) if is_rtcp(packet) else self.protect(packet) for packet in packets]

    def protect_packets(self, packets: list[RtpPacket]) -> list[bytes]:
        """See Sender."""
        return [self.protect(serialize(packet)) for packet in packets]


class PythonReceiver:
    """See Receiver."""

    def __init__(self, profile: ProtectionProfile, keys: SessionKeys) -> None:
        self._rtp = _transform(profile, keys.rtp)
        self._rtcp = _transform(profile, keys.rtcp)
        self._tag_size = profile.tag_size
        # The one heard longest ago comes first.
        self._rtp_windows_by_ssrc: OrderedDict[int, ReplayWindow] = OrderedDict()
        self._rtcp_windows_by_ssrc: OrderedDict[int, ReplayWindow] = OrderedDict()
        self.auth_failures = 0
        self.replays = 0
        self.malformed = 0

    def unprotect(self, packet: bytes) -> bytes:
        """See Receiver."""
        return self._counted(self._open_rtp, packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """See Receiver."""
        return self._counted(self._open_rtcp, packet)

    def unprotect_batch(self, packets: list[bytes]) -> list[bytes | None]:
        """See Receiver."""
        return [self._opened_or_none(packet) for packet in packets]

    def unprotect_packets(self, packets: list[bytes]) -> tuple[list[RtpPacket], list[bytes], int]:
        """See Receiver."""
        rtp: list[RtpPacket] = []
        rtcp: list[bytes] = []
        unreadable = 0
        for packet in packets:
            opened = self._opened_or_none(packet)
            if opened is None:
                continue
            if is_rtcp(packet):
                rtcp.append(opened)
                continue
            try:
                rtp.append(parse_rtp_packet(opened))
            except MalformedError:
                unreadable += 1
        return rtp, rtcp, unreadable

    @property
    def stream_count(self) -> int:
        """See Receiver."""
        return len(self._rtp_windows_by_ssrc)

    def _opened_or_none(self, packet: bytes) -> bytes | None:
        try:
            return self.unprotect_rtcp(packet) if is_rtcp(packet) else self.unprotect(packet)
        except RemoteProtocolError:
            return None

    def _counted(self, open_: Callable[[bytes], bytes], packet: bytes) -> bytes:
        try:
            return open_(packet)
        except AuthenticationError:
            self.auth_failures += 1
            raise
        except ReplayError:
            self.replays += 1
            raise
        except MalformedError:
            self.malformed += 1
            raise

    def _open_rtp(self, packet: bytes) -> bytes:
        size = _rtp_header_size(packet, self._tag_size)
        ssrc = int.from_bytes(packet[8:12], "big")
        window = self._rtp_windows_by_ssrc.get(ssrc)
        highest = window.highest if window is not None else -1
        index = estimate_index(highest, packet[2] << 8 | packet[3])
        if window is not None:
            window.check(index)
        opened = self._rtp.open_rtp(packet, size, ssrc, index)
        _heard(self._rtp_windows_by_ssrc, ssrc, index)
        return opened

    def _open_rtcp(self, packet: bytes) -> bytes:
        _check_rtcp(packet, self._tag_size + INDEX_SIZE)
        ssrc = int.from_bytes(packet[4:8], "big")
        trailer = self._rtcp.index_of(packet)
        index = int.from_bytes(trailer, "big")
        if not index & _ENCRYPTED:  # RFC 8827 section 6.5: nothing goes without encryption
            raise AuthenticationError("an SRTCP packet that is not encrypted")
        index ^= _ENCRYPTED
        window = self._rtcp_windows_by_ssrc.get(ssrc)
        if window is not None:
            window.check(index)
        opened = self._rtcp.open_rtcp(packet, ssrc, index, trailer)
        _heard(self._rtcp_windows_by_ssrc, ssrc, index)
        return opened


def _transform(profile: ProtectionProfile, keys: StreamKeys) -> Transform:
    return Gcm(keys) if profile.is_aead else CounterMode(keys)


def _heard(windows_by_ssrc: OrderedDict[int, ReplayWindow], ssrc: int, index: int) -> None:
    window = windows_by_ssrc.get(ssrc)
    if window is None:
        if len(windows_by_ssrc) == MAX_REMOTE_STREAMS:
            windows_by_ssrc.popitem(last=False)
        window = windows_by_ssrc[ssrc] = ReplayWindow()
    windows_by_ssrc.move_to_end(ssrc)
    window.add(index)


def _rtp_header_size(packet: bytes, behind: int) -> int:
    """What of a packet is not encrypted: the header with its sources and extension (RFC 3711 section 3.1)."""
    room = len(packet) - behind
    if room < HEADER_SIZE or len(packet) > MAX_PACKET_SIZE or packet[0] >> 6 != 2:
        raise MalformedError(f"{len(packet)} bytes that are no RTP packet of version 2")
    size = HEADER_SIZE + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        size += 4
        if size > room:
            raise MalformedError("the header runs past the end")
        size += 4 * (packet[size - 2] << 8 | packet[size - 1])
    if size > room:
        raise MalformedError("the header runs past the end")
    return size


def _check_rtcp(packet: bytes, behind: int) -> None:
    if len(packet) - behind < RTCP_HEADER_SIZE or len(packet) > MAX_PACKET_SIZE or packet[0] >> 6 != 2:
        raise MalformedError(f"{len(packet)} bytes that are no RTCP packet of version 2")
