"""The shapes of others, as their documentation has them."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from icelane.errors import ConfigurationError
from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.compatibility import SHAPES
from tests.signaling.http.asgi import AS_ALICE, AS_OPERATOR, JSON, World

TURN = [
    "turn:turn.example.org:3478?transport=udp",
    "turn:turn.example.org:3478?transport=tcp",
    "turns:turn.example.org:443?transport=tcp",
]
STUN = "stun:turn.example.org:3478"
FORM = {"content-type": "application/x-www-form-urlencoded"}

EVERY = [
    ("GET", "/turn?service=turn"),
    ("POST", "/turn"),
    ("GET", "/_matrix/client/v3/voip/turnServer"),
    ("GET", "/_matrix/client/r0/voip/turnServer"),
    ("POST", "/2010-04-01/Accounts/AC1/Tokens.json"),
    ("POST", "/v1/turn/keys/k/credentials/generate-ice-servers"),
    ("POST", "/v1/turn/keys/k/credentials/generate"),
    ("PUT", "/_turn/channel"),
]


def world() -> World:
    return World(compat=SHAPES)


@pytest.mark.parametrize("path", ["/turn?service=turn&username=bob&ttl=60", "/turn?username=bob&ttl=60"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_uberti(method: str, path: str) -> None:
    answer = world().ask(method, path, AS_OPERATOR)
    username = "1800000060:k1:bob"
    password = answer.json["password"]
    assert answer.json == {"username": username, "password": password, "ttl": 60, "uris": TURN}


def test_uberti_takes_a_form() -> None:
    answer = world().ask("POST", "/turn", AS_OPERATOR, FORM, body=b"service=turn&username=bob")
    assert answer.json["username"] == "1800000600:k1:bob"
    assert world().ask("GET", "/turn?service=stun", AS_OPERATOR).status == 400


def test_an_api_key_in_a_query_opens_nothing() -> None:
    """SG-7: the draft has it there, and queries end in logs."""
    assert world().ask("GET", "/turn?service=turn&key=backend").status == 401


@pytest.mark.parametrize("version", ["v3", "r0"])
def test_matrix(version: str) -> None:
    answer = world().ask("GET", f"/_matrix/client/{version}/voip/turnServer", AS_ALICE)
    assert answer.status == 200
    assert answer.json.keys() == {"username", "password", "uris", "ttl"}
    assert (answer.json["uris"], answer.json["ttl"]) == (TURN, 600)
    refused = world().ask("GET", f"/_matrix/client/{version}/voip/turnServer")
    assert (refused.status, refused.json["errcode"]) == (401, "M_MISSING_TOKEN")
    stranger = {"authorization": "Bearer nobody"}
    refused = world().ask("GET", f"/_matrix/client/{version}/voip/turnServer", stranger)
    assert (refused.status, refused.json["errcode"]) == (401, "M_UNKNOWN_TOKEN")


def test_matrix_says_how_long_to_wait() -> None:
    w = world()
    w.callers.refusal = Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=1.5, status=429)
    answer = w.ask("GET", "/_matrix/client/v3/voip/turnServer")
    assert (answer.status, answer.json["errcode"], answer.json["retry_after_ms"]) == (429, "M_LIMIT_EXCEEDED", 1500)
    assert answer.headers["retry-after"] == "2"
    w.callers.refusal = Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=1.0, status=429)
    assert w.ask("GET", "/_matrix/client/v3/voip/turnServer").headers["retry-after"] == "1"


def test_twilio() -> None:
    answer = world().ask("POST", "/2010-04-01/Accounts/AC123/Tokens.json", AS_OPERATOR, FORM, body=b"Ttl=3600")
    body = answer.json
    assert answer.status == 201
    assert (body["account_sid"], body["ttl"]) == ("AC123", "3600")
    assert parsedate_to_datetime(body["date_created"]).timestamp() == 1_800_000_000
    assert body["ice_servers"][0] == {"url": STUN, "urls": STUN}
    turn = {"username": body["username"], "credential": body["password"]}
    assert body["ice_servers"][1:] == [{"url": url, "urls": url} | turn for url in TURN]
    unasked = world().ask("POST", "/2010-04-01/Accounts/AC123/Tokens.json", AS_OPERATOR).json
    assert (unasked["ttl"], unasked["username"].partition(":")[0]) == ("86400", "1800086400")
    refused = world().ask("POST", "/2010-04-01/Accounts/AC123/Tokens.json")
    assert (refused.status, refused.json["code"], refused.json["status"]) == (401, 20003, 401)


def test_cloudflare() -> None:
    path = "/v1/turn/keys/key-id/credentials"
    w = world()
    answer = w.ask("POST", f"{path}/generate-ice-servers", AS_OPERATOR, JSON, body=b'{"ttl": 86400}')
    stun, turn = answer.json["iceServers"]
    assert (answer.status, stun) == (201, {"urls": [STUN]})
    assert turn["urls"] == TURN
    assert turn["username"].startswith("1800086400:k1:")
    named = w.ask("POST", f"{path}/generate", AS_OPERATOR, JSON, body=b'{"ttl": 60, "customIdentifier": "bob"}').json
    assert named["iceServers"]["username"] == "1800000060:k1:bob"
    assert named["iceServers"]["urls"] == [STUN, *TURN]
    assert w.ask("POST", f"{path}/{turn['username']}/revoke", AS_OPERATOR).status == 204
    assert w.ask("POST", f"{path}/{turn['username']}/revoke", AS_ALICE).status == 403
    assert w.revoker.taken == [turn["username"]]


def test_xirsys() -> None:
    answer = world().ask("PUT", "/_turn/my/channel", AS_OPERATOR, JSON, body=b'{"format": "urls", "expire": 30}').json
    servers = answer["v"]["iceServers"]
    assert (answer["s"], servers["urls"]) == ("ok", [STUN, *TURN])
    assert servers["username"].startswith("1800000030:k1:")
    text = world().ask("PUT", "/_turn/channel", AS_OPERATOR, JSON, body=b'{"format": "urls", "expire": "30"}').json
    assert text["v"]["iceServers"]["username"].startswith("1800000030:k1:")
    nonsense = world().ask("PUT", "/_turn/channel", AS_OPERATOR, JSON, body=b'{"expire": "soon"}')
    assert (nonsense.status, nonsense.json["s"]) == (400, "error")
    single = world().ask("PUT", "/_turn/channel", AS_OPERATOR).json["v"]["iceServers"]
    assert [entry["url"] for entry in single] == [STUN, *TURN]
    assert single[1].keys() == {"url", "username", "credential"}
    assert world().ask("PUT", "/_turn/channel").json == {"v": "unauthorized", "s": "error"}


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_every_shape_is_for_authenticated_callers_alone(method: str, path: str) -> None:
    """CR-1: 401 without, 403 without a room; and CR-2's headers are on all of them."""
    w = world()
    assert w.ask(method, path).status == 401
    w.callers.known["alice"] = type(w.callers.known["alice"])(identity="alice")  # type: ignore[call-arg]
    assert w.ask(method, path, AS_ALICE).status == 403
    assert w.ice.issued == {}
    answer = w.ask(method, path, AS_OPERATOR)
    assert answer.status in (200, 201)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert b"null" not in answer.body


def test_only_what_is_switched_on_is_there() -> None:
    w = World(compat=("matrix",))
    assert [w.ask(method, path, AS_OPERATOR).status for method, path in EVERY] == [
        404,
        404,
        200,
        200,
        404,
        404,
        404,
        404,
    ]
    with pytest.raises(ConfigurationError, match="metered is none of"):
        World(compat=("metered",))


@pytest.mark.parametrize("ttl", ["x", "1e3", "-", "٣", "9" * 30, "0x10"])
def test_a_life_that_is_no_number_is_400(ttl: str) -> None:
    """CR-3: and one that is is clamped."""
    assert world().ask("POST", "/turn", AS_OPERATOR, FORM, body=f"ttl={ttl}".encode()).status == 400
    assert world().ask("POST", "/turn", AS_OPERATOR, FORM, body=b"ttl=-5").json["ttl"] == 1
