"""A peer that is a program of its own: it takes calls as lines of JSON and answers them, in the order they are done."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.interop.peers.remote import PeerError

ROOT = Path(__file__).parents[3]
END_TIMEOUT = 5.0  # seconds to end by itself
_LINE_LIMIT = 1 << 20  # bytes; the longest lines are descriptions and texts


class Program:
    """The control of such a peer."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def run(cls, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Program:
        """Start it; what it says besides answers goes to the file `log`."""
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env=os.environ | (environment or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                limit=_LINE_LIMIT,
            )
        return cls(process, log)

    async def call(self, method: str, given: Mapping[str, object]) -> Any:
        stdin = self._process.stdin
        assert stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            if self._reader.done():
                raise PeerError(self._last_words())
            stdin.write(json.dumps({"id": number, "method": method, "given": given}).encode() + b"\n")
            with contextlib.suppress(ConnectionError):  # the reader finds out too, and knows its last words
                await stdin.drain()
            return await answer
        finally:
            del self._answers[number]

    async def close(self) -> None:
        """The end of its input is the end of the program."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), END_TIMEOUT)
        await end(self._process)
        await self._reader

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        async for line in stdout:
            message = json.loads(line)
            answer = self._answers.get(message["id"])
            if answer is None or answer.done():
                continue
            if "error" in message:
                answer.set_exception(PeerError(message["error"]))
            else:
                answer.set_result(message["result"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(PeerError(self._last_words()))

    def _last_words(self) -> str:
        return f"the program has ended:\n{self._log.read_text(errors='replace')[-3000:]}"


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process that did not end by itself, by force if need be."""
    for signal in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_TIMEOUT)
