"""How many connections came to nothing, by why, under words of this program."""

from __future__ import annotations

from collections import Counter
from typing import Final

# What somebody is refused with before he is welcome: before the upgrade, by admission, by the hub.
REASONS: Final = frozenset({
    "bad_request", "bad_subprotocol", "denied", "rate_limited", "origin_not_allowed", "too_many_connections",
    "unauthorized", "token_expired", "token_in_query", "keys_unavailable", "hook_failed",
    "hello_required", "bad_frame", "hello_timeout", "hook_timeout", "too_slow", "busy", "draining", "internal",
})  # fmt: skip
# A hook refuses with words of its own, as many as it likes, and may even repeat what a client has said. They are one.
OWN_WORD: Final = "hook"


class Refusals:
    """`counts` has every reason from the start, so that its first increase is seen as one (OP-14: and no other)."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys((*sorted(REASONS), OWN_WORD), 0))

    def count(self, word: str) -> None:
        """Somebody was refused with this word."""
        self.counts[word if word in REASONS else OWN_WORD] += 1
