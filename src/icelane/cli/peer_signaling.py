"""Signaling without a server: two people copy a line of text to each other, or two programs share a directory.

A description becomes one line: JSON, deflated, in base64. Whoever gets hold of the line can answer the call in place of
the one it was meant for, so it goes over a channel that the two trust.

    signaling = CopyAndPaste(output)                  SharedDirectory(path)
    await signaling.send(description)                 writes `offer.icelane` or `answer.icelane`
    description = await signaling.receive("answer")   waits for the other one
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Final, Protocol

from icelane import RTCSessionDescription
from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.errors import MalformedError

# A description has 1 to 3 kB; what inflates to more than this is none.
MAX_DESCRIPTION: Final = 64 * 1024
POLL_SECONDS: Final = 0.1
_SUFFIX: Final = ".icelane"


class Signaling(Protocol):
    """How descriptions reach the peer."""

    async def send(self, description: RTCSessionDescription) -> None:
        """Give it to the peer."""
        ...

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Wait for the peer's `offer` or `answer`. Raises CommandError for what is none."""
        ...


def encode_description(description: RTCSessionDescription) -> str:
    """As one line of printable ASCII."""
    packed = zlib.compress(json.dumps(description.toJSON()).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_description(line: str) -> RTCSessionDescription:
    """The description in a line; raises MalformedError."""
    text = "".join(line.split())
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        inflating = zlib.decompressobj()
        document = json.loads(inflating.decompress(packed, MAX_DESCRIPTION))
    except (binascii.Error, ValueError, zlib.error, RecursionError):
        raise MalformedError(
            "the text is no description; copy the whole line, from the first to the last letter"
        ) from None
    if not inflating.eof or not isinstance(document, dict):
        raise MalformedError("the text is cut off, or no description")
    try:
        return RTCSessionDescription.from_json(document)
    except ValueError as error:
        raise MalformedError(str(error)) from None


class CopyAndPaste:
    """Prints our line, and reads the peer's from standard input."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def send(self, description: RTCSessionDescription) -> None:
        """Print it."""
        self._output.note(f"give this {description.type} to the other side, and to nobody else:")
        print(encode_description(description), file=sys.stderr if self._output.as_json else sys.stdout, flush=True)

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Ask until a line is a description of that kind."""
        while True:
            self._output.note(f"paste the {kind} of the other side here, then press Enter:")
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                raise CommandError(ExitCode.USAGE, Problem(f"no {kind} came: the input has ended"))
            if not line.strip():
                continue
            try:
                description = parse_description(line)
            except MalformedError as error:
                self._output.note(str(error))
                continue
            if description.type == kind:
                return description
            self._output.note(f"that is an {description.type}; the {kind} of the other side is wanted")


class SharedDirectory:
    """Two files in a directory that both sides reach: `offer.icelane` and `answer.icelane`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def send(self, description: RTCSessionDescription) -> None:
        """Write it, whole or not at all, readable by us alone."""
        target = self._path(description.type)
        draft = target.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(encode_description(description))
        draft.rename(target)

    async def receive(self, kind: str) -> RTCSessionDescription:
        """Wait for the file, take it, and remove it."""
        path = self._path(kind)
        while not path.exists():  # noqa: ASYNC110  (another program writes it, and cannot wake us)
            await asyncio.sleep(POLL_SECONDS)
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink(missing_ok=True)
        try:
            return parse_description(text)
        except MalformedError as error:
            raise CommandError(ExitCode.USAGE, Problem(str(error), file=str(path))) from None

    def _path(self, kind: str) -> Path:
        return self._directory / f"{kind}{_SUFFIX}"
