"""The life of sessions: begun, resumed, left alone for a while, refreshed, ended.

admitted --begin--> attached --connection lost--> detached --RESUME_WINDOW--> ended
                      ^  \\__clean close, expiry, superseded, denied____________^
                      |                              |
                      +-----------resume-------------+
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import deque
from typing import Final

from msgspec import UNSET, UnsetType

from icelane.core.clock import Duration, Instant, TimerTable, UnixSeconds, WallClock, later
from icelane.core.entropy import Entropy
from icelane.signaling.admitted import Admission
from icelane.signaling.close_code import CloseCode
from icelane.signaling.desk import Desk
from icelane.signaling.engine import SignalEngine
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.hub_event import (
    HubCommand,
    HubEvent,
    IceAnswer,
    IssueIce,
    SessionEnded,
    SessionResumed,
    SessionStarted,
)
from icelane.signaling.limits import ICE_REFRESH, MAX_FRAME, SignalingLimits
from icelane.signaling.messages import (
    Hello,
    Ice,
    IceServersBody,
    LeftReason,
    Ok,
    Refresh,
    Resume,
    ServerLimits,
    Welcome,
    iso_time,
)
from icelane.signaling.push import Replay
from icelane.signaling.rooms import Rooms
from icelane.signaling.session import Connection, ConnectionState, Session
from icelane.signaling.timer import Timer, TimerKind

# The wall clock may be set while a session lives; its expiry is looked at this often.
EXPIRY_CHECK: Final[Duration] = 60.0
# Never at once again: clocks have steps, and a deadline that is now is not worth a spin.
_SOON: Final[Duration] = 0.01
# Bytes of randomness. Who knows the id of a session can resume it, if he is the same identity as well.
_SESSION_BYTES: Final = 18
_PEER_BYTES: Final = 9


class Sessions:
    """What happens to sessions. Whom they talk to is the business of Rooms."""

    def __init__(
        self,
        engine: SignalEngine,
        desk: Desk,
        rooms: Rooms,
        events: deque[HubEvent],
        commands: deque[HubCommand],
        timers: TimerTable[Timer],
        limits: SignalingLimits,
        entropy: Entropy,
        wall_clock: WallClock,
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._rooms = rooms
        self._events = events
        self._commands = commands
        self._timers = timers
        self._limits = limits
        self._entropy = entropy
        self._wall_clock = wall_clock
        self.begun = 0
        self.resumed = 0
        self.resynced = 0

    def welcome(
        self, connection: Connection, hello: Hello, admission: Admission, ice: IceAnswer | None, now: Instant
    ) -> ErrorCode | None:
        """Somebody was admitted: his session goes on, or a new one begins. Otherwise the reason why not."""
        if self._is_over(admission, now):
            return ErrorCode.TOKEN_EXPIRED
        session = None if hello.resume is UNSET else self._desk.session(hello.resume.session)
        if session is not None and hello.resume is not UNSET and session.admission.identity == admission.identity:
            self._resume(session, connection, hello.id, hello.resume, admission, ice, now)
        elif len(self._desk) >= self._limits.sessions:
            return ErrorCode.BUSY
        else:
            self._begin(connection, hello, admission, ice, now)
        return None

    def refresh(
        self, session: Session, refresh: Refresh, admission: Admission, ice: IceAnswer | None, now: Instant
    ) -> None:
        """Another token of the same identity; it may grant more, or less."""
        if admission.identity != session.admission.identity:
            self._desk.refuse(session, refresh.id, ErrorCode.IDENTITY_CHANGED)
            return
        if self._is_over(admission, now):
            self._desk.refuse(session, refresh.id, ErrorCode.TOKEN_EXPIRED)
            return
        before = session.relay_only
        self._admit(session, admission, ice, now)
        self._desk.answer(session, Ok(re=refresh.id, expires_at=_expiry(admission.expires_at)))
        if session.relay_only is not before and ice is not None and ice.body is not None:
            self._desk.answer(session, Ice(ice=ice.body))
            self._arm_ice(session, ice.body, now)

    def detach(self, session: Session, now: Instant) -> None:
        """The connection is gone; the session waits for another one."""
        if session.connection is not None:
            session.connection.session = None
            session.connection = None
        self._timers.cancel(Timer(TimerKind.ICE, session.id))
        self._timers.set(Timer(TimerKind.WINDOW, session.id), later(now, self._limits.resume_window))

    def end(
        self,
        session: Session,
        reason: LeftReason,
        now: Instant,
        code: CloseCode | None = None,
        error: ErrorCode | str = "",
        message: str = "",
    ) -> None:
        """Out of every room, and gone; with a `code`, its connection is told why."""
        if session.ended:
            return
        session.ended = True
        for room in list(session.rooms):
            self._rooms.depart(session, room, reason, now)
        self._engine.release(session.admission.identity, session.id, now)
        self._desk.remove(session)
        for kind in (TimerKind.WINDOW, TimerKind.EXPIRY, TimerKind.ICE):
            self._timers.cancel(Timer(kind, session.id))
        connection = session.connection
        if connection is not None and code is not None:
            self._desk.goodbye(connection, code, error, message)
        if connection is not None:
            connection.session = session.connection = None
        self._events.append(SessionEnded(session.id, session.admission, reason))

    def provide_ice(self, session_id: str, ice: IceAnswer | None, now: Instant) -> None:
        """Fresh servers; None when there are none to be had, and then it is tried again with the next refresh."""
        session = self._desk.session(session_id)
        if session is None:
            return
        if ice is not None:
            self._restrict(session, ice.relay_only, now)
        body = None if ice is None else ice.body
        if body is not None:
            self._desk.answer(session, Ice(ice=body))
        self._arm_ice(session, body or session.ice, now)

    # Deadlines.

    def handle_window_over(self, session_id: str, now: Instant) -> None:
        """Nobody came back."""
        session = self._desk.session(session_id)
        if session is not None:
            self.end(session, LeftReason.TIMEOUT, now)

    def handle_expiry(self, session_id: str, now: Instant) -> None:
        """The admission may be over, by the wall clock."""
        session = self._desk.session(session_id)
        if session is None:
            return
        if self._is_over(session.admission, now):
            self.end(session, LeftReason.EXPIRED, now, CloseCode.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED)
        else:
            self._arm_expiry(session, now)

    def handle_ice_old(self, session_id: str) -> None:
        """ICE servers near their end."""
        session = self._desk.session(session_id)
        if session is not None and session.connection is not None:
            self._commands.append(IssueIce(session.summary()))

    # How sessions begin.

    def _begin(
        self, connection: Connection, hello: Hello, admission: Admission, ice: IceAnswer | None, now: Instant
    ) -> None:
        session = Session(
            id=self._new_id("s_", _SESSION_BYTES),
            peer=self._new_id("p_", _PEER_BYTES),
            admission=admission,
            replay=Replay(self._limits.replay),
            bucket=connection.bucket,
            address=connection.address,
            client=None if hello.client is UNSET else hello.client,
        )
        self.begun += 1
        self._desk.add(session)
        self._attach(session, connection, ice, now)
        self._admit(session, admission, ice, now)
        self._desk.send(connection, self._welcome(session, hello.id, resumed=False))
        self._events.append(SessionStarted(session.id, session.peer, admission, connection.address))
        limit = admission.limits.sessions or self._limits.sessions_per_identity
        self._engine.claim(admission.identity, session.id, limit, now)

    def _resume(
        self,
        session: Session,
        connection: Connection,
        re: int,
        resume: Resume,
        admission: Admission,
        ice: IceAnswer | None,
        now: Instant,
    ) -> None:
        if session.connection is not None:  # it is half open, and its client has noticed before us
            before, session.connection.session = session.connection, None
            self._desk.goodbye(before, CloseCode.SUPERSEDED, ErrorCode.SUPERSEDED)
        self._timers.cancel(Timer(TimerKind.WINDOW, session.id))
        connection.bucket = session.bucket  # coming back does not fill it
        session.address = connection.address
        self._attach(session, connection, ice, now)
        missed = session.replay.since(resume.seq)
        if missed is None:
            self.resynced += 1
            session.replay.clear()
            self._desk.send(connection, self._welcome(session, re, resumed=False))
        else:
            self.resumed += 1
            session.replay.acknowledge(resume.seq)
            self._desk.send(connection, self._welcome(session, re, resumed=True, seq=resume.seq))
            connection.outbox.replay(missed)
        self._events.append(SessionResumed(session.id, admission, None if missed is None else len(missed)))
        self._admit(session, admission, ice, now)

    def _attach(self, session: Session, connection: Connection, ice: IceAnswer | None, now: Instant) -> None:
        session.connection = connection
        connection.session = session
        connection.state = ConnectionState.OPEN
        connection.pushed_at_ping = 0
        self._arm_ice(session, None if ice is None else ice.body, now)

    def _admit(self, session: Session, admission: Admission, ice: IceAnswer | None, now: Instant) -> None:
        session.admission = admission
        self._restrict(session, admission.relay_only if ice is None else ice.relay_only, now)
        limits = admission.limits
        session.bucket.limit(
            limits.frames_per_second or self._limits.frames_per_second, limits.frame_burst or self._limits.frame_burst
        )
        self._rooms.narrow(session, now)
        self._timers.cancel(Timer(TimerKind.EXPIRY, session.id))
        self._arm_expiry(session, now)

    def _restrict(self, session: Session, relay_only: bool, now: Instant) -> None:
        if session.relay_only is not relay_only:
            session.relay_only = relay_only
            self._rooms.restrict(session, now)

    def _welcome(self, session: Session, re: int, resumed: bool, seq: int | None = None) -> Welcome:
        admission = session.admission
        limits = self._limits
        return Welcome(
            re=re,
            session=session.id,
            peer=session.peer,
            identity=admission.identity,
            name=UNSET if admission.name is None else admission.name,
            ping=limits.ping_interval,
            resumed=resumed,
            seq=session.replay.last if seq is None else seq,
            rooms=() if resumed else self._rooms.states(session),
            ice=UNSET if session.ice is None else session.ice,
            expires_at=_expiry(admission.expires_at),
            node=self._engine.node,
            limits=ServerLimits(
                frame=MAX_FRAME,
                frames_per_second=admission.limits.frames_per_second or limits.frames_per_second,
                frame_burst=admission.limits.frame_burst or limits.frame_burst,
                rooms=self._rooms.room_bound(admission),
                peers_per_room=limits.peers_per_room,
                resume_seconds=limits.resume_window,
                resume_pushes=limits.replay,
            ),
        )

    # Time.

    def _is_over(self, admission: Admission, now: Instant) -> bool:
        return admission.expires_at is not None and admission.expires_at <= self._wall_clock.unix_time(now)

    def _arm_expiry(self, session: Session, now: Instant) -> None:
        expires_at = session.admission.expires_at
        if expires_at is not None:
            remaining = expires_at - self._wall_clock.unix_time(now)
            self._timers.set(Timer(TimerKind.EXPIRY, session.id), later(now, min(max(remaining, _SOON), EXPIRY_CHECK)))

    def _arm_ice(self, session: Session, ice: IceServersBody | None, now: Instant) -> None:
        session.ice = ice
        if ice is not None and ice.ttl is not UNSET:
            self._timers.set(Timer(TimerKind.ICE, session.id), later(now, max(ice.ttl * ICE_REFRESH, 1.0)))

    def _new_id(self, prefix: str, size: int) -> str:
        return prefix + urlsafe_b64encode(self._entropy.token(size)).decode()


def _expiry(at: UnixSeconds | None) -> str | UnsetType:
    """What a client is told; nothing for what has no end."""
    try:
        return UNSET if at is None else iso_time(at)
    except (OverflowError, ValueError, OSError):
        return UNSET  # beyond the year 9999
