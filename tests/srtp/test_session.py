"""SRTP sessions: what is protected, what is refused, and that nothing that was refused leaves a trace."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from icelane.crypto.provider import hmac_sha1
from icelane.dtls.options import SrtpProfile
from icelane.errors import (
    AuthenticationError,
    InvalidAccessError,
    InvalidStateError,
    MalformedError,
    RemoteProtocolError,
    ReplayError,
)
from icelane.rtp.classify import is_rtcp
from icelane.rtp.packet import parse_rtp_packet
from icelane.rtp.rtcp import parse_rtcp
from icelane.srtp.backend import Backend
from icelane.srtp.key_derivation import SessionKeys, StreamKeys
from icelane.srtp.limits import MAX_LOCAL_STREAMS, MAX_PACKET_SIZE, MAX_REMOTE_STREAMS, MAX_RTCP_PACKETS
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.python import PythonSender
from icelane.srtp.replay import WINDOW_SIZE
from icelane.srtp.session import SrtpSession
from tests.srtp.ends import SSRC, counters, ends, keys, open_session, rtcp, rtp
from tests.vectors import srtp as vectors

pytestmark = pytest.mark.twin

CM = ProtectionProfile.AES128_CM_HMAC_SHA1_80
GCM_128 = ProtectionProfile.AEAD_AES_128_GCM
GCM_256 = ProtectionProfile.AEAD_AES_256_GCM


def session_keys(encryption: bytes, authentication: bytes, salt: bytes) -> SessionKeys:
    both = StreamKeys(encryption, authentication, salt)
    return SessionKeys(both, both)


# Published values


def test_the_key_stream_is_that_of_rfc_3711(backend: Backend) -> None:
    """SR-1: appendix B.2."""
    sender = backend.open_sender(CM, session_keys(vectors.COUNTER_KEY, bytes(20), vectors.COUNTER_SALT))
    sealed = sender.protect(b"\x80" + bytes(11) + bytes(len(vectors.KEY_STREAM)))
    assert sealed[12:-10] == vectors.KEY_STREAM


def test_libsrtps_own_packet_comes_out_and_back(backend: Backend) -> None:
    """SR-1: from the master keys of appendix B.3 to a whole packet."""
    session = SrtpSession(
        CM,
        local_key=vectors.MASTER_KEY,
        local_salt=vectors.MASTER_SALT,
        remote_key=vectors.MASTER_KEY,
        remote_salt=vectors.MASTER_SALT,
        backend=backend,
    )
    assert session.protect(vectors.RTP) == vectors.SRTP
    assert session.unprotect(vectors.SRTP) == vectors.RTP


@pytest.mark.parametrize(
    ("profile", "key", "srtp"),
    [(GCM_128, vectors.GCM_128_KEY, vectors.GCM_128_SRTP), (GCM_256, vectors.GCM_256_KEY, vectors.GCM_256_SRTP)],
)
def test_srtp_is_that_of_rfc_7714(backend: Backend, profile: ProtectionProfile, key: bytes, srtp: bytes) -> None:
    """SR-1: sections 16.1 and 16.2."""
    both = session_keys(key, b"", vectors.GCM_SALT)
    assert backend.open_sender(profile, both).protect(vectors.GCM_RTP) == srtp
    assert backend.open_receiver(profile, both).unprotect(srtp) == vectors.GCM_RTP


@pytest.mark.parametrize(
    ("profile", "key", "srtcp"),
    [(GCM_128, vectors.GCM_128_KEY, vectors.GCM_128_SRTCP), (GCM_256, vectors.GCM_256_KEY, vectors.GCM_256_SRTCP)],
)
def test_srtcp_is_that_of_rfc_7714(backend: Backend, profile: ProtectionProfile, key: bytes, srtcp: bytes) -> None:
    """SR-1: sections 17.1 and 17.2, whose packet has 0x5D4 before it."""
    both = session_keys(key, b"", vectors.GCM_SALT)
    sender = backend.open_sender(profile, both)
    for _ in range(vectors.GCM_RTCP_INDEX):
        sender.protect_rtcp(vectors.GCM_RTCP)
    assert sender.protect_rtcp(vectors.GCM_RTCP) == srtcp
    assert backend.open_receiver(profile, both).unprotect_rtcp(srtcp) == vectors.GCM_RTCP


# What goes through


def test_both_directions_carry_rtp_and_rtcp(profile: ProtectionProfile, backend: Backend) -> None:
    client, server = ends(profile, backend)
    for one, other in ((client, server), (server, client)):
        sealed = one.protect(rtp(1))
        assert sealed[:24] == rtp(1)[:24]
        assert len(sealed) == len(rtp(1)) + profile.tag_size
        assert b"what is said" not in sealed
        assert other.unprotect(sealed) == rtp(1)
        sealed = one.protect_rtcp(rtcp())
        assert len(sealed) == len(rtcp()) + profile.tag_size + 4
        assert other.unprotect_rtcp(sealed) == rtcp()
    assert (client.backend, client.profile, client.stream_count) == (backend.name, profile, 1)


@pytest.mark.parametrize("payload", [b"", b"x", bytes(MAX_PACKET_SIZE - 24)])
def test_payloads_of_any_size_go_through(profile: ProtectionProfile, backend: Backend, payload: bytes) -> None:
    client, server = ends(profile, backend)
    sealed = client.protect(rtp(1, payload=payload))
    if len(sealed) > MAX_PACKET_SIZE:
        with pytest.raises(MalformedError):
            server.unprotect(sealed)
    else:
        assert server.unprotect(sealed) == rtp(1, payload=payload)


def test_a_batch_holds_rtp_and_rtcp(profile: ProtectionProfile, backend: Backend) -> None:
    client, server = ends(profile, backend)
    plain = [rtp(1), rtcp(), rtp(2), rtp(1, ssrc=5), rtcp(5)]
    sealed = client.protect_batch(plain)
    assert server.unprotect_batch(sealed) == plain
    assert server.unprotect_batch([]) == client.protect_batch([]) == []
    assert counters(server) == (0, 0, 0)


def test_dtls_names_the_profiles_by_the_same_numbers(backend: Backend) -> None:
    for theirs in SrtpProfile:
        ours = ProtectionProfile(theirs)
        assert (ours.name, ours.key_size, ours.salt_size) == (theirs.name, theirs.key_size, theirs.salt_size)
        assert open_session(ours, backend, True).profile.value == theirs.value


# What does not


def bit_flips(sealed: bytes) -> list[bytes]:
    """With one bit wrong, everywhere behind the first four bytes of the header."""
    return [
        sealed[:place] + bytes((sealed[place] ^ 1 << place % 8,)) + sealed[place + 1 :]
        for place in range(4, len(sealed))
    ]


def truncations(sealed: bytes) -> list[bytes]:
    """Cut to 0 to 40 bytes, and by 1 to 40."""
    return [sealed[:size] for size in range(41) if size < len(sealed)] + [sealed[:-size] for size in range(1, 41)]


def in_the_clear(sealed: bytes) -> list[bytes]:
    """Never protected, with and without room for a tag."""
    plain = rtcp() if is_rtcp(sealed) else rtp(1)
    return [plain, plain + bytes(20)]


FORGERIES: dict[str, Callable[[bytes], list[bytes]]] = {
    "bit flipped": bit_flips,
    "truncated": truncations,
    "in the clear": in_the_clear,
    "tag missing or doubled": lambda sealed: [sealed + sealed[-16:], sealed + b"\0"],
    "no version": lambda sealed: [bytes((sealed[0] & 0x3F,)) + sealed[1:]],
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("kind", ["rtp", "rtcp"])
def test_what_the_peer_did_not_send_is_refused_and_leaves_no_trace(
    profile: ProtectionProfile, backend: Backend, kind: str, forgery: str
) -> None:
    """SR-2: the tag flipped, the packet cut or in the clear; it is counted, and the next good packet plays."""
    client, server = ends(profile, backend)
    plain = rtp(1) if kind == "rtp" else rtcp()
    sealed = client.protect(plain) if kind == "rtp" else client.protect_rtcp(plain)
    unprotect = server.unprotect if kind == "rtp" else server.unprotect_rtcp
    forged = FORGERIES[forgery](sealed)
    for data in forged:
        with pytest.raises((AuthenticationError, MalformedError)):
            unprotect(data)
    failures, replays, malformed = counters(server)
    assert (failures + malformed, replays) == (len(forged), 0)
    assert server.unprotect_batch(forged) == [None] * len(forged)
    assert sum(counters(server)) == 2 * len(forged)
    assert server.stream_count == 0
    assert unprotect(sealed) == plain


def test_what_was_protected_by_other_keys_is_refused(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-2: wrong key; our own packet that comes back to us is one of those."""
    client, server = ends(profile, backend)
    stranger, _ = ends(profile, backend, seed=1)
    for sealed in (stranger.protect(rtp(1)), server.protect(rtp(1))):
        with pytest.raises(AuthenticationError):
            server.unprotect(sealed)
    for sealed in (stranger.protect_rtcp(rtcp()), server.protect_rtcp(rtcp())):
        with pytest.raises(AuthenticationError):
            server.unprotect_rtcp(sealed)
    assert (counters(server), server.stream_count) == ((4, 0, 0), 0)
    assert server.unprotect(client.protect(rtp(1))) == rtp(1)


def test_srtcp_without_encryption_is_refused(backend: Backend) -> None:
    """SR-2: authentic or not, RFC 8827 section 6.5 has everything encrypted."""
    aead = backend.open_receiver(GCM_128, session_keys(vectors.GCM_128_KEY, b"", vectors.GCM_SALT))
    with pytest.raises(AuthenticationError):
        aead.unprotect_rtcp(vectors.GCM_128_SRTCP_IN_THE_CLEAR)
    key = bytes(range(20))
    counter = backend.open_receiver(CM, session_keys(bytes(16), key, bytes(14)))
    clear = rtcp() + bytes(4)
    with pytest.raises(AuthenticationError):
        counter.unprotect_rtcp(clear + hmac_sha1(key, clear)[:10])
    assert aead.auth_failures == counter.auth_failures == 1


def test_one_bad_packet_spoils_no_batch(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-2: good ones around it come through."""
    client, server = ends(profile, backend)
    first, second, third = client.protect_batch([rtp(1), rtp(2), rtcp()])
    bad = second[:-1] + bytes((second[-1] ^ 1,))
    assert server.unprotect_batch([first, bad, b"", first, second, third]) == [
        rtp(1), None, None, None, rtp(2), rtcp()
    ]  # fmt: skip
    assert counters(server) == (1, 1, 1)


# What came already


@pytest.mark.parametrize("lateness", [0, 1, WINDOW_SIZE - 1])
def test_a_packet_is_taken_once(profile: ProtectionProfile, backend: Backend, lateness: int) -> None:
    """SR-3: the same packet again, at once and as long as the window remembers."""
    client, server = ends(profile, backend)
    sealed = client.protect_batch([rtp(number) for number in range(lateness + 1)])
    assert None not in server.unprotect_batch(sealed)
    with pytest.raises(ReplayError):
        server.unprotect(sealed[0])
    assert counters(server) == (0, 1, 0)


@pytest.mark.parametrize(("behind", "taken"), [(1023, True), (1024, False), (1025, False), (30_000, False)])
def test_a_late_packet_is_taken_while_the_window_reaches(
    profile: ProtectionProfile, backend: Backend, behind: int, taken: bool
) -> None:
    """SR-3: 1,025 behind is refused, as nobody knows any more whether it came."""
    client, server = ends(profile, backend)
    late, newest = client.protect(rtp(30_000)), client.protect(rtp(30_000 + behind))
    assert server.unprotect(newest)
    if taken:
        assert server.unprotect(late) == rtp(30_000)
    with pytest.raises(ReplayError):
        server.unprotect(late)


def test_rtcp_is_taken_once(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-3: SRTCP has a window of its own."""
    client, server = ends(profile, backend)
    sealed = [client.protect_rtcp(rtcp()) for _ in range(1026)]
    assert server.unprotect_rtcp(sealed[1025]) == rtcp()
    for number, taken in ((2, True), (1, False), (0, False), (1025, False), (2, False)):
        if taken:
            assert server.unprotect_rtcp(sealed[number]) == rtcp()
        else:
            with pytest.raises(ReplayError):
                server.unprotect_rtcp(sealed[number])


@pytest.mark.parametrize("seed", range(4))
def test_sequence_numbers_wrap_while_half_is_lost(profile: ProtectionProfile, backend: Backend, seed: int) -> None:
    """SR-3: five rollovers, half of the packets lost, some out of order: all that come in time are read."""
    draw = random.Random(seed)
    client, server = ends(profile, backend)
    indexes = [draw.randrange(0x4000)]
    while len(indexes) < 400:
        indexes.append(indexes[-1] + draw.choice((1, 1, 2, 5000)))
    sealed = client.protect_batch([rtp(index & 0xFFFF) for index in indexes])
    newest = -1
    for place in sorted(range(400), key=lambda place: place + draw.choice((0, 0, 0, 2))):
        if draw.random() < 0.5:
            continue
        in_time = indexes[place] > newest - WINDOW_SIZE
        assert server.unprotect_batch([sealed[place]]) == [rtp(indexes[place] & 0xFFFF) if in_time else None]
        newest = max(newest, indexes[place])
    assert server.auth_failures == 0
    assert newest >> 16 >= 5


@pytest.mark.parametrize("ahead", [True, False])
def test_a_packet_of_another_rollover_is_refused(profile: ProtectionProfile, backend: Backend, ahead: bool) -> None:
    """SR-3: the same sequence number with a counter one more or one less is not authentic."""
    client, server = ends(profile, backend)
    path = (40_000, 65_000, 20_000, 40_000, 60_000, 100) if ahead else (40_000, 65_000, 20_000, 40_000)
    sealed = client.protect_batch([rtp(number) for number in path])
    if ahead:
        assert server.unprotect(sealed[0]) == rtp(40_000)
        with pytest.raises(AuthenticationError):
            server.unprotect(sealed[4])  # rollover 1; the server is at 40,000 of rollover 0
        with pytest.raises(AuthenticationError):
            server.unprotect(sealed[5])
    else:
        assert [server.unprotect(sealed[place]) is not None for place in (0, 1, 2)] == [True] * 3
        assert server.unprotect(sealed[3]) == rtp(40_000)
        with pytest.raises((AuthenticationError, ReplayError)):
            server.unprotect(sealed[0])
    assert server.stream_count == 1


def test_a_long_silence_at_the_beginning_does_not_lose_the_stream(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-3: nothing comes before rollover 0, so a jump of more than half the circle is forward there."""
    client, server = ends(profile, backend)
    for number in (5, 40_000):
        assert server.unprotect(client.protect(rtp(number))) == rtp(number)


# What is refused to ourselves


def test_no_number_is_used_twice(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-1: two packets under one nonce would give both away, and with GCM the key of the tag."""
    client, server = ends(profile, backend)
    sealed = client.protect(rtp(1))
    with pytest.raises(InvalidStateError):
        client.protect(rtp(1, payload=b"something else"))
    with pytest.raises(InvalidStateError):
        client.protect_batch([rtp(1)])
    assert server.unprotect(sealed) == rtp(1)
    assert server.unprotect(client.protect(rtp(1, ssrc=7))) == rtp(1, ssrc=7)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", rtp(1)[:11], b"\x00" + rtp(1)[1:], b"\x8f" + rtp(1)[1:28], b"\x90" + bytes(13) + b"\xff\xff"],
)
def test_what_is_no_packet_is_not_protected(profile: ProtectionProfile, backend: Backend, data: bytes) -> None:
    client, _ = ends(profile, backend)
    with pytest.raises(InvalidAccessError):
        client.protect(data)
    with pytest.raises(InvalidAccessError):
        client.protect_batch([data])
    with pytest.raises(InvalidAccessError):
        client.protect_rtcp(data[:7])


def test_a_packet_too_large_for_udp_is_not_protected(profile: ProtectionProfile, backend: Backend) -> None:
    client, _ = ends(profile, backend)
    with pytest.raises(InvalidAccessError):
        client.protect(rtp(1, payload=bytes(MAX_PACKET_SIZE)))
    with pytest.raises(InvalidAccessError):
        client.protect_rtcp(rtcp() + bytes(MAX_PACKET_SIZE))


def test_there_is_an_end_to_our_own_streams(backend: Backend) -> None:
    """SR-4: to forget one of ours would be to use a number twice, so the next one is refused."""
    client, _ = ends(GCM_128, backend)
    client.protect_batch([rtp(1, ssrc=number) for number in range(MAX_LOCAL_STREAMS)])
    with pytest.raises(InvalidAccessError):
        client.protect(rtp(1, ssrc=MAX_LOCAL_STREAMS))
    assert client.protect(rtp(2, ssrc=0))


def test_srtcp_ends_when_its_numbers_are_used_up() -> None:
    """RFC 3711 section 9.2."""
    sender = PythonSender(GCM_128, session_keys(vectors.GCM_128_KEY, b"", vectors.GCM_SALT))
    sender._next_rtcp_index = MAX_RTCP_PACKETS - 1
    assert sender.protect_rtcp(rtcp())
    with pytest.raises(InvalidStateError):
        sender.protect_rtcp(rtcp())


@pytest.mark.parametrize("wrong", ["local_key", "local_salt", "remote_key", "remote_salt"])
def test_keys_of_the_wrong_size_are_refused(profile: ProtectionProfile, backend: Backend, wrong: str) -> None:
    mine = keys(profile, True)
    given = {name: getattr(mine, name) for name in ("local_key", "local_salt", "remote_key", "remote_salt")}
    given[wrong] = given[wrong][:-1]
    with pytest.raises(InvalidAccessError):
        SrtpSession(profile, **given, backend=backend)


# How much is kept


def test_more_sources_than_there_is_room_for_push_out_the_oldest(backend: Backend) -> None:
    """SR-4: 65,536 SSRCs of an authenticated peer."""
    server = open_session(GCM_128, backend, False)
    for first in range(0, 65_536, MAX_LOCAL_STREAMS):
        client = open_session(GCM_128, backend, True)
        sealed = client.protect_batch([rtp(1, ssrc=first + number) for number in range(MAX_LOCAL_STREAMS)])
        assert None not in server.unprotect_batch(sealed)
        assert server.stream_count <= MAX_REMOTE_STREAMS
    assert server.stream_count == MAX_REMOTE_STREAMS
    with pytest.raises(ReplayError):
        server.unprotect(sealed[0])


@pytest.mark.parametrize("kind", ["rtp", "rtcp"])
def test_a_source_that_is_heard_stays(backend: Backend, kind: str) -> None:
    """SR-4: the flood pushes out what is silent, not what plays."""
    client, server = ends(GCM_128, backend)
    flood, _ = ends(GCM_128, backend)

    def packet(sender: SrtpSession, number: int, ssrc: int) -> list[bytes]:
        return sender.protect_batch([rtp(number, ssrc) if kind == "rtp" else rtcp(ssrc)])

    playing, silent = packet(client, 0, 1), packet(client, 0, 2)
    assert None not in server.unprotect_batch(playing + silent)
    for number in range(1, MAX_REMOTE_STREAMS + 1):
        playing += packet(client, number, 1)
        assert None not in server.unprotect_batch(packet(flood, 0, 100 + number) + playing[-1:])
    assert set(server.unprotect_batch(playing)) == {None}
    assert server.unprotect_batch(silent) != [None]  # forgotten: taken a second time
    assert counters(server) == (0, len(playing), 0)


def test_nobody_without_keys_pushes_anybody_out(profile: ProtectionProfile, backend: Backend) -> None:
    """SR-2, SR-4: a source has no state before its first authentic packet."""
    client, server = ends(profile, backend)
    sealed = client.protect(rtp(1))
    assert server.unprotect(sealed)
    forged = [rtp(1, ssrc=number) + bytes(profile.tag_size) for number in range(10, 4_000)]
    assert set(server.unprotect_batch(forged)) == {None}
    assert server.stream_count == 1
    with pytest.raises(ReplayError):
        server.unprotect(sealed)


def test_what_comes_out_parses(profile: ProtectionProfile, backend: Backend) -> None:
    client, server = ends(profile, backend)
    opened = server.unprotect_batch(client.protect_batch([rtp(1), rtcp()]))
    assert opened[0] is not None
    assert opened[1] is not None
    assert parse_rtp_packet(opened[0]).ssrc == SSRC
    assert len(parse_rtcp(opened[1])) == 2


def test_every_refusal_of_a_received_packet_is_the_peers() -> None:
    assert issubclass(AuthenticationError, RemoteProtocolError)
    assert issubclass(ReplayError, RemoteProtocolError)
