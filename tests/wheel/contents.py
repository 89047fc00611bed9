"""What belongs into an sdist and into a wheel, and what is wrong with one that was built."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Final

from build_ext import COMPILED_MODULES

# What setuptools writes into every sdist, below the one folder that it has.
METADATA_OF_SDIST: Final = re.compile(r"PKG-INFO|setup\.cfg|src/icelane\.egg-info/.*")
_METADATA_OF_WHEEL: Final = re.compile(r"icelane-[^/]*\.dist-info/.*")
# Beside the modules: the types, the declarations of what is compiled, the program that is compiled when it is used, the
# pages, and the documents that describe what is served.
DATA_OF_WHEEL: Final = re.compile(
    r"icelane/(py\.typed|.*\.pyi|.*\.pxd|testing/link_core\.c|web/.*\.(js|html|css|svg)|signaling/documents/.*\.json)"
)
_SOURCES: Final = PurePosixPath("src")


def faults_of_sdist(names: Collection[str], tracked: Collection[str]) -> list[str]:
    """Where it differs from what is under version control. `names` are below the archive's folder."""
    held = {name for name in names if not METADATA_OF_SDIST.fullmatch(name)}
    missing = [f"not in the sdist: {name}" for name in sorted(set(tracked) - held)]
    return missing + [f"in the sdist and not under version control: {name}" for name in sorted(held - set(tracked))]


def faults_of_wheel(files: Mapping[str, bytes], tracked: Collection[str]) -> list[str]:
    """What is missing in it, what it should not hold, and what its machine code should not tell."""
    machine_code = {name for name in files if name.endswith(".so")}
    wanted = {
        inside
        for name in tracked
        if (inside := _name_in_wheel(name)) is not None and (inside.endswith(".py") or DATA_OF_WHEEL.fullmatch(inside))
    }
    held = {name for name in files if not _METADATA_OF_WHEEL.fullmatch(name)} - machine_code
    faults = [f"not in the wheel: {name}" for name in sorted(wanted - held)]
    faults += [f"in the wheel for nothing: {name}" for name in sorted(held - wanted)]
    compiled = {name.partition(".")[0].replace("/", ".") for name in machine_code}
    faults += [f"not compiled: {module}" for module in sorted(set(COMPILED_MODULES) - compiled)]
    faults += [f"compiled by nobody's wish: {module}" for module in sorted(compiled - set(COMPILED_MODULES))]
    # The name of a section stands in the file as it is.
    faults += [f"has debug symbols: {name}" for name in sorted(machine_code) if b".debug_info" in files[name]]
    return faults


def faults_of_tag(file_name: str) -> list[str]:
    """A wheel that was not repaired says linux, and an index would not take it."""
    return [] if re.search(r"-manylinux_\d+_\d+_\w+\.whl$", file_name) else [f"{file_name} is for no manylinux"]


def _name_in_wheel(tracked: str) -> str | None:
    """Where a file below `src` is installed, None for others."""
    path = PurePosixPath(tracked)
    return path.relative_to(_SOURCES).as_posix() if path.is_relative_to(_SOURCES) else None
