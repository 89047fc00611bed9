"""Ranges are a set, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icelane.sctp.tsn_ranges import TsnRanges

steps = st.lists(
    st.tuples(st.sampled_from(["add", "range", "drop", "adjoining"]), st.integers(1, 60), st.integers(0, 12)),
    max_size=40,
)


def flat(numbers: set[int]) -> list[int]:
    """A set as firsts and lasts."""
    blocks: list[int] = []
    for number in sorted(numbers):
        if blocks and blocks[-1] == number - 1:
            blocks[-1] = number
        else:
            blocks += [number, number]
    return blocks


@given(steps)
def test_ranges_hold_what_a_set_would(script: list[tuple[str, int, int]]) -> None:
    ranges, model = TsnRanges(), set[int]()
    for step, first, length in script:
        last = first + length
        if step == "add":
            assert ranges.add(first) == (first not in model)
            model.add(first)
        elif step == "range":
            wanted = set(range(first, last + 1))
            assert ranges.add_range(first, last) == flat(wanted - model)
            model |= wanted
        elif step == "drop":
            ranges.drop_through(first)
            model = {number for number in model if number > first}
        else:
            blocks = flat(model)
            follows = bool(blocks) and blocks[0] == first + 1
            assert ranges.take_adjoining(first) == (blocks[1] if follows else first)
            if follows:
                model -= set(range(blocks[0], blocks[1] + 1))
        assert ranges.blocks(100) == flat(model)
        assert len(ranges) == len(flat(model)) // 2
        assert [ranges.contains(number) for number in range(80)] == [number in model for number in range(80)]


def test_a_limit_gives_the_first_blocks() -> None:
    ranges = TsnRanges()
    for tsn in (2, 4, 6):
        ranges.add(tsn)
    assert ranges.blocks(2) == [2, 2, 4, 4]
    ranges.clear()
    assert ranges.blocks(9) == []
