"""Which pages may speak to us: the Origin header against a list, character by character (RFC 6454 section 6.2).

    header                       answer
    one origin of the list       allowed
    none at all                  absent: no browser; let through, but then no cookie counts
    null, two of them, others    foreign: refused before the upgrade

There is no pattern and no suffix to match: `https://app.example.com.evil.com` is simply another text.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from icelane.core.origin import parse_origin
from icelane.errors import ConfigurationError
from icelane.signaling.admission.headers import Headers


class OriginVerdict(enum.Enum):
    """What the Origin header of a request says."""

    ALLOWED = "allowed"
    ABSENT = "absent"
    FOREIGN = "foreign"


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
