"""What `icelane top` makes of a node's answers."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from icelane.cli.top_view import Order, Snapshot, path_of, screen, size, snapshot


def session(user: str, sent: int = 0, received: int = 0, *, transport: str = "udp", name: str = "") -> dict[str, Any]:
    """One allocation as the admin socket tells it."""
    return {
        "session": name or f"192.0.2.1:{49160 + len(user)}",
        "transport": transport,
        "client": "192.168.1.7:50000",
        "user": user,
        "bytesFromClient": sent,
        "bytesToClient": received,
        "dropped": 0,
        "expiresIn": 590.0,
    }


def answer(at: float, *sessions: dict[str, Any]) -> dict[str, Any]:
    """An answer to `sessions`."""
    return {"at": at, "sessions": list(sessions), "omitted": 0}


def rooms(*peers: tuple[str, str], room: str = "demo", members: int | None = None) -> dict[str, Any]:
    """An answer to `room-list`: identity and name of each."""
    told = [{"peer": f"p_{i}", "identity": who, "meta": {"name": name}} for i, (who, name) in enumerate(peers)]
    return {"rooms": [{"room": room, "members": len(told) if members is None else members, "peers": told}]}


def shown(view: Snapshot, *, width: int = 80, height: int | None = None) -> list[str]:
    """The lines of the screen."""
    console = Console(file=io.StringIO(), width=width)
    console.print(screen(view, title="icelane", height=height))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_rates_are_what_has_come_since_the_answer_before() -> None:
    view = snapshot(rooms(), answer(12.0, session("ann", 3000, 5000)), answer(10.0, session("ann", 1000, 5000)))
    (one,) = view.allocations
    assert (one.rate_in, one.rate_out) == (1000.0, 0.0)


def test_who_was_not_there_before_has_relayed_all_of_it_since() -> None:
    view = snapshot(rooms(), answer(12.0, session("ann", 3000)), answer(10.0))
    assert view.allocations[0].rate_in == 1500.0


def test_a_path_is_told_by_what_the_relay_carries() -> None:
    before = answer(0.0, session("ann"), session("bob"), session("tls", transport="tls"))
    after = answer(1.0, session("ann", 9000), session("bob"), session("tls", 70, transport="tls"))
    view = snapshot(rooms(("ann", "Ann"), ("bob", "Bob"), ("tls", "Tess"), ("eve", "Eve")), after, before)
    paths = {peer.name: peer.path for peer in view.rooms[0].peers}
    assert paths == {
        "Ann": "relayed, UDP",
        "Bob": "direct",
        "Tess": "relayed, TLS",
        "Eve": "direct",
    }


def test_who_has_nobody_to_speak_to_is_alone() -> None:
    view = snapshot(rooms(("ann", "Ann")), answer(1.0, session("ann")), answer(0.0, session("ann")))
    assert view.rooms[0].peers[0].path == "alone"


def test_a_path_over_two_transports_names_both() -> None:
    found = snapshot(
        rooms(),
        answer(1.0, session("ann", 9, name="a"), session("ann", 9, transport="tcp", name="b")),
        answer(0.0),
    )
    assert path_of(found.allocations) == "relayed, TCP and UDP"


def test_of_two_with_one_identity_the_relay_cannot_say_who_it_is() -> None:
    view = snapshot(rooms(("guest", "Ann"), ("guest", "Bob")), answer(1.0, session("guest", 9000)), answer(0.0))
    assert [peer.path for peer in view.rooms[0].peers] == ["relayed, UDP (shared)"] * 2


@pytest.mark.parametrize(
    ("order", "users"),
    [
        (Order.RATE, ["carol", "bob", "ann"]),
        (Order.TOTAL, ["bob", "carol", "ann"]),
        (Order.USER, ["ann", "bob", "carol"]),
    ],
)
def test_allocations_are_sorted_as_asked(order: Order, users: list[str]) -> None:
    before = answer(0.0, session("ann", 1), session("bob", 90_000), session("carol", 10))
    after = answer(1.0, session("ann", 1), session("bob", 90_100), session("carol", 5000))
    assert [one.user for one in snapshot(rooms(), after, before, order).allocations] == users


def test_everything_fits_into_eighty_columns() -> None:
    people = [(f"guest-{number:010x}", "N" * 200) for number in range(30)]
    sessions = [session(who, 10**12, 10**12, name=str(i)) for i, (who, _) in enumerate(people)]
    for one in sessions:
        one["client"] = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
    view = snapshot(rooms(*people, room="r" * 128), answer(1.0, *sessions), answer(0.0))
    lines = shown(view)
    assert max(map(len, lines)) <= 80
    assert len(shown(view, height=24)) <= 24
    assert any("more lines" in line for line in shown(view, height=24))


def test_a_node_with_nobody_says_so() -> None:
    text = "\n".join(shown(snapshot(rooms(members=0) | {"rooms": []}, answer(1.0), answer(0.0))))
    assert "nobody is in a room" in text
    assert "no allocation" in text


def test_a_name_cannot_write_on_the_screen() -> None:
    view = snapshot(rooms(("eve", "\x1b[2J\nEve")), answer(1.0), answer(0.0))
    assert "\x1b" not in "".join(shown(view))
    assert any("?[2J?Eve" in line for line in shown(view))


def test_members_that_were_not_told_are_counted() -> None:
    assert any("7 more" in line for line in shown(snapshot(rooms(("a", "A"), members=8), answer(1.0), answer(0.0))))
    assert any("8 people" in line for line in shown(snapshot(rooms(members=8), answer(1.0), answer(0.0))))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (999.6, "1.0k"), (1500, "1.5k"), (99_499, "99k"), (2.5e9, "2.5G"), (3e13, "30T")],
)
def test_sizes_are_short(count: float, text: str) -> None:
    assert size(count) == text


def test_the_document_has_the_same_in_full() -> None:
    view = snapshot(rooms(("ann", "Ann")), answer(1.0, session("ann", 50, 60)), answer(0.0))
    document = view.document()
    assert document["rooms"][0]["peers"][0]["path"] == "relayed, UDP"
    assert document["allocations"][0]["rateFromClient"] == 50.0
