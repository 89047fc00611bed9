"""Headers of HTTP that carry what opens doors: no hook, no webhook and no setting has them."""

from __future__ import annotations

from typing import Final

SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"})
"""In lower case. Not `X-CSRF-Token`: it opens nothing without a cookie, and a program whose cookies count checks it."""
