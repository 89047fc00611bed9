"""Which pages may speak to us: the Origin header against a list, character by character (RFC 6454 section 6.2).

    header                       answer
    one origin of the list       allowed
    none at all                  absent: no browser; let through, but then no cookie counts
    null, two of them, others    foreign: refused before the upgrade

There is no pattern and no suffix to match: `https://app.example.com.evil.com` is simply another text.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Final

from icelane.errors import ConfigurationError
from icelane.signaling.admission.headers import Headers

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class OriginVerdict(enum.Enum):
    """What the Origin header of a request says."""

    ALLOWED = "allowed"
    ABSENT = "absent"
    FOREIGN = "foreign"


def parse_origin(text: object) -> str:
    """An origin as browsers write it, from the configuration. Raises ValueError for a pattern, a path or a wildcard."""
    if not isinstance(text, str):
        raise ValueError("should be a string")
    match = _ORIGIN.fullmatch(text.lower().removesuffix("/"))
    if match is None or (match[3] is not None and int(match[3]) > 65535):
        raise ValueError("not an origin; write https://app.example.org, without a path, and no pattern")
    scheme, host, port = match[1], match[2], match[3]
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


class OriginPolicy:
    """The origins whose pages may connect. Raises ConfigurationError for one that is none."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        try:
            self._allowed = frozenset(parse_origin(text) for text in allowed)
        except ValueError as error:
            raise ConfigurationError(str(error), key="server.allowed_origins") from None

    def judge(self, headers: Headers) -> OriginVerdict:
        """Whose page sent the request."""
        lines = headers.lines("origin")
        if not lines:
            return OriginVerdict.ABSENT
        return OriginVerdict.ALLOWED if len(lines) == 1 and lines[0] in self._allowed else OriginVerdict.FOREIGN

    @property
    def allowed(self) -> frozenset[str]:
        """The list, for the answer to a preflight request."""
        return self._allowed
