"""`icelane peer`, as two programs on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Icelane

ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
TIMEOUT = 60.0  # seconds for a program; it takes one or two
DATA = b"".join(hashlib.sha256(bytes([index % 256])).digest() for index in range(8192))
PASSWORD = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
CONFIGURATION = f"""
[turn]
listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
users = {{ alice = "{PASSWORD}" }}
"""

Start = Callable[..., subprocess.Popen[str]]


class Meeting:
    """A file, the directory it goes to and the one to meet in, and the programs of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "report.pdf"
        self.file.write_bytes(DATA)
        self.into = folder / "into"
        self.signal = folder / "signal"
        self.into.mkdir()
        self.signal.mkdir()
        self.programs: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [*ICELANE, "peer", *arguments, "--interface", "lo"],
            cwd=self.folder,
            env={**os.environ, "ICELANE_PEER_PASSWORD": PASSWORD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.programs.append(program)
        return program

    def send(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("send", "report.pdf", *arguments)

    def receive(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("receive", "--into", "into", *arguments)


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[Meeting]:
    meeting = Meeting(tmp_path)
    yield meeting
    for program in meeting.programs:
        program.kill()
        program.communicate()


def document(program: subprocess.Popen[str]) -> Any:
    """The JSON document that a program ended with."""
    out, err = program.communicate(timeout=TIMEOUT)
    assert out, err
    return json.loads(out) | {"code": program.returncode}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another program does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_goes_through_a_shared_directory_and_both_sides_say_the_same_of_it(meeting: Meeting) -> None:
    sender, receiver = meeting.send("--signal", "signal", "--json"), meeting.receive("--signal", "signal", "--json")
    sent, received = document(sender), document(receiver)
    assert (sent["code"], received["code"]) == (0, 0)
    assert (meeting.into / "report.pdf").read_bytes() == DATA
    assert sent["sha256"] == received["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert received["file"] == "into/report.pdf"
    ours, theirs = sent["security"], received["security"]
    assert ours["protocol"] == theirs["protocol"] == "DTLSv1.2"
    assert ours["localFingerprint"] == theirs["remoteFingerprint"]
    assert ours["remoteFingerprint"] == theirs["localFingerprint"]
    assert list(meeting.signal.iterdir()) == []


def test_a_file_goes_by_copy_and_paste(meeting: Meeting) -> None:
    sender, receiver = meeting.send(), meeting.receive()
    for program in (sender, receiver):
        assert program.stdin is not None
        assert program.stdout is not None
    offer = sender.stdout.readline()  # type: ignore[union-attr]  # asserted above
    receiver.stdin.write(f"not this one\n{offer}")  # type: ignore[union-attr]
    receiver.stdin.flush()  # type: ignore[union-attr]
    answer = receiver.stdout.readline()  # type: ignore[union-attr]
    out, _ = sender.communicate(answer, timeout=TIMEOUT)
    _, said = receiver.communicate(timeout=TIMEOUT)
    assert (sender.returncode, receiver.returncode) == (0, 0)
    assert "copy the whole line" in said
    assert hashlib.sha256(DATA).hexdigest() in out
    assert (meeting.into / "report.pdf").read_bytes() == DATA


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URLs of a TURN server, by transport."""
    file = tmp_path_factory.mktemp("relay") / "icelane.toml"
    file.write_text(CONFIGURATION)
    with subprocess.Popen(
        [*ICELANE, "serve", "--json", "-c", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        listening = json.loads(server.stdout.readline())["listening"]
        yield {
            url.partition(":")[0]: f"turn:{url.partition('//')[2]}?transport={url.partition(':')[0]}"
            for url in listening
        }
        server.terminate()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_file_goes_by_relay_only(meeting: Meeting, relay: dict[str, str], transport: str) -> None:
    options = ("--signal", "signal", "--json", "--relay-only", "--ice", relay[transport], "--user", "alice")
    sender, receiver = meeting.send(*options), meeting.receive(*options)
    for said in (document(sender), document(receiver)):
        assert said["code"] == 0
        assert said["security"]["localCandidateType"] == "relay"
        assert said["security"]["relayUrl"] == relay[transport]
    assert (meeting.into / "report.pdf").read_bytes() == DATA


def test_on_a_terminal_there_is_a_bar_and_no_fingerprint_is_cut_off(meeting: Meeting) -> None:
    terminal, inner = pty.openpty()
    shown: list[bytes] = []

    def watch() -> None:
        with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
            while True:
                shown.append(os.read(terminal, 4096))

    watcher = threading.Thread(target=watch)
    watcher.start()
    receiver = meeting.receive("--signal", "signal")
    sender = meeting.start("send", "report.pdf", "--signal", "signal", stderr=inner)
    os.close(inner)
    out, _ = sender.communicate(timeout=TIMEOUT)
    receiver.communicate(timeout=TIMEOUT)
    watcher.join(TIMEOUT)
    os.close(terminal)
    bar = b"".join(shown).decode()
    assert "report.pdf" in bar
    assert "━" in bar
    assert [line.count(":") for line in out.splitlines() if "fingerprint" in line] == [31, 31]


def test_a_file_that_is_there_ends_both_sides_with_the_reason(meeting: Meeting) -> None:
    (meeting.into / "report.pdf").write_text("old")
    sender, receiver = meeting.send("--signal", "signal", "--json"), meeting.receive("--signal", "signal", "--json")
    sent, received = document(sender), document(receiver)
    assert (sent["code"], received["code"]) == (4, 2)
    assert "a file of this name already" in sent["problems"][0]["message"]
    assert "--replace" in received["problems"][0]["mend"]
    assert (meeting.into / "report.pdf").read_text() == "old"


def test_a_name_that_no_receiver_takes_is_refused_before_anybody_is_called(meeting: Meeting) -> None:
    (meeting.folder / "two\nlines").write_bytes(b"x")
    sender = meeting.start("send", "two\nlines", "--signal", "signal")
    _, said = sender.communicate(timeout=TIMEOUT)
    assert sender.returncode == 2
    assert "no receiver takes a file named" in said


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_sender_is_told_when_the_receiver_is_interrupted(meeting: Meeting, end: signal.Signals) -> None:
    with (meeting.folder / "large").open("wb") as file:
        file.truncate(1 << 32)  # a hole, which takes no room
    sender = meeting.start("send", "large", "--signal", "signal", "--json")
    receiver = meeting.receive("--signal", "signal")
    until(lambda: any(meeting.into.iterdir()))
    receiver.send_signal(end)
    said = document(sender)
    assert said["code"] == 4
    assert "gone" in said["problems"][0]["message"] or "gave up" in said["problems"][0]["message"]
    receiver.communicate(timeout=TIMEOUT)
    assert receiver.returncode == 128 + end
    assert [path.suffix for path in meeting.into.iterdir()] in ([], [".part"])  # from where the next one goes on


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("how", [[], ["--signal", "signal"]], ids=["at the prompt", "at the directory"])
def test_a_signal_ends_the_waiting_at_once_and_leaves_nothing(
    meeting: Meeting, how: list[str], end: signal.Signals
) -> None:
    """An offer that is left behind would be taken by the next receiver."""
    sender = meeting.send(*how)
    if how:
        until(lambda: (meeting.signal / "offer.icelane").exists())
    else:
        assert sender.stdout is not None
        sender.stdout.readline()
    sender.send_signal(end)
    _, said = sender.communicate(timeout=10)
    assert sender.returncode == 128 + end
    assert "Traceback" not in said
    assert list(meeting.signal.iterdir()) == []


def test_who_is_not_reached_in_time_is_given_up(meeting: Meeting) -> None:
    sender, receiver = meeting.send("--timeout", "1"), meeting.receive("--timeout", "5", "--json")
    assert sender.stdout is not None
    assert receiver.stdin is not None
    receiver.stdin.write(sender.stdout.readline())
    receiver.stdin.flush()
    assert receiver.stderr is not None
    answer = receiver.stderr.readline()
    receiver.kill()
    _, said = sender.communicate(answer, timeout=TIMEOUT)
    assert sender.returncode == 4
    assert "did not reach each other within 1 s" in said
    assert "give both sides a TURN server" in said


def test_a_relay_that_is_not_there_is_named(meeting: Meeting) -> None:
    url = "turn:127.0.0.1:9?transport=tcp"
    sender = meeting.send("--relay-only", "--ice", url, "--user", "alice")
    _, said = sender.communicate(timeout=TIMEOUT)
    assert sender.returncode == 4
    assert f"{url}: cannot connect" in said
    assert f"icelane turn check '{url}' --user alice" in said


def test_a_proxy_that_does_not_lead_to_the_relay_is_named_without_its_password(meeting: Meeting) -> None:
    url = "turns:turn.invalid:443"
    relayed = ("--relay-only", "--ice", url, "--user", "alice")
    sender = meeting.send(*relayed, "--proxy", "http://bob:hidden@127.0.0.1:9")
    _, said = sender.communicate(timeout=TIMEOUT)
    assert sender.returncode == 4
    assert f"{url}: cannot connect to the proxy http://127.0.0.1:9" in said
    assert f"icelane turn check '{url}' --user alice --proxy URL" in said
    assert "hidden" not in said
    receiver = meeting.receive(*relayed, "--proxy", "socks5://bob:hidden@127.0.0.1:9")
    _, said = receiver.communicate(timeout=TIMEOUT)
    assert receiver.returncode == 2
    assert "begins with http:// or https://" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "missing"], "missing is no file"),
        (["send", "."], "is no file"),
        (["receive", "--into", "missing"], "missing is no directory"),
        (["receive", "--signal", "missing"], "missing is no directory"),
        (["receive", "--relay-only"], "needs a TURN server"),
        (["receive", "--relay-only", "--ice", "stun:127.0.0.1"], "needs a TURN server"),
        (["receive", "--ice", "turn:127.0.0.1"], "--user and --password"),
        (["receive", "--ice", "turn:127.0.0.1", "--user", "u" * 600, "--password", "x"], "508 bytes"),
        (["receive", "--ice", "http://127.0.0.1"], "does not begin with"),
        (["receive", "--authority", "missing"], "missing is no file"),
    ],
)
def test_a_wrong_command_line_ends_before_anything_is_sent(icelane: Icelane, arguments: list[str], said: str) -> None:
    finished = icelane("peer", *arguments)
    assert finished.code == 2
    assert said in finished.err
    assert "mend:" in finished.err


def test_an_interface_that_is_not_there_is_named(icelane: Icelane) -> None:
    finished = icelane("peer", "send", __file__, "--interface", "nowhere0", "--json")
    assert finished.code == 4
    assert finished.document["problems"][0] == {"message": "no usable address on nowhere0", "mend": "ip -brief address"}
