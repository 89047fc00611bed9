"""Show that icelane works, on this machine and on real traffic.

    python -m demo            a table, and exit code 0 only if every path carried every byte
    python -m demo --json     the same for programs

Starts a whole node on loopback, with one port for everything: HTTPS, signaling, and TURN over TLS. In one of its rooms
two programs of ours call each other, then one calls the call page in Chromium. Pictures, sound, words and files go
through the relay alone, and what both ends say of it is compared. Then a TURN server relays counted packets between two
of our TURN clients over UDP, TCP and TLS, and data and video between two Chromium pages that know nothing of ours. What
this machine cannot run is named and skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from demo.calls import demo_browser, pages_path
from demo.clients import clients_path
from demo.node import demo_node
from demo.paths import PathResult, all_carried
from demo.report import print_json, print_table
from demo.room import PAGE, PEERS, room_page_path, room_peers_path
from demo.server import demo_server

TRANSPORTS = ("udp", "tcp", "tls")
PATHS = (
    PEERS,
    PAGE,
    *(f"icelane clients, {transport.upper()}" for transport in TRANSPORTS),
    *(f"Chromium pages, {transport.upper()}" for transport in TRANSPORTS),
)
"""The rows, by name. Everything else in the repository that lists them is compared with this."""


async def run() -> list[PathResult]:
    """Try every path, one after the other, so that none slows another down."""
    async with demo_server() as server, demo_browser(server) as browser:
        async with demo_node(server) as node:
            in_the_room = [await room_peers_path(node), await room_page_path(node, browser)]
        return [
            *in_the_room,
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
