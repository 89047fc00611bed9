"""The cookie, and what is agreed."""

from __future__ import annotations

import itertools

import pytest

from icelane.core.clock import Instant
from icelane.crypto.provider import SystemEntropy
from icelane.errors import AssociationError, MalformedError
from icelane.sctp.control_chunks import InitChunk, ParameterType, parse_init
from icelane.sctp.handshake import Handshake, StaleCookieError, cookie_of
from icelane.sctp.options import SctpOptions
from icelane.testing.entropy import SeededEntropy

NOW = Instant(1000.0)
INIT = InitChunk(7, 100_000, 10, 20, 2**32 - 1, ((0xC000, b""), (0x8008, bytes((130, 192)))))


def handshake(seed: int = 1, **options: bool | int) -> Handshake:
    return Handshake(SeededEntropy(seed), SctpOptions(**options))  # type: ignore[arg-type]  # one of the keywords


def cookie_for(us: Handshake, init: InitChunk = INIT) -> bytes:
    return cookie_of(parse_init(us.answer_init(init, NOW)[4:]))


def test_a_cookie_says_what_was_agreed() -> None:
    us = handshake()
    agreed = us.open_cookie(cookie_for(us), NOW)
    assert agreed == us.agree(INIT)
    assert (agreed.peer_tag, agreed.peer_tsn, agreed.outbound_streams, agreed.inbound_streams) == (7, 2**32 - 1, 20, 10)
    assert agreed.partial_reliability
    assert agreed.reconfiguration
    assert not agreed.zero_checksum


def test_a_cookie_with_any_bit_flipped_is_refused() -> None:
    """SC-2: tampered."""
    us = handshake()
    cookie = cookie_for(us)
    for bit in range(8 * len(cookie)):
        bad = bytearray(cookie)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedError):
            us.open_cookie(bytes(bad), NOW)


@pytest.mark.parametrize("cookie", [b"", b"x", bytes(31), bytes(32), bytes(65), bytes(2000)])
def test_a_cookie_of_another_kind_is_refused(cookie: bytes) -> None:
    """SC-2: bad."""
    with pytest.raises(MalformedError):
        handshake().open_cookie(cookie, NOW)


def test_a_cookie_of_somebody_else_is_refused() -> None:
    """SC-2: the key is ours alone."""
    with pytest.raises(MalformedError):
        handshake(1).open_cookie(cookie_for(handshake(2)), NOW)


def test_a_cookie_is_good_for_a_minute() -> None:
    """SC-2: stale."""
    us = handshake()
    cookie = cookie_for(us)
    us.open_cookie(cookie, Instant(NOW + 60.0))
    with pytest.raises(StaleCookieError) as stale:
        us.open_cookie(cookie, Instant(NOW + 61.5))
    assert stale.value.microseconds == 1_500_000


def test_the_cookie_of_a_living_association_never_grows_old() -> None:
    """RFC 9260 section 5.2.4 step 3; that of another life of the peer does."""
    us = handshake()
    cookie = cookie_for(us)
    assert us.open_cookie(cookie, Instant(NOW + 3600.0), INIT.initiate_tag) == us.agree(INIT)
    with pytest.raises(StaleCookieError):
        us.open_cookie(cookie, Instant(NOW + 3600.0), INIT.initiate_tag + 1)


@pytest.mark.parametrize("field", ["initiate_tag", "outbound_streams", "inbound_streams"])
def test_an_init_of_zero_tag_or_streams_is_refused(field: str) -> None:
    """SC-2."""
    fields = {name: getattr(INIT, name) for name in InitChunk.__dataclass_fields__} | {field: 0}
    with pytest.raises(AssociationError):
        handshake().agree(InitChunk(**fields))


def test_zero_checksum_needs_both() -> None:
    offer = InitChunk(7, 100_000, 10, 20, 1, ((ParameterType.ZERO_CHECKSUM, b"\0\0\0\1"),))
    other = InitChunk(7, 100_000, 10, 20, 1, ((ParameterType.ZERO_CHECKSUM, b"\0\0\0\2"),))
    assert handshake().agree(offer).zero_checksum
    assert not handshake().agree(other).zero_checksum
    assert not handshake(zero_checksum=False).agree(offer).zero_checksum
    assert parse_init(handshake(zero_checksum=False).init()[4:]).get(ParameterType.ZERO_CHECKSUM) is None


def test_unknown_parameters_are_reported_as_their_type_asks_and_not_too_many() -> None:
    """SC-2: RFC 9260 section 3.2.1."""
    many = tuple((0xF000 + i, b"") for i in range(20))
    answer = parse_init(handshake().answer_init(InitChunk(7, 1, 1, 1, 1, ((0x8111, b""), *many)), NOW)[4:])
    reports = [value[:2] for kind, value in answer.parameters if kind == ParameterType.UNRECOGNIZED]
    assert reports == [(0xF000 + i).to_bytes(2, "big") for i in range(8)]
    stop = parse_init(handshake().answer_init(InitChunk(7, 1, 1, 1, 1, ((0x4111, b""), *many)), NOW)[4:])
    assert [kind for kind, _ in stop.parameters].count(ParameterType.UNRECOGNIZED) == 1


def test_no_tag_tsn_or_cookie_repeats_and_none_counts_up() -> None:
    """SC-9."""
    many = [Handshake(SystemEntropy(), SctpOptions()) for _ in range(200)]
    tags, tsns = [us.local_tag for us in many], [us.initial_tsn for us in many]
    assert len(set(tags)) == len(set(tsns)) == len({cookie_for(us)[-32:] for us in many}) == 200
    assert 0 not in tags
    for numbers in (tags, tsns):
        steps = [b - a for a, b in itertools.pairwise(numbers)]
        assert any(step < 0 for step in steps)
        assert len({number >> 24 for number in numbers}) > 64  # spread over the whole range


def test_a_cookie_holds_nothing_but_what_was_agreed() -> None:
    """SC-9: the same random source gives the same bytes, wherever its objects are in memory."""
    assert cookie_for(handshake(3)) == cookie_for(handshake(3))
    assert handshake(3).init() == handshake(3).init()
