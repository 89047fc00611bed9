"""Where an exception was raised, and nothing of what it says."""

from __future__ import annotations

from icelane.core.raised import MAX_FRAMES, frames_of


def deep(left: int) -> None:
    if not left:
        raise ValueError("a password")
    deep(left - 1)


def raised(depth: int) -> ValueError:
    try:
        deep(depth)
    except ValueError as error:
        return error
    raise AssertionError("it raises")


def test_the_innermost_frame_comes_last_and_the_text_not_at_all() -> None:
    frames = frames_of(raised(1))
    assert [frame.rpartition(" ")[2] for frame in frames] == ["raised", "deep", "deep"]
    assert frames[-1].startswith(f"{__file__}:{deep.__code__.co_firstlineno + 2} ")
    assert not any("password" in frame for frame in frames)


def test_a_function_that_calls_itself_without_end_fills_no_log() -> None:
    assert len(frames_of(raised(100))) == MAX_FRAMES
    assert frames_of(raised(100), 2) == frames_of(raised(100))[-2:]
