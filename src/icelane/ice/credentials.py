"""Username fragment and password of one ICE session (RFC 8445 section 5.3)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

from icelane.core.entropy import Entropy
from icelane.errors import MalformedError

# IC-10: RFC 8445 section 5.3 wants 24 bits and 128 bits at least. Six bits a character: 8 and 24 characters.
_UFRAG_BYTES: Final = 6
_PASSWORD_BYTES: Final = 18
# RFC 8839 section 5.4: 4 to 256 and 22 to 256 characters.
MIN_UFRAG: Final = 4
MIN_PASSWORD: Final = 22
MAX_LENGTH: Final = 256

_ICE_CHARACTERS: Final = re.compile(r"[A-Za-z0-9+/]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one side signs its checks with; the password never shows in a `repr`."""

    ufrag: str
    password: str = field(repr=False)


def generate_credentials(entropy: Entropy) -> Credentials:
    """Fresh credentials: 48 random bits and 144."""
    # The alphabet of base64 is that of ICE, and without padding because the sizes are multiples of three.
    return Credentials(*(base64.b64encode(entropy.token(size)).decode() for size in (_UFRAG_BYTES, _PASSWORD_BYTES)))


def parse_credentials(ufrag: str, password: str) -> Credentials:
    """What a peer signalled; raises MalformedError when it is too short, too long or has other characters."""
    for text, least, name in ((ufrag, MIN_UFRAG, "ufrag"), (password, MIN_PASSWORD, "password")):
        if not least <= len(text) <= MAX_LENGTH:
            raise MalformedError(f"an ICE {name} of {len(text)} characters")
        if _ICE_CHARACTERS.fullmatch(text) is None:
            raise MalformedError(f"an ICE {name} with characters that are not allowed")
    return Credentials(ufrag, password)
