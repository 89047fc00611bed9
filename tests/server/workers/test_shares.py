"""What each of several processes gets, and what their answers are together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge

from icelane.server.admin import MAX_ROWS
from icelane.server.health import Check, Readiness
from icelane.server.workers.merge import Counted, merge_families, merge_readiness, merge_sessions
from icelane.server.workers.supervisor import partition
from tests.server.clients import settings


@given(st.integers(1, 64), st.data())
def test_every_relay_port_is_one_workers_and_pairs_are_not_torn(workers: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1024, 65_535 - 2 * workers))
    last = data.draw(st.integers(first + 2 * workers - 1, 65_535))
    config = settings(relay_ports=f"{first}-{last}")
    parts = [partition(config, index, workers) for index in range(workers)]
    assert [port for part in parts for port in part] == list(range(first, last + 1))
    sizes = [len(part) for part in parts]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 3
    assert all(part[0] % 2 == 0 for part in parts[1:])


def figures(**counts: float) -> CollectorRegistry:
    """A registry with these, of which `ready` is a gauge and the others count."""
    registry = CollectorRegistry()
    for name, count in counts.items():
        if name == "icelane_ready":
            Gauge(name, "a gauge", registry=registry).set(count)
        else:
            Counter(name, "a counter", registry=registry).inc(count)
    return registry


def values(registries: list[CollectorRegistry], gone: Counted | None = None) -> dict[str, float]:
    families = merge_families([list(one.collect()) for one in registries], gone or Counted())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_counters_are_added_and_the_server_is_ready_when_every_worker_is() -> None:
    together = values([figures(icelane_ready=1, icelane_x=3), figures(icelane_ready=0, icelane_x=4)])
    assert (together["icelane_x_total"], together["icelane_ready"]) == (7, 0)


def test_what_a_dead_worker_counted_is_not_forgotten() -> None:
    gone = Counted()
    for _ in range(2):
        gone.add(figures(icelane_ready=1, icelane_x=10).collect())
    together = values([figures(icelane_ready=1, icelane_x=1)], gone)
    assert (together["icelane_x_total"], together["icelane_ready"]) == (21, 1)


def test_a_check_is_well_when_it_is_in_every_worker_and_none_is_missing() -> None:
    well = Readiness({"turn": Check(True), "load": Check(True, {"percent": {"loopLag": 10, "relayPorts": 70}})})
    full = Readiness({"turn": Check(True), "load": Check(False, {"percent": {"loopLag": 95, "relayPorts": 20}})})
    assert merge_readiness([well, well], 2).ok
    assert not merge_readiness([well], 2).ok
    together = merge_readiness([well, full], 2)
    assert not together.ok
    assert together.checks["load"].details == {"percent": {"loopLag": 95, "relayPorts": 70}}


def test_rows_of_sessions_are_put_together_up_to_the_bound() -> None:
    answers = [{"at": 1.0, "sessions": [{"session": str(n)} for n in range(700)], "omitted": 5} for _ in range(2)]
    together = merge_sessions("sessions", answers)
    assert len(together["sessions"]) == MAX_ROWS
    assert together["omitted"] == 10 + 400


def test_a_user_of_several_workers_is_one_row() -> None:
    rows = [{"user": "alice", "sessions": 1, "dropped": 2}, {"user": "bob", "sessions": 3, "dropped": 0}]
    answers = [{"at": 1.0, "users": rows, "omitted": 0}, {"at": 1.0, "users": rows[:1], "omitted": 0}]
    together = merge_sessions("users", answers)
    assert together["users"] == [{"user": "alice", "sessions": 2, "dropped": 4}, rows[1]]
