"""A clean room: the tree without `src`, a virtual environment with the wheel in it, and no compiler to be found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.wheel.archives import Archives

_COMPILER: Final = re.compile(r"(.*-)?(cc|c8\d|c9\d|gcc|g\+\+|c\+\+|cpp|clang|clang\+\+|tcc|as|ld(\.\w+)?)(-[\d.]+)?")
_BUILD_SETTINGS: Final = ("CC", "CXX", "LD", "LDSHARED")
# They would let something in from outside of the room, or choose what this is about.
_LEFT_OUTSIDE: Final = re.compile(r"PYTHON(PATH|HOME)|VIRTUAL_ENV|ICELANE_.*|C?(LD)?FLAGS")

_WHAT_RUNS: Final = """
import importlib, sys
import icelane
from build_ext import COMPILED_MODULES
from icelane.server import batched

assert icelane.__file__.startswith(sys.prefix), f"icelane comes from {icelane.__file__}"
assert icelane.__compiled__ is WANTED, icelane.__compiled__
assert batched.available() is WANTED, "the compiled relay plane"
if WANTED:
    for name in COMPILED_MODULES:
        assert importlib.import_module(name).__file__.endswith(".so"), name
print(f"icelane {icelane.__version__} from {icelane.__file__}: compiled {WANTED}, compiled relay plane {WANTED}")
"""


class Room:
    """The room in a folder. `tree` is the project as it was packed, without the package."""

    def __init__(self, folder: Path) -> None:
        self._programs = folder / "programs"
        self._environment = folder / "environment"
        self._folder = folder
        self.tree = folder / "tree"

    def furnish(self, archives: Archives) -> None:
        """Make everything anew. Raises CalledProcessError when the wheel, or what it needs, cannot be installed."""
        for old in (self._programs, self._environment, self.tree):
            shutil.rmtree(old, ignore_errors=True)
        archives.unpack_sdist(self._folder).rename(self.tree)
        shutil.rmtree(self.tree / "src")
        _link_programs(self._programs)
        self.run([sys.executable, "-m", "venv", str(self._environment)])
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        self.run_python([*install, "--upgrade", "pip>=25.1"])
        self.run_python([*install, f"{archives.wheel}[server]", "--group", "test"])

    def show_what_runs(self) -> None:
        """Raises CalledProcessError unless the compiled form runs, and the other one when that is asked for."""
        for pure in (False, True):
            program = _WHAT_RUNS.replace("WANTED", str(not pure))
            self.run_python(["-c", program], ICELANE_PURE=str(int(pure)))

    def run_python(self, arguments: Sequence[str], **settings: str) -> None:
        """Run the room's Python in its tree. Raises CalledProcessError when it fails."""
        self.run([str(self._environment / "bin" / "python"), *arguments], **settings)

    def run(self, command: Sequence[str], **settings: str) -> None:
        """Run a program in the tree, with the room's programs only. Raises CalledProcessError when it fails."""
        subprocess.run(command, cwd=self.tree, env=self._settings() | settings, check=True)

    def _settings(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _LEFT_OUTSIDE.fullmatch(name)}
        kept |= dict.fromkeys(_BUILD_SETTINGS, "/nonexistent/compiler")
        kept["PATH"] = f"{self._environment / 'bin'}{os.pathsep}{self._programs}"
        return kept


def is_compiler(name: str) -> bool:
    """Whether a program of that name turns source into machine code, or is a step on the way."""
    return _COMPILER.fullmatch(name) is not None


def _link_programs(folder: Path) -> None:
    """Links to all programs of this machine but the compilers; of several with one name, the one that PATH finds."""
    folder.mkdir()
    for searched in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for program in Path(searched or ".").glob("*"):
            link = folder / program.name
            if not is_compiler(program.name) and not link.is_symlink():
                link.symlink_to(program.absolute())
