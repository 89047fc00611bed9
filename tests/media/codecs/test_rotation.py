"""Pictures are turned, and stand upright again."""

from __future__ import annotations

import pytest

from icelane.errors import LocalProtocolError
from icelane.media.codecs.rotation import Rotator
from icelane.media.synthetic.clock_card import draw_card, read_card


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_picture_that_is_turned_and_turned_back_is_read(degrees: int) -> None:
    there, back = Rotator(), Rotator()
    for number in range(3):
        turned = there.turn(draw_card(320, 240, number, pts=90 * number), degrees)
        assert (turned.width, turned.height) == ((240, 320) if degrees % 180 else (320, 240))
        assert read_card(turned) is None
        upright = back.turn(turned, 360 - degrees)
        assert (read_card(upright), upright.pts) == (number, 90 * number)


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
