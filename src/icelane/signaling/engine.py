"""What joins the hubs of several nodes: who is in which room, everywhere, and what is said to all of it.

Told everything, as every engine here: a verb now, its deliveries from `poll_delivery`, at once or after a round trip. A
room has one order of deliveries, and every node gets them in that order.

    hub:  enter(room, presence, ...)      -> Entered or NotEntered, to the hub that asked; Arrived, to all in the room
          update, restrict, depart        -> Changed, Restricted, Departed
          configure(room, options)        -> Configured
          publish(room, ...)              -> Published
          deliver(node, peer, ...)        -> Delivered, to that node
          claim(identity, session, ...)   -> Superseded, to the node of each session that is one too many

Presence is leased: a node that does not `handle_timeout` for LEASE is taken for dead, and its peers depart with
`node-lost`; when it comes back it gets LeaseLost and ends what it has. That may be late, and is told at least once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from msgspec import Raw

from icelane.core.clock import Duration, Instant
from icelane.signaling.messages import ClientInfo, LeftReason, SignalData

# How long a silent node keeps its presence; and how often it says that it lives.
LEASE: Final[Duration] = 30.0
RENEWAL: Final[Duration] = 10.0


class Presence(NamedTuple):
    """A peer in a room. `order` says who was first, in the whole room; the engine writes it.

    `client` is the program that he says he uses, for operators: the others in the room are not told.
    """

    peer: str
    session: str
    identity: str
    node: str
    name: str | None
    meta: Raw
    relay_only: bool
    order: int = 0
    client: ClientInfo | None = None

    def came_before(self, other: Presence) -> bool:
        """Whether this one is the polite of the two: who was there first; ties go by id."""
        return (self.order, self.peer) < (other.order, other.peer)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOptions:
    """How a room is. `max_peers` None is the configured bound; `kept` rooms stay when the last one leaves."""

    locked: bool = False
    relay_only: bool = False
    max_peers: int | None = None
    kept: bool = False


class Entered(NamedTuple):
    """The answer to `enter`: the room as it was just before."""

    ticket: int
    room: str
    members: tuple[Presence, ...]
    options: RoomOptions


class NotEntered(NamedTuple):
    """The answer to `enter`. `full` or else locked."""

    ticket: int
    full: bool


class Arrived(NamedTuple):
    """Somebody is in the room now."""

    room: str
    presence: Presence


class Changed(NamedTuple):
    """Somebody says something else about himself."""

    room: str
    peer: str
    meta: Raw


class Restricted(NamedTuple):
    """Nothing that tells an address may reach this peer from now on, or again it may."""

    room: str
    peer: str
    relay_only: bool


class Departed(NamedTuple):
    """Somebody is gone. `message` is for himself."""

    room: str
    peer: str
    reason: LeftReason
    message: str


class Configured(NamedTuple):
    """The room is different now."""

    room: str
    options: RoomOptions


class Published(NamedTuple):
    """For everybody in the room but the sender; without a sender it is from the server."""

    room: str
    sender: str | None
    data: Raw
    key: str | None


class Delivered(NamedTuple):
    """For one peer of this node."""

    peer: str
    sender: str | None
    data: Raw | SignalData
    key: str | None


class Superseded(NamedTuple):
    """This session of this node is over: its identity has newer ones."""

    session: str


class LeaseLost(NamedTuple):
    """This node was taken for dead. What it believes about rooms is not true any more."""


Delivery: TypeAlias = (
    Entered
    | NotEntered
    | Arrived
    | Changed
    | Restricted
    | Departed
    | Configured
    | Published
    | Delivered
    | Superseded
    | LeaseLost
)


class SignalEngine(Protocol):
    """One node's end of it."""

    @property
    def node(self) -> str:
        """The name of this node."""
        ...

    def enter(
        self, room: str, presence: Presence, ticket: int, options: RoomOptions, bypass_lock: bool, now: Instant
    ) -> None:
        """Put a peer into a room; `options` are for a room that is not there yet, and its bound is always theirs."""
        ...

    def update(self, room: str, peer: str, meta: Raw, now: Instant) -> None:
        """Replace the meta of a peer."""
        ...

    def restrict(self, room: str, peer: str, relay_only: bool, now: Instant) -> None:
        """Replace whether a peer is only ever told of relays."""
        ...

    def depart(self, room: str, peer: str, reason: LeftReason, message: str, now: Instant) -> None:
        """Take a peer of any node out of a room."""
        ...

    def configure(self, room: str, options: RoomOptions, now: Instant) -> None:
        """Replace the options of a room, and make it if it is to be kept."""
        ...

    def publish(self, room: str, sender: str | None, data: Raw, key: str | None, now: Instant) -> None:
        """Tell everybody in a room."""
        ...

    def deliver(
        self, node: str, peer: str, sender: str | None, data: Raw | SignalData, key: str | None, now: Instant
    ) -> None:
        """Tell one peer, on `node`."""
        ...

    def claim(self, identity: str, session: str, limit: int, now: Instant) -> None:
        """A session begins; the oldest of the same identity end when there are more than `limit`."""
        ...

    def release(self, identity: str, session: str, now: Instant) -> None:
        """A session has ended."""
        ...

    def room(self, room: str) -> tuple[RoomOptions, tuple[Presence, ...]] | None:
        """A room, as far as this node knows."""
        ...

    def rooms(self) -> Mapping[str, tuple[RoomOptions, tuple[Presence, ...]]]:
        """Every room, as far as this node knows."""
        ...

    def handle_timeout(self, now: Instant) -> None:
        """Renew the lease of this node, and find out whose is over."""
        ...

    def poll_delivery(self) -> Delivery | None:
        """What comes to this node next."""
        ...

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called."""
        ...
