"""Our own candidates: their priorities and what they tell (RFC 8445 section 5.1).

What is made here is for ICE; `shown` is what the peer and the statistics are told. With `relay_only` the related
address is neutral, because the mapped address is what a relayed candidate must not give away (RFC 8828 section 5.2;
IC-8). An address that a public one replaces is in nothing that is told; with names, none of this machine is (IC-9).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType, Foundations, compute_priority
from icelane.peer.external_addresses import ExternalAddresses
from icelane.peer.host_names import HostNames

# RFC 8839 section 5.1: how a related address that is not told is written.
_NEUTRAL: Final = {
    AddressFamily.IPV4: SocketAddress("0.0.0.0", 9),
    AddressFamily.IPV6: SocketAddress("::", 9),
}
# A relay that is reached over UDP loses less time than one over TCP, and that one less than one over TLS. In the upper
# bits of the local preference, so that it outweighs which interface it is.
_RELAY_RANK: Final = {Transport.UDP: 3, Transport.TCP: 2, Transport.TLS: 1}
_RANK_SHIFT: Final = 14


class LocalCandidates:
    """Makes candidates, and numbers their foundations."""

    def __init__(
        self, *, relay_only: bool, external: ExternalAddresses | None = None, names: HostNames | None = None
    ) -> None:
        self.relay_only = relay_only
        self._names = names
        self._hosts: set[str] = set()
        self._external = external or ExternalAddresses()
        self._public_by_replaced: dict[str, str] = {}
        self._foundations = Foundations()

    def direct(self, base: SocketAddress, preference: int) -> list[Candidate]:
        """Of a socket of ours, as far as nobody has to be asked; `preference` is 0 to 65535."""
        self._hosts.add(base.host)
        public = self._external.of(base.host)
        if public is None:
            return [self.host(base, preference)]
        if self._external.replaces:
            self._public_by_replaced[base.host] = public
            return [replace(self.host(base, preference), host=public)]
        return [
            self.host(base, preference),
            self.reflexive(SocketAddress(public, base.port), base, None, preference),
        ]

    def host(self, base: SocketAddress, preference: int) -> Candidate:
        """Of a socket of ours, at its own address."""
        return Candidate(
            type=CandidateType.HOST,
            host=base.host,
            port=base.port,
            priority=compute_priority(CandidateType.HOST, preference),
            foundation=self._foundations.of(CandidateType.HOST, base.host),
        )

    def tcp(self, base: SocketAddress, tcp_type: str, preference: int) -> list[Candidate]:
        """Of a host from which we connect (`active`), or of a port of ours that listens (`passive`)."""
        self._hosts.add(base.host)
        host = self._tcp_host(base, tcp_type, preference)
        public = self._external.of(base.host)
        if public is None:
            return [host]
        if self._external.replaces:
            self._public_by_replaced[base.host] = public
            return [replace(host, host=public)]
        if tcp_type == "active":
            return [host]  # nobody connects there
        kind = CandidateType.SERVER_REFLEXIVE
        reflexive = replace(
            host,
            type=kind,
            host=public,
            priority=compute_priority(kind, preference, tcp_type=tcp_type),
            foundation=self._foundations.of(kind, base.host, transport="tcp"),
            related=base,
        )
        return [host, reflexive]

    def _tcp_host(self, base: SocketAddress, tcp_type: str, preference: int) -> Candidate:
        return Candidate(
            type=CandidateType.HOST,
            host=base.host,
            port=base.port,
            priority=compute_priority(CandidateType.HOST, preference, tcp_type=tcp_type),
            foundation=self._foundations.of(CandidateType.HOST, base.host, transport="tcp"),
            transport="tcp",
            tcp_type=tcp_type,
        )

    def reflexive(
        self, mapped: SocketAddress, base: SocketAddress, server: SocketAddress | None, preference: int
    ) -> Candidate:
        """Of a socket of ours, as `server` sees it, or as we were told that everybody does."""
        return Candidate(
            type=CandidateType.SERVER_REFLEXIVE,
            host=mapped.host,
            port=mapped.port,
            priority=compute_priority(CandidateType.SERVER_REFLEXIVE, preference),
            foundation=self._foundations.of(
                CandidateType.SERVER_REFLEXIVE, base.host, server.host if server is not None else ""
            ),
            related=base,
        )

    def relayed(
        self, relayed: SocketAddress, mapped: SocketAddress, server: SocketAddress, transport: Transport, index: int
    ) -> Candidate:
        """On a TURN server that is reached over `transport`; the earlier of several has the lower `index`."""
        rank = _RELAY_RANK[transport] << _RANK_SHIFT
        preference = rank | (1 << _RANK_SHIFT) - 1 - min(index, (1 << _RANK_SHIFT) - 1)
        candidate = Candidate(
            type=CandidateType.RELAYED,
            host=relayed.host,
            port=relayed.port,
            priority=compute_priority(CandidateType.RELAYED, preference),
            foundation=self._foundations.of(CandidateType.RELAYED, relayed.host, server.host, transport.value),
            related=mapped,
        )
        return without_related(candidate) if self.relay_only else candidate

    def shown(self, candidate: Candidate) -> Candidate:
        """What may be told of a candidate of ours."""
        if self._names is not None:
            return self._named(candidate, self._names)
        related = candidate.related
        if related is None or (public := self._public_by_replaced.get(related.host)) is None:
            return candidate
        # A server in our own network sees, and a check from there meets, the address that is replaced.
        return replace(candidate, related=SocketAddress(public, related.port))

    def shown_base(self, base: SocketAddress) -> SocketAddress:
        """What may be told of where a socket of ours is; the host may be a name."""
        if self._names is None or base.host not in self._hosts:
            return base
        return SocketAddress(self._names.of(base.host), base.port)

    def may_tell(self, mapped: SocketAddress) -> bool:
        """Whether a server may be believed that we are seen there: not where that is an address to be hidden."""
        return self._names is None or mapped.host not in self._hosts

    def hidden(self, candidates: Iterable[Candidate]) -> dict[str, str]:
        """The addresses of this machine in these candidates, by the names that are told in their place."""
        if self._names is None:
            return {}
        return {self._names.of(one.host): one.host for one in candidates if one.host in self._hosts}

    def _named(self, candidate: Candidate, names: HostNames) -> Candidate:
        if candidate.related is not None:
            candidate = without_related(candidate)
        return replace(candidate, host=names.of(candidate.host)) if candidate.host in self._hosts else candidate


def without_related(candidate: Candidate) -> Candidate:
    """The same with a neutral related address."""
    return replace(candidate, related=_NEUTRAL[candidate.address.family])
