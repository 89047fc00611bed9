"""Lines from a pipe and from a file, without a thread that waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from icelane.cli.peer_input import MAX_LINE, LineReader


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The end to read from, and the one to write to."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(end)


def test_lines_come_one_by_one_and_then_the_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"one\ntwo\r\n\nlast")
    os.close(writing)
    lines = LineReader(reading)

    async def run() -> list[str | None]:
        return [await lines.line() for _ in range(5)]

    assert asyncio.run(run()) == ["one", "two\r", "", "last", None]


def test_a_line_that_comes_in_pieces_is_one_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = LineReader(reading)

    async def run() -> str | None:
        waiting = asyncio.ensure_future(lines.line())
        for piece in (b"o", b"n", b"e\n"):
            os.write(writing, piece)
            await asyncio.sleep(0.001)
        return await waiting

    assert asyncio.run(run()) == "one"


def test_who_stops_waiting_leaves_the_line_to_the_next(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = LineReader(reading)

    async def run() -> str | None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lines.line()
        os.write(writing, b"later\n")
        return await lines.line()

    assert asyncio.run(run()) == "later"


def test_a_file_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\ntwo\n")
    with (tmp_path / "lines").open() as file:
        lines = LineReader(file.fileno())

        async def run() -> list[str | None]:
            return [await lines.line() for _ in range(3)]

        assert asyncio.run(run()) == ["one", "two", None]


def test_a_line_without_an_end_takes_no_more_than_its_bound(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"x" * (4 * MAX_LINE) + b"\n\xff\n")
    with (tmp_path / "lines").open() as file:
        lines = LineReader(file.fileno())

        async def run() -> list[str | None]:
            return [await lines.line() for _ in range(2)]

        long, short = asyncio.run(run())
    assert long is not None
    assert len(long) <= MAX_LINE
    assert short == "\ufffd"
