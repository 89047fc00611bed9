"""Fading repetitions."""

from __future__ import annotations

from array import array

from icelane.media.codecs.concealment import FadingConcealment


def test_before_anything_was_heard_there_is_silence() -> None:
    assert FadingConcealment(rate=8_000, channels=1).conceal(80) == bytes(160)


def test_each_repetition_is_half_as_loud_and_then_there_is_silence() -> None:
    concealment = FadingConcealment(rate=8_000, channels=2)
    concealment.heard(array("h", [800, -800] * 160).tobytes())
    said = [array("h", concealment.conceal(160)) for _ in range(4)]
    assert [(sound[0], sound[1], len(sound)) for sound in said] == [
        (400, -400, 320),
        (200, -200, 320),
        (100, -100, 320),
        (0, 0, 320),
    ]


def test_what_comes_again_ends_it() -> None:
    concealment = FadingConcealment(rate=8_000, channels=1)
    concealment.heard(array("h", [800] * 160).tobytes())
    concealment.conceal(8_000)
    concealment.heard(array("h", [600] * 80).tobytes())
    assert array("h", concealment.conceal(40)) == array("h", [300] * 40)
