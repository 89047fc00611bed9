"""A peer that hides its addresses, a neighbour who calls it, and somebody on another link; prints what each learns.

    unshare --net python -m tests.aio.hidden_addresses 4

The machine that hides has two links, with one machine at the end of each. `4` or `6` is the family of all addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import queue
import sys
import threading
from typing import Any, Final

import dns.message
import dns.rdatatype

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection
from icelane.aio.mdns import parse_answer
from icelane.aio.mdns_responder import _RESPONDERS
from icelane.aio.mdns_socket import GROUP, GROUP_6, PORT, open_on_address, open_on_interface
from icelane.testing.namespace import inside, new_namespace
from tests.server.namespaces import ip

HOSTS: Final = {
    "4": {"here": ("198.18.1.1", "198.18.2.1"), "there": ("198.18.1.2", "198.18.2.2")},
    "6": {"here": ("2001:2:0:1::1", "2001:2:0:2::1"), "there": ("2001:2:0:1::2", "2001:2:0:2::2")},
}
HEARD_WITHIN: Final = 1.5


class Signals:
    """What two threads tell each other."""

    def __init__(self) -> None:
        self._said: dict[str, queue.Queue[Any]] = {name: queue.Queue() for name in ("offer", "answer", "end", "told")}

    def say(self, what: str, value: Any) -> None:
        self._said[what].put(value)

    async def hear(self, what: str) -> Any:
        return await asyncio.to_thread(self._said[what].get, timeout=30)

    def wait(self, what: str) -> Any:
        return self._said[what].get(timeout=60)


async def hide(signals: Signals) -> None:
    """Call the neighbour, and tell all that was told of this machine."""
    lines: list[str] = []
    async with RTCPeerConnection(RTCConfiguration(hide_addresses=True)) as pc:
        pc.on("icecandidate", lambda found: lines.append(found.candidate) if found is not None else None)
        channel = pc.createDataChannel("chat")
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        signals.say("offer", pc.localDescription.toJSON())
        await pc.setRemoteDescription(await signals.hear("answer"))
        await pc.connected(20)
        await channel.opened()
        channel.send("hello")
        assert await channel.receive() == "hello"
        report = pc.security_report()
        told = [pc.localDescription.sdp, *lines, str(report), json.dumps(report.as_json())]
        told += [repr(dict(one)) for one in (await pc.getStats()).values() if one["type"] != "remote-candidate"]
        ice = pc.sctp.transport.iceTransport if pc.sctp is not None else None
        told += [str(one.candidate) for one in (ice.getLocalCandidates() if ice is not None else [])]
        told.append(str(ice.getSelectedCandidatePair() if ice is not None else None).split("remote=")[0])
        signals.say("told", told)
        await signals.hear("end")
    signals.say("told", len(_RESPONDERS))


async def follow(signals: Signals) -> None:
    """Answer, and send back what comes."""
    async with RTCPeerConnection() as pc:

        @pc.on("datachannel")
        def echo(channel: RTCDataChannel) -> None:
            channel.on("message", channel.send)

        await pc.setRemoteDescription(await signals.hear("offer"))
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        signals.say("answer", pc.localDescription.toJSON())
        await pc.connected(20)
        signals.say("told", [one.address for one in (await pc.getStats()).of_type("remote-candidate")])
        await signals.hear("end")


def ask(names: list[str], family: str, device: str, host: str) -> dict[str, str]:
    """What somebody on that link is answered."""
    asking = open_on_address(host) if family == "4" else open_on_interface(device)
    with asking:
        asking.setblocking(True)
        asking.settimeout(HEARD_WITHIN)
        for name in names:
            question = dns.message.make_query(f"{name}.", dns.rdatatype.A if family == "4" else dns.rdatatype.AAAA)
            question.flags = dns.flags.Flag(0)
            asking.sendto(question.to_wire(), (GROUP if family == "4" else GROUP_6, PORT))
        found: dict[str, str] = {}
        with contextlib.suppress(TimeoutError):
            while len(found) < len(names):
                found |= dict(parse_answer(asking.recv(9000)))
    return found


def in_thread(signals: Signals, main: Any, namespace: int | None) -> threading.Thread:
    """A machine of its own, which is what a thread in another namespace is."""

    def run() -> None:
        with inside(namespace) if namespace is not None else contextlib.nullcontext():
            asyncio.run(main(signals))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def give(device: str, host: str) -> None:
    """Up, with one address of the family and the link-local one."""
    ip("link", "set", "lo", "up")
    ip("link", "set", device, "addrgenmode", "none")
    if ":" not in host:
        ip("address", "add", f"{host}/24", "dev", device)
    else:
        ip("address", "add", f"{host}/64", "dev", device, "nodad")
        ip("address", "add", f"fe80::{host.rpartition(':')[2]}/64", "dev", device, "nodad")
    ip("link", "set", device, "up")


def main(family: str) -> None:
    """Three machines in a row, the one that hides in the middle."""
    logging.getLogger().addHandler(kept := _Kept())
    logging.getLogger("icelane").setLevel(logging.INFO)
    hosts, signals = HOSTS[family], Signals()
    with new_namespace() as near, new_namespace() as far:
        for number, other in enumerate((near, far)):
            place = f"/proc/{os.getpid()}/fd/{other}"
            ip("link", "add", f"here{number}", "type", "veth", "peer", "name", f"there{number}", "netns", place)
            give(f"here{number}", hosts["here"][number])
            with inside(other):
                give(f"there{number}", hosts["there"][number])
        threads = [in_thread(signals, hide, None), in_thread(signals, follow, near)]
        told = [signals.wait("told"), signals.wait("told")]
        ours, theirs = sorted(told, key=len, reverse=True)
        names = sorted({word for word in ours[0].split() if word.endswith(".local")})
        answered = []
        for number, other in enumerate((near, far)):
            with inside(other):
                answered.append(ask(names, family, f"there{number}", hosts["there"][number]))
        for _ in threads:
            signals.say("end", None)
        for thread in threads:
            thread.join(30)
        left = signals.wait("told")
    print(json.dumps({
        "told": ours, "logs": kept.said, "names": names, "answered": answered, "reached": theirs, "left": left,
        "hosts": hosts["here"],
    }))  # fmt: skip


class _Kept(logging.Handler):
    """Every record at info and above."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


if __name__ == "__main__":
    main(sys.argv[1])
