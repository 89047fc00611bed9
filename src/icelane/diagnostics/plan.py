"""Which checks there are for a server, in which order, and what waits for what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from icelane.aio.resolver import Lookup, SystemLookup
from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration, UnixSeconds, WallClock
from icelane.core.net import NamedPlace, Transport
from icelane.diagnostics.certificate_check import check_certificate
from icelane.diagnostics.check import Check
from icelane.diagnostics.relay_check import Login
from icelane.diagnostics.relay_probe import (
    DEFAULT_RELAY_PORTS,
    RelayAccess,
    RelayPorts,
    check_relay_echo,
    check_relay_reach,
)
from icelane.diagnostics.result import CheckResult, CheckStatus, skipped
from icelane.diagnostics.site import Site
from icelane.diagnostics.turn_check import check_credential, check_stun, check_turn, transport_of
from icelane.diagnostics.web_check import check_clock, check_https, check_name, check_websocket
from icelane.stun.uri import StunUri, TurnUri, is_ip_address, parse_uri

MAX_URLS: Final = 12
"""More URLs of one server are not checked: browsers warn long before."""

_STUN_ALPN: Final = "stun.turn"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is to be checked. What is None is not.

    `urls` are `stun:`, `turn:` and `turns:` URLs; `realm` is the one that the server should have, `relay_ports` are
    those that it relays on; `without` says why there is no `login`. Without `from_outside` no relayed address is tried
    from a socket: a machine need not reach its own public address.
    """

    site: Site | None = None
    urls: Sequence[str] = ()
    login: Login | None = None
    without: CheckResult | None = None
    realm: str | None = None
    authority: str | None = None
    lookup: Lookup = field(default_factory=SystemLookup, repr=False)
    http_proxy: str | None = None
    wall_clock: WallClock = field(default_factory=SystemWallClock, repr=False)
    echo_packets: int = 50
    from_outside: bool = True
    relay_ports: RelayPorts = DEFAULT_RELAY_PORTS
    timeout: Duration = 5.0


def plan(subject: Subject) -> list[Check]:
    """The list for `run_checks`. Raises MalformedError for a URL that is none."""
    uris = [parse_uri(url) for url in dict.fromkeys(subject.urls)][:MAX_URLS]
    return _Plan(subject, uris).checks()


class _Plan:
    def __init__(self, subject: Subject, uris: Sequence[StunUri | TurnUri]) -> None:
        self._subject = subject
        self._uris = uris
        self._checks: list[Check] = []
        self._working: list[TurnUri] = []

    def checks(self) -> list[Check]:
        if self._subject.site is not None:
            self._add_site(self._subject.site)
        self._add_certificates()
        login = self._subject.login
        without = self._subject.without
        if login is not None:
            self._add("credential", lambda: _ready(check_credential(login.username, self._now())))
        elif without is not None:
            self._add("credential", lambda: _ready(without))
        turn: list[str] = []
        for uri in self._uris:
            if isinstance(uri, StunUri):
                self._add_stun(uri)
            else:
                turn.append(self._add_turn(uri, login))
        if login is not None and turn:
            self._add_relay(login, turn)
        return self._checks

    def _add_site(self, site: Site) -> None:
        subject, after = self._subject, []
        if not is_ip_address(site.host):
            after = [self._add("DNS", lambda: check_name(site))]
        self._add("clock", lambda: check_clock(site, subject.wall_clock, timeout=subject.timeout), after)
        if site.secure:
            self._add_certificate("certificate", site.host, site.port, "http/1.1", after)
        self._add("HTTPS", lambda: check_https(site, timeout=subject.timeout), after)
        self._add("WSS", lambda: check_websocket(site, timeout=subject.timeout), [*after, "HTTPS"])

    def _add_certificates(self) -> None:
        """Of TURN over TLS, where that has another port or name than the pages."""
        site = self._subject.site
        seen = {(site.host, site.port)} if site is not None and site.secure else set()
        for uri in self._uris:
            place = (uri.host, uri.port_or_default)
            if uri.secure and place not in seen and not is_ip_address(uri.host):
                seen.add(place)
                self._add_certificate(f"certificate of {NamedPlace(*place)}", *place, _STUN_ALPN, [])

    def _add_certificate(self, name: str, host: str, port: int, alpn: str, after: Sequence[str]) -> None:
        subject = self._subject

        def run() -> Awaitable[CheckResult]:
            return check_certificate(
                host, port, self._now(), authority=subject.authority, alpn=alpn, lookup=subject.lookup,
                timeout=subject.timeout,
            )  # fmt: skip

        self._add(name, run, after)

    def _add_stun(self, uri: StunUri) -> None:
        subject = self._subject
        name = self._named(f"STUN {transport_of(uri).value}", uri)
        self._add(name, lambda: check_stun(uri, timeout=subject.timeout, lookup=subject.lookup))

    def _add_turn(self, uri: TurnUri, login: Login | None) -> str:
        name = self._named(f"TURN {transport_of(uri).value}", uri)
        return self._add(name, lambda: self._turn(name, uri, login), deadline=3 * self._subject.timeout)

    async def _turn(self, name: str, uri: TurnUri, login: Login | None) -> CheckResult:
        subject = self._subject
        if login is None:
            return skipped(name, "there is no credential to try it with")
        result = await check_turn(
            uri,
            login,
            self._now(),
            realm=subject.realm,
            timeout=subject.timeout,
            authority=subject.authority,
            lookup=subject.lookup,
            http_proxy=subject.http_proxy,
            name=name,
        )
        if result.status is CheckStatus.PASSED:
            self._working.append(uri)
        return result

    def _add_relay(self, login: Login, turn: Sequence[str]) -> None:
        subject = self._subject
        deadline = 3 * subject.timeout

        async def echo() -> CheckResult:
            access = self._access(login)
            if access is None:
                return skipped("relay echo", "no TURN server works from here")
            return await check_relay_echo(access, packets=subject.echo_packets, timeout=subject.timeout)

        async def reach() -> CheckResult:
            access, stun = self._access(login), self._stun()
            if access is None or stun is None:
                return skipped("relay from outside", "it needs TURN, and STUN over UDP")
            return await check_relay_reach(access, stun, relay_ports=subject.relay_ports, timeout=subject.timeout)

        self._add("relay echo", echo, turn, anyway=True, deadline=deadline)
        if subject.from_outside:
            self._add("relay from outside", reach, turn, anyway=True, deadline=deadline)

    def _access(self, login: Login) -> RelayAccess | None:
        """By the best transport that works."""
        subject = self._subject
        best = min(self._working, key=lambda uri: (uri.secure, transport_of(uri) is not Transport.UDP), default=None)
        if best is None:
            return None
        return RelayAccess(
            uri=best,
            login=login,
            authority=subject.authority,
            lookup=subject.lookup,
            http_proxy=subject.http_proxy,
        )

    def _stun(self) -> StunUri | TurnUri | None:
        """Where the server answers Binding over UDP: every TURN server over UDP does."""
        return next((uri for uri in self._uris if transport_of(uri) is Transport.UDP), None)

    def _add(
        self,
        name: str,
        run: Callable[[], Awaitable[CheckResult]],
        after: Sequence[str] = (),
        *,
        anyway: bool = False,
        deadline: Duration | None = None,
    ) -> str:
        limit = 2 * self._subject.timeout if deadline is None else deadline
        self._checks.append(Check(name=name, run=run, after=tuple(after), deadline=limit, anyway=anyway))
        return name

    def _named(self, name: str, uri: StunUri | TurnUri) -> str:
        """With the place, where the name is taken."""
        taken = {check.name for check in self._checks}
        return name if name not in taken else f"{name} {NamedPlace(uri.host, uri.port_or_default)}"

    def _now(self) -> UnixSeconds:
        return self._subject.wall_clock.unix_time(monotonic())


async def _ready(result: CheckResult) -> CheckResult:
    return result
