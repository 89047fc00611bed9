"""One ICE session: the checks between one pair of credentials, from the first candidate to a selected pair.

    1. credentials and candidates of both sides come, in any order
    2. us -> peer    Binding request, one new one every Ta            WAITING -> IN_PROGRESS
    3. us <- peer    success: the pair is valid, data may flow        IN_PROGRESS -> SUCCEEDED
    4. us <- peer    Binding request: answered, and its pair is checked before the others
    5. controlling -> controlled    the request again, with USE-CANDIDATE
    6. us <- peer    success: nominated; the best nominated pair is selected

A restart begins another session (RFC 8445 section 9). The one before retires: of it, the pair that carries data lives
on, is answered and asked for consent, until the new one has selected its own.

The module is long because requests, checks, nomination and failure move the same pairs from state to state: each of
them apart would be handed all of the others.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final, assert_never

from icelane.core.clock import Duration, Instant, TimerTable, earliest, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import InvalidStateError, MalformedError, RemoteProtocolError
from icelane.ice.candidate import Candidate, CandidateType
from icelane.ice.check import (
    BAD_REQUEST,
    ROLE_CONFLICT,
    UNKNOWN_ATTRIBUTE,
    Check,
    encode_error,
    encode_success,
    parse_check,
    parse_error,
    parse_success,
    unknown_attributes,
)
from icelane.ice.checklist import Checklist
from icelane.ice.connections import Connections
from icelane.ice.credentials import Credentials, generate_credentials
from icelane.ice.event import IceEvent, IceRole, PairValidated, RemotePeerReflexive
from icelane.ice.exchange import Answered, CheckExchange, Purpose
from icelane.ice.nomination import best_of, choose_nominee
from icelane.ice.options import IceOptions, NominationMode
from icelane.ice.pair import CandidatePair, PairState
from icelane.ice.role import RoleArbiter
from icelane.ice.sources import Sources
from icelane.stun.message import Message, MessageClass

# How often a pair is checked until it has succeeded, however often the peer triggers that (IC-6).
MAX_CHECKS_PER_PAIR: Final = 64

# The same for all pairs together, a minute and a half at the default pace; beyond it no check begins until a restart.
MAX_CHECKS: Final = 2000

# A check that is under way is replaced by a triggered one only when it is that old, except for the first one, which a
# NAT on the other side has often dropped (RFC 8445 section 7.3.1.4).
_REPLACE_AFTER: Final = 0.25
# An answer that is older does not make a pair selectable without another check.
_FRESH: Final = 15.0
# The shortest retransmission interval, where the round trip is known.
_MIN_KNOWN_RTO: Final = 0.1
_FOUNDATIONS: Final = 1_000_000_000


class _Timer(enum.Enum):
    PACE = "pace"
    NOMINATE = "nominate"
    PATIENCE = "patience"


class Session:
    """Checks with one pair of credentials. `events` and `role` are the agent's."""

    def __init__(
        self,
        options: IceOptions,
        entropy: Entropy,
        role: RoleArbiter,
        events: deque[IceEvent],
        credentials: Credentials | None = None,
    ) -> None:
        self.credentials = credentials or generate_credentials(entropy)
        self.selected: CandidatePair | None = None
        self.failed = False
        self.retired = False
        self.had_valid = False
        self.without_checks = False  # both agents are lite
        self.local_done = False
        self.remote_done = False
        self.checklist = Checklist(options.max_pairs)
        self._options = options
        self._entropy = entropy
        self._role = role
        self._events = events
        self._exchange = CheckExchange(self.credentials, role, entropy)
        self._replies: deque[Transmit] = deque()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._next_check_at: Instant | None = None
        self._first_valid_at: Instant | None = None
        self._last_response: Instant | None = None
        self._nominating: CandidatePair | None = None
        self._selected_lost = False
        self._checks = 0
        self._sources = Sources()
        self._connections = Connections(self.checklist, self._sources, events)

    # Inputs

    def handle_request(self, request: Message, sender: str, path: Path, now: Instant) -> None:
        """A Binding request that is signed with our password, by who calls itself `sender`."""
        if self.failed:
            return
        if unknown := unknown_attributes(request):
            self._refuse(request, UNKNOWN_ATTRIBUTE, path, unknown)
            return
        try:
            check = parse_check(request)
        except MalformedError:
            self._refuse(request, BAD_REQUEST, path)
            return
        if self.retired:
            self._answer_retired(request, path)
            return
        if not self._role.admits(check):
            self._refuse(request, ROLE_CONFLICT, path)
            return
        self._reply(encode_success(request, path.remote, self.credentials.password), path)
        self._sources.authenticate(path)
        if path.transport is Transport.TCP:
            self._connections.note_accepted(path)
        if self.remote is None:
            self._sources.remember(sender, check, path)
        else:
            self._react(check, path, now)
            self._plan_nomination(now)  # the role may be another now

    def handle_response(self, response: Message, path: Path, now: Instant) -> bool:
        """A Binding response; returns whether it was for a check of this session."""
        if not self._exchange.knows(response):
            return False
        answered = self._exchange.match(response, path, now)
        if answered is None:
            return True
        pair = answered.sent.pair
        if not answered.symmetric:
            self.fail_pair(pair, now)
            return True
        pair.counts.responses_received += 1
        if answered.decisive and pair is self._nominating:
            self._nominating = None
        if response.message_class is MessageClass.SUCCESS:
            self._handle_success(response, answered, now)
        else:
            self._handle_error(response, answered, now)
        return True

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        for pair in self._exchange.handle_timeout(now):
            self.fail_pair(pair, now)
        while (planned := self._connections.pop_again(now)) is not None:
            self._connect_again(planned)
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is _Timer.PACE:
                pass
            elif timer is _Timer.NOMINATE:
                self._plan_nomination(now)
            elif timer is _Timer.PATIENCE:
                self._lose_patience()
            else:
                assert_never(timer)
        self._pump(now)

    def handle_connected(self, planned: Path, path: Path, now: Instant) -> bool:
        """The connection that `ConnectionWanted` asked for is there; False when this session has no use for it."""
        pair = self._connections.handle_connected(planned, path)
        if pair is None:
            return False
        # Not paced: where it goes there is somebody who has just agreed to a connection.
        self._check(pair, now)
        return True

    def handle_connect_failed(self, planned: Path, now: Instant) -> bool:
        """The connection cannot be had; whether this session has asked for it."""
        pair = self._connections.handle_connect_failed(planned)
        if pair is None:
            return False
        self.fail_pair(pair, now)
        if self._connections.is_again(planned):
            self._plan_connecting_again(pair, now)
        return True

    def handle_disconnected(self, path: Path, now: Instant) -> bool:
        """The connection of `path` is gone: its pair fails; whether it was of this session."""
        if not self._connections.handle_disconnected(path):
            return False
        pair = self.checklist.pair_at(path)
        if pair is not None:
            worked = pair.valid or self._connections.is_again(pair.planned)
            self.fail_pair(pair, now)
            if worked:
                self._plan_connecting_again(pair, now)
        return True

    # Commands

    def set_remote(self, remote: Credentials, now: Instant, *, lite: bool = False) -> None:
        """The peer's credentials are known; what it has asked before has its effect now."""
        if self.remote is not None:
            if self.remote != remote:
                raise InvalidStateError("other credentials of the peer need a restart")
            return
        self._exchange.remote = remote
        self.without_checks = lite and self._options.lite
        self.checklist.drop_remotes(lambda candidate: candidate.ufrag not in (None, remote.ufrag))
        self._arm_patience(now)
        for path, check in self._sources.take_remembered(remote.ufrag):
            self._react(check, path, now)
        self._give_up_without_candidates()
        self._pump(now)
        self._select_without_checks(now)

    def add_local(self, candidate: Candidate, base: SocketAddress, now: Instant) -> None:
        """We have one more candidate."""
        if self.failed:
            return
        if self.checklist.add_local(candidate, base, self._role.role):
            self._arm_patience(now)
            self._pump(now)
            self._select_without_checks(now)

    def add_remote(self, candidate: Candidate, now: Instant) -> None:
        """The peer has one more candidate. One of another session of the peer is passed over."""
        if self.failed or (self.remote is not None and candidate.ufrag not in (None, self.remote.ufrag)):
            return
        if self.checklist.add_remote(candidate, self._role.role):
            self._arm_patience(now)
            self._pump(now)
            self._select_without_checks(now)

    def finish_local(self, now: Instant) -> None:
        """No candidates of ours come any more."""
        self.local_done = True
        self._plan_nomination(now)
        self._give_up_without_candidates()

    def finish_remote(self, now: Instant) -> None:
        """No candidates of the peer come any more."""
        self.remote_done = True
        self._plan_nomination(now)
        self._give_up_without_candidates()

    def remove_base(self, base: SocketAddress, transport: Transport, now: Instant) -> None:
        """A socket died."""
        for pair in self.checklist.remove_base(base, transport):
            self._abandon(pair)
        self._sources.remove_base(base, transport)
        self._after_failure(now)

    def check_consent(self, pair: CandidatePair, now: Instant) -> None:
        """Ask the peer whether it still wants what we send on `pair`."""
        self._exchange.check_consent(pair, now)

    def check_for_data(self, path: Path, now: Instant) -> None:
        """The peer sends data on a pair that was given up when another was selected: prove its address (IC-3).

        Its own check was answered, so the pair is valid for it, and the controlled side need not agree at once which
        one to use. What it sends there is worth nothing before ours is answered.
        """
        pair = self.checklist.pair_at(path)
        if pair is None or pair.valid or pair.checks >= MAX_CHECKS_PER_PAIR or not self.has_authenticated(path):
            return
        self._check_again(pair, now)

    def handle_lost(self, pair: CandidatePair, now: Instant) -> None:
        """Nothing comes back on `pair`, on which data flows: look whether another one can do it."""
        if pair is self.selected:
            self._selected_lost = True
            for other in self.checklist.valid():
                if other.nominated and other is not pair:
                    other.nominate_on_success = True
                    self._check_again(other, now)
        elif len(self.checklist.valid()) > 1:
            self.fail_pair(pair, now)

    def handle_found(self) -> None:
        """The selected pair is answered again."""
        self._selected_lost = False

    def fail_pair(self, pair: CandidatePair, now: Instant) -> None:
        """A check of `pair` failed, or its consent has expired."""
        self._abandon(pair)
        pair.state = PairState.FAILED
        self._after_failure(now)

    def fail(self, *, but: Path | None = None) -> None:
        """Nothing is sent any more until a restart. All connections are closed `but` that one, where it is one."""
        self.failed = True
        self.selected = None
        self._nominating = None
        self._timers.clear()
        self._clear_traffic()
        self._sources.clear()
        for pair in self.checklist:
            pair.state = PairState.FAILED
        self._connections.clear(but)

    def retire(self) -> None:
        """A restart has begun: only the pair that carries data lives on."""
        self.retired = True
        self._timers.clear()
        self._clear_traffic()
        self._sources.clear()
        for pair in self.checklist:
            if pair.state is PairState.IN_PROGRESS:
                self._put_off(pair)

    def resume(self, now: Instant) -> None:
        """The restart was taken back."""
        self.retired = False
        self._nominating = None
        if not self.failed:
            if self.remote is not None:
                self._arm_patience(now)
            self._plan_nomination(now)
            self._pump(now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next message to send, or None."""
        return self._replies.popleft() if self._replies else self._exchange.poll_transmit()

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return earliest(self._timers.next(), self._exchange.next_timeout(), self._connections.next_timeout())

    @property
    def remote(self) -> Credentials | None:
        """The peer's credentials, once they are known."""
        return self._exchange.remote

    @property
    def has_checked(self) -> bool:
        """Whether a check of ours has begun."""
        return self._next_check_at is not None

    def carrier(self) -> CandidatePair | None:
        """Which pair data goes on: the selected one, before that the best that works."""
        return self.selected or best_of(self.checklist.valid(), self._role.role)

    @property
    def authenticated(self) -> frozenset[Path]:
        """The paths on which verified requests came."""
        return self._sources.authenticated

    def has_authenticated(self, path: Path) -> bool:
        """Whether a verified request came on `path`."""
        return path in self._sources

    # Requests of the peer

    def _reply(self, data: bytes, path: Path) -> None:
        self._replies.append(Transmit(path, data))
        pair = self.checklist.pair_at(path)
        if pair is not None:
            pair.counts.requests_received += 1
            pair.counts.responses_sent += 1

    def _refuse(self, request: Message, code: int, path: Path, unknown: list[int] | None = None) -> None:
        self._reply(encode_error(request, code, self.credentials.password, unknown or ()), path)

    def _answer_retired(self, request: Message, path: Path) -> None:
        """RFC 8445 section 9: the old pair is kept until a new one is selected, and nothing else of the old session."""
        kept = self.carrier()
        if kept is not None and kept.path == path:
            self._reply(encode_success(request, path.remote, self.credentials.password), path)

    def _react(self, check: Check, path: Path, now: Instant) -> None:
        """RFC 8445 sections 7.3.1.3 to 7.3.1.5: learn the source, check back, take the nomination."""
        pair = self.checklist.pair_at(path) or self._learn_pair(check, path, now)
        if pair is None:
            return
        nominated = check.use_candidate and self._role.role is IceRole.CONTROLLED
        if self._options.lite:
            self._react_lite(pair, nominated, now)
            return
        if pair.valid:
            if nominated and pair.last_response is not None and now - pair.last_response <= _FRESH:
                self._nominate(pair)
            elif nominated:
                pair.nominate_on_success = True
                self._check_again(pair, now)
            return
        pair.nominate_on_success |= nominated
        self._trigger(pair, now)

    def _react_lite(self, pair: CandidatePair, nominated: bool, now: Instant) -> None:
        """RFC 8445 section 7.3.2: a lite agent checks nothing, the nomination makes the pair valid.

        The newest nomination counts: a peer that has moved away from a pair need not say that it does not work.
        """
        if pair.valid or nominated:
            pair.last_response = self._last_response = now
        if nominated:
            for other in self.checklist:
                other.nominated = False
            self._validate(pair, pair.local, now)
            self._nominate(pair)

    def _select_without_checks(self, now: Instant) -> None:
        """RFC 8445 section 8.1.2: between two lite agents every pair counts as valid, and the best one is selected."""
        if not self.without_checks or self.remote is None or self.failed or self.retired:
            return
        for pair in self.checklist.live():
            self._validate(pair, pair.local, now)
            pair.nominated = True
        self._select()

    def _learn_pair(self, check: Check, path: Path, now: Instant) -> CandidatePair | None:
        remote = self.checklist.remote_at(path.remote, path.transport)
        if remote is None:
            remote = Candidate(
                type=CandidateType.PEER_REFLEXIVE,
                host=path.remote.host,
                port=path.remote.port,
                priority=check.priority,
                foundation=self._random_foundation(),
                transport=path.transport.value,
                # RFC 6544 section 7.2: whoever connects to us is active.
                tcp_type="active" if path.transport is Transport.TCP else None,
            )
            if not self.checklist.learn_remote(remote, nominated=check.use_candidate):
                return None
            self._events.append(RemotePeerReflexive(remote))
        pair = self.checklist.form(path.local, remote, self._role.role)
        if pair is not None:
            pair.counts.requests_received = pair.counts.responses_sent = 1
            self._arm_patience(now)
        return pair

    def _trigger(self, pair: CandidatePair, now: Instant) -> None:
        if pair.checks >= MAX_CHECKS_PER_PAIR or not self._wants(pair):
            return
        started = self._exchange.started(pair)
        if started is not None:
            if pair.checks > 1 and now - started < _REPLACE_AFTER:
                return
            self._exchange.silence(pair, now)
        pair.state = PairState.WAITING
        self.checklist.trigger(pair)
        self._pump(now)

    def _check_again(self, pair: CandidatePair, now: Instant) -> None:
        """Check a pair though another was selected, or though it is valid: its last answer is old."""
        if pair.transaction_id is None:
            pair.recheck = True
            self.checklist.trigger(pair)
            self._pump(now)

    # Our checks

    def _wants(self, pair: CandidatePair) -> bool:
        """Whether checking `pair` can still change anything."""
        selected, role = self.selected, self._role.role
        if pair.lacks_connection and self._connections.full:
            return False
        if selected is None or pair.recheck or self._selected_lost:
            return True
        if role is IceRole.CONTROLLING and self._options.nomination is NominationMode.REGULAR:
            return False
        # A peer with aggressive nomination goes on to better pairs.
        return pair.nominate_on_success or pair.priority(role) > selected.priority(role)

    def _pump(self, now: Instant) -> None:
        """Start the check whose turn it is, no more than one every Ta (RFC 8445 section 6.1.4.2)."""
        if self.remote is None or self._options.lite or self.failed or self.retired or self._checks >= MAX_CHECKS:
            return
        if not self.checklist.has_next(self._wants):
            return
        if self._next_check_at is None or self._next_check_at <= now:
            self._next_check_at = later(now, self._options.ta)
            if not self._exchange.full:
                pair = self.checklist.next_pair(self._role.role, self._wants)
                if pair is not None:
                    self._start_check(pair, now)
            if not self.checklist.has_next(self._wants):
                return
        self._timers.set(_Timer.PACE, self._next_check_at)

    def _start_check(self, pair: CandidatePair, now: Instant, *, nominate: bool = False) -> None:
        self._checks += 1
        pair.checks += 1
        pair.recheck = False
        if not pair.valid:
            pair.state = PairState.IN_PROGRESS
        if pair.lacks_connection:
            self._connections.open(pair)
        else:
            self._check(pair, now, nominate=nominate)

    def _check(self, pair: CandidatePair, now: Instant, *, nominate: bool = False) -> None:
        aggressive = self._options.nomination is NominationMode.AGGRESSIVE
        self._exchange.check(pair, self._rto(pair), now, use_candidate=nominate or aggressive)

    def _rto(self, pair: CandidatePair) -> Duration:
        """RFC 8445 section 14.3, and less where the round trip of the pair is known."""
        if pair.counts.round_trip is not None:
            return max(_MIN_KNOWN_RTO, 3 * pair.counts.round_trip)
        return max(self._options.min_rto, self._options.ta * len(self.checklist.live()))

    def _clear_traffic(self) -> None:
        self._exchange.clear()
        self._replies.clear()

    # Answers of the peer

    def _handle_success(self, response: Message, answered: Answered, now: Instant) -> None:
        pair, check = answered.sent.pair, answered.sent.check
        if not self.checklist.still_has(pair):
            return
        try:
            mapped = parse_success(response)
        except RemoteProtocolError:
            if not pair.valid:
                self.fail_pair(pair, now)
            return
        if answered.round_trip is not None:
            pair.add_round_trip(answered.round_trip)
        pair.last_response = self._last_response = now
        if self.retired:
            return
        self._validate(pair, self._local_at(mapped, pair, check), now)
        role = self._role.role
        if (role is IceRole.CONTROLLING and check.use_candidate) or (
            role is IceRole.CONTROLLED and pair.nominate_on_success
        ):
            self._nominate(pair)
        self._plan_nomination(now)

    def _validate(self, pair: CandidatePair, local: Candidate, now: Instant) -> None:
        if pair.valid:
            return
        pair.state = PairState.SUCCEEDED
        pair.valid_local = local
        self._exchange.cancel(pair)
        self._connections.note_valid(pair.planned)
        self.had_valid = True
        if self._first_valid_at is None:
            self._first_valid_at = now
        self._timers.cancel(_Timer.PATIENCE)
        self._events.append(PairValidated(pair.path))

    def _local_at(self, mapped: SocketAddress, pair: CandidatePair, check: Check) -> Candidate:
        """RFC 8445 section 7.2.5.3.1: the candidate as which the peer sees us, a new one if need be."""
        if mapped == pair.path.local:
            return pair.local
        return self.checklist.learn_local(
            Candidate(
                type=CandidateType.PEER_REFLEXIVE,
                host=mapped.host,
                port=mapped.port,
                priority=check.priority,
                foundation=self._random_foundation(),
                related=pair.planned.local,
                transport=pair.local.transport,
                tcp_type=pair.local.tcp_type,
            )
        )

    def _handle_error(self, response: Message, answered: Answered, now: Instant) -> None:
        pair, check, purpose = answered.sent
        try:
            code = parse_error(response)
        except MalformedError:
            code = 0
        if self.retired or purpose is Purpose.CONSENT or not answered.decisive:
            return
        if code == ROLE_CONFLICT and self._role.handle_refusal(check.role):
            if not pair.valid:
                self._trigger(pair, now)
            self._plan_nomination(now)
        else:
            self.fail_pair(pair, now)

    # Nomination and selection

    def _plan_nomination(self, now: Instant) -> None:
        """Nominate what is best, now or when it has been waited for something better long enough."""
        if (
            self._role.role is not IceRole.CONTROLLING
            or self._options.nomination is not NominationMode.REGULAR
            or self._first_valid_at is None
            or self.selected is not None
            or self._nominating is not None
            or self.retired
            or self.failed
        ):
            return
        nominee = choose_nominee(
            self.checklist.valid(),
            self.checklist.live(),
            options=self._options,
            first_valid=self._first_valid_at,
            complete=self.local_done and self.remote_done,
        )
        if nominee is None:
            return
        if nominee.at > now:
            self._timers.set(_Timer.NOMINATE, nominee.at)
            return
        self._timers.cancel(_Timer.NOMINATE)
        self._nominating = nominee.pair
        # Not paced: one request for each session, on a path whose other end has just agreed to be sent to.
        self._start_check(nominee.pair, now, nominate=True)

    def _nominate(self, pair: CandidatePair) -> None:
        pair.nominated = True
        pair.nominate_on_success = False
        self._nominating = None
        self._select()

    def _select(self) -> None:
        """The best of the nominated pairs; one on which nothing comes back stands behind all others."""
        role = self._role.role
        nominated = [pair for pair in self.checklist.valid() if pair.nominated]
        best = max(
            nominated,
            key=lambda pair: (not (pair is self.selected and self._selected_lost), pair.priority(role)),
            default=None,
        )
        if best is self.selected:
            return
        self.selected = best
        self._selected_lost = False
        for pair in self.checklist:
            if pair.state is PairState.IN_PROGRESS and not self._wants(pair):
                self._stop_check(pair)
        if best is not None:
            self._timers.cancel(_Timer.NOMINATE)
            self._close_all_but(best)

    def _stop_check(self, pair: CandidatePair) -> None:
        """RFC 8445 section 8.1.2: what is not needed any more is not sent any more."""
        self._exchange.cancel(pair)
        self._put_off(pair)

    def _put_off(self, pair: CandidatePair) -> None:
        """Its check has led to nothing yet; another one begins from the beginning."""
        pair.state = PairState.WAITING
        if pair.local.tcp_type == "active":
            self._connections.disconnect(pair)

    # Connections

    def _close_all_but(self, best: CandidatePair) -> None:
        """Whoever nominates one pair needs no connection for another; the peer sees which were closed."""
        if self._role.role is IceRole.CONTROLLED or self._options.nomination is NominationMode.AGGRESSIVE:
            return
        for pair in self.checklist:
            if pair is not best and pair.over_tcp and not pair.lacks_connection:
                self._abandon(pair)
                pair.state = PairState.FAILED

    def settle_connections(self) -> None:
        """Close those of pairs that have failed; to be called after each mutation."""
        self._connections.close_unneeded()

    def _plan_connecting_again(self, pair: CandidatePair, now: Instant) -> None:
        """Where nothing else is left, what we have connected once is connected again (RFC 6544 section 10.1)."""
        if pair.local.tcp_type == "active" and not (self.failed or self.retired or self.checklist.valid()):
            self._connections.plan_again(pair.planned, now)

    def _connect_again(self, planned: Path) -> None:
        before = self.checklist.pair_at(planned)
        if before is None or self.retired or self.checklist.valid():
            return
        pair = self.checklist.form(planned.local, before.remote, self._role.role)
        if pair is not None:
            self.checklist.trigger(pair)

    # Failure

    def _abandon(self, pair: CandidatePair) -> None:
        self._exchange.cancel(pair)
        if pair.local.tcp_type == "active":
            self._connections.disconnect(pair)
        pair.recheck = pair.nominate_on_success = False
        pair.nominated = False
        if pair is self._nominating:
            self._nominating = None

    def _after_failure(self, now: Instant) -> None:
        """One pair fewer: another may be selected, nominated or checked in its place."""
        if self.failed:
            return
        if self.selected is not None and not self.selected.valid:
            self._select()
        if self.retired:
            return
        if not self.checklist.valid() and _Timer.PATIENCE not in self._timers:
            self._arm_patience(now)
        self._plan_nomination(now)
        self._pump(now)

    def _arm_patience(self, now: Instant) -> None:
        """Without a valid pair it is over some time; where there was one, no later than its consent would have been."""
        if self.remote is None or self.checklist.valid():
            return
        if self._last_response is None or not self.had_valid:
            self._timers.set(_Timer.PATIENCE, later(now, self._options.patience))
        else:
            self._timers.set(_Timer.PATIENCE, later(self._last_response, self._options.consent_expiry))

    def _lose_patience(self) -> None:
        if not self.checklist.valid():
            self.fail()

    def _give_up_without_candidates(self) -> None:
        """W3C: without a candidate of ours there is nothing to be patient for."""
        if self.local_done and self.remote_done and self.remote is not None and not self.checklist.has_local:
            self.fail()

    def _random_foundation(self) -> str:
        """RFC 8445 section 7.3.1.3: one that no other candidate has."""
        return f"p{self._entropy.below(_FOUNDATIONS)}"
