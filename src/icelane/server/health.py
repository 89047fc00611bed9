"""Whether the server lives, and whether new clients are welcome: two questions, for two kinds of prober.

Liveness: the loop answers at all. A supervisor restarts what does not.
Readiness: every check is well. A load balancer sends new clients elsewhere while one is not; live calls go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found; `details` go into the JSON beside `ok`."""

    ok: bool
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks by name."""

    checks: Mapping[str, Check]

    @property
    def ok(self) -> bool:
        """Whether every one is well."""
        return all(check.ok for check in self.checks.values())

    def document(self) -> dict[str, object]:
        """The body of `/readyz`."""
        checks = {name: {"ok": check.ok, **check.details} for name, check in self.checks.items()}
        return {"status": "ok" if self.ok else "not-ready", "checks": checks}


class Health:
    """The checks of one server. A check is asked whenever a prober asks, so it must be cheap, and it never raises."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Check]] = {}

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """Ask `check` too; a name that is known is replaced."""
        self._checks[name] = check

    def readiness(self) -> Readiness:
        """Ask every check."""
        return Readiness({name: check() for name, check in self._checks.items()})
