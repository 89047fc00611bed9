"""A key from a code."""

from __future__ import annotations

import pytest

from icelane.cli.transfer_code import TransferCode
from icelane.cli.transfer_key import MESSAGE_SIZE, CodeExchange, Side, TransferKey, is_same
from icelane.errors import MalformedError

CODE = TransferCode(7, "blue-otter")
FINGERPRINTS = "sha-256 AB:CD", "sha-256 01:23"


def exchanged(ours: TransferCode, theirs: TransferCode) -> tuple[TransferKey, TransferKey]:
    """The keys of both sides."""
    sender, receiver = CodeExchange(ours, Side.SENDER), CodeExchange(theirs, Side.RECEIVER)
    return sender.finish(receiver.first()), receiver.finish(sender.first())


def test_who_has_the_same_code_has_the_same_key() -> None:
    ours, theirs = exchanged(CODE, CODE)
    for side in Side:
        assert is_same(ours.proof(side), theirs.proof(side))
        assert is_same(ours.binding(side, *FINGERPRINTS), theirs.binding(side, *FINGERPRINTS))


@pytest.mark.parametrize("other", [TransferCode(7, "red-otter"), TransferCode(8, "blue-otter")])
def test_who_has_another_code_has_another_key(other: TransferCode) -> None:
    ours, theirs = exchanged(CODE, other)
    assert not is_same(ours.proof(Side.SENDER), theirs.proof(Side.SENDER))


def test_each_exchange_has_a_key_of_its_own() -> None:
    assert exchanged(CODE, CODE)[0].proof(Side.SENDER) != exchanged(CODE, CODE)[0].proof(Side.SENDER)


def test_what_one_side_shows_is_of_no_use_for_the_other_or_for_other_certificates() -> None:
    key = exchanged(CODE, CODE)[0]
    first, second = FINGERPRINTS
    shown = {
        key.proof(Side.SENDER),
        key.proof(Side.RECEIVER),
        *(key.binding(side, *pair) for side in Side for pair in (FINGERPRINTS, (second, first), (first, first))),
    }
    assert len(shown) == 8


@pytest.mark.parametrize(
    "message",
    [
        None,
        7,
        "",
        "zz",
        "00",
        "42" * (MESSAGE_SIZE - 1),
        "42" * (MESSAGE_SIZE + 1),
        "42" + "00" * 32,
        "42" + "ff" * 32,
        "42" + "01" + "00" * 31,  # the neutral element
        "41" + "00" * 32,
        "\ud800",
        "4\u0662" * MESSAGE_SIZE,
    ],
)
def test_what_is_no_message_is_malformed_and_nothing_else(message: object) -> None:
    with pytest.raises(MalformedError):
        CodeExchange(CODE, Side.SENDER).finish(message)


def test_our_own_message_that_comes_back_gives_no_key() -> None:
    exchange = CodeExchange(CODE, Side.SENDER)
    with pytest.raises(MalformedError):
        exchange.finish(exchange.first())
    again = CodeExchange(CODE, Side.SENDER)
    with pytest.raises(MalformedError):
        again.finish("42" + again.first()[2:])


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(exchanged(CODE, CODE)[0]) == "TransferKey()"


@pytest.mark.parametrize("shown", [None, 7, "", "x", "\ud800"])
def test_what_was_not_shown_is_not_the_same(shown: object) -> None:
    assert not is_same(shown, "wanted")
