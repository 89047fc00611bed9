"""The username of an ephemeral credential: `expiry:user` or `expiry:kid:user` (TA-8)."""

from __future__ import annotations

import re
from collections.abc import Hashable

from icelane.stun.attributes import MAX_USERNAME, parse_text
from icelane.turn.credentials import parse_rest_username

KIDS = frozenset({"k1", "k2"})
GRAMMAR = re.compile(r"[0-9]{1,12}:", re.ASCII)

SEEDS = [
    b"1800000000:alice",
    b"1800000000:k1:alice",
    b"1800000000:unknown:alice",
    b"0:a",
    b"999999999999:x",
    b"1800000000:",
]
DICTIONARY = [
    b":", b"::", b"+", b"-", b" ", b"_", b"0x", b"1e9", b"k1", b"k2", b"k1:", b"\xef\xbc\x91", b"\xd9\xa1", b"\t",
    b"\n",
    b"0" * 12, b"9" * 13, b"\xe2\x88\x92", b"\xc2\xb2", b"|", b"%s%n", b"\x1b[31m",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """Which key it names."""
    text = parse_text(data, MAX_USERNAME)
    username = parse_rest_username(text, KIDS)
    assert GRAMMAR.match(text), "accepted what is not ASCII digits and a colon"
    assert 0 <= username.expiry < 10**12
    assert username.kid is None or username.kid in KIDS
    return username.kid
