"""Several engines that serve clients on the same addresses, each with relay ports of its own.

A client meets one of them by its 5-tuple, so what one of them has given out may be shown to another: a reservation
token, or the number of a connection with a peer. Whose it is stands in the number itself, as its remainder.
"""

from __future__ import annotations

from typing import NamedTuple


class Siblings(NamedTuple):
    """This engine is number `own` of `total`, counted from 0.

    `life` tells it from those who had its place before, whose questions may still be answered.
    """

    own: int = 0
    total: int = 1
    life: int = 0

    def mark(self, number: int, limit: int) -> int:
        """A number below `limit` that is ours, next to `number`, which is below `limit` too."""
        marked = number - number % self.total + self.own
        return marked if marked < limit else marked - self.total

    def owner_of(self, number: int) -> int:
        """Who has marked that number."""
        return number % self.total

    def is_ours(self, number: int) -> bool:
        """Whether it can be one of ours."""
        return self.owner_of(number) == self.own


ALONE = Siblings()
"""Nobody else serves here."""
