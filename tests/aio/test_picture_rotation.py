"""Pictures are turned upright."""

from __future__ import annotations

import pytest

from icelane.aio.picture_rotation import PictureRotation
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card


@pytest.mark.parametrize(("degrees", "back"), [(90, 270), (180, 180), (270, 90)])
def test_a_picture_that_is_turned_and_turned_back_is_the_same(degrees: int, back: int) -> None:
    card, rotation = draw_card(160, 120, 77, pts=5), PictureRotation()
    turned = rotation.upright(card, degrees)
    assert (turned.width, turned.height) == ((160, 120) if degrees == 180 else (120, 160))
    assert read_card(turned) is None
    assert (turned.pts, turned.time_base) == (card.pts, card.time_base)
    upright = rotation.upright(turned, back)
    assert read_card(upright) == 77
    assert (upright.width, upright.height) == (160, 120)


def test_a_quarter_turn_is_clockwise() -> None:
    picture = av.VideoFrame(4, 2, "gray")
    stride = picture.planes[0].line_size
    picture.planes[0].update(bytes([1, 2, 3, 4]).ljust(stride, b"\0") + bytes([5, 6, 7, 8]).ljust(stride, b"\0"))
    turned = PictureRotation().upright(picture, 90)
    plane = turned.planes[0]
    rows = [bytes(memoryview(plane))[row * plane.line_size :][:2] for row in range(4)]
    assert rows == [bytes([5, 1]), bytes([6, 2]), bytes([7, 3]), bytes([8, 4])]


def test_what_stands_upright_is_left_alone() -> None:
    card, rotation = draw_card(160, 120, 1), PictureRotation()
    assert rotation.upright(card, 0) is card
    assert rotation.upright(card, 45) is card
