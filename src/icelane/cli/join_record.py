"""What `icelane join --record FILE` writes: a file for each peer, and another one for what comes too late for it.

    call.mp4          of the first who sends something
    call-bob.mp4      of bob, who came later; call-bob-2.mp4 when he came again, or began to send pictures later

Nothing that is there already is written over.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from icelane import MediaRecorder, MediaStreamTrack
from icelane.cli.output import Output, usage
from icelane.core.clock import Duration
from icelane.errors import IcelaneError, InvalidStateError, NotSupportedError

SUFFIXES: Final = {
    ".mp4": True,
    ".mkv": True,
    ".webm": True,
    ".mov": True,
    ".wav": False,
    ".ogg": False,
    ".flac": False,
}
"""What a file may end in, and whether pictures go into it."""

# A call's tracks are told one after the other: those that come within so long go into one file.
GATHERING: Final[Duration] = 0.3
_MAX_NAME: Final = 60
_MAX_FILES: Final = 1000
MAX_RECORDED: Final = 4096
"""Files of one run. What comes later is not recorded: somebody comes and goes all the time to fill the disk."""
_UNSAFE: Final = re.compile(r"[^\w.-]+", re.ASCII)


def check_record(file: Path) -> None:
    """Raises CommandError for a file that cannot be begun."""
    if file.suffix.lower() not in SUFFIXES:
        raise usage(f"{file}: what is recorded ends in {', '.join(SUFFIXES)}", f"--record {file.stem or 'call'}.mkv")
    if not file.parent.is_dir():
        raise usage(f"{file.parent} is no directory", f"mkdir -p {file.parent}")
    if os.path.lexists(file):  # a link that leads nowhere yet would lead the recording there
        raise usage(f"{file} is there already", "--record another name, or remove it")


@dataclass(slots=True)
class _PeerFile:
    recorder: MediaRecorder
    path: Path
    starting: asyncio.Task[None]


@dataclass(slots=True)
class Recordings:
    """All files of one run. `of` says which are a peer's."""

    file: Path
    output: Output
    _open: dict[str, _PeerFile] = field(default_factory=dict)
    _names_by_peer: dict[str, list[Path]] = field(default_factory=dict)
    _taken: set[Path] = field(default_factory=set)

    def take(self, peer_id: str, name: str, track: MediaStreamTrack) -> None:
        """A track of a peer's; notes what cannot be recorded."""
        if track.kind == "video" and not SUFFIXES[self.file.suffix.lower()]:
            self.output.note(f"{name}: pictures do not go into {self.file.suffix}")
            return
        try:
            found = self._open.get(peer_id)
            if found is not None:
                try:
                    found.recorder.addTrack(track)
                    return
                except InvalidStateError:  # its header is written
                    pass
            self._begin(peer_id, name, track)
        except (NotSupportedError, OSError, ValueError) as error:
            self.output.note(f"{name}: {track.kind} is not recorded: {error}")

    def _begin(self, peer_id: str, name: str, track: MediaStreamTrack) -> None:
        path = self._free_name(name)
        recorder = MediaRecorder(path)
        self._taken.add(path)
        recorder.addTrack(track)
        # One that is open already is closed with the others, at the end: its tracks may go on.
        key = peer_id if peer_id not in self._open else f"{peer_id} {len(self._taken)}"
        if key != peer_id:
            self._open[key] = self._open.pop(peer_id)
        self._open[peer_id] = _PeerFile(recorder, path, asyncio.ensure_future(_start(recorder)))
        self._names_by_peer.setdefault(peer_id, []).append(path)
        self.output.note(f"recording {name} into {path}")

    def of(self, peer_id: str) -> list[Path]:
        """The files of a peer."""
        return self._names_by_peer.get(peer_id, [])

    async def finish(self, peer_id: str) -> None:
        """He has left: his files get their end."""
        for key in [key for key in self._open if key.partition(" ")[0] == peer_id]:
            await self._close(self._open.pop(key))

    async def close(self) -> None:
        """All files get their end."""
        while self._open:
            await self._close(self._open.popitem()[1])

    async def _close(self, found: _PeerFile) -> None:
        found.starting.cancel()
        try:
            await found.recorder.stop()
        except IcelaneError as error:
            self.output.note(f"{found.path}: {error}")

    def _free_name(self, name: str) -> Path:
        if not self._taken:
            return self.file
        if len(self._taken) >= MAX_RECORDED:
            raise ValueError(f"{MAX_RECORDED} files are enough")
        safe = _UNSAFE.sub("_", name).strip("._")[:_MAX_NAME] or "peer"
        candidates = (f"{self.file.stem}-{safe}{_number(index)}{self.file.suffix}" for index in range(1, _MAX_FILES))
        free = (
            path
            for one in candidates
            if (path := self.file.with_name(one)) not in self._taken and not os.path.lexists(path)
        )
        found = next(free, None)
        if found is None:
            raise ValueError("there are too many files of that name")
        return found


async def _start(recorder: MediaRecorder) -> None:
    await asyncio.sleep(GATHERING)
    await recorder.start()


def _number(index: int) -> str:
    return "" if index == 1 else f"-{index}"
