"""What people type for a code, and what a stranger in the room sends for a message of the key exchange."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.cli.transfer_code import TransferCode, parse_code
from icelane.cli.transfer_key import CodeExchange, Side

_CODE = TransferCode(7, "blue-otter")

SEEDS = [
    b"7-blue-otter",
    b"999 SOLID-Vulture\n",
    b"7-bleu-ottr",
    b"!42" + b"00" * 32,
    b"!" + CodeExchange(_CODE, Side.RECEIVER).first().encode(),
    b"!" + CodeExchange(_CODE, Side.SENDER).first().encode(),
]
DICTIONARY = [
    b"-",
    b"\xe2\x80\x93",
    b" ",
    b"blue",
    b"otter",
    b"0",
    b"1000",
    b"42",
    b"41",
    b"53",
    b"ff" * 8,
    b"00" * 8,
    b"!",
]


def run(data: bytes) -> Hashable:
    """What was understood; after `!` stands a message."""
    text = data.decode("utf-8", "replace")
    if text.startswith("!"):
        CodeExchange(_CODE, Side.SENDER).finish(text[1:])  # a point of the curve gives a key, if never the right one
        return "a point"
    code = parse_code(text)
    assert parse_code(str(code)) == code
    return "a code", len(str(code.number))
