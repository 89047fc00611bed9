"""Limits that do not limit."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import random

from icelane.core.clock import Instant
from icelane.core.net import pack_host
from icelane.crypto.provider import SystemEntropy
from icelane.turn import limiter
from icelane.turn.limiter import Allowance, SourceLimiter
from icelane.turn.port_pool import PortPool
from icelane.turn.quota import AllocationQuota, QuotaRefusal, QuotaSlot
from tests.broken.registry import breaks, swap

LIMITER = "tests/turn/test_limiter.py"
QUOTA = "tests/turn/test_quota.py"
PORTS = "tests/turn/test_port_pool.py"


@breaks("TQ-3", test=f"{LIMITER}::test_a_source_has_its_burst_and_then_its_rate")
def every_reply_is_sent() -> None:
    swap(SourceLimiter, "allow", lambda self, host, now: Allowance(True))


@breaks("TQ-3", test=f"{LIMITER}::test_rotating_the_lower_half_of_an_ipv6_address_gains_nothing")
def every_ipv6_address_is_a_source() -> None:
    swap(limiter, "source_key", pack_host)


@breaks("TQ-3", test=f"{LIMITER}::test_one_record_per_window_counts_what_was_refused_in_between")
def every_refusal_is_logged() -> None:
    swap(limiter, "REPORT_WINDOW", 0.0)


@breaks("TQ-3", test=f"{LIMITER}::test_another_source_is_unaffected")
def all_sources_are_one() -> None:
    swap(limiter, "source_key", lambda host: b"")


@breaks("TQ-3", test=f"{LIMITER}::test_a_flood_of_others_does_not_reset_a_source")
def a_flood_evicts_whom_it_likes() -> None:
    allow = SourceLimiter.allow
    seen: dict[str, SourceLimiter] = {}

    def allow_of_few(self: SourceLimiter, host: str, now: Instant) -> Allowance:
        if len(seen) > 1000:
            seen.clear()
            SourceLimiter.__init__(self, SystemEntropy(), 1, 20, 256)
        seen[host] = self
        return allow(self, host, now)

    swap(SourceLimiter, "allow", allow_of_few)


@breaks("TQ-5", test=(f"{QUOTA}::test_the_thirteenth_allocation_of_a_user_is_refused",
                      f"{QUOTA}::test_allocations_that_are_still_being_made_count"))  # fmt: skip
def quotas_count_nothing() -> None:
    def reserve(self: AllocationQuota, user_key: str) -> QuotaSlot | QuotaRefusal:
        return QuotaSlot(user_key, held=False)

    swap(AllocationQuota, "reserve", reserve)


@breaks("TQ-5", test=f"{QUOTA}::test_a_slot_is_given_back_once")
def a_slot_is_given_back_as_often_as_one_likes() -> None:
    release = AllocationQuota.release

    def again(self: AllocationQuota, slot: QuotaSlot) -> None:
        slot.held = len(self) > 0
        release(self, slot)

    swap(AllocationQuota, "release", again)


@breaks("TQ-6", test=(f"{PORTS}::test_ten_rounds_of_even_ports_lose_none",
                      f"{PORTS}::test_fifty_thousand_cycles_lose_no_port"))  # fmt: skip
def odd_ports_are_not_given_back() -> None:
    release = PortPool.release
    swap(PortPool, "release", lambda self, port: None if port % 2 else release(self, port))


@breaks("TQ-11", test=f"{PORTS}::test_relay_ports_make_no_arithmetic_sequence")
def relay_ports_are_handed_out_in_order() -> None:
    def take(self: PortPool) -> int | None:
        return next((self._taken(port) for port in self._ports if port in self), None)

    swap(PortPool, "take", take)


@breaks("ST-12", test=f"{PORTS}::test_seeding_the_global_generator_changes_no_port")
def randomness_comes_from_the_global_generator() -> None:
    swap(SystemEntropy, "below", lambda self, limit: random.randrange(limit))
