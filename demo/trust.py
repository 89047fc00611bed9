"""A home directory in which a browser trusts one more authority, and nothing else of ours is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGE = "libnss3-tools"  # the Debian package that brings certutil

_NICKNAME = "throw-away authority"


def installed_certutil() -> str | None:
    """The path of NSS's certutil, or None."""
    return shutil.which("certutil")


def environment_that_trusts(authority: Path, home: Path) -> dict[str, str]:
    """The environment for a Chromium that lives in the empty directory `home` and trusts the PEM file `authority`.

    Chromium reads its user's NSS database; system-wide authorities and other users stay as they are.
    """
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    make_trusting_database(authority, database)
    return os.environ | {"HOME": str(home)}


def make_trusting_database(authority: Path, database: Path) -> None:
    """Put a new NSS database that trusts the PEM file `authority` into the directory `database`."""
    certutil = installed_certutil()
    assert certutil is not None, f"certutil is not installed (Debian package {PACKAGE})"
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-n", _NICKNAME, "-t", "C,,", "-i", str(authority)],
    ):
        subprocess.run([certutil, "-d", f"sql:{database}", *arguments], check=True, capture_output=True, timeout=60)
