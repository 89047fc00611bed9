"""A file over a data channel.

    1. sender -> receiver   text    {"name": "report.pdf", "size": 1234}
    2. sender -> receiver   binary  the bytes, in chunks
    3. sender -> receiver   text    {"sha256": "..."}
    4. receiver -> sender   text    {"ok": true}, once the file has its name; or {"ok": false, "error": "..."}

The receiver writes beside the target and gives the file its name when the hash is right, so that a broken transfer
never looks like a whole file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icelane import RTCDataChannel
from icelane.errors import RemoteProtocolError

CHUNK: Final = 16 * 1024
MAX_NAME: Final = 255
MAX_SIZE: Final = 1 << 50

Progress = Callable[[int, int], None]
"""`progress(bytes so far, bytes in all)`."""


class TransferError(RemoteProtocolError):
    """The other side ended the transfer, or what came is not what was announced."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """A whole file."""

    path: Path
    size: int
    sha256: str


async def send_file(channel: RTCDataChannel, path: Path, progress: Progress) -> Transferred:
    """Send the file at `path`, and wait until the receiver has it. Raises TransferError, OSError."""
    size = _size_of(path)
    digest = hashlib.sha256()
    channel.send(json.dumps({"name": path.name, "size": size}))
    sent = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            channel.send(chunk)
            sent += len(chunk)
            progress(sent, size)
            await channel.drain()
    channel.send(json.dumps({"sha256": digest.hexdigest()}))
    reply = _document(await channel.receive())
    if reply.get("ok") is not True:
        raise TransferError(f"the receiver gave up: {reply.get('error', 'no reason given')}")
    return Transferred(path, sent, digest.hexdigest())


async def receive_file(channel: RTCDataChannel, directory: Path, progress: Progress, *, replace: bool) -> Transferred:
    """Take one file into `directory`. Raises TransferError, and OSError when it cannot be written.

    The sender chooses the name, without a path; with `replace` a file of that name is replaced.
    """
    try:
        name, size = _announcement(_document(await channel.receive()))
        target = directory / name
        if target.exists() and not replace:
            raise TransferError(f"{target} is there already")
        received = await _receive_bytes(channel, target, size, progress)
    except (TransferError, OSError) as error:
        channel.send(json.dumps({"ok": False, "error": str(error)}))
        raise
    channel.send(json.dumps({"ok": True}))
    return received


async def _receive_bytes(channel: RTCDataChannel, target: Path, size: int, progress: Progress) -> Transferred:
    draft = target.with_name(f".{target.name}.part"[:MAX_NAME])
    digest = hashlib.sha256()
    received = 0
    try:
        with draft.open("wb") as file:
            while isinstance(message := await channel.receive(), bytes):
                received += len(message)
                if received > size:
                    raise TransferError(f"more than the {size} bytes that were announced")
                digest.update(message)
                file.write(message)
                progress(received, size)
        if received != size:
            raise TransferError(f"{received} of {size} bytes came")
        if _document(message).get("sha256") != digest.hexdigest():
            raise TransferError("the hash of what came is not that of what was sent")
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return Transferred(target, received, digest.hexdigest())


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _announcement(document: dict[str, object]) -> tuple[str, int]:
    name, size = document.get("name"), document.get("size")
    if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise TransferError("the sender announced no file")
    # Whatever it is called there, here it stays in the directory, and is no hidden file.
    safe = Path(name.replace("\\", "/")).name.lstrip(".")
    if not safe or len(safe.encode()) > MAX_NAME or not safe.isprintable():
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
