"""Show that the relay works, on this machine and on real traffic.

    python -m demo            a table, and exit code 0 only if every path carried every byte
    python -m demo --json     the same for programs

Starts our server on loopback with TURN over UDP, TCP and TLS. Through each it relays counted packets between two of our
clients, then data and video between two Chromium pages. What this machine cannot run is named and skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from demo.browser import browser_path
from demo.clients import clients_path
from demo.paths import PathResult, all_carried
from demo.report import print_json, print_table
from demo.server import demo_server

TRANSPORTS = ("udp", "tcp", "tls")


async def run() -> list[PathResult]:
    """Try every path, one after the other, so that none slows another down."""
    async with demo_server() as server:
        clients = [await clients_path(server, transport) for transport in TRANSPORTS]
        browsers = [await browser_path(server, transport) for transport in TRANSPORTS]
    return clients + browsers


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    with Console(stderr=True).status("Relaying traffic through icelane"):  # says so on a terminal only
        results = asyncio.run(run())
    print_results = print_json if arguments.json else print_table
    print_results(results, sys.stdout)
    return 0 if all_carried(results) else 1


if __name__ == "__main__":
    sys.exit(main())
