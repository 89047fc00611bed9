"""A nonce that was not issued here, to this source, now, is never valid; and no text is an exception."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.clock import UnixSeconds
from icelane.core.net import SocketAddress
from icelane.stun.attributes import parse_text
from icelane.stun.nonce import NonceFactory, NonceVerdict, SecurityFeature, parse_security_features

FACTORY = NonceFactory(bytes(range(32)))
CLIENT = SocketAddress("192.0.2.7", 40000)
OTHER = SocketAddress("192.0.2.7", 40001)
NOW = UnixSeconds(1_800_000_000.0)
ISSUED = {
    FACTORY.issue(CLIENT, NOW),
    FACTORY.issue(CLIENT, UnixSeconds(NOW - 700)),
    FACTORY.issue(OTHER, NOW),
}

SEEDS = [nonce.encode() for nonce in sorted(ISSUED)] + [
    NonceFactory(bytes(32)).issue(CLIENT, NOW).encode(),
    NonceFactory(bytes(range(32)), SecurityFeature.NONE).issue(CLIENT, NOW).encode(),
    b"f//499k954d6OL34oL9FSTvy64sA",
    b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA",
]
DICTIONARY = [b"obMatJos2", b"gAAA", b"QAAA", b"AAAA", b"AAAC", b"=", b"==", b"-", b"_", b"+", b"/", b"\n", b"\xc3\xa9"]


def run(data: bytes) -> Hashable:
    """The verdict and the features announced."""
    nonce = parse_text(data)
    verdict = FACTORY.verify(nonce, CLIENT, NOW)
    if nonce not in ISSUED:
        assert verdict is NonceVerdict.FOREIGN, "a nonce was accepted that nobody issued"
    assert (verdict is NonceVerdict.VALID) == (nonce == FACTORY.issue(CLIENT, NOW))
    features = parse_security_features(nonce)
    return verdict, features is None or features & SecurityFeature.PASSWORD_ALGORITHMS
