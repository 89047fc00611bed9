"""The two forms of ChannelData agree on every message and every refusal."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from tests.twin.twins import pure_form, running_form

pytestmark = pytest.mark.twin

RUNNING = running_form("icelane.turn.channel_data")
PURE = pure_form("icelane.turn.channel_data")

frames = st.builds(
    lambda number, length, rest: number.to_bytes(2, "big") + length.to_bytes(2, "big") + rest,
    st.integers(0x3FFE, 0x5001) | st.integers(0, 0xFFFF),
    st.integers(0, 40) | st.integers(0, 0xFFFF),
    st.binary(max_size=44),
)


def parsed(module: ModuleType, data: Any) -> object:
    """Number and payload, or the text of the refusal."""
    try:
        message = module.parse_channel_data(data)
    except MalformedError as error:
        return str(error)
    return message.number, message.payload, repr(message)


def measured(module: ModuleType, data: bytes | bytearray, start: int) -> object:
    """The frame's length, None, or the text of the refusal."""
    try:
        return module.measure_turn(data, start, len(data) - start)
    except MalformedError as error:
        return str(error)


@given(frames | st.binary(max_size=8))
def test_both_forms_parse_alike(data: bytes) -> None:
    """ST-7, FZ-1."""
    assert parsed(RUNNING, data) == parsed(PURE, data)
    assert RUNNING.looks_like_channel_data(data) == PURE.looks_like_channel_data(data)


@given(frames, st.integers(0, 3))
def test_both_forms_measure_a_stream_alike(data: bytes, start: int) -> None:
    """ST-6, TL-3."""
    assert measured(RUNNING, data, start) == measured(PURE, data, start)
    assert measured(RUNNING, bytearray(data), start) == measured(PURE, bytearray(data), start)


@given(st.integers(0x4000, 0x4FFF), st.binary(max_size=64))
def test_both_forms_encode_alike(number: int, payload: bytes) -> None:
    for encode in ("encode_channel_data", "encode_channel_data_for_stream"):
        assert getattr(RUNNING, encode)(number, payload) == getattr(PURE, encode)(number, payload)
    assert parsed(RUNNING, RUNNING.encode_channel_data(number, payload))


def test_equality_and_hashing_are_the_same_in_both_forms() -> None:
    for module in (RUNNING, PURE):
        one, same, other = (module.ChannelData(0x4000, payload) for payload in (b"a", b"a", b"b"))
        assert one == same
        assert one != other
        assert one != (0x4000, b"a")
        with pytest.raises(TypeError):
            hash(one)
