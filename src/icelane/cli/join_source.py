"""What `icelane join --publish` sends: a test card, a file, a device, or nothing; one source for all peers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from icelane import MediaPlayer, MediaRelay, MediaStreamTrack, TestCardTrack
from icelane.aio.media.synthetic import BeepTrack
from icelane.cli.output import CommandError, ExitCode, Problem, usage
from icelane.errors import IcelaneError

TEST_SOURCE: Final = "testsrc"
NOTHING: Final = "none"
# FORMAT:NAME, as FFmpeg's device formats are called; a letter alone is a drive of Windows.
_DEVICE: Final = re.compile(r"([a-z][a-z0-9_]+):(.+)")
_DEVICE_FORMATS: Final = frozenset(
    {"alsa", "avfoundation", "dshow", "jack", "lavfi", "oss", "pulse", "v4l2", "x11grab"}
)
_OPEN_TIMEOUT: Final = 10.0


class Source:
    """Tracks, of which each peer gets copies of his own."""

    def __init__(self, tracks: tuple[MediaStreamTrack, ...] = (), player: MediaPlayer | None = None) -> None:
        self._tracks = tracks
        self._player = player
        self._relay = MediaRelay()

    def tracks(self) -> list[MediaStreamTrack]:
        """For one more peer."""
        return [self._relay.subscribe(track) for track in self._tracks]

    @property
    def kinds(self) -> tuple[str, ...]:
        """`audio`, `video`, both or none."""
        return tuple(track.kind for track in self._tracks)

    def stop(self) -> None:
        """Read no more, and close the file or the device."""
        for track in self._tracks:
            track.stop()
        if self._player is not None:
            self._player.stop()


async def open_source(text: str, *, loop: bool) -> Source:
    """What the command line names. Raises CommandError for what does not open."""
    if text == NOTHING:
        return Source()
    if text == TEST_SOURCE:
        return Source((TestCardTrack(), BeepTrack()))
    name, form = _place(text)
    if form is None and "://" not in name and not _is_there(name):
        raise usage(f"{name} is no file", "--publish testsrc, or FILE, /dev/video0, alsa:default")
    try:
        player = await MediaPlayer.open(name, format=form, loop=loop, timeout=_OPEN_TIMEOUT)
    except IcelaneError as error:
        raise usage(f"{text}: {error}") from None
    except (OSError, ValueError) as error:  # PyAV's errors are both, by their number
        text = f"{text} does not open: {_reason(error)}"
        raise CommandError(ExitCode.USAGE, Problem(text, "--publish testsrc, or a file that FFmpeg plays")) from None
    tracks = tuple(track for track in (player.video, player.audio) if track is not None)
    if not tracks:
        player.stop()
        raise usage(f"{text} has neither sound nor pictures")
    return Source(tracks, player)


def _is_there(name: str) -> bool:
    return Path(name).exists()


def _place(text: str) -> tuple[str, str | None]:
    """The name, and FFmpeg's format where it is a device."""
    found = _DEVICE.fullmatch(text)
    if found is not None and found[1] in _DEVICE_FORMATS:
        return found[2], found[1]
    return text, "v4l2" if text.startswith("/dev/video") else None


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
