"""`/v1/rooms`: moderation with ETags."""

from __future__ import annotations

import pytest

from icelane.signaling.http.room_endpoints import RoomSettings, RoomView
from tests.signaling.http.asgi import AS_ALICE, AS_OPERATOR, JSON, World, peer


def world() -> World:
    made = World()
    made.rooms.views["demo"] = RoomView(room="demo", settings=RoomSettings(), peers=(peer("alice"), peer("bob")))
    return made


def test_rooms_are_listed_and_shown() -> None:
    w = world()
    assert w.ask("GET", "/v1/rooms", AS_OPERATOR).json == {
        "rooms": [{"room": "demo", "peers": 2, "settings": {"locked": False, "relayOnly": False}}],
        "omitted": 0,
    }
    shown = w.ask("GET", "/v1/rooms/demo", AS_OPERATOR)
    assert [one["identity"] for one in shown.json["peers"]] == ["alice", "bob"]
    assert w.ask("GET", "/v1/rooms/demo/peers", AS_OPERATOR).json["peers"] == shown.json["peers"]
    again = w.ask("GET", "/v1/rooms/demo", AS_OPERATOR, {"if-none-match": shown.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert w.ask("GET", "/v1/rooms/none", AS_OPERATOR).status == 404


@pytest.mark.parametrize("written", ["team%2Fdaily", "team%2fdaily"])
def test_a_room_may_have_a_slash_in_its_name(written: str) -> None:
    """RFC 3986 section 2.2: written as %2F it is no border."""
    w = world()
    w.rooms.views["team/daily"] = RoomView(room="team/daily", settings=RoomSettings(), peers=(peer("alice"),))
    assert w.ask("GET", f"/v1/rooms/{written}", AS_OPERATOR).json["room"] == "team/daily"
    assert [one["identity"] for one in w.ask("GET", f"/v1/rooms/{written}/peers", AS_OPERATOR).json["peers"]] == [
        "alice"
    ]
    assert w.ask("GET", "/v1/rooms/team/daily", AS_OPERATOR).status == 404
    assert w.ask("GET", "/v1/rooms/team%252Fdaily", AS_OPERATOR).status == 404
    assert w.ask("POST", f"/v1/rooms/{written}/lock", AS_OPERATOR).json["settings"]["locked"] is True
    assert w.ask("DELETE", f"/v1/rooms/{written}/peers/p_alice", AS_OPERATOR).status == 204
    assert w.ask("PUT", "/v1/rooms/a%2Fb%20%C3%A9", AS_OPERATOR, JSON, body=b"{}").json["room"] == "a/b é"


def test_a_change_that_somebody_else_was_faster_with_is_412() -> None:
    w = world()
    first = w.ask("GET", "/v1/rooms/demo", AS_OPERATOR).headers["etag"]
    changed = w.ask("PUT", "/v1/rooms/demo", AS_OPERATOR, JSON, {"if-match": first}, body=b'{"locked": true}')
    assert (changed.status, changed.json["settings"]["locked"]) == (200, True)
    late = w.ask("PUT", "/v1/rooms/demo", AS_OPERATOR, JSON, {"if-match": first}, body=b'{"maxPeers": 5}')
    assert (late.status, late.headers["etag"]) == (412, changed.headers["etag"])
    assert w.rooms.views["demo"].settings.locked
    only_new = {"if-none-match": "*"}
    assert w.ask("PUT", "/v1/rooms/demo", AS_OPERATOR, JSON, only_new, body=b"{}").status == 412
    assert w.ask("PUT", "/v1/rooms/new", AS_OPERATOR, JSON, only_new, body=b'{"relayOnly": true}').status == 201
    assert w.ask("PUT", "/v1/rooms/other", AS_OPERATOR, JSON, {"if-match": "*"}, body=b"{}").status == 412
    assert w.ask("DELETE", "/v1/rooms/demo", AS_OPERATOR, {"if-match": first}).status == 412
    assert w.ask("DELETE", "/v1/rooms/demo", AS_OPERATOR, {"if-match": "*"}).status == 204


def test_peers_are_sent_out_and_rooms_locked_and_spoken_to() -> None:
    w = world()
    assert w.ask("DELETE", "/v1/rooms/demo/peers/p_bob?reason=noise", AS_OPERATOR).status == 204
    assert w.ask("DELETE", "/v1/rooms/demo/peers/p_bob", AS_OPERATOR).status == 404
    assert w.ask("POST", "/v1/rooms/demo/lock", AS_OPERATOR).json["settings"]["locked"] is True
    opened = w.ask("POST", "/v1/rooms/demo/lock", AS_OPERATOR, JSON, body=b'{"locked": false}')
    assert opened.json["settings"]["locked"] is False
    body = b'{"data": {"text": "closing"}, "to": "p_alice"}'
    assert w.ask("POST", "/v1/rooms/demo/messages", AS_OPERATOR, JSON, body=body).status == 202
    assert w.rooms.said == [("demo", b'{"text": "closing"}', "p_alice")]
    assert w.ask("POST", "/v1/rooms/none/messages", AS_OPERATOR, JSON, body=b'{"data": 1}').status == 404


@pytest.mark.parametrize("headers", [{}, AS_ALICE], ids=["nobody", "a user"])
def test_rooms_are_ruled_by_operators_alone(headers: dict[str, str]) -> None:
    """SG-13: whatever a user may do in his rooms, he does over his own session."""
    w = world()
    asked = [
        ("GET", "/v1/rooms"),
        ("GET", "/v1/rooms/demo"),
        ("PUT", "/v1/rooms/demo"),
        ("DELETE", "/v1/rooms/demo"),
        ("GET", "/v1/rooms/demo/peers"),
        ("DELETE", "/v1/rooms/demo/peers/p_bob"),
        ("POST", "/v1/rooms/demo/messages"),
        ("POST", "/v1/rooms/demo/lock"),
    ]
    assert {w.ask(method, path, headers).status for method, path in asked} == {403 if headers else 401}
    assert len(w.rooms.views["demo"].peers) == 2
    assert w.rooms.said == []


@pytest.mark.parametrize("settings", [b'{"maxPeers": 0}', b'{"maxPeers": 100000}', b'{"locked": "yes"}', b"[]"])
def test_settings_that_no_room_can_have_are_400(settings: bytes) -> None:
    assert world().ask("PUT", "/v1/rooms/demo", AS_OPERATOR, JSON, body=settings).status == 400


def test_names_that_no_room_can_have_are_400() -> None:
    assert world().ask("GET", "/v1/rooms/" + "x" * 129, AS_OPERATOR).status == 400
