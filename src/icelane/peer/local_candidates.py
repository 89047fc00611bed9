"""Our own candidates: their priorities and what they tell (RFC 8445 section 5.1).

With `relay_only` the related address is neutral, because the mapped address is what a relayed candidate must not give
away (RFC 8828 section 5.2; IC-8).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType, Foundations, compute_priority

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

    def __init__(self, *, relay_only: bool) -> None:
        self.relay_only = relay_only
        self._foundations = Foundations()

    def host(self, base: SocketAddress, preference: int) -> Candidate:
        """Of a socket of ours; `preference` is 0 to 65535."""
        return Candidate(
            type=CandidateType.HOST,
            host=base.host,
            port=base.port,
            priority=compute_priority(CandidateType.HOST, preference),
            foundation=self._foundations.of(CandidateType.HOST, base.host),
        )

    def reflexive(
        self, mapped: SocketAddress, base: SocketAddress, server: SocketAddress, preference: int
    ) -> Candidate:
        """Of a socket of ours, as `server` sees it."""
        return Candidate(
            type=CandidateType.SERVER_REFLEXIVE,
            host=mapped.host,
            port=mapped.port,
            priority=compute_priority(CandidateType.SERVER_REFLEXIVE, preference),
            foundation=self._foundations.of(CandidateType.SERVER_REFLEXIVE, base.host, server.host),
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


def without_related(candidate: Candidate) -> Candidate:
    """The same with a neutral related address."""
    return replace(candidate, related=_NEUTRAL[candidate.address.family])
