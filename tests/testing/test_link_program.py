"""The link between namespaces does what it says, on real packets."""

from __future__ import annotations

import contextlib
import itertools
import math
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from icelane.testing.link_program import LEFT_HOST, RIGHT_HOST, LinkCounters, Way, measure_ceiling, missing, tun_link
from icelane.testing.namespace import inside, new_namespace

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=f"the link {missing()}"),
    pytest.mark.realtime,
]

_STAMP = struct.Struct("!Id")


@contextlib.contextmanager
def two_namespaces() -> Iterator[tuple[int, int]]:
    with new_namespace() as left, new_namespace() as right:
        yield left, right


def bound(namespace: int, host: str) -> socket.socket:
    with inside(namespace):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((host, 0))
    opened.settimeout(0.5)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return opened


def carry(
    way: Way, count: int, rate: float, *, size: int = 100, seed: int = 1
) -> tuple[dict[int, float], LinkCounters]:
    """Send `count` numbered datagrams at `rate`; returns the delay of those that arrived, and the counters."""
    delays: dict[int, float] = {}
    with two_namespaces() as (left, right), tun_link(left, right, there=way, back=Way(), seed=seed) as link:
        with bound(left, LEFT_HOST) as source, bound(right, RIGHT_HOST) as target:

            def receive() -> None:
                with contextlib.suppress(TimeoutError):
                    while True:
                        data = target.recv(2048)
                        number, sent_at = _STAMP.unpack_from(data)
                        delays[number] = time.monotonic() - sent_at

            receiver = threading.Thread(target=receive)
            receiver.start()
            began, address = time.monotonic(), target.getsockname()
            for number in range(count):
                while time.monotonic() < began + number / rate:
                    time.sleep(0.0002)
                source.sendto(_STAMP.pack(number, time.monotonic()).ljust(size, b"."), address)
            receiver.join()
        link.end()
    return delays, link.counters


def test_packets_take_the_delay_and_stay_in_order() -> None:
    delays, counters = carry(Way(delay=0.025, jitter=0.002), 200, 1000)
    assert list(delays) == sorted(delays)
    assert len(delays) == 200
    assert min(delays.values()) >= 0.025
    assert sorted(delays.values())[100] < 0.035  # other programs want these CPUs too
    assert counters.there.mean_lateness < 0.001
    assert counters.there.lost == 0


def test_the_share_of_loss_is_what_was_asked_for_and_the_seed_decides_which() -> None:
    first, counters = carry(Way(loss=0.1), 2000, 20_000, seed=3)
    again, _ = carry(Way(loss=0.1), 2000, 20_000, seed=3)
    other, _ = carry(Way(loss=0.1), 2000, 20_000, seed=4)
    assert counters.there.arrived == 2000
    assert 0.08 < counters.there.loss_share < 0.12
    assert counters.there.lost == 2000 - len(first)
    assert set(first) == set(again) != set(other)


def test_the_bottleneck_queues_and_then_drops() -> None:
    # 1028 bytes at 1 Mbit/s take 8.2 ms each: a queue of 50 ms holds six.
    delays, counters = carry(Way(rate=1e6, queue=0.05), 40, 20_000, size=1000)
    assert counters.there.overflowed == 40 - len(delays) > 30
    assert 0.04 < max(delays.values()) < 0.08
    gaps = [late - early for early, late in itertools.pairwise(delays.values())]
    assert sum(gaps) / len(gaps) == pytest.approx(0.0082, abs=0.002)


def test_it_carries_ten_thousand_packets_in_a_second_and_more() -> None:
    with two_namespaces() as (left, right):
        assert measure_ceiling(left, right, seconds=0.3) > 10_000


def test_the_counters_come_at_the_end() -> None:
    with two_namespaces() as (left, right), tun_link(left, right, there=Way()) as link, pytest.raises(RuntimeError):
        _ = link.counters
    assert link.counters.there.refused == 0


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"loss": 2.0}, "loss is a chance from 0 to 1, not 2.0"),
        ({"loss": -0.1}, "loss is a chance"),
        ({"loss": math.nan}, "loss is a chance"),
        ({"delay": -1.0}, "delay is a time in seconds from 0 on, not -1.0"),
        ({"delay": math.nan}, "delay is a time"),
        ({"delay": math.inf}, "delay is a time"),
        ({"jitter": -1.0}, "jitter is a time"),
        ({"rate": 0.0}, "rate is in bits per second, more than 0, or None for no bound, not 0.0"),
        ({"rate": math.nan}, "rate is in bits"),
        ({"queue": 0.0}, "queue is a time in seconds, more than 0, not 0.0"),
        ({"queue": math.nan}, "queue is a time"),
    ],
)
def test_a_way_that_no_line_has_is_refused(numbers: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Way(**numbers)


def test_the_bounds_of_a_way_are_ways() -> None:
    assert Way(delay=0, jitter=0, loss=1, rate=1, queue=1e-6).loss == 1
    assert Way(loss=0).rate is None
