"""A file over a data channel.

    1. sender -> receiver   text    {"name": "report.pdf", "size": 1234}
    2. receiver -> sender   text    {"ready": true}, or {"ok": false, "error": "..."} and the end
    3. sender -> receiver   binary  the bytes, in chunks
    4. sender -> receiver   text    {"sha256": "..."}
    5. receiver -> sender   text    {"ok": true}, once the file has its name; or {"ok": false, "error": "..."}

The receiver writes beside the target and gives the file its name when the hash is right, so that a broken transfer
never looks like a whole file. What the one side says of an error holds no path of its machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from icelane.crypto.provider import SystemEntropy
from icelane.errors import InvalidStateError, LocalProtocolError, RemoteProtocolError, TransportClosedError

CHUNK: Final = 16 * 1024
# Bytes of a file's name, on every file system that people have.
MAX_NAME: Final = 255
MAX_SIZE: Final = 1 << 50
# Characters of the peer's reason that are shown.
MAX_REASON: Final = 200

Progress = Callable[[str, int, int], None]
"""`progress(name, bytes so far, bytes in all)`."""


class Channel(Protocol):
    """What the transfer needs of an RTCDataChannel."""

    def send(self, data: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def drain(self) -> None: ...


class TransferError(RemoteProtocolError):
    """The other side ended the transfer, or what came is not what was announced."""


class TargetError(LocalProtocolError):
    """The file cannot be had, or not be written here. `mend` says what would help, `told` what the peer is told."""

    def __init__(self, message: str, mend: str | None = None, told: str = "it cannot write the file") -> None:
        super().__init__(message)
        self.mend = mend
        self.told = told


@dataclass(frozen=True, slots=True)
class Transferred:
    """A whole file."""

    path: Path
    size: int
    sha256: str


# The sender


async def send_file(channel: Channel, path: Path, progress: Progress) -> Transferred:
    """Send the file at `path`, and wait until the receiver has it. Raises TransferError, TargetError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            channel.send(json.dumps({"name": path.name, "size": size}))
            if _reply(await channel.receive()).get("ready") is not True:
                raise TransferError("the other side does not speak this protocol")
            return await _send_bytes(channel, path, file, size, progress)
    except TransportClosedError:
        raise TransferError("the other side has gone, before it had the whole file") from None
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from None


async def _send_bytes(channel: Channel, path: Path, file: BinaryIO, size: int, progress: Progress) -> Transferred:
    digest = hashlib.sha256()
    sent = 0
    progress(path.name, sent, size)
    # The receiver says nothing until the end, unless it gives up.
    reply = asyncio.ensure_future(channel.receive())
    try:
        with contextlib.suppress(InvalidStateError, TransportClosedError):  # `reply` knows why
            while not reply.done() and (chunk := file.read(CHUNK)):
                digest.update(chunk)
                channel.send(chunk)
                sent += len(chunk)
                progress(path.name, sent, size)
                await channel.drain()
            if not reply.done():
                channel.send(json.dumps({"sha256": digest.hexdigest()}))
        if _reply(await reply).get("ok") is not True:
            raise TransferError("the other side does not speak this protocol")
    finally:
        reply.cancel()
    return Transferred(path, sent, digest.hexdigest())


def _reply(message: str | bytes) -> dict[str, object]:
    """What the receiver says; raises TransferError when that is its giving up."""
    document = _document(message)
    if document.get("ok") is False:
        raise TransferError(f"the other side gave up: {_shown(document.get('error'))}")
    return document


def _shown(reason: object) -> str:
    """The peer's words, without what would move the cursor."""
    text = reason if isinstance(reason, str) else "no reason given"
    return "".join(character if character.isprintable() else "?" for character in text[:MAX_REASON])


# The receiver


async def receive_file(channel: Channel, directory: Path, progress: Progress, *, replace: bool) -> Transferred:
    """Take one file into `directory`. Raises TransferError, and TargetError when it cannot be written.

    The sender chooses the name, without a path; with `replace` a file of that name is replaced.
    """
    try:
        name, size = _announcement(_document(await channel.receive()))
        target = directory / name
        _check_free(target, replace)
        channel.send(json.dumps({"ready": True}))
        received = await _receive_into(channel, target, size, progress, replace)
    except (TransportClosedError, InvalidStateError):
        raise TransferError("the other side has gone, before the whole file was here") from None
    except TransferError as error:
        _give_up(channel, str(error))
        raise
    except TargetError as error:
        _give_up(channel, error.told)
        raise
    except OSError as error:
        _give_up(channel, error.strerror or "it cannot write the file")
        raise TargetError(f"{directory}: {error.strerror or error}") from None
    _say(channel, {"ok": True})
    return received


async def _receive_into(channel: Channel, target: Path, size: int, progress: Progress, replace: bool) -> Transferred:
    draft = target.with_name(f".icelane-{SystemEntropy().token(8).hex()}.part")
    try:
        with draft.open("xb") as file:
            sha256 = await _receive_bytes(channel, target.name, file, size, progress)
        _check_free(target, replace)  # a transfer takes its time
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return Transferred(target, size, sha256)


async def _receive_bytes(channel: Channel, name: str, file: BinaryIO, size: int, progress: Progress) -> str:
    digest = hashlib.sha256()
    received = 0
    progress(name, received, size)
    while isinstance(message := await channel.receive(), bytes):
        received += len(message)
        if received > size:
            raise TransferError(f"more came than the {size} bytes that were announced")
        digest.update(message)
        file.write(message)
        progress(name, received, size)
    if received != size:
        raise TransferError(f"{received} of {size} bytes came")
    if _document(message).get("sha256") != digest.hexdigest():
        raise TransferError("the hash of what came is not that of what was sent")
    return digest.hexdigest()


def _check_free(target: Path, replace: bool) -> None:
    if target.is_dir():
        raise TargetError(f"{target} is a directory", "--into another directory", "it has a directory of this name")
    if os.path.lexists(target) and not replace:
        raise TargetError(
            f"{target} is there already",
            "--replace, or --into another directory",
            "it has a file of this name already",
        )


def _give_up(channel: Channel, reason: str) -> None:
    _say(channel, {"ok": False, "error": reason})


def safe_name(name: str) -> str | None:
    """What the receiver calls a file of that name, in its directory and not hidden; None: nothing."""
    safe = name.replace("\\", "/").rpartition("/")[2].lstrip(".")
    return safe if safe.isprintable() and 0 < len(safe.encode(errors="replace")) <= MAX_NAME else None


def _say(channel: Channel, document: dict[str, object]) -> None:
    """A sender that has gone by now needs no answer."""
    with contextlib.suppress(InvalidStateError):
        channel.send(json.dumps(document))


def _announcement(document: dict[str, object]) -> tuple[str, int]:
    name, size = document.get("name"), document.get("size")
    if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise TransferError("the sender announced no file")
    safe = safe_name(name)
    if safe is None:
        raise TransferError("the sender's name for the file cannot be used")
    return safe, size


def _document(message: str | bytes) -> dict[str, object]:
    try:
        document = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TransferError("the other side does not speak this protocol")
    return document
