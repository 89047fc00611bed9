"""The checklist: candidates of both sides, the pairs made of them, and which one is checked next.

RFC 8445 section 6.1.2 for one stream with one component; candidates may come at any time (RFC 8838 section 11). There
are no frozen pairs (decision 0007).
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError
from icelane.ice.candidate import Candidate, CandidateType
from icelane.ice.event import IceRole
from icelane.ice.pair import CandidatePair, PairState

# Ours: one more is LocalProtocolError. Peer-reflexive ones, which the peer makes us learn, are not kept beyond it.
MAX_LOCAL_CANDIDATES: Final = 128
# The peer's: what it announces beyond that is passed over, and so what it could make us send is bounded (IC-6).
MAX_REMOTE_CANDIDATES: Final = 128
# Those that it did not announce. One more takes the place of one whose checks failed; where there is none, its check is
# answered and has no further effect, unless it nominates.
MAX_PEER_REFLEXIVE: Final = 32
# Triggered checks go first (RFC 8445 section 6.1.4.2), but not for ever: where every check of the peer comes from a new
# address, nothing else would be checked.
MAX_TRIGGERED_IN_A_ROW: Final = 2
# The ports of TCP that a peer may have us connect to, with those of the web: as browsers do.
LOWEST_TCP_PORT: Final = 1024
WEB_PORTS: Final = (80, 443)


class _Place(NamedTuple):
    """A port of UDP is another one than that of TCP with the same number."""

    address: SocketAddress
    transport: Transport


class Checklist:
    """All pairs of one ICE session, at most `max_pairs`: beyond, the least promising one gives way or is not made."""

    def __init__(self, max_pairs: int) -> None:
        self._max_pairs = max_pairs
        self._locals_by_address: dict[_Place, Candidate] = {}
        self._locals_by_base: dict[_Place, Candidate] = {}
        self._remotes_by_address: dict[_Place, Candidate] = {}
        self._peer_reflexive = 0
        self._pairs_by_path: dict[Path, CandidatePair] = {}  # by the planned path
        self._pairs_by_connection: dict[Path, CandidatePair] = {}  # of active candidates, which are connected
        self._triggered: deque[CandidatePair] = deque()
        self._triggered_in_a_row = 0

    def __len__(self) -> int:
        return len(self._pairs_by_path)

    def __iter__(self) -> Iterator[CandidatePair]:
        return iter(self._pairs_by_path.values())

    # Candidates

    def add_local(self, candidate: Candidate, base: SocketAddress, role: IceRole) -> list[CandidatePair]:
        """Add a candidate of ours and return the pairs that it makes."""
        if len(self._locals_by_address) >= MAX_LOCAL_CANDIDATES:
            raise LocalProtocolError(f"at most {MAX_LOCAL_CANDIDATES} local candidates")
        self._locals_by_address.setdefault(_place_of(candidate), candidate)
        place = _Place(base, candidate.carrier)
        known = self._locals_by_base.get(place)
        # RFC 8445 section 6.1.2.4: reflexive candidates are checked from their base, with which they are redundant.
        if known is None or candidate.priority > known.priority:
            self._locals_by_base[place] = candidate
            for pair in self:
                if _base_of(pair) == place and pair.valid_local is None:
                    pair.local = candidate
        if known is not None:
            return []
        return self._form_all(((place, remote) for remote in self._remotes_by_address.values()), role)

    def add_remote(self, candidate: Candidate, role: IceRole) -> list[CandidatePair]:
        """Add an announced candidate of the peer and return the pairs that it makes; none beyond the bounds."""
        place = _place_of(candidate)
        known = self._remotes_by_address.get(place)
        if known is not None and known.type is not CandidateType.PEER_REFLEXIVE:
            return []
        if len(self._remotes_by_address) - self._peer_reflexive >= MAX_REMOTE_CANDIDATES:
            return []
        self._peer_reflexive -= known is not None
        self._remotes_by_address[place] = candidate
        for pair in self:
            if pair.remote is known:
                # What was peer-reflexive has its real type and priority now.
                pair.remote = candidate
        return self._form_all(((base, candidate) for base in list(self._locals_by_base)), role)

    def learn_remote(self, candidate: Candidate, *, nominated: bool) -> bool:
        """Keep an address from which the peer sent a check, for the pair on which it came; False: it is too many."""
        if self._peer_reflexive >= MAX_PEER_REFLEXIVE and not self._forget_peer_reflexive(nominated):
            return False
        self._peer_reflexive += 1
        self._remotes_by_address[_place_of(candidate)] = candidate
        return True

    def learn_local(self, candidate: Candidate) -> Candidate:
        """Our candidate at that address, or `candidate`, which is new."""
        place = _place_of(candidate)
        known = self._locals_by_address.get(place)
        if known is None and len(self._locals_by_address) < MAX_LOCAL_CANDIDATES:
            self._locals_by_address[place] = candidate
        return known or candidate

    def remove_base(self, base: SocketAddress, transport: Transport = Transport.UDP) -> list[CandidatePair]:
        """Nothing leaves from `base` any more: its pairs, which are returned, fail, and stay for the statistics."""
        place = _Place(base, transport)
        self._locals_by_base.pop(place, None)
        gone = [pair for pair in self if _base_of(pair) == place]
        for pair in gone:
            pair.state = PairState.FAILED
        return gone

    def has_base(self, base: SocketAddress, transport: Transport = Transport.UDP) -> bool:
        """Whether checks leave from `base`."""
        return (base, transport) in self._locals_by_base

    def has_way(self, path: Path) -> bool:
        """Whether something may come on `path`: at a base, or on a connection of ours."""
        return (path.local, path.transport) in self._locals_by_base or path in self._pairs_by_connection

    def still_has(self, pair: CandidatePair) -> bool:
        """Whether `pair` has not been dropped, and its base is there."""
        return self._pairs_by_path.get(pair.planned) is pair and _base_of(pair) in self._locals_by_base

    def remote_at(self, address: SocketAddress, transport: Transport = Transport.UDP) -> Candidate | None:
        """The peer's candidate at `address`."""
        return self._remotes_by_address.get(_Place(address, transport))

    def drop_remotes(self, unwanted: Callable[[Candidate], bool]) -> None:
        """Forget the peer's candidates for which `unwanted` is true, and their pairs."""
        for candidate in [one for one in self._remotes_by_address.values() if unwanted(one)]:
            del self._remotes_by_address[_place_of(candidate)]
            for pair in [pair for pair in self if pair.remote is candidate]:
                self._drop(pair)

    @property
    def has_local(self) -> bool:
        return bool(self._locals_by_address)

    # Pairs

    def pair_at(self, path: Path) -> CandidatePair | None:
        """The pair of that path."""
        return self._pairs_by_path.get(path) or self._pairs_by_connection.get(path)

    def form(self, base: SocketAddress, remote: Candidate, role: IceRole) -> CandidatePair | None:
        """Make the pair of a base and a candidate of the peer, anew where it failed.

        None when they do not go together, when it is there already and when it is one too many.
        """
        local = self._locals_by_base.get(_Place(base, remote.carrier))
        if local is None or not _go_together(base.host, local.tcp_type, remote):
            return None
        pair = CandidatePair(local, remote, Path(base, remote.address, remote.carrier))
        before = self._pairs_by_path.get(pair.planned)
        if before is not None:
            if before.state is not PairState.FAILED:
                return None
            self._drop(before)
        if len(self._pairs_by_path) >= self._max_pairs and not self._make_room(pair, role):
            return None
        self._pairs_by_path[pair.planned] = pair
        return pair

    def connect(self, pair: CandidatePair, path: Path) -> None:
        """There is a connection for `pair`."""
        self._pairs_by_connection[path] = pair
        pair.path = path

    def disconnect(self, pair: CandidatePair) -> None:
        """There is none any more."""
        self._pairs_by_connection.pop(pair.path, None)
        pair.path = pair.planned

    def valid(self) -> list[CandidatePair]:
        """The pairs whose check succeeded."""
        return [pair for pair in self if pair.valid]

    def live(self) -> list[CandidatePair]:
        """The pairs that may still become valid."""
        return [pair for pair in self if pair.live]

    # Order

    def trigger(self, pair: CandidatePair) -> None:
        """Check `pair` before all that were not triggered (RFC 8445 section 6.1.4.1)."""
        if not pair.queued:
            pair.queued = True
            self._triggered.append(pair)

    def next_pair(self, role: IceRole, wanted: Callable[[CandidatePair], bool]) -> CandidatePair | None:
        """Which pair to check now: a triggered one, or the best that waits. Triggered ones leave the queue."""
        pair = None
        if self._triggered_in_a_row < MAX_TRIGGERED_IN_A_ROW:
            pair = self._next_triggered(wanted)
        if pair is None:
            self._triggered_in_a_row = 0
            waiting = (one for one in self if one.state is PairState.WAITING and not one.queued and wanted(one))
            pair = max(waiting, key=lambda one: one.priority(role), default=None)
        return pair or self._next_triggered(wanted)

    def _next_triggered(self, wanted: Callable[[CandidatePair], bool]) -> CandidatePair | None:
        while self._triggered:
            pair = self._triggered.popleft()
            pair.queued = False
            if (pair.state is PairState.WAITING or pair.recheck) and wanted(pair):
                self._triggered_in_a_row += 1
                return pair
        return None

    def has_next(self, wanted: Callable[[CandidatePair], bool]) -> bool:
        """Whether `next_pair` has one to give."""
        return any(wanted(pair) for pair in self if pair.state is PairState.WAITING or (pair.queued and pair.recheck))

    def _form_all(self, combinations: Iterable[tuple[_Place, Candidate]], role: IceRole) -> list[CandidatePair]:
        formed = [
            self.form(base.address, remote, role)
            for base, remote in combinations
            if base.transport is remote.carrier and self._locals_by_base[base].tcp_type != "passive"
        ]
        return [pair for pair in formed if pair is not None and self._pairs_by_path.get(pair.planned) is pair]

    def _make_room(self, pair: CandidatePair, role: IceRole) -> bool:
        """Drop a pair that failed, or one that waits and is worth less than `pair`."""
        droppable = [one for one in self if one.state in (PairState.FAILED, PairState.WAITING)]
        if not droppable:
            return False
        victim = min(droppable, key=lambda one: (one.state is PairState.WAITING, one.priority(role)))
        if victim.state is PairState.WAITING and victim.priority(role) >= pair.priority(role):
            return False
        self._drop(victim)
        return True

    def _forget_peer_reflexive(self, live_ones: bool) -> bool:
        """Make room for another one.

        Two NATs that map by address and port but let everybody in make every check come from a new address, and its
        answer from yet another: dozens of pairs fail within seconds, and one behind them works.
        """
        states: dict[_Place, set[PairState]] = {}
        for pair in self:
            if pair.remote.type is CandidateType.PEER_REFLEXIVE:
                states.setdefault(_place_of(pair.remote), set()).add(pair.state)
        failed = (place for place, found in states.items() if found == {PairState.FAILED})
        invalid = (place for place, found in states.items() if PairState.SUCCEEDED not in found)
        victim = next(failed, None) or (next(invalid, None) if live_ones else None)
        if victim is None:
            return False
        self.drop_remotes(lambda candidate: _place_of(candidate) == victim)
        self._peer_reflexive -= 1
        return True

    def _drop(self, pair: CandidatePair) -> None:
        del self._pairs_by_path[pair.planned]
        self._pairs_by_connection.pop(pair.path, None)
        pair.state = PairState.FAILED  # what is still queued or under way leads nowhere


def may_be_checked(candidate: Candidate) -> bool:
    """Whether a candidate of the peer, which has an address, is one that checks of ours can go to.

    Over TCP it is a passive one: active ones come to us (RFC 6544 section 6.2), and `so` is not supported. It has a
    port at which no service of the system is expected (decision 0023): nobody has us knock at the door of a mail
    server in the name of a call.
    """
    if not is_reachable(candidate.address):
        return False
    if candidate.transport == "tcp":
        return candidate.tcp_type == "passive" and (candidate.port >= LOWEST_TCP_PORT or candidate.port in WEB_PORTS)
    return candidate.transport == "udp"


def is_reachable(address: SocketAddress) -> bool:
    """Whether a check may be sent to that address at all: no multicast, no broadcast, nothing unspecified."""
    ip = ipaddress.ip_address(address.host)
    if ip.version == 6 and ip.ipv4_mapped is not None:
        return False
    return address.port != 0 and not (ip.is_multicast or ip.is_unspecified or address.host == "255.255.255.255")


def _place_of(candidate: Candidate) -> _Place:
    return _Place(candidate.address, candidate.carrier)


def _base_of(pair: CandidatePair) -> _Place:
    return _Place(pair.planned.local, pair.planned.transport)


def _go_together(local: str, local_tcp_type: str | None, remote: Candidate) -> bool:
    """RFC 8445 section 6.1.2.2: the same family, and link-local addresses of IPv6 only with each other.

    RFC 6544 section 6.2: active candidates with passive ones. And what listens on the loopback interface is for nobody
    whom we did not find there, though the kernel would connect us.
    """
    if (":" in local) is not (":" in remote.host):
        return False
    if local_tcp_type is not None:
        if {local_tcp_type, remote.tcp_type} != {"active", "passive"}:
            return False
        if ipaddress.ip_address(local).is_loopback is not ipaddress.ip_address(remote.host).is_loopback:
            return False
    return ":" not in local or _is_link_local(local) is _is_link_local(remote.host)


def _is_link_local(host: str) -> bool:
    return ipaddress.ip_address(host).is_link_local
