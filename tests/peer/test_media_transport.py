"""SRTP over the checked path: early packets, keys of both roles, what is refused, and what is sent a second time."""

from __future__ import annotations

import pytest

from icelane.dtls.options import DtlsRole, SrtpProfile
from icelane.dtls.security import KeyingMaterial
from icelane.peer.media_transport import MAX_EARLY, MAX_KEPT, MediaTransport, SrtpKeys
from icelane.rtp.packet import RtpPacket, serialize
from icelane.rtp.rtcp import PictureLossIndication, ReceiverReport

pytestmark = pytest.mark.twin

PROFILES = list(SrtpProfile)


def keys(role: DtlsRole, profile: SrtpProfile = SrtpProfile.AEAD_AES_128_GCM, seed: int = 1) -> SrtpKeys:
    key, salt = profile.key_size, profile.salt_size
    material = KeyingMaterial(bytes([seed]) * key, bytes([seed + 1]) * key, bytes([7]) * salt, bytes([8]) * salt)
    return SrtpKeys(profile, material, role)


def pair(profile: SrtpProfile = SrtpProfile.AEAD_AES_128_GCM) -> tuple[MediaTransport, MediaTransport]:
    client, server = MediaTransport(), MediaTransport()
    client.set_keys(keys(DtlsRole.CLIENT, profile))
    server.set_keys(keys(DtlsRole.SERVER, profile))
    return client, server


def packet(number: int, payload: bytes = b"sound", ssrc: int = 9) -> RtpPacket:
    return RtpPacket(111, number, 960 * number, ssrc, payload)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_one_end_protects_the_other_reads(profile: SrtpProfile) -> None:
    client, server = pair(profile)
    for sender, receiver in ((client, server), (server, client)):
        sent = [packet(number) for number in range(3)]
        rtp, rtcp = receiver.unprotect(sender.protect(sent) + sender.protect_rtcp([ReceiverReport(3)]))
        assert [serialize(one) for one in rtp] == [serialize(one) for one in sent]
        assert rtcp == [ReceiverReport(3)]
        assert receiver.refused == 0


def test_short_rtcp_is_told_from_rtp() -> None:
    """RFC 5506 and RFC 5761."""
    client, server = pair()
    assert server.unprotect(client.protect_rtcp([PictureLossIndication(1, 2)])) == ([], [PictureLossIndication(1, 2)])


def test_what_comes_before_the_keys_is_held_and_read_then() -> None:
    client, _ = pair()
    server = MediaTransport()
    sent = client.protect([packet(number) for number in range(MAX_EARLY + 10)])
    assert server.unprotect(sent) == ([], [])
    assert server.early == 10
    assert not server.is_ready
    held = server.set_keys(keys(DtlsRole.SERVER))
    rtp, _ = server.unprotect(held)
    assert [one.sequence_number for one in rtp] == list(range(MAX_EARLY))


def test_the_bytes_of_early_packets_are_bounded_too() -> None:
    server = MediaTransport()
    server.unprotect([bytes(65_000)] * 10)
    assert server.early == 6
    server.reset()
    assert server.set_keys(keys(DtlsRole.SERVER)) == []


def test_nothing_is_protected_without_keys() -> None:
    transport = MediaTransport()
    assert transport.protect([packet(1)]) == transport.protect_rtcp([ReceiverReport(1)]) == []


def test_what_is_not_the_peers_is_counted_and_nothing_else() -> None:
    """SR-2: cut off, changed, in the clear, under another key, or again: nothing behind hears of it."""
    client, server = pair()
    stranger = MediaTransport()
    stranger.set_keys(keys(DtlsRole.CLIENT, seed=40))
    (data,) = client.protect([packet(1, bytes(40))])
    forged = [data[:size] for size in range(41)]
    forged += [data[:-1] + bytes([data[-1] ^ 1]), serialize(packet(2)), *stranger.protect([packet(3)])]
    assert server.unprotect(forged) == ([], [])
    assert server.refused == len(forged)
    rtp, _ = server.unprotect([data, data])
    assert len(rtp) == 1
    assert server.refused == len(forged) + 1


def test_what_is_authentic_and_does_not_parse_is_counted_apart() -> None:
    client, server = pair()
    (data,) = client.protect([packet(1)])
    assert server.unprotect([data])[0]
    session = client._session
    assert session is not None
    broken = session.protect_rtcp(bytes.fromhex("81cb0001") + bytes(4) + bytes.fromhex("ffff"))
    server.unprotect([broken])
    assert server.malformed + server.refused == 1


def test_after_another_handshake_the_old_keys_read_nothing() -> None:
    client, server = pair()
    old = client.protect([packet(1)])
    before = server.refused
    server.reset()
    server.set_keys(keys(DtlsRole.SERVER, seed=30))
    assert server.unprotect(old) == ([], [])
    assert server.refused == before + 1


def test_a_packet_that_is_repeated_plainly_leaves_as_it_did_before() -> None:
    """RFC 3711 section 9.1: nothing else is ever protected under the same number."""
    client, server = pair()
    plainly = frozenset({9})
    first = client.protect([packet(1, b"first")], plainly)
    assert client.protect([packet(1, b"other")], plainly) == first
    assert [one.payload for one in server.unprotect(first)[0]] == [b"first"]
    client.protect([packet(number) for number in range(2, 2 + MAX_KEPT)], plainly)
    assert len(client._kept) == MAX_KEPT
