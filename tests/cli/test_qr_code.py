"""QR codes on a terminal."""

from __future__ import annotations

import pytest
import segno

from icelane.cli.qr_code import qr_code

LINK = "https://192.168.100.200:8443/r/turquoise-hedgehog#token=AAAAAAAAAAAAAAAAAAAAAA"
PIXELS = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def test_each_character_is_two_modules_of_the_code() -> None:
    lines = qr_code(LINK).plain.split("\n")
    rows = [[PIXELS[character][half] for character in line] for line in lines for half in (0, 1)]
    wanted = [[bool(module) for module in row] for row in segno.make_qr(LINK, error="l").matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted
    assert not any(any(row) for row in rows[len(wanted) :])


def test_a_link_fits_beside_what_is_said_on_a_small_terminal() -> None:
    lines = qr_code(LINK).plain.split("\n")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 60


def test_it_is_dark_on_light_whatever_the_terminal_is() -> None:
    spans = qr_code("x").spans
    assert all("on #ffffff" in str(span.style) for span in spans)


def test_a_text_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"[Dd]ata"):
        qr_code("x" * 5000)
