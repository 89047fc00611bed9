"""The figures of signaling as Prometheus reads them, on the page that the relay has. docs/howto/monitor.md lists them.

OP-14: every label is a word of this program. What a client or a hook says is in none, be it a room, a user, a type of
frame that does not exist or a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from icelane.server.metrics import Sample, counter, gauge
from icelane.signaling.admission.hook_times import BOUNDS, HookTimes
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.compatibility import SHAPES
from icelane.signaling.hub import HubFigures
from icelane.signaling.messages import CLIENT_TYPES, SERVER_TYPES

# Who asks for credentials: in band, over HTTP, and in the shapes of others.
_KINDS: Final = ("signal", "http", *SHAPES)


class SignalingFigures:
    """Read from what is live when somebody asks: `issued` has credentials by kind, and `times` how hooks answer."""

    def __init__(self, hub: Callable[[], HubFigures], times: HookTimes, issued: Mapping[str, int]) -> None:
        self._hub = hub
        self._times = times
        self._issued = issued

    def families(self) -> Iterator[Metric]:
        """All of them, as they are now."""
        figures = self._hub()
        yield from _present(figures)
        yield counter("icelane_signal_connects", "WebSockets, by what came of them", ["result", "reason"], _in(figures))
        closes = [((str(int(code)),), figures.closed.get(code, 0)) for code in CloseCode]
        yield counter("icelane_signal_closes", "WebSockets that the server closed, by close code", ["code"], closes)
        yield counter("icelane_signal_messages", "Frames of signaling", ["type", "direction"], _messages(figures))
        issued = [((kind,), self._issued.get(kind, 0)) for kind in _KINDS]
        yield counter("icelane_credentials_issued", "TURN credentials handed out, by who asks", ["kind"], issued)
        yield self._hook_durations()
        dropped = [((hook,), count) for hook, count in self._times.dropped.items()]
        yield counter("icelane_hook_notices_dropped", "Notices that a hook was never told", ["hook"], dropped)

    def _hook_durations(self) -> Metric:
        text = "How long hooks took to answer"
        family = HistogramMetricFamily("icelane_hook_duration_seconds", text, labels=["hook", "outcome"])
        bounds = [*map(str, BOUNDS), "+Inf"]
        for (hook, outcome), time in sorted(self._times.times.items()):
            family.add_metric((hook, outcome), list(zip(bounds, time.cumulative, strict=True)), time.total)
        return family


def _present(figures: HubFigures) -> Iterator[Metric]:
    for name, text, count in (
        ("connections", "Open WebSockets, those included that have not said hello", figures.connections),
        ("sessions", "Sessions, those included that wait to be resumed", figures.sessions),
        ("rooms", "Rooms with somebody in them", figures.rooms),
    ):
        yield gauge(f"icelane_signal_{name}", text, [], [((), count)])


def _in(figures: HubFigures) -> Iterator[Sample]:
    yield ("accepted", "new"), figures.begun
    yield ("accepted", "resumed"), figures.resumed
    yield ("accepted", "resynced"), figures.resynced
    yield ("abandoned", "closed"), figures.abandoned
    for reason, count in figures.refused.items():
        yield ("refused", reason), count


def _messages(figures: HubFigures) -> Iterator[Sample]:
    for types, direction, counts in (
        (CLIENT_TYPES, "from_client", figures.received),
        (SERVER_TYPES, "to_client", figures.sent),
    ):
        for kind in types:
            yield (kind, direction), counts.get(kind, 0)
