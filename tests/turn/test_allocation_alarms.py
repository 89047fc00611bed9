"""One alarm for each allocation, never later than its first deadline."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import NEVER, Instant
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.turn.allocation import Allocation, Relay
from icelane.turn.allocation_alarms import AllocationAlarms
from icelane.turn.credentials import key_credential
from icelane.turn.quota import QuotaSlot

SERVER = SocketAddress("192.0.2.1", 3478)


def an_allocation(number: int, expires_at: float) -> Allocation:
    """One that has nothing but a relay."""
    local = SocketAddress("192.0.2.1", 49_152 + number)
    return Allocation(
        client=Path(SERVER, SocketAddress("192.0.2.2", number), Transport.UDP),
        credential=key_credential("alice", b"k", None),
        kid="",
        slot=QuotaSlot("alice", held=True),
        transaction_id=bytes(12),
        tcp=False,
        response=b"",
        relays={AddressFamily.IPV4: Relay(local, local, Instant(expires_at))},
        permissions_by_host={},
        channels_by_number={},
        channels_by_peer={},
        credential_ends_at=NEVER,
        alarm_at=NEVER,
    )


def move(allocation: Allocation, at: float) -> None:
    """Let its relay expire at another time."""
    allocation.relays[AddressFamily.IPV4].expires_at = Instant(at)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["move", "end", "pass"]), st.integers(0, 50)), max_size=120)
)
def test_every_deadline_is_told_and_none_too_early(steps: list[tuple[int, str, int]]) -> None:
    alarms, live, now = AllocationAlarms(), dict[int, Allocation](), 0.0
    for number, step, by in steps:
        if step == "move":
            at = now + 1 + by
            allocation = live.setdefault(number, an_allocation(number, at))
            move(allocation, at)
            alarms.watch(allocation, Instant(at))
        elif step == "end" and number in live:
            alarms.forget(live.pop(number))
        elif step == "pass":
            now += by
            due = {number for number, one in live.items() if one.next_expiry() <= now}
            told = set()
            while (ended := alarms.pop_due(Instant(now))) is not None:
                told.add(ended.client.remote.port)
            assert told == due
            for number in due:
                del live[number]
        assert alarms.next() == min((one.next_expiry() for one in live.values()), default=None)


def test_deadlines_that_move_back_and_forth_do_not_fill_memory() -> None:
    alarms, allocation = AllocationAlarms(), an_allocation(1, 0)
    for turn in range(10_000):
        at = float(10_000 - turn)
        move(allocation, at)
        alarms.watch(allocation, Instant(at))
    assert alarms.entries < 200
    assert alarms.next() == 1.0


def test_allocations_that_have_ended_are_not_remembered_until_their_time() -> None:
    alarms = AllocationAlarms()
    allocations = [an_allocation(number, 600.0 + number) for number in range(1000)]
    for one in allocations:
        alarms.watch(one, one.next_expiry())
    for one in allocations:
        alarms.forget(one)
    assert alarms.entries <= 64
    assert alarms.next() is None
