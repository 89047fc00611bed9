"""`/v1/ice-servers`: for whom, from where, how often, and taking back."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from icelane.signaling.admitted import Admission, IcePolicy, IceTransportPolicy, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.endpoint import MAX_BODY
from tests.signaling.http.asgi import ALICE, APP_ORIGIN, AS_ALICE, AS_OPERATOR, JSON, SECRET, World

PATH = "/v1/ice-servers"


def test_a_user_gets_what_his_admission_grants() -> None:
    world = World()
    answer = world.ask("POST", PATH, AS_ALICE)
    assert answer.status == 201
    assert answer.json["iceServers"][1]["username"] == "1800000600:k1:alice"
    assert world.ask("GET", PATH, AS_ALICE).status == 200
    assert world.ice.issued == {"http": 2}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nobody"}, {"authorization": "Basic eDp5"}])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_whoever_is_not_known_gets_the_same_401(method: str, headers: dict[str, str]) -> None:
    """CR-1: never anonymous, and the body does not say what was wrong."""
    world = World()
    answer = world.ask(method, PATH, headers)
    constant = World().ask("POST", PATH, {"authorization": "Bearer expired"})
    assert (answer.status, answer.body) == (401, constant.body)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.ice.issued == {}


@pytest.mark.parametrize("error", ["token_expired", "wrong_audience", "unauthorized"])
def test_an_expired_and_a_foreign_token_get_that_401_too(error: str) -> None:
    """CR-1: whatever admission knows about it."""
    world = World()
    world.callers.known["bad"] = Refusal(code=CloseCode.TOKEN_EXPIRED, error=error, reason=f"because {error}")
    answer = world.ask("POST", PATH, {"authorization": "Bearer bad"})
    assert (answer.status, answer.body) == (401, world.ask("POST", PATH).body)


@pytest.mark.parametrize(
    ("admission", "body"),
    [
        (Admission(identity="alice"), {}),
        (ALICE, {"room": "elsewhere"}),
        (ALICE, {"room": "team"}),
        (ALICE, {"user": "bob"}),
        (replace(ALICE, ice=IcePolicy(servers=False)), {}),
    ],
    ids=["no room", "another room", "only the beginning", "somebody else", "no servers"],
)
def test_a_user_without_the_right_gets_403(admission: Admission, body: dict[str, str]) -> None:
    """CR-1: known, and not entitled."""
    world = World()
    world.callers.known["alice"] = admission
    answer = world.ask("POST", PATH, AS_ALICE, JSON, body=json.dumps(body).encode())
    assert answer.status == 403
    assert world.ice.issued == {}


def test_a_room_that_the_token_covers_is_no_obstacle() -> None:
    world = World()
    for room in ("demo", "team-red"):
        body = json.dumps({"room": room, "user": "alice"}).encode()
        assert world.ask("POST", PATH, AS_ALICE, JSON, body=body).status == 201


def test_an_operator_names_user_life_and_policy() -> None:
    world = World()
    body = b'{"user": "bob", "ttl": 60, "policy": "relay"}'
    answer = world.ask("POST", PATH, AS_OPERATOR, JSON, body=body).json
    assert answer["iceTransportPolicy"] == "relay"
    assert (answer["ttl"], answer["iceServers"][0]["username"]) == (60, "1800000060:k1:bob")


def test_an_operator_who_names_nobody_gets_somebody_new_each_time() -> None:
    """TQ-1: else all of his clients would share one user's quota."""
    world = World()
    names = {world.ask("POST", PATH, AS_OPERATOR).json["iceServers"][1]["username"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("1800000600:k1:backend-") for name in names)


@pytest.mark.parametrize("ttl", ["0", "-1", "1e12", "1000000000000", "0.5", "-1e300", "1e300"])
def test_any_life_may_be_asked_for_and_is_clamped(ttl: str) -> None:
    """CR-3: 1 second to a day, over HTTP."""
    answer = World().ask("POST", PATH, AS_OPERATOR, JSON, body=f'{{"ttl": {ttl}}}'.encode())
    assert answer.status == 201
    assert answer.json["ttl"] in (1, 86_400)


def test_a_user_may_ask_for_less() -> None:
    world = World()
    answer = world.ask("POST", PATH, AS_ALICE, JSON, body=b'{"ttl": 5, "policy": "relay"}').json
    assert (answer["ttl"], answer["iceTransportPolicy"]) == (5, "relay")
    world.callers.known["alice"] = replace(ALICE, ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY))
    answer = world.ask("POST", PATH, AS_ALICE, JSON, body=b'{"policy": "all"}').json
    assert answer["iceTransportPolicy"] == "relay"


def test_answers_are_kept_by_nobody_and_run_as_nothing() -> None:
    """CR-2: no-store, JSON, nosniff, no frame, no referrer; errors too."""
    for answer in (World().ask("POST", PATH, AS_ALICE), World().ask("POST", PATH), World().ask("PATCH", PATH)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")


FOREIGN = [
    "https://evil.example",
    "null",
    "http://app.example.org",
    "https://app.example.org:444",
    "https://app.example.org.evil.com",
    "https://evilapp.example.org",
    "https://APP.example.org",
    "https://app.example.org.",
    "https://app.example.org/",
    "*",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_page_is_refused_before_it_is_known_whose_cookie_it_has(method: str, origin: str) -> None:
    """CR-2, SG-1: nothing is reflected, and nobody is identified."""
    world = World()
    answer = world.ask(method, PATH, AS_ALICE, {"origin": origin})
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert world.callers.asked == 0


def test_two_origins_are_none() -> None:
    """SG-1: even when one of them is on the list."""
    world = World()
    second = [(b"origin", b"https://evil.example")]
    assert world.ask("POST", PATH, AS_ALICE, {"origin": APP_ORIGIN}, raw_headers=second).status == 403


def test_a_page_of_the_list_may_read_and_no_other_is_named() -> None:
    """CR-2: exact, with credentials, and never `*`."""
    world = World()
    preflight = world.ask("OPTIONS", PATH, {"origin": APP_ORIGIN})
    answer = world.ask("POST", PATH, AS_ALICE, {"origin": APP_ORIGIN})
    assert (preflight.status, answer.status) == (204, 201)
    for one in (preflight, answer):
        assert one.headers["access-control-allow-origin"] == APP_ORIGIN
        assert one.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in one.headers["vary"]
    assert "access-control-allow-origin" not in world.ask("POST", PATH, AS_ALICE).headers
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "x-csrf-token" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_could_send_is_not_taken(content_type: str) -> None:
    """CR-2: a page of anywhere may send these without asking."""
    headers = {"content-type": content_type} if content_type else {}
    answer = World().ask("POST", PATH, AS_ALICE, {"origin": APP_ORIGIN}, headers, body=b"{}")
    assert answer.status == 415


def test_too_often_is_429_with_the_wait() -> None:
    """CR-4: by address, before anything is asked."""
    world = World()
    world.callers.refusal = Refusal(
        code=CloseCode.RATE_LIMITED, error="rate_limited", reason="too often", retry_after=2.5, status=429
    )
    answer = world.ask("POST", PATH, AS_ALICE)
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.json == {
        "title": "rate limited",
        "status": 429,
        "code": "rate_limited",
        "detail": "too often",
        "retryable": True,
        "retryAfter": 2.5,
    }
    assert world.callers.asked == 0


def test_the_programs_word_is_the_last_one() -> None:
    """CR-4, CR-8: a refusal of `before_ice`, for its rate or for a list, and another policy."""
    decided: list[Any] = []

    async def before_ice(admission: Admission, address: str) -> Any:
        assert (admission.identity, address) == ("alice", "203.0.113.7")
        return decided.pop(0)

    world = World()
    world.callers.decide_ice = before_ice
    decided += [
        Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=1.0),
        Refusal(code=CloseCode.DENIED, error="banned"),
        IcePolicy(transport_policy=IceTransportPolicy.RELAY, ttl=7),
        IcePolicy(),
    ]
    assert world.ask("POST", PATH, AS_ALICE).status == 429
    assert world.ask("POST", PATH, AS_ALICE).json["code"] == "banned"
    relay = world.ask("POST", PATH, AS_ALICE).json
    assert (relay["iceTransportPolicy"], relay["ttl"]) == ("relay", 7)
    assert world.ask("POST", PATH, AS_ALICE).json["ttl"] == 600


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"ttl": "60"}', b'{"ttl": NaN}', b'{"ttl": 1e999}', b'{"user": "\\ud800"}', b"\xff", b"nul",
     b'{"a":' * 100_00 + b"1" + b"}" * 100_00, b'{"policy": "none"}', b'{"user": ""}', b'{"user": "a\\nb"}'],
)  # fmt: skip
def test_a_body_that_is_none_of_ours_is_400(body: bytes) -> None:
    """CR-7, SG-9: and the worker lives."""
    assert World().ask("POST", PATH, AS_OPERATOR, JSON, body=body).status == 400


def test_a_body_is_not_read_beyond_its_bound() -> None:
    """CR-7: announced or not."""
    world = World()
    announced = world.ask("POST", PATH, AS_OPERATOR, JSON, {"content-length": str(MAX_BODY + 1)})
    endless = world.ask("POST", PATH, AS_OPERATOR, JSON, chunks=[b" " * 4096] * 1000)
    assert (announced.status, endless.status) == (413, 413)
    for length in ("-1", "1e3", "٣", ""):
        raw = [(b"content-length", length.encode())]
        assert world.ask("POST", PATH, AS_OPERATOR, JSON, raw_headers=raw).status == 400
    assert world.ask("POST", PATH, AS_OPERATOR, JSON, {"content-length": "9" * 10_000}).status == 413


def test_the_host_of_a_request_is_in_no_answer() -> None:
    """CR-9: URLs are those of the configuration."""
    world = World(compat=("uberti", "matrix", "twilio", "cloudflare", "xirsys"))
    for method, path in (("POST", PATH), ("GET", "/turn"), ("POST", "/v1/tickets"), ("PUT", "/_turn/x")):
        forwarded = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
        answer = world.ask(method, path, AS_ALICE, forwarded)
        assert answer.status < 300
        assert b"evil" not in answer.body


def test_a_credential_is_taken_back_by_operators_alone() -> None:
    world = World()
    username = world.ask("POST", PATH, AS_ALICE).json["iceServers"][1]["username"]
    assert world.ask("DELETE", f"{PATH}/{username}", AS_ALICE).status == 403
    assert world.ask("DELETE", f"{PATH}/{username}").status == 401
    assert world.revoker.taken == []
    for _ in range(2):  # again is harmless
        assert world.ask("DELETE", f"{PATH}/{username}", AS_OPERATOR).status == 204
    assert world.revoker.taken == [username, username]
    world.revoker.full = True
    assert world.ask("DELETE", f"{PATH}/{username}", AS_OPERATOR).status == 503
    assert world.ask("DELETE", f"{PATH}/{'x' * 509}", AS_OPERATOR).status == 400
    assert world.ask("DELETE", f"{PATH}/", AS_OPERATOR).status == 400


def test_names_with_everything_in_them_can_be_taken_back() -> None:
    """CR-5: what was percent-encoded once is so in the path once more."""
    world = World()
    body = json.dumps({"user": "a/b:c ü"}).encode()
    username = world.ask("POST", PATH, AS_OPERATOR, JSON, body=body).json["iceServers"][1]["username"]
    assert username == "1800000600:k1:a%2Fb%3Ac%20%C3%BC"
    # An ASGI server decodes the path once.
    assert world.ask("DELETE", f"{PATH}/{quote(username, safe=':')}", AS_OPERATOR).status == 204
    assert world.revoker.taken == [username]
    assert quote(username, safe=":") != username


@pytest.mark.parametrize("user", ["a/b ü", "\u6f22" * 60, "\U0001f600" * 256])
def test_a_user_is_taken_back_by_what_he_is_called(user: str) -> None:
    """CR-8, TR-12: all of his credentials, whatever script his name is in and however long it is."""
    world = World()
    body = json.dumps({"user": user}).encode()
    username = world.ask("POST", PATH, AS_OPERATOR, JSON, body=body).json["iceServers"][1]["username"]
    assert world.ask("DELETE", f"{PATH}/{user}", AS_OPERATOR).status == 204
    assert username.split(":")[2] in world.revoker.taken


def test_the_secret_is_in_no_answer_and_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """CR-6: whatever is asked, and however it fails."""
    caplog.set_level(logging.DEBUG)
    world = World(compat=("uberti", "matrix", "twilio", "cloudflare", "xirsys"))
    answers = [
        world.ask(method, endpoint.path.replace("{", "").replace("}", ""), headers)
        for endpoint in world.surface.endpoints()
        for method in (endpoint.method, "PATCH")
        for headers in (AS_ALICE, AS_OPERATOR, {})
    ]
    shown = b"".join(answer.body for answer in answers).decode() + caplog.text + repr(world.ice) + repr(world.surface)
    assert SECRET.secret not in shown


def test_what_a_path_does_not_have_is_405_and_says_what_it_has() -> None:
    answer = World().ask("PUT", PATH, AS_ALICE)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, GET, OPTIONS")


def test_no_credential_is_made_for_somebody_on_the_deny_list() -> None:
    """CR-8: though an operator asks for him."""
    world = World()
    world.callers.denied.add("bob")
    answer = world.ask("POST", PATH, AS_OPERATOR, JSON, body=b'{"user": "bob"}')
    assert (answer.status, answer.json["code"]) == (403, "denied")
    assert world.ice.issued == {}
    assert world.ask("POST", PATH, AS_OPERATOR, JSON, body=b'{"user": "carol"}').status == 201
