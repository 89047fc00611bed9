"""`/v1/tokens` for operators, `/v1/tickets` for users."""

from __future__ import annotations

import json

import pytest

from tests.signaling.http.asgi import AS_ALICE, AS_OPERATOR, JSON, World

URL = "wss://call.example.org/v1/signal"


def test_an_operator_makes_a_token() -> None:
    world = World()
    body = {
        "identity": "bob",
        "room": "demo",
        "name": "Bob",
        "ttl": 60,
        "grants": ["join", "message"],
        "meta": {"hat": "red"},
        "ice": {"policy": "relay"},
    }
    answer = world.ask("POST", "/v1/tokens", AS_OPERATOR, JSON, body=json.dumps(body).encode())
    assert answer.status == 201
    assert answer.json == {
        "url": URL,
        "token": "token-for-bob",
        "identity": "bob",
        "room": "demo",
        "expiresAt": "2027-01-15T08:01:00Z",
        "ttl": 60,
    }
    [order] = world.tokens.orders
    assert (order.rooms, order.name, order.grants, order.policy) == (("demo",), "Bob", ("join", "message"), "relay")
    assert (order.meta, order.ttl) == ({"hat": "red"}, 60)


def test_livekits_names_are_understood_and_answered() -> None:
    world = World()
    body = {
        "room_name": "demo",
        "participant_identity": "bob",
        "participant_name": "Bob",
        "participant_metadata": "anything",
        "participant_attributes": {"seat": "3"},
    }
    answer = world.ask("POST", "/v1/tokens", AS_OPERATOR, JSON, body=json.dumps(body).encode()).json
    assert (answer["server_url"], answer["participant_token"]) == (URL, "token-for-bob")
    assert world.tokens.orders[0].meta == {"seat": "3", "metadata": "anything"}


def test_several_rooms_are_told_as_a_list() -> None:
    answer = World().ask("POST", "/v1/tokens", AS_OPERATOR, JSON, body=b'{"identity": "b", "rooms": ["a", "b-*"]}').json
    assert answer["rooms"] == ["a", "b-*"]
    assert "room" not in answer


@pytest.mark.parametrize(
    "body", [b"{}", b'{"identity": ""}', b'{"identity": "b", "room": "a", "rooms": ["b"]}', b'{"identity": 1}']
)
def test_what_no_token_can_say_is_400(body: bytes) -> None:
    assert World().ask("POST", "/v1/tokens", AS_OPERATOR, JSON, body=body).status == 400


def test_tokens_are_for_operators_and_tickets_for_users() -> None:
    """CR-1: 401 for nobody, 403 for the other kind."""
    world = World()
    assert world.ask("POST", "/v1/tokens").status == 401
    assert world.ask("POST", "/v1/tokens", AS_ALICE, JSON, body=b'{"identity": "root"}').status == 403
    assert world.ask("POST", "/v1/tickets").status == 401
    assert world.ask("POST", "/v1/tickets", AS_OPERATOR).status == 403
    assert world.tokens.orders == []


def test_a_user_gets_a_ticket_while_there_are_any() -> None:
    world = World()
    world.tickets.left = 1
    answer = world.ask("POST", "/v1/tickets", AS_ALICE)
    assert (answer.status, answer.json) == (201, {"ticket": "ticket-for-alice", "url": URL, "expiresIn": 60})
    full = world.ask("POST", "/v1/tickets", AS_ALICE)
    assert (full.status, full.json["retryable"]) == (503, True)


def test_no_token_is_made_for_somebody_on_the_deny_list() -> None:
    """CR-8: new ones are refused at once."""
    world = World()
    world.callers.denied.add("bob")
    answer = world.ask("POST", "/v1/tokens", AS_OPERATOR, JSON, body=b'{"identity": "bob", "room": "demo"}')
    assert (answer.status, answer.json["code"]) == (403, "denied")
    assert world.tokens.orders == []
