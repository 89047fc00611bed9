"""What Prometheus reads is what happened, and no client can make it grow."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path as File

import pytest
from prometheus_client.parser import text_string_to_metric_families

from icelane.aio.udp import UdpSocket
from icelane.core.clock import UnixSeconds
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.node.figures import SignalingFigures
from icelane.server.metrics import ERROR_CODES, OTHER_REASON, ServerMetrics
from icelane.server.relay_plane import RelayPlane
from icelane.server.traffic import SocketLoss, Traffic
from icelane.server.turn_server import TurnServer
from icelane.signaling.admission.hook_times import HookTimes
from icelane.stun.attributes import AttributeType
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.turn.refusal import RequestRefused
from tests.loops import Run
from tests.server.clients import Client, Peer, Refused, address_on, eventually, settings
from tests.signaling.hub_world import World

ROOT = File(__file__).parents[2]
CHANNEL = 0x4000
CLIENT = Path(SocketAddress("192.0.2.1", 3478), SocketAddress("203.0.113.7", 4000), Transport.UDP)
NAMED = re.compile(r"`(icelane_[a-z_]+)(?:\{[a-z, ]+\})?`")

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


class Idle:
    """A server that has begun and met nobody."""

    certificate_expires_at: UnixSeconds | None = None
    ready = True
    peer_connections = 0
    allocation_load = 0.0
    port_load = 0.0

    def __init__(self) -> None:
        self.plane = RelayPlane(SystemEntropy())
        self.stream_listeners: list[StreamCounts] = []

    def listener_loss(self) -> SocketLoss:
        return SocketLoss(kernel_drops=3, busy_sends=2, failed_sends=1, receive_errors=5, refused_runs=4)


class StreamCounts:
    """A TLS listener with one connection."""

    transport = Transport.TLS
    connections = 1
    refused = 7


def samples(metrics: ServerMetrics) -> Samples:
    """Every figure on the page, without those of Python and the process."""
    body, content_type = metrics.page()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name.startswith("icelane_")
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """One figure."""
    return found[name, tuple(sorted(labels.items()))]


def refused(reason: str, *, code: int = 401, silent: bool = False, unreported: int = 0) -> RequestRefused:
    return RequestRefused(
        client=CLIENT,
        method=Method.ALLOCATE,
        code=code,
        reason=reason,
        username="",
        kid="",
        silent=silent,
        unreported=unreported,
    )


def signaling() -> SignalingFigures:
    """What a node adds, with a hook that was asked once."""
    times = HookTimes()
    times.observe("before_connect", "allowed", 0.01)
    return SignalingFigures(World().hub.figures, times, {})


def hostile_messages(seed: int) -> Iterator[bytes]:
    """Requests of every method with attributes that nobody sends, and some that are no requests at all."""
    rng = random.Random(seed)
    kinds = [*AttributeType, 0x7FFF, 0x0042, 0x8888]
    for _ in range(400):
        method = rng.choice([*Method, 0x0F0])
        message = MessageBuilder(method, MessageClass.REQUEST, rng.randbytes(12))
        for _ in range(rng.randrange(4)):
            message.add(rng.choice(kinds), rng.randbytes(rng.randrange(40)))
        data = message.build()
        yield data if rng.random() < 0.8 else rng.randbytes(len(data))


def test_allocations_and_traffic_are_counted_and_outlive_the_client(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            peer = Peer()
            for transport in (Transport.UDP, Transport.TCP):
                client = await Client.allocated(address_on(server, transport), transport)
                await client.bind(CHANNEL, peer.address)
                client.send_on(CHANNEL, b"x" * 100)
                _, relayed = await peer.inbox.take()
                peer.send(b"y" * 50, relayed)
                await client.inbox.take()
                live = samples(server.observation.metrics)
                assert value(live, "icelane_turn_allocations", transport=transport.value) == 1
                await client.refresh(0)
                gone = samples(server.observation.metrics)
                assert value(gone, "icelane_turn_allocations", transport=transport.value) == 0
                for found in (live, gone):
                    for name, unit in (("bytes", (100, 50)), ("packets", (1, 1))):
                        for direction, expected in zip(("from_client", "to_client"), unit, strict=True):
                            full = f"icelane_turn_relay_{name}_total"
                            assert value(found, full, direction=direction, transport=transport.value) == expected
            assert value(gone, "icelane_turn_allocations_ended_total", reason="refreshed-to-zero") == 2
            assert value(gone, "icelane_turn_allocations_created_total", transport="tcp") == 1
            assert value(gone, "icelane_turn_relay_ports") == 0
            assert value(gone, "icelane_turn_errors_total", code="401") == 2
            assert value(gone, "icelane_turn_refusals_total", code="401", reason="no-credentials") == 2
            await eventually(
                lambda: value(samples(server.observation.metrics), "icelane_turn_connections", transport="tcp") == 1
            )

    run(scenario())


def test_what_is_withheld_from_a_source_is_a_refusal_and_no_error_response() -> None:
    """TQ-3: a flood is seen even where it gets no answers."""
    metrics = ServerMetrics(Idle())
    metrics.count(refused("no-credentials"))
    metrics.count(refused("no-credentials", silent=True, unreported=41))
    found = samples(metrics)
    assert value(found, "icelane_turn_errors_total", code="401") == 1
    assert value(found, "icelane_turn_refusals_total", code="401", reason="no-credentials") == 43


def test_reasons_that_nobody_wrote_down_cannot_make_the_page_grow() -> None:
    """OP-14: even a defect that turned a client's text into a reason would stay bounded."""
    metrics = ServerMetrics(Idle())
    for number in range(2000):
        metrics.count(refused(f"made-up-{number}"))
    reasons = {labels for name, labels in samples(metrics) if name == "icelane_turn_refusals_total"}
    assert len(reasons) < 300
    assert (("code", "401"), ("reason", OTHER_REASON)) in reasons


def test_a_hostile_crowd_changes_figures_and_adds_no_series_that_is_not_documented(run: Run) -> None:
    """OP-14: user names, realms, addresses and attributes of an attacker label nothing."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            before = set(samples(server.observation.metrics))
            for number in range(40):
                client = await Client.connect(
                    address_on(server, Transport.UDP),
                    username=f'user-{number}"\n\u202e',
                    source=f"127.0.{number}.7",
                )
                with pytest.raises(Refused):
                    await client.allocate()
            stranger = await Client.connect(address_on(server, Transport.UDP))
            for message in hostile_messages(7):
                stranger.send(message)
            honest = await Client.allocated(address_on(server, Transport.UDP))
            assert honest.relayed
            new = set(samples(server.observation.metrics)) - before
            assert {name for name, _ in new} <= {"icelane_turn_refusals_total"}
            documented = set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/reference/logs.md").read_text()))
            assert {dict(labels)["reason"] for _, labels in new} <= documented
            assert {dict(labels)["code"] for _, labels in new} <= set(map(str, ERROR_CODES))
            page = server.observation.metrics.page()[0].decode()
            assert "user-" not in page
            assert "127.0." not in page

    run(scenario())


def test_the_kernel_s_drops_are_counted_and_survive_the_socket(run: Run) -> None:
    """What a full buffer loses is invisible to the server, and the first sign that it is too slow."""

    async def scenario() -> None:
        udp = UdpSocket.bind(SocketAddress("127.0.0.1", 0), lambda *_: None, receive_buffer=2048)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(200):
                sender.sendto(bytes(500), udp.local)
        lost = udp.kernel_drops()
        assert 0 < lost < 200
        loss = SocketLoss()
        loss.add(udp)
        udp.close()
        assert loss.kernel_drops == lost
        assert udp.kernel_drops() == 0, "a closed socket tells nothing, and raises nothing"

    run(scenario())


def test_listeners_connections_and_the_certificate_are_on_the_page() -> None:
    server = Idle()
    assert "icelane_tls_cert_expiry_timestamp_seconds" not in {name for name, _ in samples(ServerMetrics(server))}
    server.certificate_expires_at = UnixSeconds(1.8e9)
    server.stream_listeners = [StreamCounts(), StreamCounts()]
    found = samples(ServerMetrics(server))
    assert value(found, "icelane_tls_cert_expiry_timestamp_seconds") == 1.8e9
    assert value(found, "icelane_turn_connections", transport="tls") == 2
    assert value(found, "icelane_turn_connections_refused_total", transport="tls") == 14
    assert value(found, "icelane_udp_kernel_drops_total", socket="listener") == 3
    assert value(found, "icelane_udp_send_drops_total", socket="listener", reason="busy") == 2
    assert value(found, "icelane_udp_send_drops_total", socket="listener", reason="failed") == 1
    assert value(found, "icelane_udp_receive_errors_total", socket="listener") == 5
    assert value(found, "icelane_udp_refused_runs_total", socket="listener") == 4


def test_two_servers_in_one_program_have_figures_of_their_own() -> None:
    one, other = ServerMetrics(Idle()), ServerMetrics(Idle())
    one.count(refused("expired"))
    assert value(samples(one), "icelane_turn_errors_total", code="401") == 1
    assert value(samples(other), "icelane_turn_errors_total", code="401") == 0


def test_openmetrics_is_for_those_who_ask() -> None:
    metrics = ServerMetrics(Idle())
    body, content_type = metrics.page("application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_hostile_accept_headers_choose_between_two_formats_and_nothing_else() -> None:
    metrics = ServerMetrics(Idle())
    types = {metrics.page(accept)[1] for accept in ("", "text/plain; version=x", "a\r\nb: c", "*/*", "x" * 10_000)}
    assert types == {metrics.page()[1]}


def test_every_figure_is_documented_and_every_documented_figure_exists() -> None:
    server = Idle()
    server.certificate_expires_at = UnixSeconds(0)
    metrics = ServerMetrics(server)
    metrics.count(refused("expired"))
    metrics.add(signaling().families)
    names = {name for name, _ in samples(metrics)}
    documented = set(NAMED.findall((ROOT / "docs/howto/monitor.md").read_text()))
    suffixes = ("_bucket", "_sum", "_count", "_created")
    assert {name for name in names if not name.endswith(suffixes)} <= documented
    assert documented <= names | {name.removesuffix("_bucket") for name in names}


def test_sums_add_up() -> None:
    total = Traffic()
    for _ in range(2):
        total.add(
            Traffic(packets_from_client=1, bytes_from_client=2, packets_to_client=3, bytes_to_client=4, dropped=5)
        )
    assert total == Traffic(2, 4, 6, 8, 10)


def test_what_a_client_does_not_read_is_dropped_and_not_relayed(run: Run) -> None:
    """Over TCP the buffer towards a stalled client is bounded; what does not fit must not look like traffic."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            peer = Peer()
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            await client.bind(CHANNEL, peer.address)
            (relayed,) = server.plane.clients.values()
            client.pause()

            async def flood() -> None:
                for _ in range(50):
                    peer.send(bytes(60_000), client.relayed[0])
                await asyncio.sleep(0)

            await eventually(lambda: relayed.traffic().dropped > 0, flood)
            dropped, sent = relayed.traffic().dropped, relayed.traffic().packets_to_client
            assert relayed.traffic().bytes_to_client == sent * 60_000
            found = samples(server.observation.metrics)
            assert value(found, "icelane_turn_relay_dropped_packets_total", transport="tcp") >= dropped

    run(scenario())
