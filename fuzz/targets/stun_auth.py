"""No input verifies under a key that its author does not have."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from fuzz.targets.stun_parse import SEEDS as SEEDS
from icelane.errors import IntegrityError
from icelane.stun.integrity import verify_fingerprint, verify_integrity, verify_integrity_sha256
from icelane.stun.message import Message, parse_message

# In no seed and in no token, so a MAC that matches is a hole.
KEY = bytes(range(0x80, 0xA0))
CHECKS: tuple[Callable[[Message, bytes], None], ...] = (verify_integrity, verify_integrity_sha256)


def run(data: bytes) -> Hashable:
    """How each check refused, and whether the FINGERPRINT, which needs no key, matched."""
    message = parse_message(data)
    refusals = []
    for verify in CHECKS:
        try:
            verify(message, KEY)
        except IntegrityError as refusal:
            refusals.append(str(refusal))
        else:
            raise AssertionError(f"{verify.__name__} accepted a message that nobody signed")
    try:
        verify_fingerprint(message)
    except IntegrityError as refusal:
        refusals.append(str(refusal))
    return tuple(refusals)
