"""Asking for a name on a link that has IPv6 alone, where another machine knows it; prints what comes of it.

    unshare --net python -m tests.aio.mdns_over_ipv6

The other machine answers as browsers do: to the group, never to who asked. It hears the group on its own link only.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
from typing import Final

import dns.message
import dns.rdatatype
import dns.rrset

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.interfaces import usable_interfaces
from icelane.aio.mdns import MdnsResolver
from icelane.aio.mdns_socket import GROUP_6, PORT
from icelane.testing.namespace import inside, new_namespace
from tests.server.namespaces import ip

NAME: Final = "6a1f4c1e-0000-4000-8000-000000000000.local"
OURS, THEIRS = "2001:2::1", "2001:2::2"


def give(device: str, host: str) -> None:
    """Up, with one IPv6 address."""
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{host}/64", "dev", device, "nodad")
    ip("link", "set", device, "addrgenmode", "none")  # no link-local address, which would not be there at once
    ip("address", "add", f"fe80::{host.rpartition(':')[2]}/64", "dev", device, "nodad")
    ip("link", "set", device, "up")


def responder(device: str) -> socket.socket:
    """What hears questions on that link."""
    index = socket.if_nametoindex(device)
    heard = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    heard.bind((GROUP_6, PORT, 0, index))
    heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    group = socket.inet_pton(socket.AF_INET6, GROUP_6) + struct.pack("@I", index)
    heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    return heard


def answer_one(heard: socket.socket, asked: list[dict[str, object]]) -> None:
    """Answer the first question that comes."""
    data, source = heard.recvfrom(9000)
    question = dns.message.from_wire(data)
    asked.append({"port": source[1], "kinds": [dns.rdatatype.to_text(one.rdtype) for one in question.question]})
    answer = dns.message.Message(id=0)
    answer.flags = 0x8400
    answer.answer.append(dns.rrset.from_text(f"{NAME}.", 120, "IN", "AAAA", THEIRS))
    heard.sendto(answer.to_wire(), (GROUP_6, PORT))


async def resolve() -> str | None:
    """What the peer connection does, with the interfaces of this machine."""
    resolver = MdnsResolver(usable_interfaces(names=RTCConfiguration().interfaces))
    try:
        return await resolver.resolve(NAME)
    finally:
        resolver.close()


def main() -> None:
    """Join two machines by a cable, and ask on the one."""
    with new_namespace() as other:
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", f"/proc/{os.getpid()}/fd/{other}")
        give("here", OURS)
        asked: list[dict[str, object]] = []
        with inside(other):
            give("there", THEIRS)
            heard = responder("there")
        answering = threading.Thread(target=answer_one, args=(heard, asked), daemon=True)
        answering.start()
        found = asyncio.run(resolve())
        print(json.dumps({"found": found, "asked": asked}))


if __name__ == "__main__":
    main()
