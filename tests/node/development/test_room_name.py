"""Names of rooms."""

from __future__ import annotations

from icelane.node.development.room_name import ANIMALS, COLOURS, room_name
from icelane.testing.entropy import SeededEntropy


def test_a_name_is_a_colour_and_an_animal() -> None:
    colour, _, animal = room_name(SeededEntropy()).partition("-")
    assert colour in COLOURS
    assert animal in ANIMALS


def test_names_differ() -> None:
    entropy = SeededEntropy()
    assert len({room_name(entropy) for _ in range(50)}) > 40


def test_words_are_said_and_typed_easily() -> None:
    for words in (COLOURS, ANIMALS):
        assert len(set(words)) == len(words)
        assert all(word.isalpha() and word.isascii() and word.islower() for word in words)
