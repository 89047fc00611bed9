"""Files that hold secrets, written whole and for their owner alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from icelane.cli.output import CommandError, ExitCode, Problem

OWNER_ONLY: Final = 0o600


def write_for_owner(file: Path, text: str, *, replace: bool, mend: str, mode: int = OWNER_ONLY) -> None:
    """The whole file or nothing: what is there stays until the new one is complete.

    Raises CommandError when it is there already and `replace` is not given, with `mend`, and when it cannot be written.
    """
    there = CommandError(ExitCode.USAGE, Problem(f"{file} is there already", mend))
    if file.exists() and not replace:
        raise there
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Created for the owner alone, not made so afterwards: in between others could open it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            _move(draft, file, replace=replace)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise CommandError(ExitCode.MISSING, Problem(f"{file} cannot be written: {error.strerror}")) from None


def _move(draft: Path, file: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(file)
    else:
        os.link(draft, file)  # unlike a rename it fails when somebody was faster
