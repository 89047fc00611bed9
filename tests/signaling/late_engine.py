"""An engine whose deliveries take their time, as those of one that lives elsewhere do; their order stays."""

from __future__ import annotations

import random

from icelane.core.clock import Instant
from icelane.signaling.engine import Delivery, SignalEngine
from icelane.signaling.engine_memory import MemoryBroker, MemoryEngine
from tests.signaling.hub_world import World


class LateEngine(MemoryEngine):
    """Has nothing to deliver each time that its dice say so."""

    def __init__(self, now: Instant, node: str, broker: MemoryBroker, dice: random.Random) -> None:
        super().__init__(now, node, broker)
        self.late = True
        self._dice = dice

    def poll_delivery(self) -> Delivery | None:
        """See SignalEngine."""
        return None if self.late and self._dice.random() < 0.6 else super().poll_delivery()


class LateWorld(World):
    """A world with such engines. `catch_up` delivers everything, and from then on at once."""

    def __init__(self, seed: int, nodes: int = 1, broker: MemoryBroker | None = None) -> None:
        self.dice = random.Random(seed)
        self.engines: list[LateEngine] = []
        super().__init__(seed=seed, nodes=nodes, broker=broker)

    def make_engine(self, node: str) -> SignalEngine:
        """A late one."""
        self.engines.append(LateEngine(self.now, node, self.broker, self.dice))
        return self.engines[-1]

    def catch_up(self) -> None:
        """No engine is late any more."""
        for engine in self.engines:
            engine.late = False
        self.drain()
