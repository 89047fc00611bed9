"""The access lists as they stand in the configuration and in files, and whether a file has changed since.

A file that is broken, gone or half written changes nothing: the lists that were good stay (OP-12).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icelane.aio.country import CountryDatabase
from icelane.core.clock import Duration
from icelane.errors import ConfigurationError, MalformedError, MissingExtraError
from icelane.turn.access_list import AccessEntries, AccessEntry, AccessLists, parse_access_entry, parse_access_list

LOGGER: Final = logging.getLogger("icelane.access")

POLL_INTERVAL: Final[Duration] = 1.0
"""How often files are looked at: with SWEEP_INTERVAL it is well below the five seconds that a denied user may stay."""

SWEEP_INTERVAL: Final[Duration] = 2.0
"""How often whoever is connected is to be held against the lists."""

# A list of MAX_ENTRIES long identities.
_MAX_FILE: Final = 32 << 20

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, kw_only=True)
class AccessSources:
    """Where the lists come from. `allow` and `deny` are entries as they are written."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    allow_file: Path | None = None
    deny_file: Path | None = None
    countries: Path | None = None

    def load(self) -> AccessEntries:
        """Read everything. Raises ConfigurationError that names the key, and the file and line where it is one."""
        database: CountryDatabase | None = None
        if self.countries is not None:
            try:
                database = CountryDatabase(self.countries)
            except MissingExtraError as error:
                raise ConfigurationError(str(error), key="lists.countries", file=str(self.countries)) from None
        return AccessEntries(
            allow=(*_entries(self.allow, "lists.allow"), *_file(self.allow_file, "lists.allow_file")),
            deny=(*_entries(self.deny, "lists.deny"), *_file(self.deny_file, "lists.deny_file")),
            country_of=None if database is None else database.country_of,
        )

    def stamp(self) -> _Stamp:
        """Differs when a file has changed."""
        return tuple(_stamp(file) for file in (self.allow_file, self.deny_file, self.countries))


class AccessWatch:
    """Keeps `lists` to what the files say. A reload of the configuration gives it other sources."""

    def __init__(self, lists: AccessLists, sources: AccessSources, *, interval: Duration = POLL_INTERVAL) -> None:
        """Loads them. Raises ConfigurationError."""
        self._lists = lists
        self._interval = interval
        self._sources = sources
        self._stamp = sources.stamp()
        lists.replace(sources.load())
        self._changed: list[Callable[[], None]] = []

    def on_change(self, call: Callable[[], None]) -> None:
        """Call this whenever a file has changed and its content counts. Whoever reloads knows that he has."""
        self._changed.append(call)

    def reload(self, sources: AccessSources) -> None:
        """Other sources from now on. Raises ConfigurationError, and then the old ones count."""
        stamp = sources.stamp()
        self._lists.replace(sources.load())
        self._sources, self._stamp = sources, stamp

    def look(self) -> bool:
        """Whether a file had changed, and its new content counts now."""
        stamp = self._sources.stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp  # also when it is broken: it is said once, and tried again when it changes again
        try:
            self._lists.replace(self._sources.load())
        except ConfigurationError as error:
            LOGGER.error("access.lists_unusable", extra={"key": error.key, "file": error.file, "error": error.message})
            return False
        LOGGER.info("access.lists_reloaded")
        self._tell()
        return True

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            self.look()

    def _tell(self) -> None:
        for call in self._changed:
            call()


def _entries(texts: tuple[str, ...], key: str) -> tuple[AccessEntry, ...]:
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(parse_access_entry(text))
        except MalformedError as error:
            raise ConfigurationError(str(error), key=f"{key}[{index}]") from None
    return tuple(found)


def _file(file: Path | None, key: str) -> tuple[AccessEntry, ...]:
    if file is None:
        return ()
    problem = ""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_FILE + 1)
        if len(raw) > _MAX_FILE:
            raise MalformedError("larger than 32 MiB, so not a list")
        return tuple(parse_access_list(raw.decode()))
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except MalformedError as error:
        problem = str(error)
    raise ConfigurationError(problem, key=key, file=str(file))


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
