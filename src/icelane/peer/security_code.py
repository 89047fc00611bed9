"""Twenty digits that both ends of a connection compute, and that two people compare aloud.

    security_code(report.local_fingerprint, report.remote_fingerprint)      -> "8772 9980 7993 3690 0540"

    PBKDF2-HMAC-SHA256(the smaller fingerprint, then the greater; "icelane security code 1"; 100 000 times; 16 bytes)
    as a number, modulo 10^20

If both have the same digits nobody is between them, the signaling server included. Who wants to be chooses two
certificates and tries until both codes are the same, which takes as many attempts as half the digits have values; so
each attempt is made to cost a hundred thousand hashes. The pages compute the same: `web/pages/security_code.js`.
"""

from __future__ import annotations

from typing import Final

from icelane.crypto.stretching import stretched
from icelane.errors import LocalProtocolError

ITERATIONS: Final = 100_000
_SALT: Final = b"icelane security code 1"
_SIZE: Final = 16
_DIGITS: Final = 20
_GROUP: Final = 4
_ALGORITHM: Final = "sha-256"
_FINGERPRINT_SIZE: Final = 32


def security_code(first: str, second: str) -> str:
    """The code of two SHA-256 fingerprints as SDP writes them, in either order; five groups of four digits.

    `sha-256 ` may stand before each, as in a SecurityReport. Takes some ten milliseconds, on purpose. Raises
    LocalProtocolError for what is no such fingerprint.
    """
    joined = b"".join(sorted((_bytes_of(first), _bytes_of(second))))
    number = int.from_bytes(stretched(joined, _SALT, ITERATIONS, _SIZE), "big") % 10**_DIGITS
    digits = f"{number:0{_DIGITS}}"
    return " ".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))


def _bytes_of(fingerprint: str) -> bytes:
    algorithm, _, value = fingerprint.strip().rpartition(" ")
    pairs = value.split(":")
    try:
        found = bytes(int(pair, 16) for pair in pairs if len(pair) == 2 and pair.isalnum())
    except ValueError:
        found = b""
    if algorithm.strip().lower() not in ("", _ALGORITHM) or len(found) != len(pairs) or len(found) != _FINGERPRINT_SIZE:
        raise LocalProtocolError("a security code is made of two SHA-256 fingerprints, `6B:0C:...`")
    return found
