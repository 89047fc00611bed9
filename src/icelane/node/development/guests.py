"""Whoever has the link is let in: its fragment holds a key that is made anew at each start.

A page sends the key as its token, so that no log and no proxy sees it. Pages of several people have the same key; who
wants to be told apart sends a secret of his own beside it, `data: {"guest": "..."}` in hello, and is somebody of his
own as long as he keeps it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal, sha256
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny
from icelane.signaling.admitted import AdmissionLimits

IDENTITY: Final = "guest"

# Sessions of those who do not tell themselves apart; a page of each.
MAX_SESSIONS: Final = 100

_KEY_BYTES: Final = 16
_SECRET_LENGTHS: Final = range(8, 129)
_NAME_BYTES: Final = 5


class Guests:
    """A `before_connect` hook that knows one key."""

    def __init__(self, entropy: Entropy) -> None:
        self.key: Final = base64.urlsafe_b64encode(entropy.token(_KEY_BYTES)).rstrip(b"=").decode()

    def __repr__(self) -> str:
        return "Guests()"

    async def __call__(self, request: ConnectRequest) -> Allow | Deny:
        """Let in who shows the key, or a join token that was verified."""
        if request.claims:
            return Allow()
        if request.token is None or not equal(request.token.encode("utf-8", "surrogatepass"), self.key.encode()):
            return Deny("unknown_link", "this link is of an earlier run: take the one that `icelane dev` shows now")
        return Allow(
            identity=_identity(request.data, self.key), rooms=("*",), limits=AdmissionLimits(sessions=MAX_SESSIONS)
        )


def _identity(data: object, key: str) -> str:
    secret = data.get("guest") if isinstance(data, Mapping) else None
    if not isinstance(secret, str) or len(secret) not in _SECRET_LENGTHS:
        return IDENTITY
    digest = sha256(f"{key}:{secret}".encode("utf-8", "surrogatepass"))
    return f"{IDENTITY}-{digest[:_NAME_BYTES].hex()}"
