"""A link that lets one in, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from icelane.aio.system import monotonic
from icelane.core.clock import Instant, UnixSeconds
from icelane.node.invitation import Invitations, invitation_url
from icelane.server.admin import RequestError
from icelane.signaling.admission.request import Allow
from icelane.signaling.admitted import Grant, IceTransportPolicy
from tests.loops import Run
from tests.node.nodes import node, say

NOW = Instant(100.0)
ASKED = {"command": "invite", "identity": "ann", "rooms": ["demo"], "validFor": 3600}


class Calendar:
    """1000 seconds ahead of the other clock."""

    def unix_time(self, now: Instant) -> UnixSeconds:
        """See `WallClock`."""
        return UnixSeconds(now + 1000.0)


class Tickets:
    """What was asked for; none is out of tickets unless `empty`."""

    def __init__(self, *, empty: bool = False) -> None:
        self.allowed: list[Allow] = []
        self._empty = empty

    def invite(self, allow: Allow) -> str | None:
        """A ticket."""
        self.allowed.append(allow)
        return None if self._empty else "T-1"


def answered(tickets: Tickets, **more: Any) -> dict[str, Any]:
    """What the admin socket would be told."""
    invitations = Invitations(tickets.invite, lambda: "https://call.example.org", Calendar())
    request = {name: value for name, value in (ASKED | more).items() if value is not None}
    return invitations.answer(request, NOW)


def test_the_link_is_that_of_the_room_and_hides_the_ticket_from_every_server() -> None:
    tickets = Tickets()
    assert answered(tickets) == {"url": "https://call.example.org/r/demo#ticket=T-1", "expiresIn": 60}
    assert tickets.allowed[0].identity == "ann"
    assert tickets.allowed[0].expires_at == 100.0 + 1000.0 + 3600.0


def test_what_is_said_is_what_a_token_says() -> None:
    tickets = Tickets()
    answered(tickets, name="Ann", grants=["join"], meta={"hat": "red"}, ice={"policy": "relay"})
    (allow,) = tickets.allowed
    assert (allow.name, allow.grants, allow.meta) == ("Ann", frozenset({Grant.JOIN}), {"hat": "red"})
    assert allow.ice is not None
    assert allow.ice.transport_policy is IceTransportPolicy.RELAY


@pytest.mark.parametrize(
    ("rooms", "path"),
    [((), "/"), (("a", "b"), "/"), (("team-*",), "/"), (("a/b c",), "/r/a%2Fb%20c"), (("a", "team-*"), "/r/a")],
)
def test_the_page_is_that_of_the_one_room_that_is_meant(rooms: tuple[str, ...], path: str) -> None:
    assert invitation_url("https://call.example.org", rooms, "T") == f"https://call.example.org{path}#ticket=T"


@pytest.mark.parametrize(
    "more",
    [
        {"identity": None},
        {"identity": ""},
        {"identity": 7},
        {"rooms": "demo"},
        {"rooms": ["a*b"]},
        {"grants": ["everything"]},
        {"meta": []},
        {"ice": {"policy": "magic"}},
        {"name": "a\nb"},
        {"validFor": "1h"},
        {"validFor": True},
    ],
)
def test_what_no_token_could_say_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        answered(Tickets(), **more)


def test_a_session_lasts_a_day_at_most() -> None:
    tickets = Tickets()
    answered(tickets, validFor=10**9)
    assert tickets.allowed[0].expires_at == 100.0 + 1000.0 + 86_400.0


def test_a_server_that_is_out_of_tickets_says_so() -> None:
    with pytest.raises(RequestError, match="too many tickets"):
        answered(Tickets(empty=True))


def test_a_node_lets_in_who_has_the_ticket_and_once(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as there:
            answer = await there.server.administer(ASKED, monotonic())
            ticket = str(answer["url"]).partition("#ticket=")[2]
            first, second = await there.open(), await there.open()
            welcome = await say(first, {"type": "hello", "id": 1, "ticket": ticket})
            assert (welcome["type"], welcome["identity"]) == ("welcome", "ann")
            assert (await say(second, {"type": "hello", "id": 1, "ticket": ticket}))["type"] != "welcome"
            await first.close()
            await second.close()

    run(scenario())


def test_rooms_are_told_with_their_peers_for_top(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as there:
            websocket, _ = await there.enter("ann")
            plain = await there.server.administer({"command": "room-list"}, NOW)
            assert "peers" not in plain["rooms"][0]
            full = await there.server.administer({"command": "room-list", "peers": True}, NOW)
            assert [peer["identity"] for peer in full["rooms"][0]["peers"]] == ["ann"]
            await websocket.close()

    run(scenario())
