"""The test card: what is written is read, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import LocalProtocolError
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import MAX_NUMBER, draw_card, read_card


@given(st.integers(0, MAX_NUMBER), st.integers(48, 200), st.integers(32, 120))
def test_every_number_is_read_back_at_every_size(number: int, half_width: int, half_height: int) -> None:
    assert read_card(draw_card(2 * half_width, 2 * half_height, number)) == number


@pytest.mark.parametrize("scale", [(320, 180), (1280, 720), (500, 500)])
def test_a_scaled_card_is_read(scale: tuple[int, int]) -> None:
    assert read_card(draw_card(640, 360, 77).reformat(width=scale[0], height=scale[1])) == 77


def test_a_card_in_rgb_is_read() -> None:
    assert read_card(draw_card(640, 360, 77).reformat(format="rgb24")) == 77


def test_a_card_upside_down_is_not_read() -> None:
    upright = draw_card(640, 360, 77)
    turned = av.VideoFrame(640, 360, "yuv420p")
    for to, source in zip(turned.planes, upright.planes, strict=True):
        to.update(bytes(source)[::-1])
    assert read_card(turned) is None


def test_a_black_picture_is_no_card() -> None:
    black = av.VideoFrame(640, 360, "yuv420p")
    for plane in black.planes:
        plane.update(bytes([16]) * plane.buffer_size)
    assert read_card(black) is None


@pytest.mark.parametrize("size", [(94, 64), (96, 62), (97, 64), (640, 361)])
def test_a_card_that_could_not_be_read_is_not_made(size: tuple[int, int]) -> None:
    with pytest.raises(LocalProtocolError):
        draw_card(*size, 1)
