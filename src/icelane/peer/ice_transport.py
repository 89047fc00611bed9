"""ICE with what gathers for it: the agent, the probes of STUN servers and the relays, behind one engine.

       bases, servers                                candidates, states
             |                                              ^
     +-------v----------------------------------------------+-------+
     |  ReflexiveProbes      Relays ---- relayed bases ---> IceAgent |
     +-------^------------------^---------------------------^-------+
             |                  |                           |
        STUN answers      from TURN servers       checks; data if `accepts`

    ice = IceTransport(role=IceRole.CONTROLLING, credentials=credentials, entropy=entropy)
    ice.start_gathering(now)
    ice.add_base(base, now)                       # a UDP socket is bound there
    ice.add_relay_server(RelayServer(...), now)
    ice.sources_done(now)                         # no more bases and servers
    ice.set_remote_credentials(credentials, now)
    ice.add_remote_candidate("candidate:...", now)

It is driven like any engine. Two polls more: `poll_command` for streams to open and names to look up, `poll_relayed`
for datagrams that came to a relayed address, which are told apart above as those of a socket are. With `relay_only`,
nothing leaves for anybody but the TURN servers, and no address of ours or of our network is in what it tells. That can
be changed with a restart, and so can the servers; what carries data until then goes on until the restart has found its
pair. With `strict` as well, candidates of the peer that are not relayed are refused, so that no server is asked for a
way to where it is.

With `hide_addresses` the addresses of this machine are told as names, which `PublishName` and `WithdrawName` make known
and unknown on the local network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from icelane.core.clock import Instant, earliest
from icelane.core.engine import Transmit, transmits_on
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IcelaneError, LocalProtocolError, MalformedError, StunError
from icelane.ice.agent import IceAgent
from icelane.ice.candidate import COMPONENT, Candidate, CandidateType, is_mdns_name, parse_candidate
from icelane.ice.credentials import Credentials
from icelane.ice.event import ConnectionUnwanted, ConnectionWanted, IceEvent, IceRole, IceState, PairSelected
from icelane.ice.options import IceOptions
from icelane.ice.pair import PairReport
from icelane.peer.external_addresses import ExternalAddresses
from icelane.peer.found_candidates import Found, FoundCandidates
from icelane.peer.host_names import HostNames
from icelane.peer.ice_server import TOO_MANY
from icelane.peer.ice_transport_event import (
    CandidateFailed,
    CandidateGathered,
    ConnectPeer,
    DisconnectPeer,
    GatheringState,
    GatheringStateChanged,
    IceTransportCommand,
    IceTransportEvent,
    LocalReport,
    PublishName,
    ResolveName,
    WithdrawName,
)
from icelane.peer.local_candidates import LocalCandidates
from icelane.peer.reflexive import MappedAddressFound, ProbeFailed, ReflexiveEvent, ReflexiveProbes
from icelane.peer.relays import (
    RelayedAddressFound,
    RelayEvent,
    RelayFailed,
    RelayLost,
    Relays,
    RelayServer,
)
from icelane.peer.remote_names import RemoteNames
from icelane.stun.message import looks_like_stun, parse_message

# W3C section 4.8.1: the code that is no STUN code, for servers that did not answer or were not reached.
UNREACHABLE: Final = 701


class _BeforeRestart(NamedTuple):
    """What a restart has put aside, for when its offer is taken back."""

    found: list[Found]
    relay_only: bool
    strict: bool
    tcp_bases: set[SocketAddress]

    def without(self, base: SocketAddress, transport: Transport) -> _BeforeRestart:
        """The same, and that base is gone for that transport."""
        found = [one for one in self.found if one.base != base or one.candidate.carrier is not transport]
        tcp_bases = self.tcp_bases - {base} if transport is Transport.TCP else self.tcp_bases
        return self._replace(found=found, tcp_bases=tcp_bases)


class IceTransport:
    """One component of ICE, and all that finds paths for it."""

    def __init__(
        self,
        *,
        role: IceRole,
        credentials: Credentials,
        entropy: Entropy,
        relay_only: bool = False,
        strict: bool = False,
        external: ExternalAddresses | None = None,
        hide_addresses: bool = False,
        options: IceOptions | None = None,
    ) -> None:
        self.agent = IceAgent(role=role, credentials=credentials, entropy=entropy, options=options or IceOptions())
        self.gathering_state = GatheringState.NEW
        self._is_lite = options is not None and options.lite
        self._entropy = entropy
        self._relay_only = relay_only or strict
        self._strict = strict
        self._closed = False
        # What `next_timeout` said, until something but payload has passed: that is asked for each batch of it.
        self._deadline: Instant | None = None
        self._knows_deadline = False
        self._hides = hide_addresses
        self._published: frozenset[str] = frozenset()
        names = HostNames(entropy) if hide_addresses else None
        self._make = LocalCandidates(relay_only=self._relay_only, external=external, names=names)
        self._probes = ReflexiveProbes(entropy=entropy)
        self._relays = Relays(entropy=entropy)
        self.agent.announced_only = strict
        self._preferences_by_base: dict[SocketAddress, int] = {}
        self._tcp_bases: set[SocketAddress] = set()
        self._locals = FoundCandidates()
        self._before_restart: _BeforeRestart | None = None
        self._leaves_out = False
        self._forgets_peers = False
        self._sources_done = False
        self._holds_back = False
        self._selected: PairSelected | None = None
        self.selections = 0
        self._names = RemoteNames()
        self._transmits: deque[Transmit] = deque()
        self._events: deque[IceTransportEvent] = deque()
        self._commands: deque[IceTransportCommand] = deque()
        self.discarded = 0
        self.refused = 0

    # Inputs

    def handle_stun(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram came on `path` that is STUN by its first byte, from nobody that `handle_from_server` knows."""
        try:
            message = parse_message(data)
        except MalformedError:
            self.discarded += 1
            return
        if not self._probes.handle_message(message, path, now):
            # Whoever is there must not learn that we are here, unless data has gone there until the policy changed.
            if self._relay_only and self._is_direct(path) and not self.agent.accepts(path):
                self.discarded += 1
                return
            self.agent.handle_datagram(data, path, now)
        self._settle(now)

    def handle_from_server(self, data: bytes, path: Path, now: Instant) -> bool:
        """Bytes came on `path`; whether a TURN server of ours is there, and they were its."""
        # Most TURN servers are STUN servers at the same address, and the two are asked from the same socket.
        is_probed = self._probes.pending and looks_like_stun(data) and self._handle_probed(data, path, now)
        if not is_probed and not self._relays.handle_datagram(data, path, now):
            return False
        self._settle(now)
        return True

    def handle_stream_opened(self, number: int, path: Path, now: Instant) -> None:
        """The stream that `OpenStream` asked for is there."""
        self._relays.handle_stream_opened(number, path, now)
        self._settle(now)

    def handle_stream_failed(self, number: int, error: IcelaneError, now: Instant) -> None:
        """The stream that `OpenStream` asked for cannot be had."""
        self._relays.handle_stream_failed(number, error, now)
        self._settle(now)

    def handle_stream_closed(self, path: Path, now: Instant) -> None:
        """The stream of `path` is gone."""
        self._relays.handle_stream_closed(path, now)
        self._settle(now)

    def handle_peer_connected(self, planned: Path, path: Path, now: Instant) -> None:
        """The connection that `ConnectPeer` asked for is there."""
        if self._closed:
            self._commands.append(DisconnectPeer(path))
            return
        self.agent.handle_connected(planned, path, now)
        self._settle(now)

    def handle_peer_connect_failed(self, planned: Path, now: Instant) -> None:
        """The connection that `ConnectPeer` asked for cannot be had."""
        self.agent.handle_connect_failed(planned, now)
        self._settle(now)

    def handle_peer_disconnected(self, path: Path, now: Instant) -> None:
        """A TCP connection with the peer, made or accepted, is gone."""
        self.agent.handle_disconnected(path, now)
        self._settle(now)

    def handle_name_resolved(self, name: str, host: str | None, now: Instant) -> None:
        """What `ResolveName` asked for; None when nobody on the network knows it."""
        candidates = self._names.take(name)
        if host is None or self._relay_only:
            return
        for candidate in candidates:
            self.agent.add_remote_candidate(candidate.resolved_to(host), now)
        self._settle(now)

    def handle_early_data(self, path: Path, now: Instant) -> None:
        """Data has come on `path`, where the peer has proved itself and our check is not answered."""
        self.agent.handle_early_data(path, now)
        self._settle(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self._probes.handle_timeout(now)
        self._relays.handle_timeout(now)
        self.agent.handle_timeout(now)
        self._settle(now)

    # Commands

    def start_gathering(self, now: Instant) -> None:
        """From now on candidates are told; what is known already is told at once."""
        if self.gathering_state is GatheringState.NEW:
            self._change_gathering(GatheringState.GATHERING)
            self._settle(now)

    def add_base(self, base: SocketAddress, preference: int, now: Instant, *, is_shared: bool = False) -> None:
        """A UDP socket of ours is bound there; again is harmless. `preference`, 0 to 65535, ranks it.

        One that `is_shared` with other connections leads to no TURN server: an allocation belongs to both addresses of
        its path (RFC 8656 section 2.2), and they would have it together. `add_relay_base` is for that.
        """
        self._tell_held_back(now)
        if base in self._preferences_by_base or self._closed:
            return
        self._preferences_by_base[base] = preference
        if not self._relay_only:
            self._use_directly(base, now)
        if not is_shared:
            self._relays.add_base(base, now)
        self._settle(now)

    def add_relay_base(self, base: SocketAddress, now: Instant) -> None:
        """A UDP socket of ours is bound there, for TURN servers and nothing else; again is harmless."""
        self._holds_back = False
        self._relays.add_base(base, now)
        self._settle(now)

    def note_families(self, *, has_ipv6: bool) -> None:
        """Whether the machine has IPv6, for servers that are reached over TCP beside bases that are all shared."""
        self._relays.has_ipv6 = has_ipv6

    def remove_base(self, base: SocketAddress, now: Instant) -> None:
        """The socket is gone."""
        self._relays.remove_base(base, now)  # what `take_over` brought may be reached from one that was never added
        if self._preferences_by_base.pop(base, None) is not None:
            self._probes.remove_base(base)
            self._remove_local(base, Transport.UDP, now)
        self._settle(now)

    def fail_base(self, base: SocketAddress, reason: str, now: Instant) -> None:
        """No socket can be had on an address of ours."""
        self._holds_back = False
        told = None if self._relay_only or self._hides else base
        self._events.append(CandidateFailed(told, "", UNREACHABLE, reason))
        self._settle(now)

    def add_tcp_base(self, base: SocketAddress, tcp_type: str, preference: int, now: Instant) -> None:
        """We can connect by TCP from the host of `base` (`active`, port 9), or listen at `base` (`passive`).

        Again is harmless. With `relay_only` neither is done, and it is to be said again when the policy is another.
        """
        self._tell_held_back(now)
        if base in self._tcp_bases or self._closed or self._relay_only:
            return
        if self._is_lite and tcp_type == "active":
            return  # RFC 6544 section 4.4: it checks nothing, and so connects to nobody
        self._tcp_bases.add(base)
        for candidate in self._make.tcp(base, tcp_type, preference):
            self._add_local(candidate, base, None, now)
        self._settle(now)

    def remove_tcp_base(self, base: SocketAddress, now: Instant) -> None:
        """That is so no more; what is connected there is lost."""
        if base in self._tcp_bases:
            self._tcp_bases.discard(base)
            self._remove_local(base, Transport.TCP, now)
            self._settle(now)

    def doubt(self, now: Instant) -> None:
        """The machine has slept, or its network has changed: find out at once what is still there."""
        if self._closed:
            return
        self._relays.doubt(now)
        self.agent.doubt(now)
        self._settle(now)

    def doubt_peer(self, now: Instant) -> None:
        """Find out at once whether the peer is still where we send."""
        self.agent.doubt(now)
        self._settle(now)

    def add_stun_server(self, server: SocketAddress, url: str, now: Instant) -> None:
        """Ask there how the outside sees us; with `relay_only`, nobody is asked."""
        self._tell_held_back(now)
        if self._relay_only:
            return
        if not self._probes.add_server(server, url, now):
            self.fail_server(url, TOO_MANY, now)
        self._settle(now)

    def add_relay_server(self, server: RelayServer, now: Instant) -> None:
        """Ask there for a relayed address."""
        self._holds_back = False
        if not self._relays.add_server(server, now):
            self.fail_server(server.url, TOO_MANY, now)
        self._settle(now)

    def fail_server(self, url: str, reason: str, now: Instant) -> None:
        """A server could not even be asked, such as one whose name does not resolve."""
        self._holds_back = False
        self._events.append(CandidateFailed(None, url, UNREACHABLE, reason))
        self._settle(now)

    def sources_done(self, now: Instant) -> None:
        """Every base and every server has been named; once the last answer is there gathering is complete."""
        self._sources_done, self._holds_back = True, False
        self._settle(now)

    def set_remote_credentials(self, credentials: Credentials, now: Instant, *, lite: bool = False) -> None:
        """The user name fragment and password of the peer."""
        self.agent.set_remote_credentials(credentials, now, lite=lite)
        self._settle(now)

    def add_remote_candidate(self, line: str, now: Instant) -> None:
        """A candidate of the peer, as a line of SDP; raises MalformedError.

        One for another transport or component is left out, and of TCP all but passive ones; so is one that `strict`
        forbids, which `refused` counts. A name is looked up only if it is one of mDNS (IC-7), and with `relay_only` not
        even then; a lite agent needs none.
        """
        candidate = parse_candidate(line)
        if candidate.component != COMPONENT or candidate.transport not in ("udp", "tcp"):
            return
        if self._strict and candidate.type is not CandidateType.RELAYED:
            self.refused += 1
            return
        if self._strict:
            candidate = replace(candidate, related=None)  # where the peer is must not be in what we tell
        if candidate.tcp_type in ("active", "so"):
            return  # it comes to us, or is not supported: nobody's name is asked for in vain
        if candidate.host_name is None:
            self.agent.add_remote_candidate(candidate, now)
        elif self._may_look_up(candidate.host) and self._names.wait_for(candidate):
            self._commands.append(ResolveName(candidate.host))
        self._settle(now)

    def remote_candidates_done(self, now: Instant) -> None:
        """The peer has no more candidates."""
        self.agent.remote_candidates_done(now)
        self._settle(now)

    def restart(
        self,
        credentials: Credentials,
        now: Instant,
        *,
        relay_only: bool | None = None,
        strict: bool | None = None,
        urls: frozenset[str] | None = None,
    ) -> None:
        """Begin anew with other credentials; data goes on along the selected path until a new one is found.

        `relay_only` and `strict` are the policy from now on, None for the one of before. Servers are asked again by
        adding them. What others than those of `urls` gave is told no more, and their relayed addresses are given back
        when the new path has been found; None leaves nobody out. Nothing is told before the first base or server is
        named, or all have been: whoever looks at the machine removes first what is not to be used any more.
        """
        self.agent.restart(now, credentials)
        if self._before_restart is None:
            self._before_restart = _BeforeRestart(
                self._locals.snapshot(), self._relay_only, self._strict, set(self._tcp_bases)
            )
        strict = self._strict if strict is None else strict
        self._change_policy((self._relay_only if relay_only is None else relay_only) or strict, strict, now)
        if urls is not None:
            self._probes.keep_servers(urls)
            self._relays.keep_servers(urls, now)
            self._locals.keep(lambda local: local.url is None or local.url in urls)
            self._leaves_out = True
        self._relays.tell_again()  # those that were left out until now, or were found for a restart that was undone
        self._probes.resume()
        self._locals.tell_again()
        self._forgets_peers = self._strict
        self._sources_done = False  # the machine is looked at once more
        self._holds_back = True
        self._change_gathering(GatheringState.GATHERING)
        for local in self._locals:
            self.agent.add_local_candidate(local.candidate, local.base, now)
        self._settle(now)

    def undo_restart(self, now: Instant) -> None:
        """The description that asked for the restart was taken back: go on as before."""
        self.agent.undo_restart(now)
        if self._before_restart is not None:
            before = self._before_restart
            self._relay_only, self._strict, self._tcp_bases = before.relay_only, before.strict, before.tcp_bases
            self._locals.restore(before.found)
            self._make.relay_only = self._relay_only
            self.agent.announced_only = self._strict
            self._before_restart = None
        self._relays.keep_all()
        self._leaves_out = self._forgets_peers = self._holds_back = False
        self._locals.take_untold()
        self._settle(now)

    def take_over(self, ended: IceTransport) -> None:
        """Give back what `ended`, which was closed, still has at TURN servers; to be called before anything else."""
        self._knows_deadline = False
        self._relays.take_over(ended._relays)
        self._transmits += ended.take_transmits()
        self._commands += ended._commands
        ended._commands.clear()

    def send(self, batch: Sequence[bytes], now: Instant) -> bool:
        """Send payload to the peer on the path that is selected, or else valid; False when there is none."""
        path = self.agent.data_path
        if path is None:
            return False
        if self._is_direct(path):
            self._transmits.extend(transmits_on(path, batch))
        else:
            self._knows_deadline = False
            for data in batch:
                self._relays.send(data, path, now)
            self._drain_relay_transmits()
        return True

    def close(self, now: Instant) -> None:
        """Stop everything, and give relayed addresses back; `idle` once the servers know."""
        if self._closed:
            return
        self._closed = True
        self.agent.close(now)
        while (event := self.agent.poll_event()) is not None:
            self._pass_on(event)
        self._names.clear()
        self._probes = ReflexiveProbes(entropy=self._entropy)  # what still waited for an answer waits no more
        self._relays.close(now)
        self._settle(now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next thing to send, or None."""
        return self._transmits.popleft() if self._transmits else None

    def take_transmits(self) -> list[Transmit]:
        """Everything that there is to send."""
        transmits = list(self._transmits)
        self._transmits.clear()
        return transmits

    def poll_event(self) -> IceTransportEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def poll_command(self) -> IceTransportCommand | None:
        """The next effect that is no datagram, or None."""
        return self._commands.popleft() if self._commands else None

    def poll_relayed(self) -> tuple[bytes, Path] | None:
        """The next datagram that came to a relayed address, for whoever tells protocols apart, or None."""
        relayed = self._relays.poll_data()
        return (relayed.data, relayed.path) if relayed is not None else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        if not self._knows_deadline:
            agent, probes, relays = self.agent.next_timeout(), self._probes.next_timeout(), self._relays.next_timeout()
            self._deadline = earliest(agent, probes, relays)
            self._knows_deadline = True
        return self._deadline

    # Properties and privates

    @property
    def relay_only(self) -> bool:
        return self._relay_only

    @property
    def idle(self) -> bool:
        """Whether no server holds anything for us."""
        return self._relays.idle

    @property
    def has_servers(self) -> bool:
        """Whether bytes may come from a TURN server."""
        return not self._relays.idle

    @property
    def bases(self) -> list[SocketAddress]:
        """Where sockets of ours are bound."""
        return list(self._preferences_by_base)

    @property
    def local_reports(self) -> list[LocalReport]:
        """Ours, in the order in which they were found, as they are told; with `relay_only`, only relayed ones."""
        return [
            LocalReport(self._make.shown(local.candidate), local.base, local.url, self._relay_protocol(local.base))
            for local in self._locals
        ]

    def report_of(self, shown: Candidate, base: SocketAddress) -> LocalReport:
        """The same of the one that is in a pair, which may be reflexive of the peer; `shown` as it may be told."""
        for report in self.local_reports:
            if (report.candidate, report.base) == (shown, base):
                return report
        relay = self._relays.server_of(base)
        return LocalReport(shown, base, relay.url if relay is not None else None, self._relay_protocol(base))

    @property
    def selected(self) -> PairSelected | None:
        """The path that both sides have agreed on, None before that and after it was lost."""
        return self._selected if self.agent.selected is not None else None

    @property
    def in_use(self) -> PairReport | None:
        """The pair that carries data now: the selected one, and until there is one the best that works."""
        found = next((pair for pair in self.agent.pairs() if pair.carries_data), None)
        return None if found is None else replace(found, local=self._make.shown(found.local))

    def shown(self, candidate: Candidate) -> Candidate:
        """What may be told of a candidate of ours that is in a pair."""
        return self._make.shown(candidate)

    def shown_base(self, base: SocketAddress) -> SocketAddress:
        """What may be told of where a socket of ours is; the host may be a name."""
        return self._make.shown_base(base)

    def relay_of(self, base: SocketAddress) -> RelayServer | None:
        """The server behind a relayed base, None for a socket of ours."""
        return self._relays.server_of(base)

    def _relay_protocol(self, base: SocketAddress) -> Transport | None:
        relay = self._relays.server_of(base)
        return relay.transport if relay is not None else None

    def _is_direct(self, path: Path) -> bool:
        """Whether what leaves on `path` goes to the peer itself, from a socket of ours."""
        return path.transport is Transport.TCP or path.local in self._preferences_by_base

    def _use_directly(self, base: SocketAddress, now: Instant) -> None:
        for candidate in self._make.direct(base, self._preferences_by_base[base]):
            self._add_local(candidate, base, None, now)
        self._probes.add_base(base, now)

    def _change_policy(self, relay_only: bool, strict: bool, now: Instant) -> None:
        """The agent knows no candidate of ours now; those that the policy allows are to be in `_locals`."""
        if (relay_only, strict) == (self._relay_only, self._strict):
            return
        self._relay_only = self._make.relay_only = relay_only
        self._strict = self.agent.announced_only = strict
        if relay_only:
            self._locals.keep_relayed()
            self._probes = ReflexiveProbes(entropy=self._entropy)  # no server is asked or reminded of us any more
            self._names.clear()
            self._tcp_bases.clear()  # nobody listens any more
        else:
            for base in self._preferences_by_base:
                self._use_directly(base, now)

    def _may_look_up(self, name: str) -> bool:
        return is_mdns_name(name) and not self._relay_only and not self._is_lite

    def _handle_probed(self, data: bytes, path: Path, now: Instant) -> bool:
        try:
            return self._probes.handle_message(parse_message(data), path, now)
        except MalformedError:
            return False

    def _settle(self, now: Instant) -> None:
        """Pass on what one part has said to the others, until nobody has anything to say."""
        self._knows_deadline = False
        if self._closed:
            self._settle_the_end()
            return
        while (probe := self._probes.poll_event()) is not None:
            self._handle_probe(probe, now)
        while (relay := self._relays.poll_event()) is not None:
            self._handle_relay(relay, now)
        while (event := self.agent.poll_event()) is not None:
            self._handle_ice(event, now)
        if self._leaves_out and not self.agent.is_replacing:
            # RFC 8445 section 8.3: what no pair needs any more, once late data on the old pair has had its time.
            self._leaves_out = False
            selected = self.agent.selected
            self._relays.release_left_out(selected.local if selected is not None else None, now)
        if self._forgets_peers and (self.agent.state is IceState.FAILED or not self.agent.is_replacing):
            # IC-8: peers of before the restart that `strict` refuses; those that carry data until the end of that.
            self._forgets_peers = self.agent.is_replacing
            self._relays.keep_peers({pair.path.remote for pair in self.agent.pairs()})
        self._drain_transmits(now)
        while (command := self._relays.poll_command()) is not None:
            self._commands.append(command)
        if self._hides:
            self._publish(
                self._locals if self._before_restart is None else [*self._locals, *self._before_restart.found]
            )
        self._tell_candidates()
        self._check_complete(now)

    def _settle_the_end(self) -> None:
        """Only the servers still hear of us: that we give our addresses back."""
        while self._relays.poll_event() is not None:
            continue
        self._drain_relay_transmits()
        while (command := self._relays.poll_command()) is not None:
            self._commands.append(command)
        self._publish([])

    def _publish(self, candidates: Iterable[Found]) -> None:
        """The names in these candidates are to be known from now on, and no others."""
        wanted = self._make.hidden(local.candidate for local in candidates)
        self._commands.extend(WithdrawName(name) for name in sorted(self._published - wanted.keys()))
        self._commands.extend(PublishName(name, wanted[name]) for name in wanted if name not in self._published)
        self._published = frozenset(wanted)

    def _drain_transmits(self, now: Instant) -> None:
        while (transmit := self._probes.poll_transmit()) is not None:
            self._transmits.append(transmit)
        while (transmit := self.agent.poll_transmit()) is not None:
            if self._is_direct(transmit.path):
                self._transmits.append(transmit)
            else:
                self._relays.send(transmit.data, transmit.path, now)
        self._drain_relay_transmits()

    def _drain_relay_transmits(self) -> None:
        while (transmit := self._relays.poll_transmit()) is not None:
            self._transmits.append(transmit)

    def _handle_probe(self, event: ReflexiveEvent, now: Instant) -> None:
        if isinstance(event, MappedAddressFound):
            preference = self._preferences_by_base.get(event.base)
            if preference is not None and event.mapped != event.base and self._make.may_tell(event.mapped):
                candidate = self._make.reflexive(event.mapped, event.base, event.server, preference)
                self._add_local(candidate, event.base, event.url, now)
        elif isinstance(event, ProbeFailed):
            self._fail(event.base, event.url, event.error)

    def _handle_relay(self, event: RelayEvent, now: Instant) -> None:
        if isinstance(event, RelayedAddressFound):
            server, index = event.path.remote, len(self._locals)
            candidate = self._make.relayed(event.relayed, event.mapped, server, event.path.transport, index)
            self._add_local(candidate, event.relayed, event.url, now)
        elif isinstance(event, RelayFailed):
            self._fail(event.base, event.url, event.error)
        elif isinstance(event, RelayLost):
            self._remove_local(event.relayed, Transport.UDP, now)

    def _pass_on(self, event: IceEvent) -> None:
        if isinstance(event, ConnectionWanted):
            self._commands.append(ConnectPeer(event.planned))
        elif isinstance(event, ConnectionUnwanted):
            self._commands.append(DisconnectPeer(event.path))
        else:
            self._events.append(event)

    def _handle_ice(self, event: IceEvent, now: Instant) -> None:
        self._pass_on(event)
        if isinstance(event, PairSelected):
            self._selected = event
            self.selections += 1
            self._before_restart = None
            if not self._is_direct(event.path):
                self._relays.bind_channel(event.path, now)
            if self.agent.state is IceState.COMPLETED:
                self._probes.settle()

    def _fail(self, base: SocketAddress | None, url: str, error: IcelaneError) -> None:
        code = error.code if isinstance(error, StunError) else UNREACHABLE
        reason = (error.reason or str(error)) if isinstance(error, StunError) else str(error)
        self._events.append(CandidateFailed(None if self._relay_only or self._hides else base, url, code, reason))

    def _add_local(self, candidate: Candidate, base: SocketAddress, url: str | None, now: Instant) -> None:
        if self._locals.has(candidate, base):
            return
        try:
            self.agent.add_local_candidate(candidate, base, now)
        except LocalProtocolError:
            return  # the agent has as many as it can use
        self._locals.add(Found(candidate, base, url))

    def _remove_local(self, base: SocketAddress, transport: Transport, now: Instant) -> None:
        self._locals.remove(base, transport)
        if self._before_restart is not None:
            self._before_restart = self._before_restart.without(base, transport)
        self.agent.remove_base(base, now, transport)

    def _tell_candidates(self) -> None:
        if self.gathering_state is not GatheringState.GATHERING or self._holds_back:
            return
        for local in self._locals.take_untold():
            # RFC 8838 section 17.
            line = f"{self._make.shown(local.candidate)} ufrag {self.agent.credentials.ufrag}"
            self._events.append(CandidateGathered(line, local.url, self._relay_protocol(local.base)))

    def _tell_held_back(self, now: Instant) -> None:
        """After a restart: what is not to be used any more has been removed."""
        if self._holds_back:
            self._holds_back = False
            self._settle(now)

    def _check_complete(self, now: Instant) -> None:
        waiting = self._probes.pending or self._relays.pending
        if self.gathering_state is GatheringState.GATHERING and self._sources_done and not waiting:
            self._change_gathering(GatheringState.COMPLETE)
            self.agent.local_candidates_done(now)

    def _change_gathering(self, state: GatheringState) -> None:
        if state is not self.gathering_state:
            self.gathering_state = state
            self._events.append(GatheringStateChanged(state))
