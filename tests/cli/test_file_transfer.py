"""The protocol of `icelane peer`, between a sender and a receiver that share a channel of ours."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from icelane.cli import file_transfer
from icelane.cli.file_transfer import (
    CHUNK,
    MAX_SIZE,
    TargetError,
    TransferCutError,
    TransferError,
    Transferred,
    part_of,
    receive_file,
    safe_name,
    send_file,
)
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


def announcement(name: object, size: object, data: bytes = b"x") -> str:
    return json.dumps({"name": name, "size": size, "sha256": hashlib.sha256(data).hexdigest()})


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


@pytest.mark.parametrize(
    "name",
    ["C:x", "a.txt:evil", "NUL", "con.txt", "Aux", "com1", "LPT9.pdf", "nul .txt", "COM\u00b9", "a.", "a ", "a. ."],
)
def test_a_name_that_means_something_else_on_windows_is_refused(name: str) -> None:
    assert safe_name(name) is None


@pytest.mark.parametrize("name", ["contract.pdf", "a.con", "com10", "console", "null", "a b.txt"])
def test_a_name_that_only_looks_like_a_device_is_taken(name: str) -> None:
    assert safe_name(name) == name


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
        ((b"1234", end(b"4321")), "changed while it was sent"),
        ((b"1234", "{}"), "changed while it was sent"),
        ((b"4321", end(b"1234")), "hash"),
        ((None,), "has gone"),
    ],
)
def test_what_comes_broken_leaves_nothing_behind(
    into: Path, messages: tuple[str | bytes | None, ...], why: str
) -> None:
    channel = FakeChannel()
    channel.says(announcement("a", 4, b"1234"), *messages)
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
        channel.says('{"ready": true, "offset": 0}', '{"ok": false, "error": "full \\u001b[31m"}')
        with pytest.raises(TransferError) as caught:
            await send_file(channel, tmp_path / "a", nothing)
        assert str(caught.value) == "the other side gave up: full ?[31m"
        return len(channel.sent)

    assert asyncio.run(run()) < 10


@pytest.mark.parametrize("replies", [(None,), ('{"ready": true, "offset": 0}', None)])
def test_the_sender_notices_that_the_receiver_has_gone(tmp_path: Path, replies: tuple[str | None, ...]) -> None:
    (tmp_path / "a").write_bytes(bytes(100 * CHUNK))

    async def run() -> None:
        channel = FakeChannel()
        channel.says(*replies)
        with pytest.raises(TransferError, match="has gone"):
            await send_file(channel, tmp_path / "a", nothing)

    asyncio.run(run())


@pytest.mark.parametrize(
    "replies",
    [
        ("{}",),
        ('{"ready": true}',),
        ('{"ready": true, "offset": 2}',),
        ('{"ready": true, "offset": true}',),
        ('{"ready": true, "offset": 0}', '{"ok": 1}'),
        (b"yes",),
    ],
)
def test_a_receiver_that_speaks_something_else_is_not_believed(
    tmp_path: Path, replies: tuple[str | bytes, ...]
) -> None:
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


# -- what was cut off goes on


def test_what_was_cut_off_stays_and_the_next_transfer_sends_the_rest_alone(tmp_path: Path, into: Path) -> None:
    data = bytes(index % 251 for index in range(3 * CHUNK))
    (tmp_path / "a").write_bytes(data)
    cut = FakeChannel()
    cut.says(announcement("a", len(data), data), data[:CHUNK], None)
    with pytest.raises(TransferCutError, match="has gone"):
        received(cut, into)
    part = part_of(into, hashlib.sha256(data).hexdigest())
    assert part.read_bytes() == data[:CHUNK]
    assert part.stat().st_mode & 0o777 == 0o600
    sent, got = transfer(tmp_path / "a", into)
    assert (sent.resumed_at, got.resumed_at) == (CHUNK, CHUNK)
    assert [path.name for path in into.iterdir()] == ["a"]
    assert (into / "a").read_bytes() == data


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_who_leaves_before_what_is_there_was_hashed_again_keeps_it(into: Path, is_interrupted: bool) -> None:
    data = bytes(2 * CHUNK)
    part = part_of(into, hashlib.sha256(data).hexdigest())
    part.write_bytes(data[:CHUNK])

    class Gone(FakeChannel):
        """Goes, or is told to stop, as soon as the receiver is ready."""

        def send(self, data: str | bytes) -> None:
            raise asyncio.CancelledError if is_interrupted else InvalidStateError("closed")

    channel = Gone()
    channel.says(announcement("a", len(data), data))
    with pytest.raises(asyncio.CancelledError if is_interrupted else TransferCutError):
        received(channel, into)
    assert part.read_bytes() == data[:CHUNK]


def test_a_disk_that_is_full_costs_nothing_of_what_is_there(into: Path) -> None:
    data = bytes(2 * CHUNK)
    part = part_of(into, hashlib.sha256(data).hexdigest())
    part.write_bytes(data[:CHUNK])

    class Full(FakeChannel):
        async def receive(self) -> str | bytes:
            if len(self.sent) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return await super().receive()

    channel = Full()
    channel.says(announcement("a", len(data), data))
    with pytest.raises(TargetError, match="No space left"):
        received(channel, into)
    assert part.read_bytes() == data[:CHUNK]


@pytest.mark.parametrize("there", [b"", b"x"])
def test_what_does_not_fit_is_refused_before_it_comes(into: Path, there: bytes) -> None:
    part = part_of(into, hashlib.sha256(b"x").hexdigest())
    if there:
        part.write_bytes(there)
    channel = FakeChannel()
    channel.says(announcement("a", MAX_SIZE))
    with pytest.raises(TargetError, match="bytes free"):
        received(channel, into)
    assert told(channel) == {"ok": False, "error": "it has no room for the file"}
    assert part.exists() is bool(there)


def test_what_is_cut_off_before_the_first_byte_leaves_nothing(into: Path) -> None:
    channel = FakeChannel()
    channel.says(announcement("a", 4, b"1234"), None)
    with pytest.raises(TransferCutError):
        received(channel, into)
    assert list(into.iterdir()) == []


def test_a_part_that_is_spoilt_is_found_out_by_the_hash_and_thrown_away(tmp_path: Path, into: Path) -> None:
    data = bytes(2 * CHUNK)
    (tmp_path / "a").write_bytes(data)
    part = part_of(into, hashlib.sha256(data).hexdigest())
    part.write_bytes(b"\1" * CHUNK)
    with pytest.raises(TransferError, match="hash"):
        transfer(tmp_path / "a", into)
    assert list(into.iterdir()) == []
    transfer(tmp_path / "a", into)
    assert (into / "a").read_bytes() == data


def test_a_part_that_is_longer_than_the_file_begins_anew(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    part_of(into, hashlib.sha256(b"x").hexdigest()).write_bytes(b"xyz")
    assert transfer(tmp_path / "a", into)[1].resumed_at == 0
    assert (into / "a").read_bytes() == b"x"


def test_a_link_where_the_part_would_be_is_not_followed(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "precious").write_bytes(b"")
    part_of(into, hashlib.sha256(b"x").hexdigest()).symlink_to(tmp_path / "precious")
    with pytest.raises((TargetError, TransferError)):
        transfer(tmp_path / "a", into)
    assert (tmp_path / "precious").read_bytes() == b""


def test_a_file_that_has_another_name_is_no_part(tmp_path: Path, into: Path) -> None:
    """Writing into it would change what lies under that name."""
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "precious").write_bytes(b"precious")
    part_of(into, hashlib.sha256(b"x").hexdigest()).hardlink_to(tmp_path / "precious")
    channel = FakeChannel()
    channel.says(announcement("a", 1))
    with pytest.raises(TargetError, match="another name"):
        received(channel, into)
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_another_users_file_is_no_part(into: Path) -> None:
    """He could read along and write between."""
    part = part_of(into, hashlib.sha256(b"x").hexdigest())
    part.write_bytes(b"")
    try:
        os.chown(part, 12345, -1)
    except PermissionError:
        pytest.skip("only root can give a file away")
    channel = FakeChannel()
    channel.says(announcement("a", 1))
    with pytest.raises(TargetError, match="another user's"):
        received(channel, into)


@pytest.mark.parametrize("is_there_again", [True, False])
def test_a_part_that_another_program_finishes_meanwhile_is_not_written_into(
    into: Path, monkeypatch: pytest.MonkeyPatch, is_there_again: bool
) -> None:
    part = part_of(into, hashlib.sha256(b"x").hexdigest())

    def lock(file: object, draft: Path) -> None:
        draft.rename(into / "a finished one")
        if is_there_again:
            draft.write_bytes(b"")

    monkeypatch.setattr(file_transfer, "_lock", lock)
    channel = FakeChannel()
    channel.says(announcement("a", 1))
    with pytest.raises(TargetError, match="just received"):
        received(channel, into)
    assert part.exists() is is_there_again


def test_two_programs_do_not_write_into_one_part(into: Path) -> None:
    async def run() -> None:
        first, second = FakeChannel(), FakeChannel()
        receiving = asyncio.ensure_future(receive_file(first, into, nothing, replace=False))
        first.says(announcement("a", 1))
        await asyncio.sleep(0.01)
        second.says(announcement("a", 1))
        with pytest.raises(TargetError, match="another program"):
            await receive_file(second, into, nothing, replace=False)
        first.says(b"x", end(b"x"))
        assert (await receiving).size == 1

    asyncio.run(run())


@pytest.mark.parametrize("sha256", [None, 1, "", "x" * 64, "A" * 64, "0" * 63, "../" + "0" * 61])
def test_a_hash_that_is_none_is_refused(into: Path, sha256: object) -> None:
    """It becomes part of a name."""
    channel = FakeChannel()
    channel.says(json.dumps({"name": "a", "size": 1, "sha256": sha256}))
    with pytest.raises(TransferError, match="announced no hash"):
        received(channel, into)
    assert list(into.iterdir()) == []
