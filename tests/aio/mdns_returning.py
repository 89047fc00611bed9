"""Names on an interface that goes away and comes back, and whose address moves; prints which of them are found.

unshare --net python -m tests.aio.mdns_returning 4
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

from icelane.aio.interfaces import Interface
from icelane.aio.mdns import MdnsResolver
from icelane.aio.mdns_responder import MdnsResponder
from tests.aio.hidden_addresses import give
from tests.server.namespaces import ip

HOSTS: Final = {"4": ("198.18.1.1", "198.18.1.9"), "6": ("2001:2:0:1::1", "2001:2:0:1::9")}
NAMES: Final = [f"6a1f4c1e-0000-4000-8000-00000000000{number}.local" for number in range(3)]
DEVICE: Final = "here"


def plug(host: str) -> None:
    """In, with nobody at the other end: who asks is on this machine."""
    ip("link", "add", DEVICE, "type", "veth", "peer", "name", "there")
    ip("link", "set", "there", "up")
    give(DEVICE, host)


async def found(host: str, *names: str) -> list[bool]:
    """By somebody who asks afresh."""
    resolver = MdnsResolver([Interface(DEVICE, host)])
    try:
        return [one == host for one in await asyncio.gather(*map(resolver.resolve, names))]
    finally:
        resolver.close()


async def main(family: str) -> None:
    """Publish, pull, plug in, publish; at last without publishing, as when all is over before anybody has looked."""
    host, moved = HOSTS[family]
    responder, here = MdnsResponder.of_this_loop(), [Interface(DEVICE, host)]
    plug(host)
    responder.publish(NAMES[0], host, here)
    told = {"before": await found(host, NAMES[0])}
    ip("link", "delete", DEVICE)
    plug(host)
    responder.publish(NAMES[1], host, here)
    told["back"] = await found(host, *NAMES[:2])
    ip("address", "flush", "dev", DEVICE)
    give(DEVICE, moved)
    responder.publish(NAMES[2], moved, [Interface(DEVICE, moved)])
    told["moved"] = await found(moved, NAMES[2])
    ip("link", "delete", DEVICE)
    plug(moved)
    responder.look_again()
    told["looked"] = await found(moved, NAMES[2])
    sockets = len(responder._sockets_by_link)
    for name in NAMES:
        responder.withdraw(name)
    print(json.dumps({**told, "sockets": sockets}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
