"""`icelane send` and `icelane receive`, as two programs on loopback that meet in a node."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Icelane
from tests.cli.running_node import TIMEOUT, RunningNode, last_document, next_document, running_node, until

DATA = b"".join(hashlib.sha256(bytes([index % 256])).digest() for index in range(8192))
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(tmp_path_factory.mktemp("node")) as node:
        yield node


class Meeting:
    """A file, the directory that it goes to, and the programs of a test."""

    def __init__(self, node: RunningNode, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.file = folder / "report.pdf"
        self.file.write_bytes(DATA)
        self.into = folder / "into"
        self.into.mkdir()

    def send(self, *arguments: str, file: str = "report.pdf") -> tuple[subprocess.Popen[str], str]:
        """The sender, and its code."""
        program = self.node.start(
            "send", file, "--interface", "lo", "--json", *self.node.options, *arguments, cwd=self.folder
        )
        return program, str(next_document(program)["code"])

    def receive(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        options = ("--into", "into", "--interface", "lo", "--json", *self.node.options)
        return self.node.start("receive", code, *options, *arguments, cwd=self.folder)


@pytest.fixture
def meeting(running: RunningNode, tmp_path: Path) -> Iterator[Meeting]:
    yield Meeting(running, tmp_path)
    running.end_programs()


def wrong_code(code: str) -> str:
    """With the same number, so that it reaches the same sender."""
    number = code.partition("-")[0]
    return f"{number}-blue-otter" if code != f"{number}-blue-otter" else f"{number}-red-otter"


def problem(document: dict[str, object]) -> str:
    """What a program says went wrong."""
    problems = document["problems"]
    assert isinstance(problems, list)
    return str(problems[0]["message"])


def test_a_file_goes_by_a_code_and_both_sides_say_the_same_of_it(meeting: Meeting) -> None:
    sender, code = meeting.send()
    sent, received = last_document(meeting.receive(code.upper().replace("-", " "))), last_document(sender)
    assert (sent["exitCode"], received["exitCode"]) == (0, 0)
    assert sent["sha256"] == received["sha256"] == SHA256
    assert (meeting.into / "report.pdf").read_bytes() == DATA
    ours, theirs = sent["security"], received["security"]
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert ours["localFingerprint"] == theirs["remoteFingerprint"]
    assert ours["remoteFingerprint"] == theirs["localFingerprint"]


def test_by_relay_only_the_two_see_no_address_of_each_other(meeting: Meeting) -> None:
    sender, code = meeting.send("--relay-only")
    received = last_document(meeting.receive(code, "--relay-only"))
    assert received["exitCode"] == 0
    security = received["security"]
    assert isinstance(security, dict)
    assert (security["localCandidateType"], security["remoteCandidateType"]) == ("relay", "relay")
    assert last_document(sender)["exitCode"] == 0


def test_a_wrong_code_is_spent_and_the_next_one_works(meeting: Meeting) -> None:
    sender, code = meeting.send()
    refused = last_document(meeting.receive(wrong_code(code)))
    assert refused["exitCode"] == 4
    assert "not the code" in problem(refused)
    fresh = str(next_document(sender)["code"])
    assert fresh != code
    # Not beside the fresh one, which may have the same number: that would be another wrong code.
    assert last_document(meeting.receive(fresh))["exitCode"] == 0
    assert last_document(sender)["sha256"] == SHA256
    assert last_document(meeting.receive(code, "--timeout", "1"))["exitCode"] == 4


def test_the_second_wrong_code_ends_the_sending(meeting: Meeting) -> None:
    sender, code = meeting.send()
    assert last_document(meeting.receive(wrong_code(code)))["exitCode"] == 4
    fresh = str(next_document(sender)["code"])
    assert last_document(meeting.receive(wrong_code(fresh)))["exitCode"] == 4
    ended = last_document(sender)
    assert ended["exitCode"] == 4
    assert "another code" in problem(ended)


def test_what_is_cut_off_goes_on_under_another_code(meeting: Meeting) -> None:
    with (meeting.folder / "large").open("wb") as file:
        file.write(DATA)
        file.truncate(60_000_000)
    sender, code = meeting.send(file="large")
    first = meeting.receive(code)
    until(lambda: any(path.stat().st_size > 1_000_000 for path in meeting.into.iterdir()))
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=TIMEOUT)
    assert first.returncode == 130
    (part,) = meeting.into.iterdir()
    there = part.stat().st_size
    received = last_document(meeting.receive(str(next_document(sender)["code"])))
    assert received["exitCode"] == 0
    assert received["resumedAt"] == there
    assert received["size"] == 60_000_000
    assert received["sha256"] == last_document(sender)["sha256"]
    assert [path.name for path in meeting.into.iterdir()] == ["large"]


def test_a_receiver_whose_sender_has_gone_is_told_to_take_the_next_code(meeting: Meeting) -> None:
    """His own is spent."""
    with (meeting.folder / "large").open("wb") as file:
        file.truncate(200_000_000)
    sender, code = meeting.send(file="large")
    receiver = meeting.receive(code)
    until(lambda: any(path.stat().st_size > 1_000_000 for path in meeting.into.iterdir()))
    sender.send_signal(signal.SIGINT)
    cut = last_document(receiver)
    assert cut["exitCode"] == 4
    problems = cut["problems"]
    assert isinstance(problems, list)
    assert "new code" in problems[0]["mend"]


def test_a_file_that_is_there_stays(meeting: Meeting) -> None:
    (meeting.into / "report.pdf").write_bytes(b"old")
    sender, code = meeting.send()
    refused = last_document(meeting.receive(code))
    assert refused["exitCode"] == 2
    assert "is there already" in problem(refused)
    assert last_document(sender)["exitCode"] == 4
    assert (meeting.into / "report.pdf").read_bytes() == b"old"


def test_nobody_with_the_code_is_said_so(meeting: Meeting) -> None:
    alone = last_document(meeting.receive("998-blue-otter", "--timeout", "1"))
    assert alone["exitCode"] == 4
    assert "nobody there has this code" in problem(alone)


def test_a_token_that_lacks_the_room_says_how_to_get_another(meeting: Meeting) -> None:
    token = meeting.node.token("demo")
    options = ("--server", meeting.node.url, "--ca", str(meeting.node.authority), "--json")
    program = meeting.node.start("receive", "7-blue-otter", *options, cwd=meeting.folder, ICELANE_TOKEN=token)
    refused = last_document(program)
    assert refused["exitCode"] == 4
    problems = refused["problems"]
    assert isinstance(problems, list)
    assert "--room 'send-*'" in problems[0]["mend"]
    assert token not in str(refused)


def test_two_meet_in_the_room_of_a_link(meeting: Meeting) -> None:
    ann, bob = (meeting.node.token("demo", identity=name) for name in ("ann", "bob"))
    shared = ("--ca", str(meeting.node.authority), "--interface", "lo", "--json")
    sender = meeting.node.start(
        "send", "report.pdf", "--server", f"{meeting.node.url}/r/demo#{ann}", *shared, cwd=meeting.folder
    )
    first = next_document(sender)
    assert ann not in str(first)
    assert str(first["receive"]).endswith("--room demo")
    receiver = meeting.node.start(
        "receive", str(first["code"]), "--into", "into", *shared, cwd=meeting.folder,
        ICELANE_URL=f"{meeting.node.url}/r/demo#token={bob}",
    )  # fmt: skip
    assert last_document(receiver)["exitCode"] == 0
    assert last_document(sender)["exitCode"] == 0


def test_an_unknown_authority_says_how_to_trust_it(meeting: Meeting) -> None:
    program = meeting.node.start("receive", "7-blue-otter", "-c", str(meeting.node.configuration), cwd=meeting.folder)
    _, err = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 4
    assert "certificate of the node is not trusted" in err
    assert "--ca FILE" in err
    assert "Traceback" not in err


def test_a_node_that_is_not_there_is_named(icelane: Icelane) -> None:
    found = icelane("receive", "7-blue-otter", "--server", "http://127.0.0.1:9", "--json", "--token", "x")
    assert found.code == 4
    assert "127.0.0.1" in found.document["problems"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "missing", "--server", "https://h"], "missing is no file"),
        (["receive", "7-blue-ottr", "--server", "https://h"], "is it otter"),
        (["receive", "otter", "--server", "https://h"], "such as 7-blue-otter"),
        (["receive", "7-blue-otter"], "which node"),
        (["receive", "7-blue-otter", "--server", "h"], "begins with https://"),
        (["receive", "7-blue-otter", "--server", "http://h.example.org"], "without TLS"),
        (["receive", "7-blue-otter", "--into", "missing", "--server", "https://h"], "missing is no directory"),
    ],
)
def test_a_wrong_command_line_ends_before_anybody_is_asked(icelane: Icelane, arguments: list[str], said: str) -> None:
    found = icelane(*arguments, "--json")
    assert found.code == 2
    assert said in found.document["problems"][0]["message"]


@pytest.mark.parametrize("command", ["send", "receive"])
def test_help_has_an_example(icelane: Icelane, command: str) -> None:
    assert f"icelane {command} " in icelane(command, "--help").out.partition("Example")[2]
