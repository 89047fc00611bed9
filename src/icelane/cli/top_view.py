"""What `icelane top` shows: two answers of a node made into rates and paths, sorted, and cut to the terminal."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

MAX_TEXT: Final = 24
"""Characters of a name or an address in a row; longer ones lose their middle."""

_SILENT: Final = 1.0
# Bytes per second below which a relay only keeps itself alive.


class Order(enum.StrEnum):
    """By what allocations are sorted."""

    RATE = "rate"
    TOTAL = "total"
    USER = "user"
    EXPIRES = "expires"


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """One allocation; rates are bytes per second, `from_client` and `to_client` bytes so far."""

    session: str
    user: str
    transport: str
    client: str
    rate_in: float
    rate_out: float
    from_client: int
    to_client: int
    dropped: int
    expires: float

    @property
    def rate(self) -> float:
        """Both ways together."""
        return self.rate_in + self.rate_out


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Somebody in a room, and by which way the relay knows him to speak."""

    peer: str
    identity: str
    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room with those in it that were told; `members` counts all."""

    room: str
    members: int
    locked: bool
    peers: tuple[Peer, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The node at one moment. `omitted` allocations were not told."""

    rooms: tuple[Room, ...]
    allocations: tuple[Allocation, ...]
    omitted: int = 0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": True,
            "rooms": [
                {
                    "room": room.room,
                    "members": room.members,
                    "locked": room.locked,
                    "peers": [vars(peer) for peer in room.peers],
                }
                for room in self.rooms
            ],
            "allocations": [
                {
                    "session": one.session,
                    "user": one.user,
                    "transport": one.transport,
                    "client": one.client,
                    "rateFromClient": round(one.rate_in, 1),
                    "rateToClient": round(one.rate_out, 1),
                    "bytesFromClient": one.from_client,
                    "bytesToClient": one.to_client,
                    "dropped": one.dropped,
                    "expiresIn": one.expires,
                }
                for one in self.allocations
            ],
            "omitted": self.omitted,
        }


def snapshot(
    rooms: Mapping[str, Any], sessions: Mapping[str, Any], before: Mapping[str, Any], order: Order = Order.RATE
) -> Snapshot:
    """What the answers to `room-list` and `sessions` come to; `before` is an earlier answer to `sessions`."""
    seconds = max(1e-3, sessions["at"] - before["at"])
    earlier: Mapping[str, Any] = {one["session"]: one for one in before["sessions"]}
    allocations = [_allocation(one, earlier.get(one["session"]), seconds) for one in sessions["sessions"]]
    people = [(one, room["room"]) for room in rooms["rooms"] for one in room.get("peers", ())]
    shared = _shared([peer["identity"] for peer, _ in people])
    return Snapshot(
        rooms=tuple(_room(one, allocations, shared) for one in rooms["rooms"]),
        allocations=tuple(sorted(allocations, key=_SORTS[order])),
        omitted=sessions["omitted"],
    )


def path_of(allocations: Sequence[Allocation], *, alone: bool = False) -> str:
    """What a user's allocations tell of his way to the others. What goes directly is never seen by a server."""
    busy = sorted({one.transport.upper() for one in allocations if one.rate >= _SILENT})
    if busy:
        return f"relayed, {' and '.join(busy)}"
    return "alone" if alone else "direct"


def screen(view: Snapshot, *, title: str, height: int | None = None) -> RenderableType:
    """All of it within 80 columns, and within `height` lines where that is given."""
    room_rows = [row for room in view.rooms for row in _room_rows(room)]
    allocation_rows = [_allocation_row(one) for one in view.allocations]
    if height is not None:
        # Two headings, two lines of columns, a gap and what says that there is more.
        space = max(2, height - 8)
        room_rows = _cut(room_rows, max(space // 2, space - len(allocation_rows)))
        allocation_rows = _cut(allocation_rows, max(1, space - len(room_rows)))
    parts: list[RenderableType] = [_headline(view, title), Text()]
    parts.append(_table(("room", "who", "path"), room_rows, "nobody is in a room"))
    parts.append(Text())
    columns = ("user", "client", "by", "in/s", "out/s", "in", "out", "ends")
    parts.append(_table(columns, allocation_rows, "no allocation: nobody uses the relay", right=range(3, 8)))
    if view.omitted:
        parts.append(Text(f"{view.omitted} more allocations are left out", style="yellow"))
    return Group(*parts)


def size(count: float) -> str:
    """Bytes in four or five characters."""
    for unit in ("", "k", "M", "G"):
        if count < 999.5:
            return f"{count:.0f}{unit}" if count >= 9.95 or not unit else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.0f}T"


def _allocation(one: Mapping[str, Any], before: Mapping[str, Any] | None, seconds: float) -> Allocation:
    def rate(count: str) -> float:
        # One that was not there before has relayed all it has since.
        return max(0.0, float(one[count] - (before[count] if before is not None else 0))) / seconds

    return Allocation(
        session=one["session"],
        user=one["user"],
        transport=one["transport"],
        client=one["client"],
        rate_in=rate("bytesFromClient"),
        rate_out=rate("bytesToClient"),
        from_client=one["bytesFromClient"],
        to_client=one["bytesToClient"],
        dropped=one["dropped"],
        expires=one["expiresIn"],
    )


def _room(one: Mapping[str, Any], allocations: Sequence[Allocation], shared: set[str]) -> Room:
    peers = tuple(_peer(peer, allocations, shared, alone=one["members"] < 2) for peer in one.get("peers", ()))
    return Room(room=one["room"], members=one["members"], locked=bool(one.get("locked")), peers=peers)


def _peer(one: Mapping[str, Any], allocations: Sequence[Allocation], shared: set[str], *, alone: bool) -> Peer:
    identity = one["identity"]
    meta = one.get("meta")
    shown = one.get("name") or (meta.get("name") if isinstance(meta, Mapping) else None)
    path = path_of([allocation for allocation in allocations if allocation.user == identity], alone=alone)
    return Peer(
        peer=one["peer"],
        identity=identity,
        name=shown if isinstance(shown, str) and shown else identity,
        path=f"{path} (shared)" if identity in shared and path.startswith("relayed") else path,
    )


def _shared(identities: Sequence[str]) -> set[str]:
    """Who is several: the relay cannot tell whose an allocation is."""
    return {one for one in identities if identities.count(one) > 1}


_SORTS: Final[Mapping[Order, Any]] = {
    Order.RATE: lambda one: (-one.rate, -(one.from_client + one.to_client), one.session),
    Order.TOTAL: lambda one: (-(one.from_client + one.to_client), one.session),
    Order.USER: lambda one: (one.user, one.session),
    Order.EXPIRES: lambda one: (one.expires, one.session),
}


def _headline(view: Snapshot, title: str) -> Text:
    people = sum(room.members for room in view.rooms)
    rates = [sum(one.rate_in for one in view.allocations), sum(one.rate_out for one in view.allocations)]
    counts = "  ".join(
        f"{count} {name if count == 1 else plural}"
        for count, name, plural in (
            (len(view.rooms), "room", "rooms"),
            (people, "person", "people"),
            (len(view.allocations) + view.omitted, "allocation", "allocations"),
        )
    )
    return Text.assemble((title, "bold"), f"  {counts}  ", (f"in {size(rates[0])}B/s  out {size(rates[1])}B/s", "cyan"))


def _room_rows(room: Room) -> list[list[Text]]:
    name = Text(_short(room.room))
    if room.locked:
        name.append(" locked", style="yellow")
    rows = [[Text(), Text(_short(peer.name)), _path(peer.path)] for peer in room.peers]
    if not rows:
        return [[name, Text(f"{room.members} people"), Text()]]
    rows[0][0] = name
    missing = room.members - len(room.peers)
    return rows + ([[Text(), Text(f"{missing} more", style="yellow"), Text()]] if missing > 0 else [])


def _path(text: str) -> Text:
    style = "yellow" if text.startswith("relayed") else "green" if text.startswith("direct") else "dim"
    return Text(text, style=style)


def _allocation_row(one: Allocation) -> list[Text]:
    figures = (size(one.rate_in), size(one.rate_out), size(one.from_client), size(one.to_client))
    return [
        Text(_short(one.user, 16)),
        Text(_short(one.client)),
        Text(one.transport.upper(), style="magenta" if one.transport == "tls" else ""),
        *(Text(figure, style="" if one.rate >= _SILENT else "dim") for figure in figures),
        Text(f"{one.expires:.0f}s", style="dim"),
    ]


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], empty: str, right: range = range(0)
) -> RenderableType:
    if not rows:
        return Text(empty, style="dim")
    table = Table(header_style="bold", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _cut(rows: list[list[Text]], most: int) -> list[list[Text]]:
    if len(rows) <= most:
        return rows
    kept = rows[: most - 1]
    more = Text(f"{len(rows) - len(kept)} more lines", style="yellow")
    return [*kept, [more, *(Text() for _ in rows[0][1:])]]


def _short(text: str, most: int = MAX_TEXT) -> str:
    """Control characters, which a client may have put into its name, are no part of a screen."""
    clean = "".join(one if one.isprintable() else "?" for one in text)
    half = (most - 1) // 2
    return clean if len(clean) <= most else f"{clean[: most - 1 - half]}…{clean[-half:]}"
