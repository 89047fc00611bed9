"""Finding the codec libraries that PyAV's wheel brings, or the system's."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

from icelane.errors import NotSupportedError
from icelane.media.pyav import av


def open_library(name: str, *, sonames: tuple[str, ...]) -> ctypes.CDLL:
    """The shared library `name` (`opus`) from PyAV's wheel, else the first of `sonames` that the system has.

    Raises NotSupportedError, saying where was looked.
    """
    for place in (*_in_wheel(name), *sonames):
        try:
            return ctypes.CDLL(place)
        except OSError:
            continue
    raise NotSupportedError(f"lib{name} is neither in PyAV's wheel nor, as {' or '.join(sonames)}, on this system")


def _in_wheel(name: str) -> Iterator[str]:
    # auditwheel puts them beside the package, delocate inside of it.
    package = Path(av.__file__).parent
    for directory, pattern in (
        (package.parent / "av.libs", f"lib{name}[-.]*so*"),
        (package / ".dylibs", f"lib{name}.*dylib"),
    ):
        yield from sorted(str(path) for path in directory.glob(pattern))
