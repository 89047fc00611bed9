"""docs/reference/signaling.md has every frame, code and bound, and no other."""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from icelane.signaling import limits
from icelane.signaling.close_code import CloseCode
from icelane.signaling.messages import SUBPROTOCOL, ClientFrame, ServerFrame
from icelane.signaling.push import MAX_REPLAY_BYTES
from tests.audit.sources import ROOT

PAGE = (ROOT / "docs/reference/signaling.md").read_text(encoding="utf-8")


def tags(union: object) -> set[str]:
    """The words of `type`."""
    return {str(msgspec.inspect.type_info(frame).tag) for frame in get_args(union)}  # type: ignore[attr-defined]  # all are structs


def rows(heading: str) -> set[str]:
    """The words in the first column of a table."""
    table = PAGE.partition(heading)[2].partition("\n\n")[0]
    return {
        word for row in re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)
    }


def test_every_frame_is_on_the_page() -> None:
    assert rows("| From the client |") == tags(ClientFrame) - {"pong"}
    assert rows("| From the server |") == tags(ServerFrame) - {"pong"}


def test_every_close_code_is_on_the_page() -> None:
    assert {int(code) for code in re.findall(r"^\| (4\d{3}) \|", PAGE, re.MULTILINE)} == set(CloseCode)
    back = {
        int(code) for code, rule in re.findall(r"^\| (4\d{3}) \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE) if rule != "no"
    }
    assert back == {code for code in CloseCode if code.reconnect.value != "never"}


def test_the_bounds_on_the_page_are_those_of_the_product() -> None:
    for words in (
        f"waits for {limits.RESUME_WINDOW:.0f} seconds",
        f"{limits.MAX_REPLAY} pushes, or {MAX_REPLAY_BYTES >> 20} MiB",
        f"{limits.MAX_QUEUED_FRAMES} of them wait, or {limits.MAX_QUEUED_BYTES >> 20} MiB",
        f"{limits.FRAMES_PER_SECOND:.0f} a second after {limits.FRAME_BURST} at once",
        f"more than {limits.MAX_FRAME >> 10} KiB",
        f"hello within {limits.HELLO_TIMEOUT:.0f} seconds",
        f"within {limits.PONG_TIMEOUT:.0f} seconds",
        f"up to {limits.MAX_KEY} characters",
        f"`{SUBPROTOCOL}`",
    ):
        assert words in re.sub(r"\s+", " ", PAGE), words
