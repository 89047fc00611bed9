"""What the watch of the network says while a network of our own changes; prints one line of JSON.

unshare --net python -m tests.aio.changing_network
"""

from __future__ import annotations

import asyncio
import json

from icelane.aio.interfaces import gone_addresses, usable_interfaces
from icelane.aio.link_state import has_link
from icelane.aio.network_watch import MAX_SETTLE_TIME, SETTLE_TIME, watch_network
from tests.server.namespaces import ip


class Heard:
    """A listener that counts."""

    def __init__(self) -> None:
        self.changes = 0

    def handle_network_change(self) -> None:
        self.changes += 1

    def handle_wake(self) -> None:
        """Of no interest here."""


async def told(heard: Heard) -> int:
    """How often since last time, once it is quiet."""
    before = -1
    while before != heard.changes:
        before = heard.changes
        await asyncio.sleep(MAX_SETTLE_TIME + 2 * SETTLE_TIME)
    heard.changes = 0
    return before


async def main() -> dict[str, object]:
    """One change after the other."""
    found: dict[str, object] = {}
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    heard = Heard()
    stop, stop_again = watch_network(heard), watch_network(Heard())
    ip("link", "set", "near", "up")
    found["no cable"] = [await told(heard), has_link("near")]
    ip("link", "set", "far", "up")
    found["cable"] = [await told(heard), has_link("near")]
    ip("address", "add", "198.18.0.7/24", "dev", "near")
    ip("-6", "address", "add", "2001:2::7/64", "dev", "near", "nodad")
    found["addresses"] = [await told(heard), sorted(one.host for one in usable_interfaces())]
    for number in range(100, 130):
        ip("address", "add", f"198.18.0.{number}/32", "dev", "near")
        ip("address", "del", f"198.18.0.{number}/32", "dev", "near")
    found["a burst"] = await told(heard)
    ip("link", "set", "far", "down")
    found["pulled"] = [await told(heard), has_link("near"), not gone_addresses(["198.18.0.7"]), usable_interfaces()]
    ip("address", "del", "198.18.0.7/24", "dev", "near")
    found["gone"] = [await told(heard), not gone_addresses(["198.18.0.7"])]
    stop()
    stop()
    ip("link", "del", "near")
    found["not listening"] = await told(heard)
    stop_again()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
