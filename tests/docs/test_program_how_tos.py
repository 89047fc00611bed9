"""The programs of the pages about voice agents, FastAPI and the NAT of clouds, run as they stand there."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from array import array
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from icelane import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, SpeechTrack
from icelane.compat.coturn.options import OPTIONS
from icelane.errors import MediaStreamError
from icelane.media.pyav import av
from icelane.turn.credentials import parse_rest_username
from tests.audit.sources import ROOT
from tests.docs.test_documentation import blocks


def written(page: str, **given: object) -> dict[str, Any]:
    """What the Python of a page defines, all of it in one module, where `given` is defined before."""
    scope: dict[str, Any] = dict(given)
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), scope)
    return scope


class Said:
    """A track that says what it was told, in frames of 20 ms as Opus has them, and ends."""

    def __init__(self, loudness: Sequence[int]) -> None:
        self._loudness = list(loudness)
        self._position = 0

    async def recv(self) -> Any:
        if not self._loudness:
            raise MediaStreamError("over")
        level = self._loudness.pop(0)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(array("h", ([level] * 40 + [-level] * 40) * 24).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._position, Fraction(1, 48_000)
        self._position += 960
        return frame


def test_the_agent_of_the_page_answers_in_a_pause_and_stops_when_interrupted() -> None:
    page = written("docs/howto/voice-agents.md")
    heard: list[int] = []

    async def answer(samples: bytes) -> bytes:
        heard.append(len(samples))
        return b"\1\0" * 480 * 3

    async def main() -> None:
        speech = SpeechTrack()
        await page["converse"](Said([0] * 5 + [8000] * 10 + [0] * 40), speech, answer)
        assert len(heard) == 1
        assert heard[0] // 960 in range(14, 17), "five frames of silence, and ten of voice"
        frame = await speech.recv()
        assert isinstance(frame, av.AudioFrame)
        assert bytes(frame.planes[0])[:960] == b"\1\0" * 480
        asked = asyncio.Event()

        async def think(samples: bytes) -> bytes:
            asked.set()
            return await asyncio.Future()

        interrupted = asyncio.ensure_future(page["converse"](Said([8000] * 5 + [0] * 40), speech, think))
        await asyncio.wait_for(asked.wait(), 10)
        assert speech.waiting == 0, "nothing is left to say"
        interrupted.cancel()

    asyncio.run(main())


def test_the_program_of_the_fastapi_page_hands_out_credentials_and_answers_offers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loopback = RTCConfiguration(interfaces=["lo"])

    class OnLoopback(RTCPeerConnection):
        def __init__(self) -> None:
            super().__init__(loopback)

    monkeypatch.setattr("icelane.RTCPeerConnection", OnLoopback)
    monkeypatch.setenv("TURN_SECRET", "x" * 32)
    page = written("docs/howto/fastapi.md")
    assert "/rtc" in [getattr(route, "path", None) for route in page["app"].routes]
    servers = page["ice_servers"]("ann")["iceServers"]
    assert parse_rest_username(servers[1]["username"]).user == "ann"

    async def call() -> None:
        async with asyncio.timeout(30), RTCPeerConnection(loopback) as pc:
            channel = pc.createDataChannel("chat")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            answer = await page["offer"](pc.localDescription.toJSON())
            await pc.setRemoteDescription(RTCSessionDescription(**answer))
            await channel.opened()
            channel.send("hello")
            assert await channel.receive() == "hello"
            for other in page["calls"]:
                await other.close()

    asyncio.run(call())


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is not installed")
def test_the_scripts_of_the_cloud_page_are_scripts() -> None:
    scripts = [text for text in blocks("docs/howto/cloud-nat.md", "sh") if text.startswith("#!")]
    assert scripts
    for script in scripts:
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=60)


def test_every_option_that_the_coturn_page_names_is_one_of_coturns() -> None:
    text = (ROOT / "docs/howto/from-coturn.md").read_text(encoding="utf-8")
    table = text[text.index("| | coturn") : text.index("Users and secrets in a database")]
    named = {word for word in table.replace("`", " ").replace(",", " ").replace("|", " ").split() if "-" in word}
    assert {word for word in named if word.strip(".") in OPTIONS} >= {"denied-peer-ip", "no-tcp-relay", "max-bps"}


def test_the_commands_of_the_pages_write_what_the_pages_say(tmp_path: Any) -> None:
    code = "from icelane.cli.main import main; main()"
    for option in ("--container", "--systemd"):
        command = [sys.executable, "-c", code, "init", option, "--hostname", "turn.example.org", "--json"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    page = (ROOT / "docs/howto/containers.md").read_text(encoding="utf-8")
    for path in tmp_path.iterdir():
        assert path.name == "icelane.service" or f"| `{path.name}` |" in page, path.name
