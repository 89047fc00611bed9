"""Where the authority is kept, and where a running node leaves what other commands find it by.

    STATE/icelane/development/authority.pem            key and certificate of the authority, for its user alone
    STATE/icelane/development/icelane-development.crt  the certificate, for everybody
    RUN/icelane/PID/                                   of one running node, and gone with it: admin.sock, leaf and key

STATE is XDG_STATE_HOME or ~/.local/state, RUN is XDG_RUNTIME_DIR or a directory below STATE.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = "authority.pem"
PUBLIC_FILE: Final = "icelane-development.crt"
SOCKET: Final = "admin.sock"

_OWNER_ONLY: Final = 0o700


@dataclass(frozen=True, kw_only=True)
class Places:
    """`authority` is the directory of the authority, `running` that of the nodes that run.

    `borrowed`: they are somebody's who called `sudo`, and what root makes there he could not use.
    """

    authority: Path
    running: Path
    borrowed: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str], home: Path) -> Places:
        """Those of the user whose environment and home that is."""
        state = _absolute(environ.get("XDG_STATE_HOME")) or home / ".local" / "state"
        kept = state / "icelane" / "development"
        runtime = _absolute(environ.get("XDG_RUNTIME_DIR"))
        return cls(authority=kept, running=runtime / "icelane" if runtime is not None else kept / "running")

    @classmethod
    def here(cls) -> Places:
        """Those of the user that we run as; of the one who called `sudo`, where that was done."""
        caller = os.environ.get("SUDO_USER")
        if caller and hasattr(os, "geteuid") and os.geteuid() == 0:
            import pwd

            try:
                return replace(cls.of({}, Path(pwd.getpwnam(caller).pw_dir)), borrowed=True)
            except KeyError:
                pass
        return cls.of(os.environ, Path.home())

    def begin_run(self, process: int) -> Path:
        """An empty directory for the node in `process`, which nobody else can enter. Raises OSError."""
        for gone in self._gone():
            shutil.rmtree(gone, ignore_errors=True)
        self.running.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        folder = self.running / str(process)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=_OWNER_ONLY)
        return folder

    def sockets(self) -> list[Path]:
        """The admin sockets of the nodes that run, the latest first."""
        found = [path / SOCKET for path in self._runs() if _lives(path) and (path / SOCKET).is_socket()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _runs(self) -> list[Path]:
        try:
            return [path for path in self.running.iterdir() if path.name.isdecimal() and path.is_dir()]
        except OSError:
            return []

    def _gone(self) -> list[Path]:
        return [path for path in self._runs() if not _lives(path)]


def _absolute(text: str | None) -> Path | None:
    """The XDG specification has relative paths ignored."""
    return Path(text) if text and Path(text).is_absolute() else None


def _lives(run: Path) -> bool:
    try:
        os.kill(int(run.name), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
