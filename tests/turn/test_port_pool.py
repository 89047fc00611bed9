from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError, LocalProtocolError
from icelane.testing.entropy import SeededEntropy
from icelane.turn.port_pool import PortPool

# The 0.1 % point of chi-square with 63 degrees of freedom.
CHI_SQUARE_63 = 103.44


def drain(pool: PortPool) -> list[int]:
    taken = []
    while (port := pool.take()) is not None:
        taken.append(port)
    return taken


def give_back(pool: PortPool, ports: list[int]) -> None:
    for port in ports:
        pool.release(port)


def test_every_port_is_handed_out_once_and_then_none() -> None:
    """TQ-6: exhaustion, then all usable again."""
    pool = PortPool(range(50000, 50100), SeededEntropy())
    for _ in range(2):
        taken = drain(pool)
        assert sorted(taken) == list(range(50000, 50100))
        assert (pool.take(), pool.take_even(), pool.take_pair()) == (None, None, None)
        assert (len(pool), pool.in_use) == (0, 100)
        give_back(pool, taken)
        assert len(pool) == 100


@pytest.mark.parametrize("ports", [range(50000, 50100), range(50001, 50101), range(50001, 50100), range(50000, 50001)])
def test_even_ports_are_even_and_pairs_are_whole(ports: range) -> None:
    """RFC 8656 section 18.7: at either end of the range too."""
    pool = PortPool(ports, SeededEntropy())
    evens = []
    while (port := pool.take_even()) is not None:
        evens.append(port)
    assert sorted(evens) == [port for port in ports if port % 2 == 0]
    give_back(pool, evens)
    pairs = []
    while (port := pool.take_pair()) is not None:
        assert port + 1 not in pool
        pairs.append(port)
    assert sorted(pairs) == [port for port in ports if port % 2 == 0 and port + 1 in ports]
    for port in pairs:
        pool.release(port + 1)
        pool.release(port)
    assert len(pool) == len(ports)


def test_a_pair_is_whole_again_whichever_half_comes_back_last() -> None:
    pool = PortPool(range(50000, 50002), SeededEntropy())
    for last in (50000, 50001):
        assert pool.take_pair() == 50000
        pool.release(50001 if last == 50000 else 50000)
        assert pool.take_pair() is None
        pool.release(last)
    assert pool.take_pair() == 50000


@pytest.mark.parametrize("reserve", [False, True])
def test_ten_rounds_of_even_ports_lose_none(reserve: bool) -> None:
    """TQ-6: ten times the pool of EVEN-PORT, with R=0 and with R=1 whose tokens nobody claims."""
    pool = PortPool(range(50000, 50100), SeededEntropy())
    for _ in range(10 * 100):
        port = pool.take_pair() if reserve else pool.take_even()
        assert port is not None
        give_back(pool, [port, port + 1] if reserve else [port])
    assert sorted(drain(pool)) == list(range(50000, 50100))


def test_a_port_that_is_not_taken_cannot_be_released() -> None:
    pool = PortPool(range(50000, 50010), SeededEntropy())
    for port in (50000, 49999, 50010, 0):
        with pytest.raises(LocalProtocolError):
            pool.release(port)
    assert len(pool) == 10


@pytest.mark.parametrize("ports", [range(0), range(5, 5), range(10), range(65000, 65537), range(50000, 50100, 2)])
def test_a_range_that_is_none_stops_the_start(ports: range) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PortPool(ports, SeededEntropy())
    assert caught.value.key == "turn.relay_ports"


@given(
    st.integers(1, 20), st.integers(0, 1), st.lists(st.sampled_from(["any", "even", "pair", "release"]), max_size=80)
)
def test_the_pool_agrees_with_a_plain_set(size: int, odd: int, steps: list[str]) -> None:
    """TQ-6: no order of taking and releasing loses a port or hands one out twice."""
    ports = range(50000 + odd, 50000 + odd + size)
    pool, free, held = PortPool(ports, SeededEntropy()), set(ports), list[int]()
    for step in steps:
        if step == "release":
            if held:
                pool.release(held[-1])
                free.add(held.pop())
            continue
        taken = {"any": pool.take, "even": pool.take_even, "pair": pool.take_pair}[step]()
        even = {port for port in free if port % 2 == 0}
        wanted = {"any": free, "even": even, "pair": {port for port in even if port + 1 in free}}[step]
        assert (taken in wanted) if wanted else taken is None
        if taken is not None:
            found = [taken, taken + 1] if step == "pair" else [taken]
            free.difference_update(found)
            held.extend(found)
        assert len(pool) == len(free)
    assert {port for port in ports if port in pool} == free


def churn(cycles: int) -> None:
    pool, held = PortPool(range(50000, 50100), SeededEntropy()), list[int]()
    for cycle in range(cycles):
        port = (pool.take, pool.take_even, pool.take_pair)[cycle % 3]()
        if port is not None:
            held.extend([port, port + 1] if cycle % 3 == 2 else [port])
        if port is None or len(held) > 90:
            give_back(pool, held)
            held = []
    give_back(pool, held)
    assert sorted(drain(pool)) == list(range(50000, 50100))


def test_fifty_thousand_cycles_lose_no_port() -> None:
    """TQ-6: a twentieth of the long run."""
    churn(50_000)


@pytest.mark.long
def test_a_million_cycles_lose_no_port() -> None:
    """TQ-6: at least 10^6 cycles of taking and releasing."""
    churn(1_000_000)


def sample(count: int, seed: int) -> list[int]:
    pool, taken = PortPool(range(49152, 65536), SeededEntropy(seed)), []
    for _ in range(count):
        port = pool.take()
        assert port is not None
        taken.append(port)
        pool.release(port)
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_relay_ports_are_spread_evenly(seed: int) -> None:
    """TQ-11: chi-square over 64 bins of 10,000 ports stays above p = 0.001."""
    bins = Counter((port - 49152) // 256 for port in sample(10_000, seed))
    expected = 10_000 / 64
    assert sum((bins[index] - expected) ** 2 / expected for index in range(64)) < CHI_SQUARE_63


def test_relay_ports_make_no_arithmetic_sequence() -> None:
    """TQ-11: neither does a pool that is only emptied."""
    full = drain(PortPool(range(49152, 65536), SeededEntropy()))
    for taken in (sample(10_000, 7), full[:10_000]):
        steps = Counter((second - first) % 16384 for first, second in pairwise(taken))
        assert steps.most_common(1)[0][1] < 10


def test_seeding_the_global_generator_changes_no_port() -> None:
    """ST-12: ports come from the operating system, whatever a program does to `random`."""
    runs = []
    for _ in range(2):
        random.seed(0)
        pool = PortPool(range(49152, 65536), SystemEntropy())
        runs.append([pool.take() for _ in range(8)])
    assert runs[0] != runs[1]
