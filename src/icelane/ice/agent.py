"""The ICE agent for one transport: candidates in, checks out, and one selected pair (RFC 8445).

    NEW -> CHECKING -> CONNECTED -> COMPLETED
                          |  ^          |
                          v  |          v
                       DISCONNECTED -> FAILED          CLOSED from everywhere

    agent = IceAgent(role=IceRole.CONTROLLING, entropy=SystemEntropy())
    agent.add_local_candidate(candidate, socket_address, now)
    agent.set_remote_credentials(Credentials("ufrag", "password..."), now)
    agent.add_remote_candidate(parse_candidate(line), now)
    while (transmit := agent.poll_transmit()) is not None:
        sockets[transmit.path.local].sendto(transmit.data, transmit.path.remote)
    while (event := agent.poll_event()) is not None:
        react(event)
    timer.reschedule(agent.next_timeout())

Data does not pass through here. The caller asks `accepts` about what came in, and sends to `data_path`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Instant, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IntegrityError, InvalidStateError, LocalProtocolError, MalformedError
from icelane.ice.candidate import COMPONENT, Candidate
from icelane.ice.check import parse_username
from icelane.ice.checklist import may_be_checked
from icelane.ice.consent import Consent
from icelane.ice.credentials import Credentials
from icelane.ice.event import (
    ConnectionUnwanted,
    IceEvent,
    IceRole,
    IceState,
    PairSelected,
    RoleChanged,
    StateChanged,
)
from icelane.ice.options import IceOptions
from icelane.ice.pair import CandidatePair, PairReport
from icelane.ice.role import RoleArbiter
from icelane.ice.session import Session
from icelane.stun.integrity import verify_fingerprint, verify_integrity
from icelane.stun.message import Message, MessageClass, Method, parse_message

# After a restart the peer may have sent on the old pair before it learned of the new one: data from there is still let
# in for this long. Nothing is sent there.
LINGER: Final = 3.0

_SUPPORTED: Final = (("udp", None), ("tcp", "active"), ("tcp", "passive"))


class IceAgent:
    """Sans-IO ICE agent of one component."""

    def __init__(
        self,
        *,
        role: IceRole,
        entropy: Entropy,
        options: IceOptions | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """`credentials` are ours, where a description has them already; otherwise they are made.

        With `announced_only`, which may be set at any time, no address of the peer is learned from a check: one that
        comes from where it has announced no candidate is passed over, and counted in `unannounced`. `revision` counts
        up when what `ufrags`, `accepted`, `unproven`, `authenticated` and `answered_path` say may have changed.
        """
        self._options = options or IceOptions()
        self._entropy = entropy
        self._role = RoleArbiter(IceRole.CONTROLLED if self._options.lite else role, entropy, fixed=self._options.lite)
        self._role_among_lite = role
        self._told_role = self._role.role
        self._state = IceState.NEW
        self._events: deque[IceEvent] = deque()
        self._session = self._new_session(credentials)
        self._previous: Session | None = None  # the session before the restart, until the new one has selected
        self._selected: CandidatePair | None = None  # as last told
        self._carrier: tuple[Session, CandidatePair] | None = None  # where data goes
        self._consent: Consent | None = None
        self._accepted: frozenset[Path] = frozenset()
        self._reached: Path | None = None
        self._lingering: Path | None = None
        self._lingers_until = NEVER
        self._recovered = False
        self.announced_only = False
        self.unannounced = 0
        self.revision = 0

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A STUN message that arrived on `path`. What is not for us is dropped.

        The local end of the path is a base, or it is that of a connection of ours.
        """
        if self._state is IceState.CLOSED:
            return
        sessions = [session for session in self._sessions() if session.checklist.has_way(path)]
        if not sessions:
            return
        try:
            message = parse_message(data)
            if message.fingerprint_offset is not None:
                verify_fingerprint(message)
        except (MalformedError, IntegrityError):
            return
        # Indications only keep NATs open (RFC 8445 section 11); nobody signs them, so they prove nothing.
        if message.method != Method.BINDING or message.message_class is MessageClass.INDICATION:
            return
        if message.message_class is MessageClass.REQUEST:
            self._handle_request(message, sessions, path, now)
        else:
            for session in sessions:
                if session.handle_response(message, path, now):
                    break
        self._settle(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        if self._state is IceState.CLOSED:
            return
        for session in self._sessions():
            session.handle_timeout(now)
        self._settle(now)
        self._watch_consent(now)
        if self._lingers_until <= now:
            self._stop_lingering()
        self._settle(now)

    def handle_connected(self, planned: Path, path: Path, now: Instant) -> None:
        """The connection that `ConnectionWanted` asked for is there; `ConnectionUnwanted` when it comes too late."""
        if not any(session.handle_connected(planned, path, now) for session in self._sessions()):
            self._events.append(ConnectionUnwanted(path))
        self._settle(now)

    def handle_connect_failed(self, planned: Path, now: Instant) -> None:
        """The connection that `ConnectionWanted` asked for cannot be had."""
        any(session.handle_connect_failed(planned, now) for session in self._sessions())
        self._settle(now)

    def handle_disconnected(self, path: Path, now: Instant) -> None:
        """A connection, made or accepted, is gone."""
        any(session.handle_disconnected(path, now) for session in self._sessions())
        self._settle(now)

    def note_authenticated_data(self, now: Instant) -> None:
        """DTLS or SRTP has authenticated what came on the data path; when that stops, consent is checked early.

        Cheap enough for every packet. `next_timeout` is not earlier for it.
        """
        if self._consent is not None:
            self._consent.handle_data(now)

    def note_reached(self, path: Path | None) -> None:
        """The peer has answered what went to the other end of `path` and nowhere else, as DTLS knows; None: no more."""
        self._reached = path
        self.revision += 1

    def note_sent(self, packets: int, size: int, now: Instant) -> None:
        """So much data has left on the data path, for statistics."""
        if self._carrier is not None:
            self._carrier[1].counts.add_sent(packets, size, now)

    def note_received(self, path: Path, packets: int, size: int, now: Instant) -> None:
        """So much data has come on `path`, which was accepted; for statistics."""
        if self._carrier is not None and self._carrier[1].path == path:
            pair: CandidatePair | None = self._carrier[1]
        else:
            pair = next((pair for session in self._sessions() if (pair := session.checklist.pair_at(path))), None)
        if pair is not None:
            pair.counts.add_received(packets, size, now)

    def handle_early_data(self, path: Path, now: Instant) -> None:
        """Data has come on `path`, where the peer has proved itself and our check is not answered: see to that."""
        self._session.check_for_data(path, now)
        self._settle(now)

    # Commands

    def set_role(self, role: IceRole) -> None:
        """Set the role, before any check. Raises InvalidStateError afterwards.

        A lite agent stays controlled, and has this role where the peer is lite too.
        """
        if self._session.has_checked:
            raise InvalidStateError("checks have begun: the role is settled between the agents")
        self._role_among_lite = role
        if not self._options.lite:
            self._role.role = self._told_role = role

    def set_remote_credentials(self, credentials: Credentials, now: Instant, *, lite: bool = False) -> None:
        """What the peer signs its checks with, and whether it is a lite agent. Checks begin, if there are to be any.

        Where both are lite the best pair is selected without a check, and another one when it is announced. Raises
        InvalidStateError when it has other credentials already: those are for after a restart.
        """
        self._require_open()
        if not self._options.lite:
            self._role.fixed = lite
        if lite:
            # RFC 8445 section 6.1.1: beside a lite agent the full one is in control.
            self._role.role = self._role_among_lite if self._options.lite else IceRole.CONTROLLING
        self._session.set_remote(credentials, now, lite=lite)
        self._settle(now)

    def add_local_candidate(self, candidate: Candidate, base: SocketAddress, now: Instant) -> None:
        """One more candidate of ours, of the component and over UDP or TCP. Checks leave from `base`.

        That is the address of the socket, or for relayed candidates the relayed address, or for active candidates of
        TCP the candidate's own. Raises LocalProtocolError for a candidate that has a name, is of something else, or is
        one too many.
        """
        self._require_open()
        if candidate.host_name is not None or (candidate.transport, candidate.tcp_type) not in _SUPPORTED:
            raise LocalProtocolError("a local candidate has an address, and is of UDP or of active or passive TCP")
        self._session.add_local(candidate, base, now)
        self._settle(now)

    def remove_base(self, base: SocketAddress, now: Instant, transport: Transport = Transport.UDP) -> None:
        """The socket at `base` died: its pairs fail, and with a port of TCP the connections to it."""
        for session in self._sessions():
            session.remove_base(base, transport, now)
        self._settle(now)

    def doubt(self, now: Instant) -> None:
        """The machine has slept, or its network has changed: ask for consent at once."""
        if self._consent is not None and self._state is not IceState.CLOSED:
            self._consent.hurry(now)
            self.handle_timeout(now)

    def local_candidates_done(self, now: Instant) -> None:
        """Gathering is over."""
        self._require_open()
        self._session.finish_local(now)
        self._settle(now)

    def add_remote_candidate(self, candidate: Candidate, now: Instant) -> None:
        """One more candidate of the peer. Raises LocalProtocolError for one with a name: resolve it, if it is to be.

        Passed over: other components and transports, candidates of TCP that are not passive, addresses and ports that
        no check can go to, candidates of another session of the peer, and what goes beyond MAX_REMOTE_CANDIDATES.
        """
        self._require_open()
        if candidate.host_name is not None:
            raise LocalProtocolError("the candidate has a name in place of an address")
        if candidate.component == COMPONENT and may_be_checked(candidate):
            self._session.add_remote(candidate, now)
            self._settle(now)

    def remote_candidates_done(self, now: Instant) -> None:
        """The peer has no more candidates."""
        self._require_open()
        self._session.finish_remote(now)
        self._settle(now)

    def restart(self, now: Instant, credentials: Credentials | None = None) -> Credentials:
        """Begin anew, with new credentials and without candidates; returns ours (RFC 8445 section 9).

        The pair that carries data goes on doing it, and the old credentials serve for it and for nothing else, until
        the new session has selected its own.
        """
        self._require_open()
        if self._previous is None:
            self._session.retire()
            self._previous = self._session
        self._session = self._new_session(credentials)
        self._role.forgive()
        self._recovered = False
        if self._state in (IceState.DISCONNECTED, IceState.FAILED):
            self._move(IceState.CHECKING)
        self._settle(now)
        return self.credentials

    def undo_restart(self, now: Instant) -> None:
        """Go back to the session before the restart, which a rollback of the description asks for.

        Raises InvalidStateError when there is none any more.
        """
        if self._previous is None:
            raise InvalidStateError("there is no restart to take back")
        self._session, self._previous = self._previous, None
        self._session.resume(now)
        self._settle(now)

    def close(self, now: Instant) -> None:  # noqa: ARG002  (every verb is told the time)
        """Stop. Nothing is sent any more, and nothing is answered."""
        if self._state is IceState.CLOSED:
            return
        for session in self._sessions():
            session.fail()
        self._previous = self._selected = self._carrier = self._consent = None
        self._accepted = frozenset()
        self._stop_lingering()
        self.revision += 1
        self._move(IceState.CLOSED)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next STUN message to send, or None."""
        for session in self._sessions():
            if (transmit := session.poll_transmit()) is not None:
                return transmit
        return None

    def poll_event(self) -> IceEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        if self._state is IceState.CLOSED:
            return None
        earliest = self._lingers_until
        if self._consent is not None:
            earliest = min(earliest, self._consent.next_timeout())
        for session in self._sessions():
            deadline = session.next_timeout()
            if deadline is not None and deadline < earliest:
                earliest = deadline
        return None if earliest == NEVER else earliest

    # Properties and privates

    @property
    def state(self) -> IceState:
        return self._state

    @property
    def role(self) -> IceRole:
        return self._role.role

    @property
    def credentials(self) -> Credentials:
        """Ours, of the session that was begun last."""
        return self._session.credentials

    @property
    def remote_credentials(self) -> Credentials | None:
        """The peer's of the same session, None before they are known."""
        return self._session.remote

    @property
    def selected(self) -> Path | None:
        """The path of the pair that both sides agreed on; None before that and after its consent has expired."""
        return None if self._selected is None else self._selected.path

    @property
    def data_path(self) -> Path | None:
        """Where data goes: the selected pair, before a nomination the best valid one; None: nothing may be sent."""
        return None if self._carrier is None else self._carrier[1].path

    @property
    def answered_path(self) -> Path | None:
        """`data_path`, but None while nothing is answered there: whether the peer still is there is not known then."""
        return None if self._consent is None or self._consent.lost else self.data_path

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Ours, to which checks are addressed; two of them during a restart."""
        return tuple(session.credentials.ufrag for session in self._sessions())

    @property
    def accepted(self) -> frozenset[Path]:
        """All that `accepts` is true of."""
        return self._accepted

    @property
    def unproven(self) -> frozenset[Path]:
        """Those of `accepted` where the peer need not receive: a lite agent asks nobody and believes a signed check."""
        return self._accepted - {self._reached} if self._options.lite else frozenset()

    @property
    def authenticated(self) -> frozenset[Path]:
        """On which the peer has proved that it knows our password, whether or not they were checked."""
        return self._session.authenticated

    def accepts(self, path: Path) -> bool:
        """Whether data on `path` comes from an address that was checked (IC-3)."""
        return path in self._accepted

    @property
    def is_replacing(self) -> bool:
        """Whether a pair of before the last restart still carries data, or lets in what was on its way."""
        return self._previous is not None or self._lingering is not None

    def has_authenticated(self, path: Path) -> bool:
        """Whether the peer has proved on `path` that it knows our password, though our check is not answered yet."""
        return path in self._accepted or self._session.has_authenticated(path)

    def pairs(self) -> tuple[PairReport, ...]:
        """Every pair as it is now, for statistics."""
        pairs = [(pair, self._session) for pair in self._session.checklist]
        if self._previous is not None and (kept := self._previous.carrier()) is not None:
            pairs.append((kept, self._previous))
        carrier = self._carrier[1] if self._carrier is not None else None
        return tuple(
            pair.report(
                self._role.role,
                session.credentials,
                session.remote,
                selected=pair is self._selected,
                carries_data=pair is carrier,
            )
            for pair, session in pairs
        )

    def _new_session(self, credentials: Credentials | None) -> Session:
        return Session(self._options, self._entropy, self._role, self._events, credentials)

    def _sessions(self) -> tuple[Session, ...]:
        return (self._session,) if self._previous is None else (self._session, self._previous)

    def _require_open(self) -> None:
        if self._state is IceState.CLOSED:
            raise InvalidStateError("the agent is closed")

    def _handle_request(self, request: Message, sessions: list[Session], path: Path, now: Instant) -> None:
        """Verify a request; what cannot be verified is dropped in silence (decision 0010)."""
        try:
            receiver, sender = parse_username(request)
        except MalformedError:
            return
        for session in sessions:
            if receiver != session.credentials.ufrag:
                continue
            if session.remote is not None and sender != session.remote.ufrag:
                return
            try:
                verify_integrity(request, session.credentials.password.encode())
            except IntegrityError:
                return
            if session is self._session and not self._may_learn(path.remote):
                self.unannounced += 1
                return
            if self._consent is not None and self.data_path == path:
                self._consent.handle_request(now)
            session.handle_request(request, sender, path, now)

    def _may_learn(self, address: SocketAddress) -> bool:
        """Whether a check from there may have an effect. A session that a restart has retired learns nothing anyway."""
        return not self.announced_only or self._session.checklist.remote_at(address) is not None

    # Consent

    def _watch_consent(self, now: Instant) -> None:
        if self._consent is None or self._carrier is None:
            return
        consent, (session, pair) = self._consent, self._carrier
        if consent.has_expired(now):
            self._expire(session, pair, now)
            return
        was_lost = consent.lost
        consent.handle_timeout(now)
        if consent.lost and not was_lost:
            session.handle_lost(pair, now)
        if consent.wants_check(now) and pair.valid:
            session.check_consent(pair, now)
            consent.handle_sent(now, pair.counts.round_trip)

    def _expire(self, session: Session, pair: CandidatePair, now: Instant) -> None:
        """RFC 7675 section 5.1: nothing more is sent there."""
        if session is self._previous or pair is session.selected or len(session.checklist.valid()) == 1:
            session.fail()
        else:
            session.fail_pair(pair, now)

    # After each mutation

    def _settle(self, now: Instant) -> None:
        """Tell what has become of role, selection and state."""
        self.revision += 1
        if self._state is IceState.CLOSED:
            return
        for session in self._sessions():
            session.settle_connections()
        if self._role.role is not self._told_role:
            self._told_role = self._role.role
            self._events.append(RoleChanged(self._told_role))
        self._settle_selection(now)
        self._settle_consent()
        state = self._derive_state()
        if self._state is IceState.DISCONNECTED and state in (IceState.CONNECTED, IceState.COMPLETED):
            # W3C has completed follow connected; one that was lost has been found at the earliest.
            self._recovered = True
            state = IceState.CONNECTED
        if state is IceState.COMPLETED:
            self._move(IceState.CONNECTED, unless=IceState.COMPLETED)
        self._move(state)

    def _settle_selection(self, now: Instant) -> None:
        if self._session.selected is not None and self._previous is not None:
            self._linger(self._previous, now)
            self._previous.fail(but=self._lingering)
            self._previous = None
        session, pair = self._session, self._session.carrier()
        if self._previous is not None and (kept := self._previous.carrier()) is not None:
            session, pair = self._previous, kept
        selected = session.selected
        if selected is not self._selected:
            self._selected = selected
            if selected is not None:
                self._events.append(
                    PairSelected(selected.path, selected.valid_local or selected.local, selected.remote)
                )
        if pair is None:
            self._carrier = self._consent = None
        elif self._carrier is None or self._carrier[1] is not pair:
            self._carrier = (session, pair)
            self._consent = Consent(
                self._options, self._entropy, pair.last_response or now, now, watched=not session.without_checks
            )
        self._accepted = self._validated_paths()

    def _settle_consent(self) -> None:
        if self._consent is None or self._carrier is None:
            return
        session, pair = self._carrier
        answered = pair.last_response
        if answered is not None and answered > self._consent.last_response:
            if self._consent.lost:
                session.handle_found()
            self._consent.handle_response(answered)

    def _validated_paths(self) -> frozenset[Path]:
        paths = [pair.path for pair in self._session.checklist.valid()]
        if self._previous is not None and (kept := self._previous.carrier()) is not None:
            paths.append(kept.path)
        if self._lingering is not None:
            paths.append(self._lingering)
        return frozenset(paths)

    def _linger(self, session: Session, now: Instant) -> None:
        self._stop_lingering()
        kept = session.carrier()
        if kept is not None:
            self._lingering = kept.path
            self._lingers_until = later(now, LINGER)

    def _stop_lingering(self) -> None:
        if self._lingering is not None and self._lingering.transport is Transport.TCP:
            self._events.append(ConnectionUnwanted(self._lingering))
        self._lingering = None
        self._lingers_until = NEVER

    def _derive_state(self) -> IceState:
        session = self._session
        if self._consent is None:
            if session.failed:
                return IceState.FAILED
            if session.had_valid:
                return IceState.DISCONNECTED
            started = session.remote is not None and len(session.checklist) > 0
            return IceState.CHECKING if started or self._state is not IceState.NEW else IceState.NEW
        if self._consent.lost:
            return IceState.CHECKING if self._previous is not None else IceState.DISCONNECTED
        if session.selected is not None and session.local_done and session.remote_done and not self._recovered:
            return IceState.COMPLETED
        return IceState.CONNECTED

    def _move(self, state: IceState, *, unless: IceState | None = None) -> None:
        if self._state not in (state, unless):
            self._state = state
            self._events.append(StateChanged(state))
