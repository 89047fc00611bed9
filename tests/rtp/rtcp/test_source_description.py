from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import Bye, RtcpPacket, SourceChunk, SourceDescription, parse_rtcp, serialize_rtcp
from icelane.rtp.rtcp.source_description import CNAME, MAX_ITEMS

texts = st.text(st.characters(codec="utf-8"), max_size=60)
chunks = st.builds(
    SourceChunk, st.integers(0, 0xFFFFFFFF), st.lists(st.tuples(st.integers(1, 255), texts), max_size=4).map(tuple)
)


@given(st.lists(chunks, max_size=31).map(tuple))
def test_descriptions_come_back(sources: tuple[SourceChunk, ...]) -> None:
    description = SourceDescription(sources)
    assert parse_rtcp(serialize_rtcp([description])) == [description]


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=31).map(tuple), texts)
def test_goodbyes_come_back(ssrcs: tuple[int, ...], reason: str) -> None:
    assert parse_rtcp(serialize_rtcp([Bye(ssrcs, reason)])) == [Bye(ssrcs, reason)]


@pytest.mark.parametrize(("name", "words"), [("a", 2), ("ab", 3), ("abcde", 3), ("abcdef", 4)])
def test_items_end_with_a_zero_and_a_whole_word(name: str, words: int) -> None:
    data = serialize_rtcp([SourceDescription((SourceChunk(1, ((CNAME, name),)),))])
    assert data[-1] == 0
    assert len(data) == 4 + 4 * words


def test_the_canonical_name_is_found() -> None:
    assert SourceChunk(1, ((2, "x"), (CNAME, "name"), (CNAME, "other"))).cname == "name"
    assert SourceChunk(1).cname is None


def test_what_is_no_utf_8_is_replaced() -> None:
    [description] = parse_rtcp(bytes.fromhex("81ca0002 00000001 0101ff00"))
    assert description == SourceDescription((SourceChunk(1, ((1, "\ufffd"),)),))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("81ca0000", id="no source"),
        pytest.param("81ca0001 00000001", id="items without an end"),
        pytest.param("81ca0002 00000001 01ff6161", id="item longer than its packet"),
        pytest.param("81ca0002 00000001 01026161", id="no zero behind the items"),
        pytest.param("82ca0002 00000001 00000000", id="a second source that is not there"),
        pytest.param("81ca0012 00000001" + "0100" * (MAX_ITEMS + 1) + "0000", id="more items than there are types"),
        pytest.param("82cb0001 00000001", id="a goodbye of a source that is not there"),
        pytest.param("81cb0002 00000001 ff616161", id="reason longer than its packet"),
    ],
)
def test_a_lie_is_malformed(data: str) -> None:
    """SR-5."""
    with pytest.raises(MalformedError):
        parse_rtcp(bytes.fromhex(data))


@pytest.mark.parametrize(
    "packet",
    [
        SourceDescription((SourceChunk(1),) * 32),
        SourceDescription((SourceChunk(1, ((0, "x"),)),)),
        SourceDescription((SourceChunk(1, ((1, "x" * 256),)),)),
        SourceDescription((SourceChunk(1, ((1, "\ud800"),)),)),
        SourceDescription((SourceChunk(1, ((1, "x"),) * (MAX_ITEMS + 1)),)),
        Bye((1,) * 32),
        Bye((1,), "é" * 128),
    ],
)
def test_what_does_not_fit_is_refused(packet: RtcpPacket) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([packet])
