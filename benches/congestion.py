"""How the controllers share a bottleneck, on the virtual clock: `python -m benches.congestion [--smoke]`.

Nothing here depends on the machine: the same seed gives the same figures. Decision 0015 quotes them.
"""

from __future__ import annotations

import argparse
import sys

from icelane.sctp.congestion.model import ModelController
from icelane.sctp.congestion.rfc9260 import Rfc9260Controller
from tests.sctp.roads import Controller, Road

SECONDS = 60.0


def name(controller: Controller) -> str:
    """How a controller is called in the table."""
    return "model" if controller is ModelController else "RFC 9260"


def show(seconds: float, *controllers: Controller, rate: float = 10e6, queue: float = 0.1, loss: float = 0.0) -> None:
    """Print one row."""
    road = Road(*controllers, rate=rate, queue=queue, loss=loss)
    goodput = road.drive(seconds)
    flows = ", ".join(f"{name(one)} {got:.2f}" for one, got in zip(controllers, goodput, strict=True))
    print(
        f"{rate / 1e6:>6.0f} {queue * 1e3:>9.0f} {loss * 100:>6.0f}  {flows:34}"
        f"{road.wait(0.5) * 1e3:>7.0f} {road.wait(0.95) * 1e3:>7.0f} {road.bottleneck.dropped:>8}"
    )


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a second of each: shows that the bench works")
    seconds = 1.0 if parser.parse_args().smoke else SECONDS
    print("Mbit/s  queue ms  loss %  goodput in Mbit/s                    p50 ms  p95 ms  dropped")
    for controllers in ((ModelController,), (Rfc9260Controller,), (ModelController, ModelController)):
        show(seconds, *controllers)
    for queue in (0.02, 0.05, 0.1, 0.3):
        show(seconds, ModelController, Rfc9260Controller, queue=queue)
    for loss in (0.01, 0.02):
        show(seconds / 6, ModelController, rate=50e6, loss=loss)
    show(seconds / 6, Rfc9260Controller, rate=50e6, loss=0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main())
