"""What a command needs beyond the core: found out before an import can fail."""

from __future__ import annotations

import importlib.util

from icelane.cli.output import CommandError, ExitCode, Problem

_MODULES_BY_EXTRA = {
    "server": ("httpx", "joserfc", "prometheus_client", "pydantic", "segno", "starlette", "structlog", "uvicorn"),
}


def require_extra(extra: str) -> None:
    """Raises CommandError, with the line that installs it, when the extra `extra` is not installed."""
    missing = [name for name in _MODULES_BY_EXTRA[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(
            ExitCode.MISSING,
            Problem(
                f"this command needs {', '.join(missing)}, which is not installed", f"pip install 'icelane[{extra}]'"
            ),
        )
