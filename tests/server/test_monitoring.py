"""The monitoring port, asked over real HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from icelane.core.net import Transport
from icelane.errors import ConfigurationError
from icelane.server.config import Config, MetricsSettings, parse_config
from icelane.server.health import Check, Health
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.turn.attributes import PROTOCOL_TCP, encode_requested_transport
from tests.loops import Run
from tests.server.clients import Client, Peer, Refused, address_on, eventually, peer_attribute, settings

CHANNEL = 0x4000


def metrics_section(**keys: Any) -> MetricsSettings:
    """Checked as the file is; the relay address is named because a machine without a network has none to choose."""
    return parse_config({"turn": {"relay_addresses": ["127.0.0.1"]}, "metrics": keys}).metrics


def observed(ready_load_percent: int = 0, **turn: Any) -> Config:
    """A configuration with a monitoring port."""
    config = settings(**turn)
    metrics = metrics_section(listen="127.0.0.1:0", ready_load_percent=ready_load_percent)
    return config.model_copy(update={"metrics": metrics})


async def ask(server: TurnServer, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """The status and the body."""
    listening = server.observation.listening
    assert listening is not None
    reader, writer = await asyncio.open_connection(*listening)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def document(server: TurnServer, path: str) -> tuple[int, Any]:
    status, body = await ask(server, path)
    return status, json.loads(body)


def test_the_three_pages_are_served_and_nothing_else(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(observed()) as server:
            assert await document(server, "/healthz") == (200, {"status": "ok"})
            status, ready = await document(server, "/readyz")
            assert (status, ready["status"]) == (200, "ok")
            assert set(ready["checks"]) >= {"turn", "load"}
            status, page = await ask(server, "/metrics")
            assert status == 200
            assert b"icelane_turn_allocations" in page
            assert (await ask(server, "/"))[0] == 404
            assert (await ask(server, "/metrics", method="POST"))[0] == 405

    run(scenario())


def test_nobody_listens_unless_the_configuration_says_so(run: Run) -> None:
    """OP-14."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            assert server.observation.listening is None

    run(scenario())


def test_readiness_follows_load_and_liveness_does_not(run: Run) -> None:
    """OP-14: readiness is not liveness; a full server must not be restarted."""

    async def scenario() -> None:
        config = observed(ready_load_percent=50, quota={"allocations_total": 4})
        # What the loop of a busy test machine does is not the question here.
        async with TurnServer(config) as server:
            server.observation._lag.stop()
            server.observation._lag.average = 0.0
            clients = [await Client.allocated(address_on(server, Transport.UDP)) for _ in range(2)]
            status, ready = await document(server, "/readyz")
            assert (status, ready["status"]) == (503, "not-ready")
            assert ready["checks"]["load"] == {
                "ok": False,
                "percent": {"allocations": 50, "relayPorts": 0, "loopLag": 0},
            }
            assert (await ask(server, "/healthz"))[0] == 200
            await clients[0].refresh(0)
            assert (await ask(server, "/readyz"))[0] == 200
            server.observation._lag.average = 0.06
            assert (await ask(server, "/readyz"))[0] == 503

    run(scenario())


def test_without_a_threshold_load_is_told_and_decides_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(observed(quota={"allocations_total": 1})) as server:
            await Client.allocated(address_on(server, Transport.UDP))
            status, ready = await document(server, "/readyz")
            assert status == 200
            assert ready["checks"]["load"]["percent"]["allocations"] == 100

    run(scenario())


def test_a_check_of_another_part_counts(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(observed()) as server:
            server.observation.health.add("drain", lambda: Check(False, {"left": 3}))
            status, ready = await document(server, "/readyz")
            assert status == 503
            assert ready["checks"]["drain"] == {"ok": False, "left": 3}

    run(scenario())


def test_a_port_that_is_taken_stops_the_start_and_names_the_key(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(observed()) as server:
            taken = str(server.observation.listening)
            config = settings().model_copy(update={"metrics": metrics_section(listen=taken)})
            second = TurnServer(config)
            with pytest.raises(ConfigurationError, match=r"metrics\.listen"):
                await second.start()
            assert second.idle

    run(scenario())


def test_the_signals_of_the_program_stay_its_own(run: Run) -> None:
    async def scenario() -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        async with TurnServer(observed()) as server:
            assert (await ask(server, "/healthz"))[0] == 200
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    run(scenario())


def test_a_prober_that_hangs_does_not_hold_the_server_up(run: Run) -> None:
    """Half a request, and a connection that is kept open, at the time of the end."""

    async def scenario() -> None:
        async with asyncio.timeout(8):
            async with TurnServer(observed()) as server:
                listening = server.observation.listening
                assert listening is not None
                _, half = await asyncio.open_connection(*listening)
                half.write(b"GET /metrics HTT")
                reader, kept = await asyncio.open_connection(*listening)
                kept.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for writer in (half, kept):
            writer.close()

    run(scenario())


def test_health_asks_at_the_time_of_the_question() -> None:
    left = [1]
    health = Health()
    health.add("drain", lambda: Check(not left, {"left": len(left)}))
    assert not health.readiness().ok
    left.clear()
    assert health.readiness().ok


def test_the_figures_of_a_server_that_has_ended_can_still_be_read(run: Run) -> None:
    async def scenario() -> None:
        server = TurnServer(observed())
        async with server:
            client = await Client.allocated(address_on(server, Transport.UDP))
        await eventually(lambda: server.idle)
        assert client.relayed
        page = server.observation.metrics.page()[0].decode()
        assert 'icelane_turn_allocations_ended_total{reason="server-closed"} 1.0' in page
        assert "icelane_ready 0.0" in page

    run(scenario())


def test_the_port_of_the_figures_is_no_peer_even_where_loopback_is_open(run: Run) -> None:
    """TR-5: as it is bound, neither by UDP nor by TCP, and not after a reload either; other ports of the host are."""

    async def scenario() -> None:
        config = observed(tcp_allocations=True)
        async with TurnServer(config) as server:
            figures = server.observation.listening
            assert figures is not None
            client = await Client.allocated(address_on(server, Transport.UDP))
            other = await Client.connect(address_on(server, Transport.TCP), Transport.TCP)
            tcp = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(PROTOCOL_TCP))
            await other.request(Method.ALLOCATE, tcp)
            for _ in range(2):
                with pytest.raises(Refused, match="403"):
                    await client.permit(figures)
                with pytest.raises(Refused, match="403"):
                    await client.bind(CHANNEL, figures)
                with pytest.raises(Refused, match="403"):
                    await other.request(Method.CONNECT, peer_attribute(figures))
                server.reload(config)
            await client.bind(CHANNEL, Peer().address)

    run(scenario())
