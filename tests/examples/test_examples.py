"""Each example, started as the program that it is and talked to by a peer of the test or by its other half."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from icelane import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    SignalClient,
    TestCardTrack,
)
from icelane.aio.media_stream_track import TrackFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone, tone

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 60.0  # seconds for a program; it takes two
FINGERPRINT = re.compile(r"fingerprint +(sha-256 [0-9A-F:]{95})")


@contextmanager
def started(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An example as a process of its own, on loopback."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, "INTERFACES": "lo"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def line_with(program: subprocess.Popen[str], wanted: str) -> str:
    """What the program says next that has `wanted` in it."""
    assert program.stdout is not None
    said = []
    for line in program.stdout:
        said.append(line)
        if wanted in line:
            return line
    raise AssertionError("".join(said))


def say(program: subprocess.Popen[str], text: str) -> None:
    """Type a line."""
    assert program.stdin is not None
    program.stdin.write(text.rstrip("\n") + "\n")
    program.stdin.flush()


def test_every_example_is_tested_here() -> None:
    tested = {
        "call_yourself.py",
        "data_echo_server.py",
        "echo_bot.py",
        "fastapi_signaling.py",
        "file_transfer.py",
        "signaled_call.py",
        "terminal_chat.py",
        "voice_bot.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


# -- data_echo_server.py


def post(url: str, body: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=TIMEOUT) as answer:
        return bytes(answer.read())


def test_the_echo_server_answers_an_offer_and_echoes_what_comes() -> None:
    async def call(url: str) -> None:
        async with asyncio.timeout(TIMEOUT), RTCPeerConnection(RTCConfiguration(interfaces=["lo"])) as pc:
            channel = pc.createDataChannel("echo")
            await pc.setLocalDescription()
            await pc.gathering_complete()
            assert pc.localDescription is not None
            answer = await asyncio.to_thread(post, f"{url}/offer", json.dumps(pc.localDescription.toJSON()).encode())
            await pc.setRemoteDescription(RTCSessionDescription.from_json(json.loads(answer)))
            await channel.opened()
            for message in ("hello", b"\0\1\2", "Grüße, 世界", b"x" * 100_000):
                channel.send(message)
                assert await channel.receive() == message

    with started("data_echo_server.py", "0") as server:
        url = line_with(server, "running on").split("running on ")[1].split(" ")[0]
        with urllib.request.urlopen(url, timeout=TIMEOUT) as page:
            assert b"new RTCPeerConnection()" in page.read()
        for nonsense in (b"no JSON", b"[]", b'{"type": "offer"}', b'{"type": "offer", "sdp": "v=1"}'):
            with pytest.raises(urllib.error.HTTPError) as caught:
                post(f"{url}/offer", nonsense)
            assert caught.value.code == 400
            caught.value.close()
        asyncio.run(call(url))
        asyncio.run(call(url))
        server.send_signal(signal.SIGINT)
        assert server.stdout is not None
        said = server.stdout.read()
        server.wait(TIMEOUT)
    assert "Traceback" not in said
    assert "Task was destroyed" not in said


# -- file_transfer.py


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_a_file_is_copied_from_program_to_program(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "source").write_bytes(data)
    target = tmp_path / "copy"
    with (
        started("file_transfer.py", "receive", str(tmp_path), str(target)) as receiver,
        started("file_transfer.py", "send", str(tmp_path), str(tmp_path / "source")) as sender,
    ):
        said, _ = receiver.communicate(timeout=TIMEOUT)
        sender.communicate(timeout=TIMEOUT)
    assert (sender.returncode, receiver.returncode) == (0, 0)
    assert said == f"{target}: {size:,} bytes\n"
    assert target.read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_without_arguments_file_transfer_explains_itself() -> None:
    with started("file_transfer.py") as program:
        said, _ = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 1
    assert "python file_transfer.py send /mnt/shared report.pdf" in said


# -- terminal_chat.py


def test_two_people_chat_until_one_leaves() -> None:
    with started("terminal_chat.py") as alice, started("terminal_chat.py", "answer") as bob:
        say(bob, line_with(alice, '"type": "offer"'))
        say(alice, line_with(bob, '"type": "answer"'))
        reports = [[FINGERPRINT.findall(line_with(one, "fingerprint"))[0] for _ in range(2)] for one in (alice, bob)]
        assert reports[0] == reports[1][::-1]
        for one in (alice, bob):
            line_with(one, "Connected")
        say(alice, "hello")
        assert line_with(bob, "> ") == "> 'hello'\n"
        say(bob, "and back, Grüße")
        assert line_with(alice, "> ") == "> 'and back, Grüße'\n"
        say(alice, "")
        assert alice.wait(TIMEOUT) == 0
        line_with(bob, "has left")
        say(bob, "")
        assert bob.wait(TIMEOUT) == 0


def test_ctrl_c_ends_a_chat_that_waits_for_a_line() -> None:
    with started("terminal_chat.py") as alice:
        line_with(alice, "Paste the line")
        alice.send_signal(signal.SIGINT)
        alice.communicate(timeout=10)
    assert alice.returncode not in (0, None)


# -- call_yourself.py


def test_a_program_calls_itself_and_records_what_arrives(tmp_path: Path) -> None:
    file = tmp_path / "call.mkv"
    with started("call_yourself.py", str(file), "3") as program:
        said, _ = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 0, said
    assert "audio comes in" in said
    assert "SRTP_AEAD_AES" in said
    with av.open(str(file)) as recording:
        cards = [read_card(frame) for frame in recording.decode(video=0)]
    times = [card for card in cards if card is not None]
    assert len(times) > 20
    assert times == sorted(times)
    with av.open(str(file)) as recording:
        heard = measure_tone([piece for frame in recording.decode(audio=0) for piece in _packed(frame)][20:40])
    assert heard.frequency == pytest.approx(440, rel=0.03)


def _packed(frame: av.AudioFrame) -> list[av.AudioFrame]:
    return av.AudioResampler(format="s16", layout="stereo", rate=48_000).resample(frame)


# -- fastapi_signaling.py, signaled_call.py


@contextmanager
def signaling_program() -> Iterator[str]:
    """The FastAPI program under its command; where it listens."""
    command = [sys.executable, "-m", "uvicorn", "fastapi_signaling:app", "--port", "0", "--app-dir", str(EXAMPLES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        try:
            yield line_with(program, "running on").split("running on ")[1].split(" ")[0]
        finally:
            program.kill()


def test_the_signaling_program_has_less_than_thirty_lines() -> None:
    lines = (EXAMPLES / "fastapi_signaling.py").read_text().split('"""\n')[-1].splitlines()
    assert len([line for line in lines if line.strip()]) < 30


def test_two_programs_talk_by_way_of_a_fastapi_program() -> None:
    with signaling_program() as url:
        where = url.replace("http", "ws") + "/rtc/v1/signal"
        with urllib.request.urlopen(f"{url}/icelane/icelane.js", timeout=TIMEOUT) as module:
            assert b"export class SignalClient" in module.read()
        with started("signaled_call.py", where, "ann", "demo") as ann:
            line_with(ann, "in demo as ann")
            with started("signaled_call.py", where, "bob", "demo") as bob:
                line_with(bob, "ann: hello, I am ann")
                line_with(ann, "bob: hello, I am bob")


def test_whom_the_hook_refuses_sees_why() -> None:
    with (
        signaling_program() as url,
        started("signaled_call.py", url.replace("http", "ws") + "/rtc/v1/signal", "eve", "demo") as eve,
    ):
        line_with(eve, "unknown: only ann and bob are known here")
        assert eve.wait(TIMEOUT) == 1


# -- echo_bot.py, voice_bot.py


def lines_of(name: str) -> int:
    """How many lines of code an example has, without its docstring and its imports."""
    found = ast.parse((EXAMPLES / name).read_text())
    counted: set[int] = set()
    for node in ast.walk(ast.Module(found.body[1:], [])):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Import | ast.ImportFrom):
            counted.add(node.lineno)
    return len(counted)


@pytest.mark.parametrize(("name", "most"), [("echo_bot.py", 15), ("voice_bot.py", 30)])
def test_a_bot_is_short(name: str, most: int) -> None:
    assert lines_of(name) <= most


async def talking_to(url: str, identity: str, talk: Callable[[RTCPeerConnection], Awaitable[None]]) -> None:
    """Enter the room, and talk to the first one who is there."""
    configuration = RTCConfiguration(interfaces=["lo"])
    async with (
        asyncio.timeout(TIMEOUT),
        SignalClient(url, token=identity, room="demo", configuration=configuration) as signal,
    ):
        await talk(signal.connect_peer(await signal.next_peer()))


def test_the_echo_bot_gives_back_what_is_said_and_shown() -> None:
    async def talk(pc: RTCPeerConnection) -> None:
        chat = pc.createDataChannel("chat", negotiated=True, id=0)
        pc.addTrack(TestCardTrack(320, 240))
        coming: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        pc.once("track", coming.set_result)
        await chat.opened()
        for message in ("hello", b"\0\1\2"):
            chat.send(message)
            assert await chat.receive() == message
        track = await coming
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.VideoFrame)
            if read_card(frame) is not None:
                return

    with signaling_program() as url:
        where = url.replace("http", "ws") + "/rtc/v1/signal"
        with started("echo_bot.py", where, "ann", "demo") as bot:
            line_with(bot, "in demo as ann")
            asyncio.run(talking_to(where, "bob", talk))
            assert bot.poll() is None


class Sentence(AudioStreamTrack):
    """Half a second of a voice, after the call has begun; then silence."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.may_begin = False

    async def recv(self) -> TrackFrame:
        frame = await super().recv()
        assert isinstance(frame, av.AudioFrame)
        if not self.may_begin or self.said == 25:
            return frame
        word = tone(300, rate=8000, channels=1).frame(self.said * 160, 160)
        word.pts = frame.pts
        self.said += 1
        return word


def test_the_voice_bot_answers_when_somebody_pauses() -> None:
    async def talk(pc: RTCPeerConnection) -> None:
        sentence = Sentence()
        pc.addTrack(sentence)
        receiver = pc.getReceivers()[0]
        await pc.connected()
        sentence.may_begin = True
        loud: list[av.AudioFrame] = []
        while len(loud) < 15:
            frame = await receiver.track.recv()
            assert isinstance(frame, av.AudioFrame)
            if measure_tone(_packed(frame)).level > -40:
                loud.append(frame)
        pieces = [piece for frame in loud[4:14] for piece in _packed(frame)]
        assert measure_tone(pieces).frequency == pytest.approx(660, rel=0.05)

    with signaling_program() as url:
        where = url.replace("http", "ws") + "/rtc/v1/signal"
        with started("voice_bot.py", where, "ann", "demo") as bot:
            line_with(bot, "in demo as ann")
            asyncio.run(talking_to(where, "bob", talk))
            line_with(bot, "bob spoke for 0.")
