"""The two backends of SRTP agree on every packet: on what they make of it, on every refusal, and on what they count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import IcelaneError, InvalidAccessError, NotSupportedError
from icelane.rtp.packet import RtpPacket, parse_rtp_packet, serialize
from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.session import SrtpSession
from tests.srtp.ends import counters, ends, rtcp, rtp

pytestmark = pytest.mark.twin

PACKET_FIELDS = (
    "payload_type",
    "sequence_number",
    "timestamp",
    "ssrc",
    "payload",
    "marker",
    "extensions",
    "csrcs",
    "extension_profile",
    "padding_length",
)


def native_or_skip() -> Backend:
    try:
        return native_backend()
    except NotSupportedError as error:
        pytest.skip(str(error))


def outcome(session: SrtpSession, step: str, data: bytes) -> object:
    """What a call returns, or the kind of its refusal."""
    try:
        return getattr(session, step)(data)
    except IcelaneError as error:
        return type(error)


numbers = st.integers(0, 3000) | st.sampled_from([32_767, 32_768, 32_769, 65_535, 65_000, 0])
sent = st.lists(st.tuples(numbers, st.integers(0, 2), st.booleans()), min_size=1, max_size=30)
edits = st.lists(st.tuples(st.integers(0, 29), st.integers(-1, 60), st.integers(0, 255)), max_size=40)


@given(profile=st.sampled_from(ProtectionProfile), packets=sent, arriving=edits, alone=st.booleans())
def test_both_backends_behave_alike(
    profile: ProtectionProfile, packets: list[tuple[int, int, bool]], arriving: list[tuple[int, int, int]], alone: bool
) -> None:
    """SR-1, SR-2, SR-3: packets in any order, some of them damaged (at a place, -1: cut)."""
    pairs = [ends(profile, backend) for backend in (native_or_skip(), python_backend())]
    sealed: list[bytes] = []
    for number, ssrc, is_report in packets:
        step, plain = ("protect_rtcp", rtcp(ssrc)) if is_report else ("protect", rtp(number, ssrc))
        first, second = (outcome(client, step, plain) for client, _ in pairs)
        assert first == second
        if isinstance(first, bytes):
            sealed.append(first)
    for choice, place, value in arriving:
        if not sealed:
            return
        data = bytearray(sealed[choice % len(sealed)])
        if place < 0:
            del data[value % len(data) :]
        elif value > 127:  # half of them arrive as they were sent
            data[place % len(data)] ^= value - 127
        damaged = bytes(data)
        if alone:
            for step in ("unprotect", "unprotect_rtcp"):
                first, second = (outcome(server, step, damaged) for _, server in pairs)
                assert first == second
        else:
            first, second = (server.unprotect_batch([damaged]) for _, server in pairs)
            assert first == second
    assert counters(pairs[0][1]) == counters(pairs[1][1])
    assert pairs[0][1].stream_count == pairs[1][1].stream_count


elements = st.lists(st.tuples(st.integers(-1, 20), st.binary(max_size=18)), max_size=12)


@given(
    profile=st.sampled_from(ProtectionProfile),
    fields=st.lists(
        st.tuples(
            st.integers(-1, 63) | st.integers(96, 128),  # those between look like RTCP
            st.integers(0, 0xFFFFFFFF),
            st.booleans(),
            st.sampled_from([0, 0xBEDE, 0x1000, 0x1234]),
            elements,
            st.integers(0, 3),
            st.sampled_from([0, 0, 1, 5, 256]),
            st.binary(max_size=40),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_both_backends_write_and_read_fields_alike(
    profile: ProtectionProfile,
    fields: list[tuple[int, int, bool, int, list[tuple[int, bytes]], int, int, bytes]],
) -> None:
    """SR-2, SR-5: what is written is what `serialize` writes, and what is read what `parse_rtp_packet` reads."""
    packets = [
        RtpPacket(
            payload_type,
            number,
            timestamp=word,
            ssrc=word ^ 0x80000000,
            payload=payload,
            marker=marker,
            extensions=list(extensions),
            csrcs=tuple(range(csrcs)),
            extension_profile=extension_profile,
            padding_length=padding,
        )
        for number, (payload_type, word, marker, extension_profile, extensions, csrcs, padding, payload) in enumerate(
            fields
        )
    ]
    pairs = [ends(profile, backend) for backend in (native_or_skip(), python_backend())]
    for packet in packets:
        try:
            plain = serialize(packet)
        except InvalidAccessError:
            for client, _ in pairs:
                with pytest.raises(InvalidAccessError):
                    client.protect_packets([packet])
            continue
        (first,), (second,) = (client.protect_packets([packet]) for client, _ in pairs)
        assert first == second
        told = [server.unprotect_packets([first, first[:-1], rtcp(1)]) for _, server in pairs]
        assert [(len(rtp_), reports, unreadable) for rtp_, reports, unreadable in told] == [(1, [], 0)] * 2
        for (read,), _, _ in told:
            assert _fields(read) == _fields(parse_rtp_packet(plain))


def test_what_is_authentic_and_no_packet_is_counted_by_both_backends() -> None:
    """SR-5: padding of no length, an extension element that runs past the end; RTCP beside it is told apart."""
    profile = ProtectionProfile.AEAD_AES_128_GCM
    header, padded, extended = bytes((96, 0, 1)) + bytes(8), bytes((0xA0,)), bytes((0x90,))
    unpadded = padded + header + b"payload\0"
    overlong = extended + header[:2] + b"\2" + header[3:] + bytes.fromhex("bede 0001 1f000000") + b"payload"
    empty = padded + header[:2] + b"\3" + header[3:]
    for backend in (native_or_skip(), python_backend()):
        client, server = ends(profile, backend)
        sealed = client.protect_batch([unpadded, overlong, empty, rtcp(7), rtp(4, 7)])
        packets, reports, unreadable = server.unprotect_packets(sealed)
        assert ([packet.sequence_number for packet in packets], reports, unreadable) == ([4], [rtcp(7)], 3)
        assert server.malformed == 0


def _fields(packet: RtpPacket) -> object:
    return [getattr(packet, name) for name in PACKET_FIELDS]
