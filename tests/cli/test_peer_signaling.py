"""Descriptions as lines, by copy and paste and through a directory."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane import RTCSessionDescription
from icelane.cli.output import CommandError, ExitCode, Output
from icelane.cli.peer_input import LineReader
from icelane.cli.peer_signaling import (
    MAX_DESCRIPTION,
    CopyAndPaste,
    SharedDirectory,
    encode_description,
    parse_description,
)
from icelane.errors import MalformedError

OFFER = RTCSessionDescription("v=0\r\ns=offer\r\n", "offer")
ANSWER = RTCSessionDescription("v=0\r\ns=answer\r\n", "answer")


def line_of(document: bytes) -> str:
    """A line with that inside."""
    return base64.urlsafe_b64encode(zlib.compress(document)).decode()


@given(st.text(max_size=2000), st.sampled_from(["offer", "answer", "pranswer"]))
def test_a_description_survives_its_line(sdp: str, kind: str) -> None:
    line = encode_description(RTCSessionDescription(sdp, kind))
    assert line.isascii()
    assert line.isprintable()
    assert parse_description(line) == RTCSessionDescription(sdp, kind)


def test_white_space_of_a_mail_program_and_padding_are_passed_over() -> None:
    line = encode_description(OFFER)
    padding = "=" * (-len(line) % 4)
    assert parse_description(f"  {line[:20]}\r\n\t{line[20:]}{padding} \n") == OFFER


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "Grüße",
        encode_description(OFFER)[:-6],
        encode_description(OFFER)[3:],
        encode_description(OFFER) + "AAAA",
        line_of(b"[]"),
        line_of(b"{}"),
        line_of(b"{"),
        line_of(b"[" * 60_000),
        line_of(b'{"type": "offer", "sdp": 1}'),
        line_of(b'{"type": "nonsense", "sdp": ""}'),
        line_of(b'{"type": "offer", "sdp": "' + b"x" * MAX_DESCRIPTION + b'"}'),
        line_of(bytes(50_000_000)),
    ],
)
def test_whatever_else_is_malformed(line: str) -> None:
    with pytest.raises(MalformedError):
        parse_description(line)


# -- copy and paste


def pasted(tmp_path: Path, text: str, kind: str, *, as_json: bool = False) -> RTCSessionDescription:
    (tmp_path / "typed").write_text(text)
    with (tmp_path / "typed").open() as file:
        signaling = CopyAndPaste(Output(as_json), LineReader(file.fileno()))
        return asyncio.run(signaling.receive(kind))


def test_a_wrong_line_is_asked_for_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["", "hello", encode_description(OFFER), encode_description(ANSWER)]
    assert pasted(tmp_path, "\n".join(lines), "answer") == ANSWER
    said = capsys.readouterr().err
    assert "copy the whole line" in said
    assert "that is an offer, which is ours; the answer of the other side is wanted" in said


def test_with_json_nobody_is_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError) as caught:
        pasted(tmp_path, f"hello\n{encode_description(ANSWER)}\n", "answer", as_json=True)
    assert caught.value.code is ExitCode.USAGE
    assert capsys.readouterr().err == ""


def test_the_end_of_the_input_is_no_description(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="the input has ended"):
        pasted(tmp_path, "hello\n", "offer")


@pytest.mark.parametrize("as_json", [False, True])
def test_our_line_is_printed_alone_so_that_a_program_can_take_it(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    asyncio.run(CopyAndPaste(Output(as_json)).send(OFFER))
    said = capsys.readouterr()
    line = encode_description(OFFER) + "\n"
    assert (said.out, said.err) == ("", line) if as_json else said.out == line


# -- a directory


def test_a_description_lies_there_for_our_user_alone_until_it_is_taken(tmp_path: Path) -> None:
    ours, theirs = SharedDirectory(tmp_path, Output(True)), SharedDirectory(tmp_path, Output(True))
    asyncio.run(ours.send(OFFER))
    (file,) = tmp_path.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("offer.icelane", 0o600)
    assert asyncio.run(theirs.receive("offer")) == OFFER
    assert list(tmp_path.iterdir()) == []


def test_an_answer_is_waited_for(tmp_path: Path) -> None:
    async def run() -> RTCSessionDescription:
        waiting = asyncio.ensure_future(SharedDirectory(tmp_path, Output(True)).receive("answer"))
        await asyncio.sleep(0.01)
        await SharedDirectory(tmp_path, Output(True)).send(ANSWER)
        return await waiting

    assert asyncio.run(run()) == ANSWER


def test_an_answer_of_an_earlier_call_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    asyncio.run(SharedDirectory(tmp_path, Output(True)).send(ANSWER))
    (tmp_path / "offer.draft").write_text("somebody died here")
    asyncio.run(SharedDirectory(tmp_path, Output(True)).send(OFFER))
    assert [path.name for path in tmp_path.iterdir()] == ["offer.icelane"]


def test_what_nobody_took_is_withdrawn_and_nothing_else(tmp_path: Path) -> None:
    signaling = SharedDirectory(tmp_path, Output(True))
    signaling.withdraw()
    asyncio.run(signaling.send(OFFER))
    (tmp_path / "other").touch()
    signaling.withdraw()
    signaling.withdraw()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_file_with_something_else_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "answer.icelane").write_bytes(os.urandom(1000))
    with pytest.raises(CommandError) as caught:
        asyncio.run(SharedDirectory(tmp_path, Output(True)).receive("answer"))
    assert caught.value.code is ExitCode.USAGE
    (tmp_path / "answer.icelane").write_text(encode_description(OFFER))
    with pytest.raises(CommandError, match="that is an offer"):
        asyncio.run(SharedDirectory(tmp_path, Output(True)).receive("answer"))
