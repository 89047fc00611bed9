"""Rooms as one node sees them: who is in them, what is said in them, and what happens to them.

Everything goes through the engine and comes back as a delivery, so that all nodes see one order. A room is known here
while one of our sessions is in it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TypeAlias, assert_never

from msgspec import UNSET, Raw

from icelane.core.clock import Instant
from icelane.errors import MalformedError
from icelane.signaling.admitted import Admission, Grant
from icelane.signaling.concealment import concealed
from icelane.signaling.desk import Desk
from icelane.signaling.direction_rule import missing_grant
from icelane.signaling.engine import (
    Arrived,
    Changed,
    Configured,
    Delivered,
    Departed,
    Entered,
    NotEntered,
    Presence,
    Published,
    Restricted,
    RoomOptions,
    SignalEngine,
)
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.hub_event import HubEvent, PeerDeparted, PeerEntered
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import (
    EVERYBODY,
    Close,
    Join,
    Kick,
    Leave,
    Left,
    LeftReason,
    Lock,
    Ok,
    PeerJoined,
    PeerLeft,
    PeerUpdated,
    RoomState,
    SendMessage,
    SendSignal,
    ServerMessage,
    ServerSignal,
    SignalData,
    Update,
    encode_json,
    parse_json_object,
)
from icelane.signaling.push import PreparedPush, prepare
from icelane.signaling.room_rule import RoomRule, options_for
from icelane.signaling.room_view import RoomView
from icelane.signaling.session import Session

RoomDelivery: TypeAlias = (
    Entered | NotEntered | Arrived | Changed | Restricted | Departed | Configured | Published | Delivered
)

Said: TypeAlias = SendSignal | SendMessage | Update
"""What others hear of somebody."""


class Rooms:
    """Asks are verbs with the frame; refusals are answered at once. The bounds of a room are the engine's business."""

    def __init__(
        self,
        engine: SignalEngine,
        desk: Desk,
        events: deque[HubEvent],
        limits: SignalingLimits,
        rules: tuple[RoomRule, ...],
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._events = events
        self._limits = limits
        self._rules = rules
        self._views: dict[str, RoomView] = {}
        # Joins that the engine has not answered: at most as many as sessions have rooms.
        self._entering: dict[int, tuple[Session, Join]] = {}
        self._last_ticket = 0

    def __len__(self) -> int:
        return len(self._views)

    # What sessions ask for.

    def may_join(self, session: Session, join: Join) -> bool:
        """Whether the token and the bounds allow it; answered when not, or when the session is in the room already."""
        admission = session.admission
        if not _covers(admission, join.room):
            self._desk.refuse(session, join.id, ErrorCode.FORBIDDEN)
            return False
        view = self._views.get(join.room)
        if view is not None and session.peer in view.ours:
            self._desk.answer(session, view.joined(join.id, session))
            return False
        if join.room not in session.rooms and len(session.rooms) >= self.room_bound(admission):
            self._desk.refuse(session, join.id, ErrorCode.TOO_MANY_ROOMS)
            return False
        return True

    def join(self, session: Session, join: Join, now: Instant) -> None:
        """Enter; the answer comes with the delivery."""
        self._last_ticket += 1
        self._entering[self._last_ticket] = session, join
        session.rooms[join.room] = None
        session.entering.add(join.room)
        admission = session.admission
        presence = Presence(
            peer=session.peer,
            session=session.id,
            identity=admission.identity,
            node=self._engine.node,
            name=admission.name,
            meta=_meta(admission, join.meta),
            relay_only=session.relay_only,
            client=session.client,
        )
        options = options_for(join.room, self._rules, self._limits.peers_per_room)
        bypass = Grant.MODERATE in admission.grants
        self._engine.enter(join.room, presence, self._last_ticket, options, bypass, now)

    def leave(self, session: Session, leave: Leave, now: Instant) -> None:
        """Leave and be told so, whether the session was there or not."""
        self.depart(session, leave.room, LeftReason.CLOSED, now)
        self._desk.answer(session, Ok(re=leave.id))

    def depart(self, session: Session, room: str, reason: LeftReason, now: Instant) -> None:
        """Take a session out of a room. Its own client is not told."""
        if room not in session.rooms:
            return
        del session.rooms[room]
        view = self._views.get(room)
        if view is not None and view.ours.pop(session.peer, None) is not None:
            self._events.append(PeerDeparted(room, session.peer, session.admission, reason))
            self._drop_if_empty(view)
        self._engine.depart(room, session.peer, reason, "", now)  # the others are told when that comes back

    def may_update(self, session: Session, update: Update) -> bool:
        """Whether the session is there; answered when not."""
        if not self._is_in(session, update.room):
            self._desk.refuse(session, update.id, ErrorCode.NOT_IN_ROOM)
            return False
        return True

    def update(self, session: Session, update: Update, now: Instant) -> None:
        """Say something else about oneself."""
        if not self.may_update(session, update):
            return
        self._engine.update(update.room, session.peer, _meta(session.admission, update.meta), now)
        self._desk.answer(session, Ok(re=update.id))

    def may_say(self, session: Session, frame: Said) -> bool:
        """Whether the token allows it and there is somebody to hear it; answered when not, or when it is a repeat."""
        match frame:
            case SendSignal():
                return self.may_signal(session, frame)
            case SendMessage():
                return self.may_message(session, frame)
            case _:
                return self.may_update(session, frame)

    def say(self, session: Session, frame: Said, now: Instant) -> None:
        """Pass it on, when it still can be: a hook may have taken its time."""
        match frame:
            case SendSignal():
                self.signal(session, frame, now)
            case SendMessage():
                self.message(session, frame, now)
            case _:
                self.update(session, frame, now)

    def may_signal(self, session: Session, signal: SendSignal) -> bool:
        """Whether the peer is there; answered when not, or when it is a repeat."""
        if self._repeated(session, signal):
            return False
        if not self._shared_rooms(session, signal.to):
            self._desk.refuse(session, signal.id, ErrorCode.PEER_NOT_FOUND)
            return False
        return True

    def signal(self, session: Session, signal: SendSignal, now: Instant) -> None:
        """Pass a description or a candidate on to one peer."""
        shared = self._shared_rooms(session, signal.to)
        if not shared:  # a hook may have taken its time
            self._desk.refuse(session, signal.id, ErrorCode.PEER_NOT_FOUND)
            return
        data: SignalData | None = signal.data
        refusal = _direction_refusal(session.admission, signal.data)
        if refusal is not None:
            self._desk.refuse(session, signal.id, refusal)
            return
        if self._conceals(session, shared, signal.to):
            try:
                data = concealed(signal.data)
            except MalformedError:
                self._desk.refuse(session, signal.id, ErrorCode.BAD_DESCRIPTION)
                return
        if data is not None:
            self._engine.deliver(shared[0].members[signal.to].node, signal.to, session.peer, data, None, now)
        self._done(session, signal)

    def may_message(self, session: Session, message: SendMessage) -> bool:
        """Whether the token allows it and somebody is there to hear it; answered when not, or when it is a repeat."""
        if self._repeated(session, message):
            return False
        if Grant.MESSAGE not in session.admission.grants:
            self._desk.refuse(session, message.id, ErrorCode.FORBIDDEN)
            return False
        refusal = self._message_refusal(session, message)
        if refusal is not None:
            self._desk.refuse(session, message.id, refusal)
        return refusal is None

    def message(self, session: Session, message: SendMessage, now: Instant) -> None:
        """Pass it on to a peer, or to all others of a room."""
        refusal = self._message_refusal(session, message)
        if refusal is not None:
            self._desk.refuse(session, message.id, refusal)
            return
        key = None if message.key is UNSET else message.key
        if message.to == EVERYBODY:
            self._engine.publish(self.room_of(session, message), session.peer, message.data, key, now)
        else:
            node = self._shared_rooms(session, message.to)[0].members[message.to].node
            self._engine.deliver(node, message.to, session.peer, message.data, key, now)
        self._done(session, message)

    def room_of(self, session: Session, frame: Said) -> str:
        """The room that a frame is for: the named one, the only one, or one that has the peer; empty without any."""
        if isinstance(frame, Update):
            return frame.room
        if frame.to != EVERYBODY:
            shared = self._shared_rooms(session, frame.to)
            return shared[0].name if shared else ""
        if isinstance(frame, SendMessage) and frame.room is not UNSET:
            return frame.room
        return next(iter(session.rooms)) if len(session.rooms) == 1 else ""

    def moderate(self, session: Session, frame: Kick | Lock | Close, now: Instant) -> None:
        """Kick, lock, close: for whoever may, in the rooms that his token has."""
        admission = session.admission
        if Grant.MODERATE not in admission.grants or not admission.covers(frame.room):
            self._desk.refuse(session, frame.id, ErrorCode.FORBIDDEN)
            return
        view = self._views.get(frame.room)
        if view is None or session.peer not in view.ours:
            self._desk.refuse(session, frame.id, ErrorCode.NOT_IN_ROOM)
            return
        if isinstance(frame, Kick) and frame.peer not in view.members:
            self._desk.refuse(session, frame.id, ErrorCode.PEER_NOT_FOUND)
            return
        # The answer goes first: what follows may take the moderator out as well.
        self._desk.answer(session, Ok(re=frame.id))
        if isinstance(frame, Kick):
            self._engine.depart(frame.room, frame.peer, LeftReason.KICKED, frame.reason, now)
        elif isinstance(frame, Lock):
            self._engine.configure(frame.room, replace(view.options, locked=frame.locked), now)
        else:
            for peer in list(view.members):
                self._engine.depart(view.name, peer, LeftReason.ROOM_CLOSED, frame.reason, now)

    def narrow(self, session: Session, now: Instant) -> None:
        """The session has another admission now: out of the rooms that it does not cover."""
        for room in list(session.rooms):
            if not _covers(session.admission, room):
                self._engine.depart(room, session.peer, LeftReason.EXPIRED, "", now)

    def restrict(self, session: Session, now: Instant) -> None:
        """`relay_only` of the session is different now: the others have to know, and its client what it may tell."""
        for room in session.rooms:
            self._engine.restrict(room, session.peer, session.relay_only, now)

    def states(self, session: Session) -> tuple[RoomState, ...]:
        """Every room of a session as it is now, for a resync."""
        views = (self._views[room] for room in session.rooms if self._is_in(session, room))
        return tuple(view.state(session) for view in views)

    # What the engine says.

    def handle_delivery(self, delivery: RoomDelivery, now: Instant) -> Session | None:
        """Bring the views up to date and tell our sessions. Returns the one whose join is answered by this."""
        match delivery:
            case Entered():
                return self._handle_entered(delivery, now)
            case NotEntered():
                return self._handle_not_entered(delivery)
            case Arrived():
                self._handle_arrived(delivery)
            case Changed(room, peer, meta):
                view = self._views.get(room)
                if view is not None and peer in view.members:
                    view.members[peer] = view.members[peer]._replace(meta=meta)
                    self._tell(view, prepare(PeerUpdated(seq=0, room=room, peer=peer, meta=meta)), besides=peer)
            case Restricted():
                self._handle_restricted(delivery)
            case Departed():
                self._handle_departed(delivery)
            case Configured(room, options):
                self._handle_configured(room, options)
            case Published(room, sender, data, key):
                view = self._views.get(room)
                if view is not None:
                    self._tell(view, _message(data, sender, room, key), besides=sender)
            case Delivered():
                self._handle_delivered(delivery)
            case _:
                assert_never(delivery)
        return None

    def _handle_not_entered(self, delivery: NotEntered) -> Session:
        session, join = self._take_entering(delivery.ticket)
        session.rooms.pop(join.room, None)
        self._desk.refuse(session, join.id, ErrorCode.ROOM_FULL if delivery.full else ErrorCode.ROOM_LOCKED)
        return session

    def _handle_entered(self, delivery: Entered, now: Instant) -> Session:
        session, join = self._take_entering(delivery.ticket)
        room = delivery.room
        if session.ended or room not in session.rooms or not _covers(session.admission, room):
            # Much may have happened while a distant engine made up its mind.
            session.rooms.pop(room, None)
            self._engine.depart(delivery.room, session.peer, LeftReason.CLOSED, "", now)
            return session
        view = self._views.get(delivery.room)
        if view is None:
            members = {presence.peer: presence for presence in delivery.members}
            view = self._views[delivery.room] = RoomView(delivery.room, delivery.options, members)
        view.ours[session.peer] = session
        self._desk.answer(session, view.joined(join.id, session))
        self._events.append(PeerEntered(delivery.room, session.peer, session.admission))
        return session

    def _handle_arrived(self, delivery: Arrived) -> None:
        view = self._views.get(delivery.room)
        if view is None:
            return
        presence = delivery.presence
        view.members[presence.peer] = presence
        # Whoever is in the room was there before: the newcomer is impolite, but for a tie, and then all agree as well.
        push = PeerJoined(
            seq=0,
            room=delivery.room,
            peer=presence.peer,
            identity=presence.identity,
            polite=False,
            meta=presence.meta,
            name=UNSET if presence.name is None else presence.name,
        )
        self._tell(view, prepare(push), besides=presence.peer)

    def _handle_departed(self, delivery: Departed) -> None:
        view = self._views.get(delivery.room)
        if view is None or view.members.pop(delivery.peer, None) is None:
            return
        session = view.ours.pop(delivery.peer, None)
        if session is not None:
            session.rooms.pop(delivery.room, None)
            self._events.append(PeerDeparted(delivery.room, delivery.peer, session.admission, delivery.reason))
            left = Left(seq=0, room=delivery.room, reason=delivery.reason, message=delivery.message)
            self._desk.push(session, prepare(left))
        self._tell(view, prepare(PeerLeft(seq=0, room=delivery.room, peer=delivery.peer, reason=delivery.reason)))
        self._drop_if_empty(view)

    def _handle_configured(self, room: str, options: RoomOptions) -> None:
        view = self._views.get(room)
        if view is None:
            return
        before, view.options = view.options, options
        if (before.locked, before.relay_only) != (options.locked, options.relay_only):
            for session in view.ours.values():
                self._desk.push(session, prepare(view.updated(session)))

    def _handle_restricted(self, delivery: Restricted) -> None:
        view = self._views.get(delivery.room)
        if view is None or delivery.peer not in view.members:
            return
        view.members[delivery.peer] = view.members[delivery.peer]._replace(relay_only=delivery.relay_only)
        session = view.ours.get(delivery.peer)
        if session is not None and not view.options.relay_only:
            self._desk.push(session, prepare(view.updated(session)))

    def _handle_delivered(self, delivery: Delivered) -> None:
        session = self._desk.session_of(delivery.peer)
        if session is None:
            return
        if isinstance(delivery.data, SignalData):
            assert delivery.sender is not None
            push = prepare(ServerSignal(seq=0, sender=delivery.sender, data=delivery.data))
        else:
            push = _message(delivery.data, delivery.sender, None, delivery.key)
        self._desk.push(session, push)

    # Smaller things.

    def _take_entering(self, ticket: int) -> tuple[Session, Join]:
        session, join = self._entering.pop(ticket)
        session.entering.discard(join.room)
        return session, join

    def _tell(self, view: RoomView, push: PreparedPush, besides: str | None = None) -> None:
        for peer, session in view.ours.items():
            if peer != besides:
                self._desk.push(session, push)

    def _drop_if_empty(self, view: RoomView) -> None:
        if not view.ours:
            del self._views[view.name]

    def _is_in(self, session: Session, room: str) -> bool:
        view = self._views.get(room)
        return view is not None and session.peer in view.ours

    def _shared_rooms(self, session: Session, peer: str) -> list[RoomView]:
        if peer == session.peer:
            return []
        views = (self._views[room] for room in session.rooms if self._is_in(session, room))
        return [view for view in views if peer in view.members]

    def _message_refusal(self, session: Session, message: SendMessage) -> ErrorCode | None:
        if message.to != EVERYBODY:
            return None if self._shared_rooms(session, message.to) else ErrorCode.PEER_NOT_FOUND
        room = self.room_of(session, message)
        if not room:
            return ErrorCode.ROOM_REQUIRED
        return None if self._is_in(session, room) else ErrorCode.NOT_IN_ROOM

    def _conceals(self, session: Session, shared: list[RoomView], peer: str) -> bool:
        return session.relay_only or any(view.conceals(peer) for view in shared)

    def room_bound(self, admission: Admission) -> int:
        """How many rooms somebody may be in: his own bound, and not more than the server's."""
        own = admission.limits.rooms
        return self._limits.rooms_per_session if own is None else min(own, self._limits.rooms_per_session)

    def _repeated(self, session: Session, frame: SendSignal | SendMessage) -> bool:
        """A frame that was passed on before is answered as it was then, and nothing else happens."""
        if frame.key is UNSET or frame.key not in session.keys:
            return False
        if frame.id is not UNSET:
            self._desk.answer(session, Ok(re=frame.id))
        return True

    def _done(self, session: Session, frame: SendSignal | SendMessage) -> None:
        if frame.key is not UNSET:
            session.remember(frame.key)
        if frame.id is not UNSET:
            self._desk.answer(session, Ok(re=frame.id))


def _message(data: Raw, sender: str | None, room: str | None, key: str | None) -> PreparedPush:
    return prepare(
        ServerMessage(
            seq=0,
            data=data,
            sender=UNSET if sender is None else sender,
            room=UNSET if room is None else room,
            key=UNSET if key is None else key,
        )
    )


def _covers(admission: Admission, room: str) -> bool:
    return Grant.JOIN in admission.grants and admission.covers(room)


def _direction_refusal(admission: Admission, data: SignalData) -> ErrorCode | None:
    if data.description is UNSET or not data.description.sdp:
        return None
    try:
        missing = missing_grant(data.description.sdp, admission.grants)
    except MalformedError:
        return ErrorCode.BAD_DESCRIPTION
    return None if missing is None else ErrorCode.FORBIDDEN


def _meta(admission: Admission, said: Raw) -> Raw:
    """What others see: what the client says, and over it what admission says."""
    if not admission.meta:
        return said
    return encode_json({**parse_json_object(said), **admission.meta})
