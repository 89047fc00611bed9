"""Cookies that hold a join token, for pages of the same site; and the value that must come beside one.

A browser sends a cookie along for whoever's page asks. So one counts only when an allowed Origin comes with it, and
beside it what a foreign page cannot know (SG-2): the CSRF value, base64url of SHA-256("icelane-csrf:" + the cookie).
Who sets the cookie, HttpOnly as it should be, gives the page that value; without the cookie nobody can work it out,
because the token in it is signed.

    X-CSRF-Token: VALUE              a fetch
    csrf.VALUE                       among the sub-protocols of a WebSocket, or in `hello.token`
"""

from __future__ import annotations

import base64
from typing import Final

from icelane.crypto.provider import equal, sha256

_CONTEXT: Final = b"icelane-csrf:"

DEFAULT_NAME: Final = "__Host-icelane"
"""Browsers take a name with this beginning over HTTPS alone, for this host alone (RFC 6265bis section 4.1.3)."""


def csrf_value(cookie: str) -> str:
    """What a page shows beside the cookie."""
    return base64.urlsafe_b64encode(sha256(_CONTEXT + cookie.encode())).rstrip(b"=").decode()


def shows_csrf(cookie: str, shown: str | None) -> bool:
    """Whether `shown` is the value of this cookie."""
    return shown is not None and equal(csrf_value(cookie).encode(), shown.encode("utf-8", "surrogatepass"))


def set_cookie(token: str, max_age: int, name: str = DEFAULT_NAME) -> str:
    """The value of a Set-Cookie header that keeps `token` from scripts, other sites and plain HTTP."""
    return f"{name}={token}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Strict"
