"""The two backends of SRTP agree on every packet: on what they make of it, on every refusal, and on what they count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import IcelaneError, NotSupportedError
from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.session import SrtpSession
from tests.srtp.ends import counters, ends, rtcp, rtp

pytestmark = pytest.mark.twin


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
