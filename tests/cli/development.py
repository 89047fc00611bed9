"""`icelane dev` as a process on loopback, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")


@dataclass(frozen=True)
class Development:
    """A running node: its process, what --json printed, and the environment that finds it."""

    process: subprocess.Popen[str]
    document: dict[str, Any]
    environment: dict[str, str]

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return Path(self.document["authority"]["file"])

    @property
    def key(self) -> str:
        """What the link has behind its hash."""
        return str(self.document["urls"]["call"]).partition("#token=")[2]


@contextmanager
def home() -> Iterator[dict[str, str]]:
    """The environment of a user who has nothing yet. Its paths are short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="ice") as folder:
        yield {"XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": f"{folder}/state", "HOME": folder}


@contextmanager
def development(environment: dict[str, str], *arguments: str) -> Iterator[Development]:
    """A node on 127.0.0.1, ended by SIGTERM if it still runs."""
    command = [*ICELANE, "dev", "--json", "--listen", "127.0.0.1", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert '"selfTest"' in line, (line, process.communicate())
            yield Development(process, json.loads(line), environment)
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)
