"""FastRTC, pipecat and streamlit-webrtc, unmodified, each in a call over icelane where they expect aiortc.

They run in an environment without aiortc (`make .venv-compat/.installed`), and with the icelane that is tested.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import icelane
from demo.chromium import PACKAGE, chromium
from tests.interop.conftest import miss, need_program
from tests.interop.running import free_port, running

# Their environment takes minutes to fill, which `make test-interop` does not have.
pytestmark = [pytest.mark.interop, pytest.mark.long]

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAMS: Final = Path(__file__).parent / "programs"
INTERPRETER: Final = ROOT / ".venv-compat/bin/python"
PATIENCE: Final = 120.0  # seconds; the libraries take ten to start on a busy machine
FREQUENCY: Final = 500
# Chromium's camera: a green field with a yellow disc.
CAMERA_GREEN: Final = 90
BLUE: Final = (32, 64, 208)  # what streamlit_app.py answers with
# What a colour becomes on its way through I420 and an encoder.
COLOUR_ERROR: Final = 16
PICTURES: Final = 30
SHOW_ADDRESSES: Final = "--disable-features=WebRtcHideLocalIpsWithMdns"


class Heard(TypedDict, total=False):
    """What a program of `programs` reports."""

    frequency: float
    level: float
    windows: int
    pictures: int
    delays: list[int]
    messages: list[str]
    states: list[str]
    aiortc: str
    left: int
    events: list[str]
    seen: dict[str, int]
    ended: str


def need_libraries() -> None:
    """Skips the test, or fails it where a run promises the whole."""
    if not INTERPRETER.exists():
        miss("the libraries for aiortc are not installed: make .venv-compat/.installed")


def environment(**more: str) -> dict[str, str]:
    """That of a program, which imports the icelane that we test and asks nobody for anything."""
    ours = str(Path(icelane.__file__).parents[1])
    offline = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "0"}
    return os.environ | offline | {"PYTHONPATH": ours} | more


def run_program(name: str, *arguments: str) -> Heard:
    """What a program has heard."""
    need_libraries()
    result = subprocess.run(
        [INTERPRETER, PROGRAMS / name, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    reports = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    assert reports, result.stdout + result.stderr
    heard: Heard = json.loads(reports[0].removeprefix("RESULT "))
    assert Path(heard["aiortc"]).parent == Path(icelane.__file__).parent / "compat/aiortc"
    assert heard["states"] == ["connecting", "connected", "closed"]
    return heard


def assert_tone(heard: Heard, level: float) -> None:
    """It was there, five times a fifth of a second; what is told is the last one."""
    assert heard["windows"] == 5
    assert heard["frequency"] == pytest.approx(FREQUENCY, rel=0.01)
    assert heard["level"] == pytest.approx(level, abs=5)


def assert_clock(heard: Heard, milliseconds: int = 1_000) -> None:
    """The clock of the pictures was read, and they were not long on their way."""
    delays = heard["delays"]
    assert len(delays) >= PICTURES
    assert min(delays) >= 0
    assert statistics.median(delays) < milliseconds


def test_fastrtc_echoes_sound() -> None:
    heard = run_program("fastrtc_call.py", "audio")
    assert_tone(heard, -20)
    assert "Server received: hello" in heard["messages"][0]
    assert heard["left"] == 0  # FastRTC has noticed the end of the call


def test_fastrtc_turns_pictures() -> None:
    heard = run_program("fastrtc_call.py", "video")
    assert_clock(heard)
    assert heard["left"] == 0


def test_a_pipecat_pipeline_echoes_sound_and_pictures() -> None:
    heard = run_program("pipecat_call.py")
    assert_tone(heard, -20)
    assert_clock(heard)
    assert heard["events"] == ["connected", "message {'type': 'greeting', 'text': 'hello'}", "disconnected"]
    assert any('"echo"' in message for message in heard["messages"])


def test_streamlit_webrtc_processes_sound_and_pictures() -> None:
    heard = run_program("streamlit_call.py")
    assert_tone(heard, -26)  # its program halves what it hears
    assert_clock(heard)
    assert heard["seen"]["audio"] > 50
    assert heard["seen"]["video"] >= PICTURES
    assert heard["ended"] == "closed"


def test_chromium_calls_a_streamlit_page(tmp_path: Path) -> None:
    need_libraries()
    need_program("chromium", PACKAGE)
    log = tmp_path / "seen"
    with streamlit(tmp_path, log) as url:
        red, green, blue = asyncio.run(call_page(url))
    assert (red, green, blue) == pytest.approx(BLUE, abs=COLOUR_ERROR)  # what the program painted reached the page
    pictures = [[int(word) for word in line.split()] for line in log.read_text().splitlines()]
    assert len(pictures) >= PICTURES
    _, _, *colour = pictures[-1]
    assert colour[1] > CAMERA_GREEN  # what the camera shows reached the program
    assert colour[1] > colour[2]


async def call_page(url: str) -> tuple[int, int, int]:
    """The colour in the middle of the picture that the page plays, once it is that of the program."""
    async with chromium(extra_arguments=[SHOW_ADDRESSES]) as browser:
        page = await browser.new_page()
        await page.goto(url)
        start = page.frame_locator("iframe").get_by_role("button", name="Start")
        await start.click()
        deadline = time.monotonic() + PATIENCE
        colour = (0, 0, 0)
        while time.monotonic() < deadline:
            for frame in page.frames:
                found = await frame.evaluate(MIDDLE)
                if found is not None:
                    colour = tuple(found)
            if all(abs(one - wanted) <= COLOUR_ERROR for one, wanted in zip(colour, BLUE, strict=True)):
                await asyncio.sleep(3)  # some more pictures
                break
            await asyncio.sleep(0.5)
        return colour


MIDDLE: Final = """() => {
    const video = document.querySelector("video");
    if (!video || !video.videoWidth) { return null; }
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    return [...context.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data].slice(0, 3);
}"""


@contextmanager
def streamlit(directory: Path, log: Path) -> Iterator[str]:
    """The URL of the page, while its server runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            with urlopen(f"{url}/_stcore/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    given = environment(CALL_LOG=str(log))
    command = [str(INTERPRETER), str(PROGRAMS / "streamlit_server.py"), str(port)]
    with running(command, ready=is_up, directory=directory, environment=given):
        yield url
