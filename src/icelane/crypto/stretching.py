"""Hashes that are slow on purpose: each guess costs whoever guesses as much as it costs us."""

from __future__ import annotations

import hashlib


def stretched(secret: bytes, salt: bytes, iterations: int, size: int) -> bytes:
    """PBKDF2 with HMAC-SHA256 (RFC 8018 section 5.2), `size` bytes."""
    return hashlib.pbkdf2_hmac("sha256", secret, salt, iterations, size)
