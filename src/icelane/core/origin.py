"""Origins as browsers write them (RFC 6454 section 6.2)."""

from __future__ import annotations

import re
from typing import Final

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def parse_origin(text: object) -> str:
    """An origin of a configuration in the one spelling that browsers have for it: no path, no default port.

    Raises ValueError for anything else: a pattern, a wildcard, `null`.
    """
    if not isinstance(text, str):
        raise ValueError("should be a string")
    match = _ORIGIN.fullmatch(text.lower().removesuffix("/"))
    if match is None or (match[3] is not None and int(match[3]) > 65535):
        raise ValueError("not an origin; write https://app.example.org, without a path, and no pattern")
    scheme, host, port = match[1], match[2], match[3]
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"
