"""What Prometheus reads of signaling is what happened, and no client can make it grow."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from icelane.node.figures import SignalingFigures
from icelane.server.metrics import ServerMetrics
from icelane.signaling.admission.hook_times import OUTCOMES, HookTimes
from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.messages import Resume, SendMessage, encode_json
from icelane.signaling.refusals import OWN_WORD, REASONS
from tests.loops import Run
from tests.node.nodes import AS_OPERATOR, document, free_port, hear, node, say
from tests.server.test_metrics import Idle, Samples, samples, value
from tests.signaling.hub_world import World


class Figures:
    """Those of a hub, on a page."""

    def __init__(self) -> None:
        self.world = World()
        self.times = HookTimes()
        self.issued: Counter[str] = Counter()
        self.metrics = ServerMetrics(Idle())
        self.metrics.add(SignalingFigures(self.world.hub.figures, self.times, self.issued).families)

    def page(self) -> Samples:
        """All but those of the relay."""
        return {
            key: count
            for key, count in samples(self.metrics).items()
            if key[0].startswith(("icelane_signal", "icelane_hook", "icelane_cred"))
        }


def test_connections_are_counted_by_what_came_of_them() -> None:
    figures = Figures()
    world = figures.world
    alice = world.enter("alice", "r")
    alice.cut()
    world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0))
    world.enter("bob", "r").say(SendMessage(to="*", data=encode_json("x")))
    world.connect().cut()
    world.connect().say('{"type":"nonsense"}')
    world.admissions["mallory"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error="unauthorized")
    world.connect().hello("mallory")
    page = figures.page()
    connects = {
        (result, reason): value(page, "icelane_signal_connects_total", result=result, reason=reason)
        for result, reason in (
            ("accepted", "new"),
            ("accepted", "resumed"),
            ("accepted", "resynced"),
            ("abandoned", "closed"),
            ("refused", "bad_frame"),
            ("refused", "unauthorized"),
        )
    }
    assert list(connects.values()) == [2, 1, 0, 1, 1, 1]
    assert sum(count for (name, _), count in page.items() if name == "icelane_signal_connects_total") == 6
    assert value(page, "icelane_signal_connections") == 2
    assert value(page, "icelane_signal_sessions") == 2
    assert value(page, "icelane_signal_rooms") == 1
    assert value(page, "icelane_signal_messages_total", type="hello", direction="from_client") == 4
    assert value(page, "icelane_signal_messages_total", type="message", direction="to_client") == 1
    assert value(page, "icelane_signal_closes_total", code="4401") == 1


def test_a_connection_that_took_over_from_its_own_half_open_one_refused_nobody() -> None:
    figures = Figures()
    alice = figures.world.enter("alice")
    figures.world.connect().hello("alice", Resume(session=alice.welcome.session, seq=0))
    refused = {key: count for key, count in figures.page().items() if ("result", "refused") in key[1]}
    assert refused
    assert not any(refused.values())


def test_a_hostile_crowd_adds_no_series() -> None:
    """OP-14: rooms, users, types of frames and words of hooks label nothing, and every series is there before."""
    figures = Figures()
    figures.times.observe("before_connect", "denied", 0.01)
    before = set(figures.page())
    world = figures.world
    for number in range(50):
        name = f'user-{number}"\n'
        world.enter(name, f"salon-{number}").say(f'{{"type":"made-up-{number}"}}')
        world.admissions[f"banned-{number}"] = Refusal(code=CloseCode.DENIED, error=f"word-{number}")
        world.connect().hello(f"banned-{number}")
        world.connect().say(f"not json {number}")
        world.enter(f"cut-{number}").cut(4000 + number)
    page = figures.page()
    assert set(page) == before
    assert value(page, "icelane_signal_connects_total", result="refused", reason="hook") == 50
    text = figures.metrics.page()[0].decode()
    assert not [word for word in ("user-", "salon-", "made-up", "word-", "192.0.2") if word in text]


def test_every_reason_and_outcome_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/monitor.md").read_text()
    assert not [word for word in (*REASONS, OWN_WORD, *OUTCOMES) if f"`{word}`" not in page]


def test_hooks_are_a_histogram_by_outcome() -> None:
    figures = Figures()
    for took in (0.0005, 0.02, 0.02, 5.0):
        figures.times.observe("before_connect", "allowed", took)
    figures.times.observe("before_connect", "status-503", 0.3)
    page = figures.page()
    labels = {"hook": "before_connect", "outcome": "allowed"}
    counts = [
        value(page, "icelane_hook_duration_seconds_bucket", le=le, **labels) for le in ("0.001", "0.025", "1.0", "+Inf")
    ]
    assert counts == [1, 3, 3, 4]
    assert value(page, "icelane_hook_duration_seconds_sum", **labels) == pytest.approx(5.0405)
    failed = labels | {"outcome": "failed"}
    assert value(page, "icelane_hook_duration_seconds_count", **failed) == 1
    figures.metrics.page("application/openmetrics-text")  # which is stricter, and raises


def test_what_a_hook_was_never_told_is_counted() -> None:
    figures = Figures()
    assert value(figures.page(), "icelane_hook_notices_dropped_total", hook="on_left") == 0
    figures.times.dropped["on_left"] += 3
    page = figures.page()
    assert value(page, "icelane_hook_notices_dropped_total", hook="on_left") == 3
    assert value(page, "icelane_hook_notices_dropped_total", hook="on_connected") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_page_of_the_relay_has_them_whichever_process_serves_signaling(
    run: Run, tmp_path: Path, workers: int
) -> None:
    async def scenario() -> None:
        port = free_port()
        turn = document(tmp_path, 1)["turn"] | {"workers": workers, "relay_ports": "50000-50999"}
        async with node(tmp_path, turn=turn, metrics={"listen": f"127.0.0.1:{port}"}) as running:
            alice, _ = await running.enter("alice")
            bob, _ = await running.enter("bob")
            assert (await hear(alice))["identity"] == "bob"
            assert (await say(bob, {"type": "ping", "id": 9}))["type"] == "pong"
            with pytest.raises(InvalidStatus):
                await running.open(origin="https://evil.example")
            await running.ask("POST", "/v1/ice-servers", AS_OPERATOR)
            page = await scraped(port)
            assert value(page, "icelane_workers") == workers
            assert value(page, "icelane_signal_connections") == 2
            assert value(page, "icelane_signal_rooms") == 1
            assert value(page, "icelane_signal_connects_total", result="accepted", reason="new") == 2
            assert value(page, "icelane_signal_connects_total", result="refused", reason="origin_not_allowed") == 1
            assert value(page, "icelane_signal_messages_total", type="pong", direction="to_client") == 1
            assert value(page, "icelane_credentials_issued_total", kind="signal") == 2
            assert value(page, "icelane_credentials_issued_total", kind="http") == 1
            for one in (alice, bob):
                await one.close()

    run(scenario())


async def scraped(port: int) -> Samples:
    """The page as Prometheus reads it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
