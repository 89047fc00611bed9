"""Pictures are turned, and stand upright again."""

from __future__ import annotations

import pytest

from icelane.errors import LocalProtocolError
from icelane.media.codecs.rotation import Rotator
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_picture_that_is_turned_and_turned_back_is_read(degrees: int) -> None:
    there, back = Rotator(), Rotator()
    for number in range(3):
        card = draw_card(320, 240, number, pts=90 * number)
        turned = there.turn(card, degrees)
        assert (turned.width, turned.height) == ((240, 320) if degrees % 180 else (320, 240))
        assert read_card(turned) is None
        upright = back.turn(turned, 360 - degrees)
        assert (read_card(upright), upright.pts) == (number, 90 * number)
        assert (turned.time_base, upright.time_base) == (card.time_base, card.time_base)
        assert (upright.width, upright.height) == (320, 240)


def test_the_size_and_the_angle_may_change() -> None:
    rotator = Rotator()
    for width, degrees in ((320, 90), (640, 90), (640, 180), (320, 270)):
        assert rotator.turn(draw_card(width, 240, 1), degrees).width == (240 if degrees % 180 else width)


def test_an_upright_picture_stays_itself() -> None:
    card = draw_card(320, 240, 1)
    assert Rotator().turn(card, 0) is card


def test_other_angles_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        Rotator().turn(draw_card(320, 240, 1), 45)


def test_clockwise_is_clockwise() -> None:
    card = draw_card(320, 240, 0)  # its first block, above on the left, is black and the next one white
    turned = Rotator().turn(card, 90)
    line = turned.planes[0].line_size
    pixels = bytes(turned.planes[0])
    assert pixels[5 * line + 235] < 50  # above on the right
    assert pixels[40 * line + 235] > 200  # below that


def test_a_picture_without_a_time_is_turned_as_well() -> None:
    picture = av.VideoFrame(4, 2, "gray")
    stride = picture.planes[0].line_size
    picture.planes[0].update(bytes([1, 2, 3, 4]).ljust(stride, b"\0") + bytes([5, 6, 7, 8]).ljust(stride, b"\0"))
    turned = Rotator().turn(picture, 90)
    plane = turned.planes[0]
    rows = [bytes(memoryview(plane))[row * plane.line_size :][:2] for row in range(4)]
    assert rows == [bytes([5, 1]), bytes([6, 2]), bytes([7, 3]), bytes([8, 4])]
