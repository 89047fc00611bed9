"""From a STUN or TURN URI to the addresses to try (RFC 8489 section 8, RFC 5928).

    stun:host              _stun._udp          else host, port 3478
    stuns:host             _stuns._tcp         else host, port 5349
    turn:host              _turn._udp, then _turn._tcp; else host, port 3478, UDP
    turns:host             _turns._tcp         else host, port 5349
    ?transport=            asks for that transport only
    a port or an address   asks for no service record at all

Service records come from DNS alone, addresses from the system's resolver, so that its hosts file counts. Names without
a dot and `localhost` have no service records. Left out on purpose: NAPTR (RFC 5928 section 3, step 4), because no name
that is published for browsers uses it and it costs every user a query; DTLS.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.core.net import NamedPlace, SocketAddress, Transport, canonical_host
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ResolutionError
from icelane.stun.uri import StunUri, TurnUri, is_ip_address

if TYPE_CHECKING:
    import dns.asyncresolver

_log = logging.getLogger(__name__)

# A whole resolution, and within it all service records together: a dead name server must not eat the whole budget.
RESOLUTION_TIMEOUT: Final[Duration] = 10.0
SERVICE_TIMEOUT: Final[Duration] = 3.0
# Whoever answers DNS decides how much it answers: the first ones in order of preference are kept.
MAX_SERVICE_RECORDS: Final = 8
MAX_ADDRESSES_PER_HOST: Final = 8
MAX_TARGETS: Final = 16


class ServiceRecord(NamedTuple):
    """An SRV record (RFC 2782): `target` without the final dot, empty when the domain denies to have the service."""

    priority: int
    weight: int
    port: int
    target: str


class Target(NamedTuple):
    """One place to try. `host_name` is the URI's host, which a TLS certificate must match wherever DNS points to."""

    address: SocketAddress
    transport: Transport
    host_name: str


class NamedTarget(NamedTuple):
    """The same, for whoever looks the name up himself."""

    address: NamedPlace
    transport: Transport
    host_name: str


class Lookup(Protocol):
    """What is asked of name services."""

    async def service_records(self, name: str) -> list[ServiceRecord]:
        """The SRV records of `name`; empty when there are none or nobody answers."""
        ...

    async def addresses(self, host: str) -> list[str]:
        """The IP addresses of `host`, preferred ones first. Raises ResolutionError when there is none."""
        ...


async def resolve(
    uri: StunUri | TurnUri,
    *,
    transport: Transport | None = None,
    lookup: Lookup | None = None,
    entropy: Entropy | None = None,
    timeout: Duration = RESOLUTION_TIMEOUT,
) -> list[Target]:
    """The targets of `uri` in the order in which to try them, 1 to MAX_TARGETS.

    `transport` (UDP or TCP, below a possible TLS) overrides what the URI says. `entropy` spreads the load over service
    records of equal priority. Raises ResolutionError, which names the host.
    """
    written = transport or (uri.transport if isinstance(uri, TurnUri) else None)
    carriers = _carriers(uri, written)
    try:
        async with asyncio.timeout(timeout):
            found = await _find(uri, carriers, lookup or SystemLookup(), entropy or SystemEntropy())
    except TimeoutError:
        raise ResolutionError(f"{uri.host}: the name was not resolved within {timeout:g} s") from None
    targets = list(dict.fromkeys(found))[:MAX_TARGETS]
    if not targets:
        raise ResolutionError(f"{uri.host}: its service records lead to no address")
    return targets


def proxied_target(uri: TurnUri, transport: Transport | None = None) -> Target | NamedTarget | None:
    """What a proxy is asked to connect to, None when the server is to be reached over UDP.

    Service records are not asked for. Raises ResolutionError as `resolve` does for what cannot be.
    """
    carrier = _carriers(uri, transport or uri.transport)[0]
    if carrier is Transport.UDP:
        return None
    if is_ip_address(uri.host):
        return Target(SocketAddress(canonical_host(uri.host), uri.port_or_default), carrier, uri.host)
    return NamedTarget(NamedPlace(uri.host, uri.port_or_default), carrier, uri.host)


class SystemLookup:
    """DNS for service records, the system's resolver for addresses.

    `resolver` is dnspython's, by default one that reads /etc/resolv.conf at the first query.
    """

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver

    async def service_records(self, name: str) -> list[ServiceRecord]:
        """See `Lookup`."""
        import dns.asyncresolver
        import dns.exception
        import dns.rdtypes.IN.SRV

        try:
            resolver = self._resolver = self._resolver or dns.asyncresolver.Resolver()
            answer = await resolver.resolve(name, "SRV", lifetime=SERVICE_TIMEOUT, search=False)
        except (dns.exception.DNSException, OSError) as error:
            _log.debug("no service records for %s: %s", name, error)
            return []
        return [
            ServiceRecord(record.priority, record.weight, record.port, record.target.to_text().rstrip("."))
            for record in answer
            if isinstance(record, dns.rdtypes.IN.SRV.SRV)
        ]

    async def addresses(self, host: str) -> list[str]:
        """See `Lookup`."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise ResolutionError(f"{host}: {error.strerror or error}") from error
        except UnicodeError:
            raise ResolutionError(f"{host}: not a host name") from None
        return [canonical_host(str(address[0])) for _, _, _, _, address in found]


def order_by_weight(records: Iterable[ServiceRecord], entropy: Entropy) -> list[ServiceRecord]:
    """Records by priority, and within one priority drawn by weight (RFC 2782)."""
    ordered: list[ServiceRecord] = []
    # Weight 0 stands first in its priority, so that it is drawn only when the random number is 0.
    waiting = sorted(records, key=lambda record: (record.priority, record.weight))
    while waiting:
        equal = [record for record in waiting if record.priority == waiting[0].priority]
        drawn = entropy.below(sum(record.weight for record in equal) + 1)
        for record in equal:
            drawn -= record.weight
            if drawn <= 0:
                ordered.append(record)
                waiting.remove(record)
                break
    return ordered


def _carriers(uri: StunUri | TurnUri, written: Transport | None) -> tuple[Transport, ...]:
    """The transports to ask for, preferred first."""
    if uri.secure:
        if written is Transport.UDP:
            raise ResolutionError(f"{uri.host}: {uri.scheme.upper()} over UDP is DTLS, which is not supported")
        if is_ip_address(uri.host):
            raise ResolutionError(f"{uri.host}: {uri.scheme}: is reached by host name, which its certificate proves")
        return (Transport.TLS,)
    if written is not None:
        return (Transport.TCP if written.reliable else Transport.UDP,)
    if isinstance(uri, TurnUri):
        return Transport.UDP, Transport.TCP
    return (Transport.UDP,)


async def _find(
    uri: StunUri | TurnUri, carriers: Sequence[Transport], lookup: Lookup, entropy: Entropy
) -> list[Target]:
    if is_ip_address(uri.host):
        return [Target(SocketAddress(canonical_host(uri.host), uri.port_or_default), carriers[0], uri.host)]
    if uri.port is None and _may_have_services(uri.host):
        names = [f"_{uri.scheme}._{'udp' if carrier is Transport.UDP else 'tcp'}.{uri.host}" for carrier in carriers]
        answers = await asyncio.gather(*map(lookup.service_records, names))
        if any(answers):
            return await _follow(uri, list(zip(carriers, answers, strict=True)), lookup, entropy)
    hosts = await lookup.addresses(uri.host)
    return [
        Target(SocketAddress(host, uri.port_or_default), carriers[0], uri.host)
        for host in hosts[:MAX_ADDRESSES_PER_HOST]
    ]


async def _follow(
    uri: StunUri | TurnUri,
    answers: list[tuple[Transport, list[ServiceRecord]]],
    lookup: Lookup,
    entropy: Entropy,
) -> list[Target]:
    """The targets of service records. RFC 2782: where there are records, the host's own addresses do not count."""
    steps = [
        (carrier, record)
        for carrier, records in answers
        for record in order_by_weight(records, entropy)[:MAX_SERVICE_RECORDS]
        if record.port and record.target
    ]
    if not steps:
        raise ResolutionError(f"{uri.host}: the domain says that it has no such service")
    found = await asyncio.gather(*(lookup.addresses(record.target) for _, record in steps), return_exceptions=True)
    targets: list[Target] = []
    for (carrier, record), hosts in zip(steps, found, strict=True):
        if isinstance(hosts, ResolutionError):
            _log.debug("service record of %s: %s", uri.host, hosts)
        elif isinstance(hosts, BaseException):
            raise hosts
        else:
            targets += [
                Target(SocketAddress(host, record.port), carrier, uri.host) for host in hosts[:MAX_ADDRESSES_PER_HOST]
            ]
    return targets


def _may_have_services(host: str) -> bool:
    # RFC 6761 section 6.3: questions about localhost never leave the machine.
    name = host.removesuffix(".")
    return "." in name and not name.endswith(".localhost")
