"""Follows a public address that changes: finds it at the start, asks again at an interval, tells who must know.

A failure changes nothing: the address that was found last counts until another one is found.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import FileIO
from typing import Final, Protocol

from icelane.aio.stun_client import binding
from icelane.core.clock import Duration
from icelane.core.net import family_of
from icelane.errors import IcelaneError
from icelane.server.config import Config
from icelane.server.config.sources import PREFIX
from icelane.server.config.values import AddressSource, parse_external_address
from icelane.server.events import report

# The server starts without the address rather than not at all, so it does not wait for it any longer.
TIMEOUT: Final[Duration] = 5.0
RETRY_INTERVAL: Final[Duration] = 30.0

# One address of each family; a program that prints more does something else.
_MAX_OUTPUT: Final = 4096

Mapped = Mapping[str, str]
"""External addresses by local relay address."""


class AddressNotFoundError(IcelaneError):
    """Nobody could say what the public address is."""


class AddressFinder(Protocol):
    """Asks for the public addresses of some local ones."""

    async def find(self, locals_: tuple[str, ...]) -> dict[str, str]:
        """What was found, by local address. Raises IcelaneError when nothing was."""
        ...


class StunFinder:
    """Asks a STUN server from each local address."""

    def __init__(self, server: str) -> None:
        self._server = server

    async def find(self, locals_: tuple[str, ...]) -> dict[str, str]:
        """What the server sees each local address as. Raises IcelaneError when it did not answer any."""
        outcomes = await asyncio.gather(*map(self._ask, locals_), return_exceptions=True)
        found = {}
        problem: BaseException | None = None
        for local, outcome in zip(locals_, outcomes, strict=True):
            if isinstance(outcome, str):
                found[local] = outcome
            else:
                problem = outcome
        if problem is not None and (not found or not isinstance(problem, IcelaneError)):
            raise problem
        return found

    async def _ask(self, local: str) -> str:
        return (await binding(self._server, local=local, timeout=TIMEOUT)).mapped.host


class CommandFinder:
    """Runs a program that prints one address a line."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    async def find(self, locals_: tuple[str, ...]) -> dict[str, str]:
        """The printed addresses, each for the local one of its family. Raises AddressNotFoundError."""
        found = {}
        for line in (await self._output()).split():
            try:
                external = parse_external_address(line)
            except ValueError as error:
                raise AddressNotFoundError(f"{self._command[0]} printed no address: {error}") from None
            for local in locals_:
                if family_of(local) is family_of(external):
                    found[local] = external
        if not found:
            raise AddressNotFoundError(f"{self._command[0]} printed no address that can be used")
        return found

    async def _output(self) -> str:
        reader, pipe, write_end = await _pipe()
        try:
            try:
                running = await self._start(write_end)
            finally:
                os.close(write_end)
            printed, code = await self._end_of(running, reader)
        finally:
            pipe.close()
        if code:
            raise AddressNotFoundError(f"{self._command[0]} ended with {code}")
        return printed.decode(errors="replace")

    async def _end_of(self, running: asyncio.subprocess.Process, reader: asyncio.StreamReader) -> tuple[bytes, int]:
        """What the program printed and ended with; it is ended with all that it has started when it goes too far."""
        try:
            async with asyncio.timeout(TIMEOUT):
                printed = b""
                while more := await reader.read(_MAX_OUTPUT):
                    printed += more
                    if len(printed) > _MAX_OUTPUT:
                        raise AddressNotFoundError(f"{self._command[0]} prints more than addresses")
                return printed, await running.wait()
        except TimeoutError:
            raise AddressNotFoundError(f"{self._command[0]} took longer than {TIMEOUT:.0f} s") from None
        finally:
            if running.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                await running.wait()

    async def _start(self, output: int) -> asyncio.subprocess.Process:
        # The program does not get our secrets, which may stand in the environment. In a session of its own it can be
        # ended with what it has started.
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.DEVNULL,
                env=environ,
                start_new_session=True,
            )
        except OSError as error:
            raise AddressNotFoundError(f"{self._command[0]} cannot be run: {error.strerror}") from None


async def _pipe() -> tuple[asyncio.StreamReader, asyncio.ReadTransport, int]:
    """A pipe to read from, and the end to write to. With asyncio's own, waiting for a program would mean to wait until
    every process that it leaves behind has let go of its output, too."""
    reader = asyncio.StreamReader()
    read_end, write_end = os.pipe()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), FileIO(read_end)
        )
    except BaseException:
        os.close(write_end)
        raise
    return reader, transport, write_end


class ExternalAddressWatch:
    """Keeps `found` up to date and calls `on_change` with it when it has changed after the start."""

    def __init__(
        self,
        finder: AddressFinder,
        locals_: tuple[str, ...],
        interval: Duration,
        on_change: Callable[[Mapped], None],
        retry_interval: Duration = RETRY_INTERVAL,
        taken: frozenset[str] = frozenset(),
    ) -> None:
        """`taken` are addresses that something else has already, so that they cannot stand for one of `locals_`."""
        self.found: dict[str, str] = {}
        self._finder = finder
        self._locals = locals_
        self._interval = interval
        self._retry_interval = min(retry_interval, interval)
        self._on_change = on_change
        self._taken = taken
        self._well = False
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._watching = asyncio.create_task(self._watch(), name="external-address")

    async def look(self) -> None:
        """Ask once. A failure is reported and changes nothing."""
        self._well = False
        try:
            checked = self._check(await self._finder.find(self._locals))
        except IcelaneError as error:
            report("turn.external_address_unknown", logging.WARNING, problem=str(error))
            return
        self._well = True
        for local, external in checked.items():
            if self.found.get(local) != external:
                report(
                    "turn.external_address",
                    logging.INFO,
                    relay=local,
                    external=external,
                    previous=self.found.get(local, ""),
                )
        self.found |= checked

    async def close(self) -> None:
        """Watch no more; again is harmless."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval if self._well else self._retry_interval)
            before = dict(self.found)
            await self.look()
            if self.found != before:
                self._on_change(self.found)

    def _check(self, found: Mapped) -> dict[str, str]:
        """Addresses that clients can be told, each for one of ours. A STUN server could answer anything."""
        checked = {local: _checked(local, external) for local, external in found.items()}
        everywhere = self.found | checked
        for local, external in checked.items():
            if external != local and (external in self._taken or list(everywhere.values()).count(external) > 1):
                raise AddressNotFoundError(f"{external} cannot stand for {local}: it has another meaning here already")
        return checked


def watch_for(config: Config, on_change: Callable[[Mapped], None]) -> ExternalAddressWatch | None:
    """The watch that a configuration asks for; None when it asks for none, or all addresses stand in it."""
    turn = config.turn
    locals_ = tuple(host for host in turn.relay_addresses if host not in turn.external_addresses)
    if turn.external_address_from is None or not locals_:
        return None
    finder = _finder(turn.external_address_from)
    taken = frozenset((*turn.relay_addresses, *turn.external_by_relay.values()))
    return ExternalAddressWatch(finder, locals_, turn.external_address_interval, on_change, taken=taken)


def _finder(source: AddressSource) -> AddressFinder:
    return CommandFinder(source.command) if source.kind == "command" else StunFinder(str(source))


def _checked(local: str, external: str) -> str:
    try:
        checked = parse_external_address(external)
    except ValueError as error:
        raise AddressNotFoundError(f"{external} cannot be the public address of {local}: {error}") from None
    if family_of(checked) is not family_of(local):
        raise AddressNotFoundError(f"{external} is not of the family of {local}")
    return checked
