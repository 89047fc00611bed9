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
        if not hasattr(os, "killpg"):
            raise AddressNotFoundError("a program is asked only where it can be ended with what it has started")
        output = _Output()
        try:
            try:
                running = await self._start(output.write_end)
            finally:
                os.close(output.write_end)
            code = await self._end_of(running, output)
        finally:
            output.close()
        if output.excessive:
            raise AddressNotFoundError(f"{self._command[0]} prints more than addresses")
        if code:
            raise AddressNotFoundError(f"{self._command[0]} ended with {code}")
        return output.printed.decode(errors="replace")

    async def _end_of(self, running: asyncio.subprocess.Process, output: _Output) -> int:
        """What the program ended with, once what it printed has been read. What it has started ends with it."""
        try:
            async with asyncio.timeout(TIMEOUT):
                code = await running.wait()
        except TimeoutError:
            raise AddressNotFoundError(f"{self._command[0]} took longer than {TIMEOUT:.0f} s") from None
        else:
            output.read()
            return code
        finally:
            await _end_group(running)

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


class _Output:
    """What a program prints, up to the read that finds too much.

    A pipe of our own: with asyncio's, waiting for a program would mean to wait until every process that it leaves
    behind has let go of its output, too.
    """

    def __init__(self) -> None:
        self.printed = b""
        self._read_end, self.write_end = os.pipe()
        self._open = True
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._read_end, False)
        self._loop.add_reader(self._read_end, self.read)

    @property
    def excessive(self) -> bool:
        """Whether there was more than addresses take."""
        return len(self.printed) > _MAX_OUTPUT

    def read(self) -> None:
        """Take what is there. Whoever prints too much loses its reader, and thereby ends."""
        with suppress(BlockingIOError):
            while self._open:
                more = os.read(self._read_end, _MAX_OUTPUT)
                self.printed += more
                if not more or self.excessive:
                    self.close()

    def close(self) -> None:
        """Read no more; again is harmless."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)


async def _end_group(running: asyncio.subprocess.Process) -> None:
    """End what is left of a program and of what it has started, save what has left its group or is somebody else's."""
    try:
        # Its number stays the group's for as long as anybody is in that, so it cannot mean another one.
        os.killpg(running.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody is left
    except PermissionError:
        return  # only what runs as another user, and cannot be waited for
    await running.wait()


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
