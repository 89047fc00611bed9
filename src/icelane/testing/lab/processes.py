"""The processes of a lab: those in its networks, those that see its file of names, and the children of both.

A program may have made a network of its own, gone to the background and forgotten its environment; it still has the
mounts that it was born with, or a copy of them, where one is called by the mark of the lab.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from icelane.testing.lab.error import LabError

_END_TIMEOUT: Final = 5.0
# Looks that find nothing: one that goes to the background just now has ended before it was looked at, and its child had
# not begun when the list was made.
_LOOKS: Final = 2


def new_mark() -> str:
    """A name that no other lab has, for the file system that its file of names is in."""
    return f"icelane-lab-{secrets.token_hex(8)}"


def end_processes(namespaces: Collection[int], mark: str) -> None:
    """Kill whatever still runs of a lab; its network namespaces are given as descriptors.

    Raises LabError when it does not end.
    """
    inodes = {os.fstat(namespace).st_ino for namespace in namespaces}
    deadline = time.monotonic() + _END_TIMEOUT
    found_none = 0
    while found_none < _LOOKS:
        running = sorted(_of_lab(inodes, mark))  # parents first: they do not get to hear of a child's end
        found_none = 0 if running else found_none + 1
        if running and time.monotonic() > deadline:
            raise LabError(f"these processes in the lab do not end: {running}")
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def other_processes() -> list[int]:
    """All on this machine but this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()]


def _of_lab(inodes: Collection[int], mark: str) -> set[int]:
    processes = other_processes()
    found = {process for process in processes if _namespace_of(process) in inodes or _is_marked(process, mark)}
    parents = {process: _parent_of(process) for process in processes}
    while children := {process for process, parent in parents.items() if parent in found} - found:
        found |= children
    return found


def _namespace_of(process: int) -> int | None:
    try:
        return os.stat(f"/proc/{process}/ns/net").st_ino
    except OSError:
        return None


def _is_marked(process: int, mark: str) -> bool:
    # proc_pid_mountinfo(5): after the lone "-" come the kind of the file system and its source.
    try:
        return f" - tmpfs {mark} ".encode() in Path(f"/proc/{process}/mountinfo").read_bytes()
    except OSError:
        return False


def _parent_of(process: int) -> int | None:
    """None for one that has ended, whether or not somebody has asked how."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]  # the name before may hold anything
    return None if state in ("Z", "X") else int(parent)
