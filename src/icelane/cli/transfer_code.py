"""The code of a transfer, such as `7-blue-otter`: one side shows it, the other one types it, and then it is spent.

The number says where the two look for each other, and is no secret. The words are: 16 bits, of which a wrong guess
costs one try. Both sides know all words there are, so that a slip of the hand is found before it costs anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from icelane.cli.spoken import ANIMALS, QUALITIES, spoken_words
from icelane.core.entropy import Entropy
from icelane.errors import MalformedError

MAX_NUMBER: Final = 999
# From where the number comes at each try: a short one, unless many are in use.
NUMBERS: Final = (9, 9, 99, 99, MAX_NUMBER, MAX_NUMBER, MAX_NUMBER)
_FORM: Final = re.compile(r"([1-9][0-9]{0,2})-([a-z]+)-([a-z]+)")
_BETWEEN: Final = re.compile(r"[\s_\u2013\u2014-]+")


@dataclass(frozen=True, slots=True)
class TransferCode:
    """`number`-`words`."""

    number: int
    words: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.number}-{self.words}"

    @property
    def room(self) -> str:
        """Where the two meet, if nobody says otherwise."""
        return f"send-{self.number}"


def make_code(entropy: Entropy, largest: int = MAX_NUMBER) -> TransferCode:
    """A new one, whose number is at most `largest`."""
    return TransferCode(1 + entropy.below(largest), spoken_words(entropy))


def parse_code(text: str) -> TransferCode:
    """As people write it: in capitals, with spaces. Raises MalformedError, which says what a wrong word may be."""
    found = _FORM.fullmatch(_BETWEEN.sub("-", text.strip().lower()))
    if found is None:
        raise MalformedError("a code is a number and two words, such as 7-blue-otter")
    number, quality, animal = found.groups()
    for word, known in ((quality, QUALITIES), (animal, ANIMALS)):
        if word not in known:
            raise MalformedError(f"no code has the word {word!r} there{_instead(word, known)}")
    return TransferCode(int(number), f"{quality}-{animal}")


def _instead(word: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(word, known, n=3, cutoff=0.6)
    return f"; is it {' or '.join(close)}?" if close else ""
