"""Words that are said aloud."""

from __future__ import annotations

from icelane.cli.spoken import ANIMALS, QUALITIES, spoken_words
from icelane.testing.entropy import SeededEntropy


def test_each_word_is_eight_bits_and_in_one_list_alone() -> None:
    assert len(set(QUALITIES)) == len(set(ANIMALS)) == 256
    assert not set(QUALITIES) & set(ANIMALS)


def test_words_are_lower_case_letters_so_that_they_can_be_typed() -> None:
    assert all(word.isascii() and word.isalpha() and word.islower() for word in (*QUALITIES, *ANIMALS))


def test_every_word_comes_up() -> None:
    entropy = SeededEntropy(1)
    pairs = [spoken_words(entropy).split("-") for _ in range(10_000)]
    assert {pair[0] for pair in pairs} == set(QUALITIES)
    assert {pair[1] for pair in pairs} == set(ANIMALS)
