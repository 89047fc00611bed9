"""Our sessions and libsrtp's open each other's packets, and refuse the same ones."""

from __future__ import annotations

import random

import pylibsrtp
import pytest
from pylibsrtp import Policy

from icelane.errors import ReplayError
from icelane.rtp.packet import RtpPacket, serialize
from icelane.srtp.backend import Backend
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.replay import WINDOW_SIZE
from tests.srtp.ends import keys, open_session, rtcp, rtp

pytestmark = pytest.mark.twin

NUMBERS = {
    ProtectionProfile.AES128_CM_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    ProtectionProfile.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    ProtectionProfile.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


class Libsrtp:
    """The server's end, by libsrtp."""

    def __init__(self, profile: ProtectionProfile) -> None:
        mine = keys(profile, False)
        self._sender = self._open(profile, Policy.SSRC_ANY_OUTBOUND, mine.local_key + mine.local_salt)
        self._receiver = self._open(profile, Policy.SSRC_ANY_INBOUND, mine.remote_key + mine.remote_salt)
        self.protect = self._sender.protect
        self.protect_rtcp = self._sender.protect_rtcp
        self.unprotect = self._receiver.unprotect
        self.unprotect_rtcp = self._receiver.unprotect_rtcp

    def _open(self, profile: ProtectionProfile, kind: int, key: bytes) -> pylibsrtp.Session:
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=NUMBERS[profile])
        policy.window_size = WINDOW_SIZE
        return pylibsrtp.Session(policy)


def drawn_packets(seed: int) -> list[bytes]:
    """Of four sources, with every kind of header."""
    draw = random.Random(seed)
    return [
        serialize(
            RtpPacket(
                payload_type=draw.randrange(64),
                marker=draw.random() < 0.5,
                sequence_number=65_500 + number & 0xFFFF,
                timestamp=draw.randrange(1 << 32),
                ssrc=0x80000000 + number % 4,
                csrcs=tuple(draw.randrange(1 << 32) for _ in range(draw.randrange(16))),
                extensions=[(draw.randrange(1, 256), draw.randbytes(9)) for _ in range(draw.randrange(4))],
                payload=draw.randbytes(draw.choice((0, 1, 15, 16, 17, 172, 1200))),
            )
        )
        for number in range(200)
    ]


def test_each_opens_what_the_other_protects(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-1: the same bytes, in both directions, over a wrap."""
    ours, theirs = open_session(profile, backend, True), Libsrtp(profile)
    for packet in drawn_packets(int(profile)):
        assert theirs.unprotect(ours.protect(packet)) == packet
        assert ours.unprotect(theirs.protect(packet)) == packet
    for _ in range(20):
        assert theirs.unprotect_rtcp(ours.protect_rtcp(rtcp())) == rtcp()
        assert ours.unprotect_rtcp(theirs.protect_rtcp(rtcp())) == rtcp()


# What is sent, by sequence numbers; what arrives, by their places, and whether it is taken.
TABLES: dict[str, tuple[list[int], list[tuple[int, bool]]]] = {
    "the same twice": ([1], [(0, True), (0, False)]),
    "out of order": ([1, 2, 3], [(2, True), (0, True), (1, True), (1, False), (0, False)]),
    "1,023 behind": (list(range(1024)), [(1023, True), (0, True), (0, False)]),
    "1,024 behind": (list(range(1025)), [(1024, True), (0, False), (1, True)]),
    "1,025 behind": (list(range(1026)), [(1025, True), (0, False)]),
    "over the wrap": ([65_534, 65_535, 0, 1], [(0, True), (1, True), (2, True), (3, True), (1, False)]),
    "back over the wrap": ([65_534, 65_535, 0, 1], [(0, True), (3, True), (1, True), (2, True), (1, False)]),
    "lost over the wrap": ([50_000, 65_535, 10_000], [(0, True), (2, True), (1, False)]),
    "far ahead at the beginning": ([5, 40_000, 5], [(0, True), (1, True), (2, True)]),
    "four wraps in long steps": (
        [9973 * step & 0xFFFF for step in range(30)],
        [(step, True) for step in range(0, 30, 3)],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_both_take_and_refuse_the_same(profile: ProtectionProfile, backend: Backend, name: str) -> None:
    """SR-1, SR-3: the tables of replay and rollover, through our session and through libsrtp."""
    sent, arriving = TABLES[name]
    ours, theirs = open_session(profile, backend, True), Libsrtp(profile)
    for_theirs = [ours.protect(rtp(number)) for number in sent]
    for_ours = [theirs.protect(rtp(number)) for number in sent]
    for place, taken in arriving:
        if taken:
            assert ours.unprotect(for_ours[place]) == theirs.unprotect(for_theirs[place]) == rtp(sent[place])
        else:
            with pytest.raises(ReplayError):
                ours.unprotect(for_ours[place])
            with pytest.raises(pylibsrtp.Error):
                theirs.unprotect(for_theirs[place])
