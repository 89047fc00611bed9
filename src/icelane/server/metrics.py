"""The server's figures as Prometheus reads them. docs/howto/monitor.md lists them and says what to watch.

Gauges and sums are read from the live server when somebody asks; only what leaves no trace is counted as it happens:
refusals, allocations begun and ended, and how late the loop was.

OP-14: no label carries anything that a client chose. Every label is a transport, a direction, an error code or a word
of this program, so that no flood makes the page grow.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

import icelane
from icelane.core.clock import Duration, UnixSeconds
from icelane.core.net import Transport
from icelane.server.relay_plane import RelayPlane
from icelane.server.traffic import SocketLoss, Traffic
from icelane.turn.allocation import AllocationCreated, AllocationEnded, EndReason
from icelane.turn.refusal import RequestRefused
from icelane.turn.server import Event

# What the engine may answer with: each is there from the start, so that its first increase is seen as one.
ERROR_CODES: Final = (400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 500, 508)

# What a compiled plane counts of its own work.
ACTIVITIES: Final = ("wakes", "receives", "received", "sends", "sent_messages", "sent", "coalesced")

# The reasons are words of this program, about 70 of them. Were one ever made from what a client sent, this many would
# be told apart and the others counted as one.
MAX_REASONS: Final = 256
OTHER_REASON: Final = "other"

_OPENMETRICS: Final = "application/openmetrics-text"

# From what nobody notices to what ends calls.
_LAG_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class ObservedStreams(Protocol):
    """What is asked of a listener over TCP or TLS."""

    @property
    def transport(self) -> Transport:
        """What it takes clients over."""
        ...

    @property
    def connections(self) -> int:
        """Connections that are open."""
        ...

    @property
    def refused(self) -> int:
        """Connections that were refused since the start."""
        ...


class Observed(Protocol):
    """What is asked of a server."""

    @property
    def plane(self) -> RelayPlane:
        """The relay's clients and sockets."""
        ...

    @property
    def stream_listeners(self) -> Sequence[ObservedStreams]:
        """Where clients are taken over TCP and TLS."""
        ...

    @property
    def peer_connections(self) -> int:
        """Connections between relayed addresses and peers (RFC 6062)."""
        ...

    def listener_loss(self) -> SocketLoss:
        """What the sockets lost that clients are taken on over UDP."""
        ...

    @property
    def certificate_expires_at(self) -> UnixSeconds | None:
        """When the TLS certificate ends; None without one."""
        ...

    @property
    def ready(self) -> bool:
        """Whether new clients are welcome."""
        ...

    @property
    def allocation_load(self) -> float:
        """How much of what everybody may allocate is allocated, 1.0 being all."""
        ...

    @property
    def port_load(self) -> float:
        """How much of the relay ports is bound, 1.0 being all."""
        ...


class ServerMetrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self, server: Observed) -> None:
        self.registry = CollectorRegistry()
        self._server = server
        self._errors: Counter[int] = Counter(dict.fromkeys(ERROR_CODES, 0))
        self._refusals: Counter[tuple[int, str]] = Counter()
        self._created: Counter[str] = Counter({transport.value: 0 for transport in Transport})
        self._ended: Counter[str] = Counter({reason.value: 0 for reason in EndReason})
        self._lag = Histogram(
            "icelane_loop_lag_seconds",
            "How late the event loop ran a timer",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(LiveFamilies(self._families))
        ProcessCollector(registry=self.registry)

    def count(self, event: Event) -> None:
        """Count what the engine reports."""
        if isinstance(event, RequestRefused):
            self._count_refusal(event)
        elif isinstance(event, AllocationCreated):
            self._created[event.client.transport._value_] += 1  # without the call that `value` is
        elif isinstance(event, AllocationEnded):
            self._ended[event.reason.value] += 1

    def observe_lag(self, lag: Duration) -> None:
        """The loop ran a timer so many seconds late."""
        self._lag.observe(lag)

    def add(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Show on the page what else runs in this process; `families` is called for each page."""
        self.registry.register(LiveFamilies(families))

    def page(self, accept: str | None = None) -> tuple[bytes, str]:
        """The whole page and its content type: OpenMetrics when `accept`, a header of HTTP, asks for it."""
        return page_of(self.registry, accept)

    def _count_refusal(self, event: RequestRefused) -> None:
        if not event.silent:
            self._errors[event.code] += 1
        key = (event.code, event.reason)
        if key not in self._refusals and len(self._refusals) >= MAX_REASONS:
            key = (event.code, OTHER_REASON)
        self._refusals[key] += 1 + event.unreported

    def _families(self) -> Iterator[Metric]:
        yield from self._allocation_families()
        yield from self._traffic_families()
        yield from self._connection_families()
        yield from self._loss_families()
        yield from self._batch_families()
        yield from self._server_families()

    def _allocation_families(self) -> Iterator[Metric]:
        live: Counter[str] = Counter({transport.value: 0 for transport in Transport})
        live.update(path.transport.value for path in self._server.plane.clients)
        yield gauge("icelane_turn_allocations", "Live allocations", ["transport"], _by_one(live))
        yield counter("icelane_turn_allocations_created", "Allocations begun", ["transport"], _by_one(self._created))
        yield counter("icelane_turn_allocations_ended", "Allocations ended, by why", ["reason"], _by_one(self._ended))
        yield gauge("icelane_turn_relay_ports", "Relay ports that are bound", [], [((), self._server.plane.ports)])
        errors = [((str(code),), count) for code, count in self._errors.items()]
        yield counter("icelane_turn_errors", "Error responses sent", ["code"], errors)
        refusals = [((str(code), reason), count) for (code, reason), count in self._refusals.items()]
        yield counter(
            "icelane_turn_refusals", "Requests refused, unanswered ones included", ["code", "reason"], refusals
        )

    def _traffic_families(self) -> Iterator[Metric]:
        sums = self._server.plane.traffic()
        labels = ["direction", "transport"]
        yield counter(
            "icelane_turn_relay_bytes",
            "Relayed payload",
            labels,
            _both_ways(sums, lambda sum_: (sum_.bytes_from_client, sum_.bytes_to_client)),
        )
        yield counter(
            "icelane_turn_relay_packets",
            "Relayed packets",
            labels,
            _both_ways(sums, lambda sum_: (sum_.packets_from_client, sum_.packets_to_client)),
        )
        yield counter(
            "icelane_turn_relay_dropped_packets",
            "Packets not relayed: no permission, over a bandwidth limit, malformed",
            ["transport"],
            [((transport.value,), sum_.dropped) for transport, sum_ in sums.items()],
        )

    def _connection_families(self) -> Iterator[Metric]:
        streams = [transport.value for transport in Transport if transport.reliable]
        opened: Counter[str] = Counter(dict.fromkeys(streams, 0))
        refused: Counter[str] = Counter(dict.fromkeys(streams, 0))
        for listener in self._server.stream_listeners:
            opened[listener.transport.value] += listener.connections
            refused[listener.transport.value] += listener.refused
        yield gauge("icelane_turn_connections", "Open connections of clients", ["transport"], _by_one(opened))
        yield counter(
            "icelane_turn_connections_refused", "Connections refused at a limit", ["transport"], _by_one(refused)
        )

        peers = self._server.peer_connections
        yield gauge("icelane_turn_peer_connections", "Open TCP connections with peers", [], [((), peers)])

    def _loss_families(self) -> Iterator[Metric]:
        losses = {"listener": self._server.listener_loss(), "relay": self._server.plane.loss()}
        yield counter(
            "icelane_udp_kernel_drops",
            "Datagrams that the kernel dropped because nobody read them in time",
            ["socket"],
            [((name,), loss.kernel_drops) for name, loss in losses.items()],
        )
        sends = [
            ((name, reason), count)
            for name, loss in losses.items()
            for reason, count in (("busy", loss.busy_sends), ("failed", loss.failed_sends))
        ]
        yield counter(
            "icelane_udp_send_drops", "Datagrams that could not be sent, and why", ["socket", "reason"], sends
        )
        yield counter(
            "icelane_udp_receive_errors",
            "What the kernel reported instead of a datagram, mostly ICMP errors about what was sent",
            ["socket"],
            [((name,), loss.receive_errors) for name, loss in losses.items()],
        )
        yield counter(
            "icelane_udp_refused_runs",
            "Runs of datagrams that the kernel refused, and that were sent one by one",
            ["socket"],
            [((name,), loss.refused_runs) for name, loss in losses.items()],
        )

    def _batch_families(self) -> Iterator[Metric]:
        activity = self._server.plane.activity()
        samples = [((what,), activity.get(what, 0)) for what in ACTIVITIES]
        text = "What the compiled relay plane did: packets, and the system calls that they took"
        yield counter("icelane_relay_batching", text, ["what"], samples)

    def _server_families(self) -> Iterator[Metric]:
        # A worker of several answers like a server that is alone: their sum is what the supervisor tells.
        yield gauge("icelane_workers", "Processes that relay", [], [((), 1)])
        yield counter("icelane_worker_restarts", "Processes that took a dead one's place", [], [((), 0)])
        yield gauge("icelane_ready", "Whether new clients are welcome", [], [((), int(self._server.ready))])
        expiry = self._server.certificate_expires_at
        if expiry is not None:
            text = "When the TLS certificate ends, in seconds since 1970"
            yield gauge("icelane_tls_cert_expiry_timestamp_seconds", text, [], [((), expiry)])
        yield InfoMetricFamily("icelane_build", "What runs", _build())


def page_of(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """What a registry holds, and its content type: OpenMetrics when `accept`, a header of HTTP, asks for it."""
    if _OPENMETRICS in (accept or ""):
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # it has none
        return body, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_LATEST


Sample = tuple[tuple[str, ...], float]


class LiveFamilies(Collector):
    """Makes its families when they are asked for."""

    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would otherwise collect once to learn the names, before the server listens."""
        return []


def _build() -> dict[str, str]:
    return {
        "version": icelane.__version__,
        "python": platform.python_version(),
        "compiled": str(icelane.__compiled__).lower(),
    }


def _by_one(counts: Counter[str]) -> list[Sample]:
    return [((label,), count) for label, count in counts.items()]


def _both_ways(sums: dict[Transport, Traffic], read: Callable[[Traffic], tuple[int, int]]) -> Iterator[Sample]:
    for transport, traffic in sums.items():
        for direction, count in zip(("from_client", "to_client"), read(traffic), strict=True):
            yield (direction, transport.value), count


def gauge(name: str, text: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    """One family; each sample is the values of its labels, and the figure."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family


def counter(name: str, text: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    """`name` without the `_total` that the format puts at its end."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family
