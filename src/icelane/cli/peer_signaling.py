"""Signaling without a server: two people copy a line of text to each other, or two programs share a directory.

A description becomes one line: JSON, deflated, in base64. Whoever gets hold of the line can answer the call in place of
the one it was meant for, so it goes over a channel that the two trust.

    signaling = CopyAndPaste(output)                  SharedDirectory(path, output)
    await signaling.send(description)                 writes `offer.icelane` or `answer.icelane`
    description = await signaling.receive("answer")   waits for the other one
    signaling.withdraw()                              removes what nobody took
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Final, Protocol

from icelane import RTCSessionDescription
from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.cli.peer_input import MAX_LINE, LineReader
from icelane.errors import MalformedError

# A description has 1 to 3 kB; what inflates to more than this is none.
MAX_DESCRIPTION: Final = 64 * 1024
POLL_SECONDS: Final = 0.1
_SUFFIX: Final = ".icelane"
_OTHER: Final = {"offer": "answer", "answer": "offer"}


class Signaling(Protocol):
    """How descriptions reach the peer."""

    async def send(self, description: RTCSessionDescription) -> None:
        """Give it to the peer."""
        ...

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Wait for the peer's `offer` or `answer`. Raises CommandError for what is none."""
        ...

    def withdraw(self) -> None:
        """Take back what the peer has not taken."""
        ...


def encode_description(description: RTCSessionDescription) -> str:
    """As one line of printable ASCII."""
    packed = zlib.compress(json.dumps(description.toJSON()).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_description(line: str) -> RTCSessionDescription:
    """The description in a line; raises MalformedError. White space, as a mail program adds it, is passed over."""
    text = "".join(line.split())
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        inflating = zlib.decompressobj()
        document = json.loads(inflating.decompress(packed, MAX_DESCRIPTION))
    except (ValueError, zlib.error, RecursionError):  # binascii.Error is a ValueError
        raise MalformedError("that is no description; copy the whole line, from the first to the last letter") from None
    if not inflating.eof or inflating.unused_data or not isinstance(document, dict):
        raise MalformedError("that is cut off, or no description")
    try:
        return RTCSessionDescription.from_json(document)
    except TypeError as error:
        raise MalformedError(str(error)) from None


class CopyAndPaste:
    """Prints our line, and reads the peer's from standard input."""

    def __init__(self, output: Output, lines: LineReader | None = None) -> None:
        self._output = output
        self._lines = lines or LineReader()

    async def send(self, description: RTCSessionDescription) -> None:
        """Print it; with --json on standard error, because standard output is for the result."""
        self._output.note(f"give this {description.type} to the other side, and to nobody else:")
        print(encode_description(description), file=sys.stderr if self._output.as_json else sys.stdout, flush=True)

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Ask until a line is a description of that kind; with --json nobody can be asked again."""
        while True:
            self._output.note(f"paste the {kind} of the other side here, then press Enter:")
            line = await self._lines.line()
            if line is None:
                raise CommandError(ExitCode.USAGE, Problem(f"no {kind} came: the input has ended"))
            if not line.strip():
                continue
            try:
                return _of_kind(kind, line)
            except MalformedError as error:
                if self._output.as_json:
                    raise CommandError(ExitCode.USAGE, Problem(str(error))) from None
                self._output.note(str(error))

    def withdraw(self) -> None:
        """Nothing: what is printed is printed."""


class SharedDirectory:
    """Two files in a directory that both sides reach: `offer.icelane` and `answer.icelane`."""

    def __init__(self, directory: Path, output: Output) -> None:
        self._directory = directory
        self._output = output
        self._written: Path | None = None

    async def send(self, description: RTCSessionDescription) -> None:
        """Write it, whole or not at all, readable by our own user alone.

        An answer that lies there when an offer is written is of an earlier call, and is removed.
        """
        if description.type == "offer":
            self._path("answer").unlink(missing_ok=True)
        target = self._path(description.type)
        draft = target.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(encode_description(description))
        draft.rename(target)
        self._written = target

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Wait for the file, take it, and remove it."""
        path = self._path(kind)
        self._output.note(f"waiting for the other side in {self._directory}")
        while not path.exists():  # noqa: ASYNC110  (another program writes it, and cannot wake us)
            await asyncio.sleep(POLL_SECONDS)
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_LINE)
        path.unlink(missing_ok=True)
        try:
            return _of_kind(kind, text)
        except MalformedError as error:
            raise CommandError(ExitCode.USAGE, Problem(str(error), file=str(path))) from None

    def withdraw(self) -> None:
        """Remove what we wrote, if it still lies there."""
        if self._written is not None:
            self._written.unlink(missing_ok=True)
            self._written = None

    def _path(self, kind: str) -> Path:
        return self._directory / f"{kind}{_SUFFIX}"


def _of_kind(kind: str, line: str) -> RTCSessionDescription:
    """Raises MalformedError for any other description too, most often our own."""
    description = parse_description(line)
    if description.type != kind:
        ours = ", which is ours" if description.type == _OTHER[kind] else ""
        raise MalformedError(f"that is an {description.type}{ours}; the {kind} of the other side is wanted")
    return description
