"""Datagrams on their way out: made for one path, and put together again by their paths."""

from __future__ import annotations

import pytest

from icelane.core.engine import Transmit, by_path, transmits_on
from icelane.core.net import Path, SocketAddress, Transport

pytestmark = pytest.mark.twin


def path(port: int) -> Path:
    return Path(SocketAddress("192.0.2.1", 1), SocketAddress("192.0.2.2", port), Transport.UDP)


def test_what_follows_on_one_path_is_together_and_nothing_overtakes() -> None:
    first, second = path(2), path(3)
    transmits = [*transmits_on(first, [b"a", b"b"]), Transmit(second, b"c"), *transmits_on(path(2), [b"d"])]
    assert by_path(transmits) == [(first, [b"a", b"b"]), (second, [b"c"]), (first, [b"d"])]
    assert by_path([]) == []


def test_paths_that_are_equal_are_one() -> None:
    assert by_path([Transmit(path(2), b"a"), Transmit(path(2), b"b")]) == [(path(2), [b"a", b"b"])]
