"""The protocol of `icelane peer`, between a sender and a receiver that share a channel of ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from icelane.cli.file_transfer import CHUNK, MAX_SIZE, TargetError, TransferError, Transferred, receive_file, send_file
from icelane.errors import InvalidStateError, TransportClosedError


class FakeChannel:
    """One end of a channel; what it sends, the other one receives."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.other: FakeChannel | None = None
        self.closed = False

    def send(self, data: str | bytes) -> None:
        if self.closed:
            raise InvalidStateError("closed")
        self.sent.append(data)
        if self.other is not None:
            self.other.inbox.put_nowait(data)

    async def receive(self) -> str | bytes:
        if self.closed and self.inbox.empty():
            raise TransportClosedError("closed")
        message = await self.inbox.get()
        if message is None:
            self.closed = True
            raise TransportClosedError("closed")
        return message

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def says(self, *messages: str | bytes | None) -> None:
        """What comes in; None is the end of the channel."""
        for message in messages:
            self.inbox.put_nowait(message)


def connected() -> tuple[FakeChannel, FakeChannel]:
    left, right = FakeChannel(), FakeChannel()
    left.other, right.other = right, left
    return left, right


def nothing(name: str, done: int, total: int) -> None:
    """No progress bar."""


def announcement(name: object, size: object) -> str:
    return json.dumps({"name": name, "size": size})


def end(data: bytes) -> str:
    return json.dumps({"sha256": hashlib.sha256(data).hexdigest()})


def transfer(source: Path, directory: Path, *, replace: bool = False) -> tuple[Transferred, Transferred]:
    async def run() -> tuple[Transferred, Transferred]:
        left, right = connected()
        return await asyncio.gather(
            send_file(left, source, nothing), receive_file(right, directory, nothing, replace=replace)
        )

    return asyncio.run(run())


def received(channel: FakeChannel, directory: Path, *, replace: bool = False) -> Transferred:
    return asyncio.run(receive_file(channel, directory, nothing, replace=replace))


def told(channel: FakeChannel) -> object:
    """What the peer was told last."""
    return json.loads(channel.sent[-1])


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """Where files go."""
    directory = tmp_path / "into"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 5])
def test_a_file_arrives_with_its_name_and_its_hash(tmp_path: Path, into: Path, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    (tmp_path / "report.pdf").write_bytes(data)
    sent, got = transfer(tmp_path / "report.pdf", into)
    assert got == Transferred(into / "report.pdf", size, hashlib.sha256(data).hexdigest())
    assert (sent.size, sent.sha256) == (got.size, got.sha256)
    assert [path.name for path in into.iterdir()] == ["report.pdf"]
    assert (into / "report.pdf").read_bytes() == data


def test_progress_begins_with_nothing_and_ends_with_everything(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2 * CHUNK + 1))
    shown: list[tuple[str, int, int]] = []

    async def run() -> None:
        left, right = connected()
        await asyncio.gather(
            send_file(left, tmp_path / "a", lambda *state: shown.append(state)),
            receive_file(right, into, nothing, replace=False),
        )

    asyncio.run(run())
    assert (shown[0], shown[-1]) == (("a", 0, 2 * CHUNK + 1), ("a", 2 * CHUNK + 1, 2 * CHUNK + 1))


def test_a_file_that_is_there_stays_and_not_one_byte_is_sent(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (into / "a").write_bytes(b"old")

    async def run() -> list[object]:
        left, right = connected()
        work = send_file(left, tmp_path / "a", nothing), receive_file(right, into, nothing, replace=False)
        outcome = await asyncio.gather(*work, return_exceptions=True)
        assert len(left.sent) == 1
        return list(outcome)

    sender, receiver = asyncio.run(run())
    assert isinstance(sender, TransferError)
    assert str(sender) == "the other side gave up: it has a file of this name already"
    assert isinstance(receiver, TargetError)
    assert receiver.mend is not None
    assert (into / "a").read_bytes() == b"old"


def test_a_file_that_is_there_is_replaced_on_request(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (into / "a").write_bytes(b"old")
    transfer(tmp_path / "a", into, replace=True)
    assert (into / "a").read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_stays(into: Path) -> None:
    async def run() -> None:
        channel = FakeChannel()
        receiving = asyncio.ensure_future(receive_file(channel, into, nothing, replace=False))
        channel.says(announcement("a", 1))
        await asyncio.sleep(0.01)
        (into / "a").write_bytes(b"old")
        channel.says(b"x", end(b"x"))
        with pytest.raises(TargetError, match="already"):
            await receiving

    asyncio.run(run())
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {"a": b"old"}


def test_a_directory_and_a_dangling_link_of_that_name_stay(into: Path) -> None:
    (into / "a").mkdir()
    (into / "b").symlink_to(into / "nowhere")
    for name, replace in (("a", True), ("b", False)):
        channel = FakeChannel()
        channel.says(announcement(name, 1))
        with pytest.raises(TargetError):
            received(channel, into, replace=replace)
    assert (into / "a").is_dir()
    assert not (into / "nowhere").exists()


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("...a", "a"),
        ("Grüße 世界.txt", "Grüße 世界.txt"),
    ],
)
def test_a_name_never_leads_out_of_the_directory(into: Path, name: str, here: str) -> None:
    channel = FakeChannel()
    channel.says(announcement(name, 1), b"x", end(b"x"))
    assert received(channel, into).path == into / here
    assert [path.name for path in into.parent.rglob("*")] == ["into", here]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/", "a/..", "a\0b", "a\nb", "a\x1b[2J", "\u202etxt.exe", "\ud800", "é" * 128, 7, None]
)
def test_a_name_that_is_none_is_refused(into: Path, name: object) -> None:
    channel = FakeChannel()
    channel.says(announcement(name, 1))
    with pytest.raises(TransferError):
        received(channel, into)
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("size", [-1, True, 1.5, "1", None, MAX_SIZE + 1])
def test_a_size_that_is_none_is_refused(into: Path, size: object) -> None:
    channel = FakeChannel()
    channel.says(announcement("a", size))
    with pytest.raises(TransferError, match="announced no file"):
        received(channel, into)


@pytest.mark.parametrize("first", [b"binary", "no JSON", "[]", "[" * 50_000, "9" * 5000])
def test_who_speaks_something_else_is_told_so(into: Path, first: str | bytes) -> None:
    channel = FakeChannel()
    channel.says(first)
    with pytest.raises(TransferError, match="does not speak this protocol"):
        received(channel, into)
    assert told(channel) == {"ok": False, "error": "the other side does not speak this protocol"}


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((b"12345",), "more came"),
        ((b"1", end(b"1")), "1 of 4 bytes"),
        ((b"1234", end(b"4321")), "hash"),
        ((b"1234", "{}"), "hash"),
        ((b"12", None), "has gone"),
    ],
)
def test_what_comes_broken_leaves_nothing_behind(
    into: Path, messages: tuple[str | bytes | None, ...], why: str
) -> None:
    channel = FakeChannel()
    channel.says(announcement("a", 4), *messages)
    with pytest.raises(TransferError, match=why):
        received(channel, into)
    assert list(into.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named_here_and_not_there(into: Path) -> None:
    channel = FakeChannel()
    channel.says(announcement("a", 1))
    with pytest.raises(TargetError, match="missing"):
        received(channel, into / "missing")
    answer = told(channel)
    assert isinstance(answer, dict)
    assert answer["ok"] is False
    assert str(into) not in str(answer)


def test_the_sender_stops_as_soon_as_the_receiver_gives_up(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100 * CHUNK))

    async def run() -> int:
        channel = FakeChannel()
        channel.says('{"ready": true}', '{"ok": false, "error": "full \\u001b[31m"}')
        with pytest.raises(TransferError) as caught:
            await send_file(channel, tmp_path / "a", nothing)
        assert str(caught.value) == "the other side gave up: full ?[31m"
        return len(channel.sent)

    assert asyncio.run(run()) < 10


@pytest.mark.parametrize("replies", [(None,), ('{"ready": true}', None)])
def test_the_sender_notices_that_the_receiver_has_gone(tmp_path: Path, replies: tuple[str | None, ...]) -> None:
    (tmp_path / "a").write_bytes(bytes(100 * CHUNK))

    async def run() -> None:
        channel = FakeChannel()
        channel.says(*replies)
        with pytest.raises(TransferError, match="has gone"):
            await send_file(channel, tmp_path / "a", nothing)

    asyncio.run(run())


@pytest.mark.parametrize("replies", [("{}",), ('{"ready": true}', '{"ok": 1}'), (b"yes",)])
def test_a_receiver_that_speaks_something_else_is_not_believed(tmp_path: Path, replies: tuple[str | bytes]) -> None:
    (tmp_path / "a").write_bytes(b"x")

    async def run() -> None:
        channel = FakeChannel()
        channel.says(*replies)
        with pytest.raises(TransferError, match="does not speak this protocol"):
            await send_file(channel, tmp_path / "a", nothing)

    asyncio.run(run())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="missing: No such file"):
        asyncio.run(send_file(FakeChannel(), tmp_path / "missing", nothing))
