"""Show that icelane works, on this machine and on real traffic.

    python -m demo            a table, and exit code 0 only if every path carried every byte
    python -m demo --json     the same for programs

Starts our server on loopback with TURN over UDP, TCP and TLS, and an authority of its own. First two of our peer
connections call each other, then a Chromium page calls one, both by relay only and over TLS; what they say of their
encryption is compared. Then each transport relays counted packets between two of our TURN clients, and data and video
between two Chromium pages. What this machine cannot run is named and skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from demo.calls import browser_and_peer_path, demo_browser, pages_path, peers_path
from demo.clients import clients_path
from demo.paths import PathResult, all_carried
from demo.report import print_json, print_table
from demo.server import demo_server

TRANSPORTS = ("udp", "tcp", "tls")
PATHS = (
    "icelane peers, TLS",
    "Chromium to icelane, TLS",
    *(f"icelane clients, {transport.upper()}" for transport in TRANSPORTS),
    *(f"Chromium pages, {transport.upper()}" for transport in TRANSPORTS),
)
"""The rows, by name. Everything else in the repository that lists them is compared with this."""


async def run() -> list[PathResult]:
    """Try every path, one after the other, so that none slows another down."""
    async with demo_server() as server, demo_browser(server) as browser:
        return [
            await peers_path(server, "tls"),
            await browser_and_peer_path(server, browser, "tls"),
            *[await clients_path(server, transport) for transport in TRANSPORTS],
            *[await pages_path(server, browser, transport) for transport in TRANSPORTS],
        ]


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    with Console(stderr=True).status("Sending data through icelane"):  # says so on a terminal only
        results = asyncio.run(run())
    print_results = print_json if arguments.json else print_table
    print_results(results, sys.stdout)
    return 0 if all_carried(results) else 1


if __name__ == "__main__":
    sys.exit(main())
