"""A room as one node sees it, and as it shows it to its members."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET, UnsetType

from icelane.signaling.admitted import IceTransportPolicy
from icelane.signaling.engine import Presence, RoomOptions
from icelane.signaling.messages import Joined, PeerInfo, RoomState, RoomUpdated
from icelane.signaling.session import Session

_RELAY: Final = IceTransportPolicy.RELAY.value


@dataclass(slots=True)
class RoomView:
    """A room with somebody of ours in it."""

    name: str
    options: RoomOptions
    members: dict[str, Presence]
    ours: dict[str, Session] = field(default_factory=dict)

    def joined(self, re: int, session: Session) -> Joined:
        """The answer to whoever has entered."""
        return Joined(
            re=re,
            room=self.name,
            you=session.peer,
            peers=self._infos(session.peer),
            locked=self.options.locked,
            ice_transport_policy=self._policy(session),
        )

    def state(self, session: Session) -> RoomState:
        """The same for whoever has lost track."""
        return RoomState(
            room=self.name,
            you=session.peer,
            peers=self._infos(session.peer),
            locked=self.options.locked,
            ice_transport_policy=self._policy(session),
        )

    def updated(self, session: Session) -> RoomUpdated:
        """What is different now, as it is for this one."""
        return RoomUpdated(
            seq=0, room=self.name, locked=self.options.locked, ice_transport_policy=self._policy(session)
        )

    def conceals(self, peer: str) -> bool:
        """Whether nothing that tells an address may reach this member."""
        return self.options.relay_only or self.members[peer].relay_only

    def _policy(self, session: Session) -> str | UnsetType:
        return _RELAY if self.options.relay_only or session.relay_only else UNSET

    def _infos(self, receiver: str) -> tuple[PeerInfo, ...]:
        me = self.members.get(receiver)  # not yet there when he has just come: all others were before him
        return tuple(
            PeerInfo(
                peer=presence.peer,
                identity=presence.identity,
                polite=me is None or presence.came_before(me),
                meta=presence.meta,
                name=UNSET if presence.name is None else presence.name,
            )
            for presence in self.members.values()
            if presence.peer != receiver
        )
