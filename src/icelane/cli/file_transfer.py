"""A file over a data channel.

    1. sender -> receiver   text    {"name": "report.pdf", "size": 1234, "sha256": "..."}
    2. receiver -> sender   text    {"ready": true, "offset": 0}, or {"ok": false, "error": "..."} and the end
    3. sender -> receiver   binary  the bytes from that offset on, in chunks
    4. sender -> receiver   text    {"sha256": "..."}, the hash of the file from its beginning
    5. receiver -> sender   text    {"ok": true}, once the file has its name; or {"ok": false, "error": "..."}

The receiver writes beside the target and gives the file its name when the hash is right, so that a broken transfer
never looks like a whole file. When the connection is cut, what is there stays under a name made of the announced hash,
and the next transfer of that file goes on from it; the hash of the whole says whether that was right. What the one
side says of an error holds no path of its machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from icelane.errors import InvalidStateError, LocalProtocolError, RemoteProtocolError, TransportClosedError

CHUNK: Final = 16 * 1024
# Bytes of a file's name, on every file system that people have.
MAX_NAME: Final = 255
MAX_SIZE: Final = 1 << 50
# Characters of the peer's reason that are shown.
MAX_REASON: Final = 200
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# What is read at once where it is only hashed.
_PIECE: Final = 1 << 24
_DEVICE: Final = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[str, int, int], None]
"""`progress(name, bytes so far, bytes in all)`."""


class Channel(Protocol):
    """What the transfer needs of an RTCDataChannel."""

    def send(self, data: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def drain(self) -> None: ...


class TransferError(RemoteProtocolError):
    """The other side ended the transfer, or what came is not what was announced."""


class TransferCutError(TransferError):
    """The other side has gone in the middle. What the receiver has stays, so that the next transfer goes on from it."""


class TargetError(LocalProtocolError):
    """The file cannot be had, or not be written here. `mend` says what would help, `told` what the peer is told."""

    def __init__(self, message: str, mend: str | None = None, told: str = "it cannot write the file") -> None:
        super().__init__(message)
        self.mend = mend
        self.told = told


class NoRoomError(TargetError):
    """The disk is full. What the receiver has stays."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """A whole file."""

    path: Path
    size: int
    sha256: str
    resumed_at: int = 0
    """How many bytes the receiver had from an earlier transfer."""


# The sender


async def send_file(channel: Channel, path: Path, progress: Progress) -> Transferred:
    """Send the file at `path`, and wait until the receiver has it. Raises TransferError, TargetError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            sha256 = (await _hashed(file, size)).hexdigest()
            channel.send(json.dumps({"name": path.name, "size": size, "sha256": sha256}))
            offset = _offset(_reply(await channel.receive()), size)
            return await _send_bytes(channel, path, file, size, offset, progress)
    except (TransportClosedError, InvalidStateError):
        raise TransferCutError("the other side has gone, before it had the whole file") from None
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from None


def _offset(reply: dict[str, object], size: int) -> int:
    offset = reply.get("offset")
    if reply.get("ready") is not True or type(offset) is not int or not 0 <= offset <= size:
        raise TransferError("the other side does not speak this protocol")
    return offset


async def _send_bytes(
    channel: Channel, path: Path, file: BinaryIO, size: int, offset: int, progress: Progress
) -> Transferred:
    # What the receiver has counts for the hash as well, and is read again: the file may be another one by now.
    digest = await _hashed(file, offset)
    sent = offset
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
    return Transferred(path, sent, digest.hexdigest(), offset)


async def _hashed(file: BinaryIO, size: int) -> hashlib._Hash:
    """The hash of the first `size` bytes, at whose end the file stands afterwards. It may take minutes: on a thread,
    piece by piece, so that an interruption does not wait for it."""
    digest = hashlib.sha256()
    file.seek(0)
    left = size
    while left and (piece := await asyncio.to_thread(_hash_piece, digest, file, min(left, _PIECE))):
        left -= piece
    return digest


def _hash_piece(digest: hashlib._Hash, file: BinaryIO, size: int) -> int:
    piece = file.read(size)
    digest.update(piece)
    return len(piece)


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
        announced = _announcement(_document(await channel.receive()))
        _check_free(directory / announced.name, replace)
        received = await _receive_into(channel, directory, announced, progress, replace)
    except (TransportClosedError, InvalidStateError):
        raise TransferCutError("the other side has gone, before the whole file was here") from None
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


@dataclass(frozen=True, slots=True)
class _Announced:
    name: str
    size: int
    sha256: str


async def _receive_into(
    channel: Channel, directory: Path, announced: _Announced, progress: Progress, replace: bool
) -> Transferred:
    target = directory / announced.name
    draft = part_of(directory, announced.sha256)
    with _opened(draft) as file:
        try:
            offset = _kept(file, announced)
            _check_room(directory, announced.size - offset)
            channel.send(json.dumps({"ready": True, "offset": offset}))
            await _receive_bytes(channel, announced, file, offset, progress)
            _name(draft, target, replace)
        except BaseException as error:
            # Not where it stands alone: that is the beginning, until what is there has been hashed again.
            is_empty = os.fstat(file.fileno()).st_size == 0 and file.tell() == 0
            if is_empty or not _may_go_on(error):
                draft.unlink(missing_ok=True)
            raise
    return Transferred(target, announced.size, announced.sha256, offset)


def _may_go_on(error: BaseException) -> bool:
    """Whether what is there by now is worth keeping for another transfer."""
    if isinstance(error, (TransportClosedError, InvalidStateError, asyncio.CancelledError, NoRoomError)):
        return True
    return isinstance(error, OSError) and error.errno in _FULL


def _check_room(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if size > free:
        text = f"{directory} has {free:,} bytes free, and {size:,} are to come"
        raise NoRoomError(text, "make room, or --into another directory", "it has no room for the file")


def _name(draft: Path, target: Path, replace: bool) -> None:
    """Give the file its name, unless one of that name has come meanwhile: a transfer takes its time."""
    _check_free(target, replace)
    if replace:
        draft.replace(target)
        return
    try:
        os.link(draft, target)  # this alone never replaces anything
    except FileExistsError:
        _check_free(target, replace)
        raise
    except OSError:  # a file system without such links
        draft.rename(target)
    else:
        draft.unlink()


def part_of(directory: Path, sha256: str) -> Path:
    """Where the beginning of a file is kept between two transfers of it. One file, one name: nothing is mixed up."""
    return directory / f".icelane-{sha256[:32]}.part"


def _opened(draft: Path) -> BinaryIO:
    """The part, as it is or new, readable by our own user alone. Raises TargetError for what is no part of ours."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(draft, flags, 0o600), "r+b")
    try:
        _lock(file, draft)
        _check_ours(file, draft)
    except BaseException:
        file.close()
        raise
    return file


def _check_ours(file: BinaryIO, draft: Path) -> None:
    """In a directory that others may write into, somebody may have put something there."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise TargetError(f"{draft} is no file", "remove it")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise TargetError(f"{draft} is another user's", "--into another directory")
    # Between our opening and our lock another program may have finished with it.
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(found, os.lstat(draft)):
            if found.st_nlink == 1:
                return
            raise TargetError(f"{draft} has another name as well, whose file would be changed", "remove it")
    raise TargetError(f"another program has just received this file: {draft}", "the same again")


def _lock(file: BinaryIO, draft: Path) -> None:
    """Two programs that write into one part would spoil it. The lock ends with the file or the program."""
    try:
        import fcntl
    except ImportError:  # Windows, where the second one cannot rename the file at the end
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TargetError(
            f"another program is receiving this file: {draft}", "wait for it, or --into another directory"
        ) from None


def _kept(file: BinaryIO, announced: _Announced) -> int:
    """How many bytes are there already; what is longer than the file itself is worth nothing."""
    size = os.fstat(file.fileno()).st_size
    if size > announced.size:
        file.truncate(0)
        return 0
    return size


async def _receive_bytes(
    channel: Channel, announced: _Announced, file: BinaryIO, offset: int, progress: Progress
) -> None:
    digest = await _hashed(file, offset)
    received = offset
    progress(announced.name, received, announced.size)
    while isinstance(message := await channel.receive(), bytes):
        received += len(message)
        if received > announced.size:
            raise TransferError(f"more came than the {announced.size} bytes that were announced")
        digest.update(message)
        file.write(message)
        progress(announced.name, received, announced.size)
    if received != announced.size:
        raise TransferError(f"{received} of {announced.size} bytes came")
    found, sent = digest.hexdigest(), _document(message).get("sha256")
    if sent != announced.sha256:
        raise TransferError("the file changed while it was sent")
    if found != announced.sha256:
        raise TransferError("the hash of what came is not that of what was sent")
    file.flush()
    # A name that outlives a crash of the machine has the whole file under it.
    await asyncio.to_thread(os.fsync, file.fileno())


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
    """What the receiver calls a file of that name, in its directory and not hidden; None: nothing.

    On Windows a colon would lead to another drive or into a stream beside the file, some names are devices whatever
    stands behind their dot, and dots and spaces at the end are passed over: no such name on any system.
    """
    safe = name.replace("\\", "/").rpartition("/")[2].lstrip(".")
    if not safe.isprintable() or not 0 < len(safe.encode(errors="replace")) <= MAX_NAME:
        return None
    is_device = _DEVICE.fullmatch(safe.partition(".")[0].strip()) is not None
    return None if is_device or ":" in safe or safe[-1] in ". " else safe


def _say(channel: Channel, document: dict[str, object]) -> None:
    """A sender that has gone by now needs no answer."""
    with contextlib.suppress(InvalidStateError):
        channel.send(json.dumps(document))


def _announcement(document: dict[str, object]) -> _Announced:
    name, size, sha256 = document.get("name"), document.get("size"), document.get("sha256")
    if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise TransferError("the sender announced no file")
    if not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
        raise TransferError("the sender announced no hash of its file")
    safe = safe_name(name)
    if safe is None:
        raise TransferError("the sender's name for the file cannot be used")
    return _Announced(safe, size, sha256)


def _document(message: str | bytes) -> dict[str, object]:
    try:
        document = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TransferError("the other side does not speak this protocol")
    return document
