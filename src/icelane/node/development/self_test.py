"""What `icelane dev` tries as soon as it runs: every way that a page, a program or a phone may come.

    report = await self_test(subject)

Everything goes to the node's own first address, so it works without any other network.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration
from icelane.core.net import SocketAddress
from icelane.diagnostics.check import Check, CheckResult, CheckStatus, passed, run_checks
from icelane.diagnostics.relay_check import Login
from icelane.diagnostics.report import Report
from icelane.diagnostics.site import FixedLookup, Site
from icelane.diagnostics.turn_check import check_stun, check_turn
from icelane.diagnostics.web_check import check_https, check_websocket
from icelane.node.development.addresses import is_loopback
from icelane.node.development.configuration import Ports
from icelane.stun.uri import StunUri, TurnUri, parse_uri

_TIMEOUT: Final[Duration] = 5.0
_LOOKUP_TIMEOUT: Final[Duration] = 2.0

TRUST: Final = "icelane certs trust"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Why pages are told `turns:` or not. `name` resolves to this machine where `resolves`."""

    name: str
    resolves: bool
    trusted: bool

    @property
    def pages_get_turns(self) -> bool:
        """A browser verifies the certificate by the name, and cannot be asked to make an exception for a relay."""
        return self.resolves and self.trusted


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A running node. `authority` is the PEM file of its authority."""

    hosts: Sequence[str]
    ports: Ports
    bound: int
    login: Login = field(repr=False)
    realm: str
    authority: str
    reach: Reach


async def self_test(subject: Subject) -> Report:
    """Every check, at the first of the node's addresses."""
    host, ports = subject.hosts[0], subject.ports
    site = Site(host=host, port=ports.web, authority=subject.authority)
    turn = SocketAddress(host, ports.turn)

    def relaying(name: str, url: str) -> Check:
        return Check(name=name, run=lambda: _turn(name, url, subject), deadline=3 * _TIMEOUT)

    return await run_checks(
        [
            Check(name="bind", run=lambda: _bound(subject)),
            Check(name="HTTPS", run=lambda: check_https(site, timeout=_TIMEOUT)),
            Check(name="WSS", run=lambda: check_websocket(site, timeout=_TIMEOUT)),
            Check(name="STUN", run=lambda: check_stun(_stun(f"stun:{turn}"), timeout=_TIMEOUT)),
            relaying("TURN/udp", f"turn:{turn}?transport=udp"),
            relaying("TURN/tcp", f"turn:{turn}?transport=tcp"),
            relaying("TURN/tls", f"turns:{subject.reach.name}:{ports.turns}?transport=tcp"),
            Check(name="TURNS for pages", run=lambda: _pages(subject.reach)),
            Check(name="behind NAT", run=lambda: _reach(subject.hosts)),
        ]
    )


async def resolves_to(name: str, hosts: Collection[str]) -> bool:
    """Whether this machine's resolver finds one of `hosts` under `name`, within two seconds.

    Loopback is not to be among them where others are: it leads elsewhere on every other machine.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_TIMEOUT):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return False
    return any(str(where[0]) in hosts for *_, where in found)


async def _bound(subject: Subject) -> CheckResult:
    return passed("bind", f"{subject.bound} listeners on {len(subject.hosts)} address(es)")


async def _turn(name: str, url: str, subject: Subject) -> CheckResult:
    uri = parse_uri(url)
    assert isinstance(uri, TurnUri)
    now = SystemWallClock().unix_time(monotonic())
    return await check_turn(
        uri,
        subject.login,
        now,
        realm=subject.realm,
        authority=subject.authority if uri.secure else None,
        # Its own name is what the certificate proves, whether or not anybody finds it.
        lookup=FixedLookup({subject.reach.name: subject.hosts[0]}),
        timeout=_TIMEOUT,
        name=name,
    )


def _stun(url: str) -> StunUri:
    uri = parse_uri(url)
    assert isinstance(uri, StunUri)
    return uri


async def _pages(reach: Reach) -> CheckResult:
    name = "TURNS for pages"
    if reach.pages_get_turns:
        return passed(name, f"pages are told turns: by the name {reach.name}")
    if not reach.trusted:
        why = "off: this machine does not trust the authority yet, so pages get TURN over UDP and TCP"
        return CheckResult(name=name, status=CheckStatus.WARNED, detail=why, mend=f"{TRUST}, then start again")
    why = f"off: {reach.name} does not lead here, so pages get TURN over UDP and TCP"
    mend = "--hostname NAME.local with a name that does; avahi-daemon or systemd-resolved answer for this machine's"
    return CheckResult(name=name, status=CheckStatus.WARNED, detail=why, mend=mend)


async def _reach(hosts: Sequence[str]) -> CheckResult:
    """Nobody outside is asked: an address that is private is behind a NAT wherever the internet is reached at all."""
    name = "behind NAT"
    if all(map(is_loopback, hosts)):
        detail = "only this machine reaches this: it has no private address beside loopback"
        mend = "join a network; or --listen ADDRESS where there is one"
        return CheckResult(name=name, status=CheckStatus.WARNED, detail=detail, mend=mend)
    detail = "only your LAN reaches this: its addresses are private, and nobody from outside gets in"
    mend = "for the world: icelane init --hostname NAME, and icelane serve on a machine with a public address"
    return CheckResult(name=name, status=CheckStatus.WARNED, detail=detail, mend=mend)
