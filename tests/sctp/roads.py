"""Flows that always have something to send, over one virtual bottleneck."""

from __future__ import annotations

from icelane.core.net import SocketAddress
from icelane.sctp.congestion.model import ModelController
from icelane.sctp.congestion.rfc9260 import Rfc9260Controller
from icelane.sctp.event import Established
from icelane.sctp.options import SctpOptions
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Bottleneck, Link, VirtualNetwork
from tests.sctp.pairs import End

Controller = type[ModelController] | type[Rfc9260Controller]
MESSAGE = bytes(16_384)
TICK = 0.05


class Flow:
    """A sender that always has something to send, and a receiver."""

    def __init__(self, network: VirtualNetwork, number: int, controller: Controller, there: Link) -> None:
        options = SctpOptions(congestion=controller)
        here, other = SocketAddress(f"192.0.2.{number}", 5000), SocketAddress(f"198.51.100.{number}", 5000)
        network.set_link(here.host, other.host, there)
        self.sender = End(network, here, other, 2 * number, options)
        self.receiver = End(network, other, here, 2 * number + 1, options)
        for end in (self.sender, self.receiver):
            end.run(end.association.connect)

    def feed(self) -> None:
        self.receiver.messages.clear()
        while self.sender.told(Established) and self.sender.association.buffered_amount(0) < 1_000_000:
            self.sender.say(0, MESSAGE)


class Road:
    """Flows over one bottleneck; `waits` is how long its queue was, twenty times a second."""

    def __init__(
        self, *controllers: Controller, rate: float = 10e6, queue: float = 0.1, loss: float = 0.0, rtt: float = 0.05
    ) -> None:
        self.bottleneck = Bottleneck(rate, queue)
        self.network = VirtualNetwork(VirtualClock(), 5, Link(delay=rtt / 2, loss=loss))
        there = Link(delay=rtt / 2, loss=loss, bottleneck=self.bottleneck)
        self.flows = [Flow(self.network, n + 1, controller, there) for n, controller in enumerate(controllers)]
        self.waits: list[float] = []

    def drive(self, seconds: float) -> list[float]:
        """Goodput of each flow in Mbit/s."""
        before = [flow.receiver.received_bytes for flow in self.flows]
        self.waits = []
        for _ in range(round(seconds / TICK)):
            for flow in self.flows:
                flow.feed()
            self.network.run_for(TICK)
            self.waits.append(self.bottleneck.waited)
        after = [flow.receiver.received_bytes for flow in self.flows]
        return [(b - a) * 8 / seconds / 1e6 for a, b in zip(before, after, strict=True)]

    def wait(self, share: float) -> float:
        """The time in the queue that so much of the time was not exceeded."""
        return sorted(self.waits)[round(share * (len(self.waits) - 1))]
