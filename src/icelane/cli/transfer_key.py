"""From a short code to a key that only the two have who know the code: SPAKE2 (RFC 9382's idea, by the library spake2).

    sender                                        receiver
                          <--  pake, number       first()
    first(), finish()     -->  pake, proof
                          <--  proof              finish(), after the sender's proof was right
    both: DTLS; then each shows `binding` of both certificates over the data channel

Whoever carries these messages learns nothing from them that would let him try codes on his own: for each try he has to
talk to one of the two, who gives up at the first wrong one. `binding` then ties the key to the certificates that DTLS
has verified: a node that stands in the middle of both connections cannot make it.

The library computes with Python's integers, whose time depends on their values. What could be learned from that is
a code that is spent when the exchange is over.
"""

from __future__ import annotations

import enum
from typing import Final

from spake2 import SPAKE2_A, SPAKE2_B
from spake2.ed25519_basic import NotOnCurve
from spake2.spake2 import SPAKEError

from icelane.cli.transfer_code import TransferCode
from icelane.crypto.provider import equal, hmac_sha256
from icelane.errors import MalformedError

MESSAGE_SIZE: Final = 33
_CONTEXT: Final = b"icelane file transfer 1"


class Side(enum.Enum):
    """Whose part one plays."""

    SENDER = "sender"
    RECEIVER = "receiver"

    @property
    def other(self) -> Side:
        """The peer's."""
        return Side.RECEIVER if self is Side.SENDER else Side.SENDER


class TransferKey:
    """What both sides have, and nobody else, if both took the same code."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "TransferKey()"

    def proof(self, side: Side) -> str:
        """Shows that `side` has the key."""
        return self._tag("knows the code", side.value)

    def binding(self, side: Side, sender_fingerprint: str, receiver_fingerprint: str) -> str:
        """Shows that `side` has the key, and sees these two certificates (fingerprints as in SDP, in upper case)."""
        return self._tag("sees the certificates", side.value, sender_fingerprint, receiver_fingerprint)

    def _tag(self, *words: str) -> str:
        return hmac_sha256(self._secret, b"\0".join(word.encode() for word in words)).hex()


def is_same(shown: object, wanted: str) -> bool:
    """Whether the peer showed it, in a time that says nothing about where it differs."""
    return isinstance(shown, str) and equal(shown.encode("utf-8", "surrogatepass"), wanted.encode())


class CodeExchange:
    """One side of one exchange. `first` goes to the peer; `finish` takes what came from there. Each is called once."""

    def __init__(self, code: TransferCode, side: Side) -> None:
        made = SPAKE2_A if side is Side.SENDER else SPAKE2_B
        context = _CONTEXT + b" %d" % code.number
        self._spake = made(code.words.encode(), idA=context + b" sender", idB=context + b" receiver")
        self._first: bytes = self._spake.start()

    def first(self) -> str:
        """What the peer is to get."""
        return self._first.hex()

    def finish(self, theirs: object) -> TransferKey:
        """The key, which is the peer's too if he took the same code. Raises MalformedError for what is no message."""
        try:
            message = bytes.fromhex(theirs) if isinstance(theirs, str) else b""
        except ValueError:
            message = b""
        if len(message) != MESSAGE_SIZE:
            raise MalformedError("that is no message of the key exchange")
        try:
            secret: bytes = self._spake.finish(message)
        except (SPAKEError, NotOnCurve, ValueError, AssertionError):  # or what our own side has sent
            raise MalformedError("that is no message of the key exchange") from None
        return TransferKey(secret)
