"""Hooks over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import OperationError
from icelane.signaling.admission import http_fetch
from icelane.signaling.admission.event_document import document_of
from icelane.signaling.admission.headers import Headers
from icelane.signaling.admission.hook import MAX_RUNNING, HookFailedError
from icelane.signaling.admission.http_fetch import MAX_POST_CONNECTIONS, HttpFetcher
from icelane.signaling.admission.request import (
    Allow,
    Connected,
    ConnectRequest,
    Deny,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
    TlsFacts,
)
from icelane.signaling.admission.webhook import SIGNATURE_AGE, Webhook, is_signed, sign
from icelane.signaling.admitted import Grant, IcePolicy, IceTransportPolicy
from tests.signaling.admission.entrance import NOW

URL = "https://app.example.org/hook"
SECRET = "0123456789abcdef0123456789abcdef"

REQUEST = ConnectRequest(
    ip="203.0.113.7",
    headers=Headers([("User-Agent", "Firefox"), ("X-Tenant", "t1"), ("Authorization", "Bearer hunter2")]),
    cookies={"a": "1"},
    origin="https://app.example.org",
    token="t",
    claims={"sub": "alice"},
    query={"room": "lobby"},
    data={"version": 2},
    tls=TlsFacts(version="TLSv1.3", server_name="call.example.org"),
    node="n1",
    path="/v1/signal",
)


class Server:
    """Answers as told, over httpx and without a socket."""

    def __init__(self, status: int = 200, body: object = None, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, dict(headers or {})
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(self.status, content=content, headers=self.headers)

    def fetcher(self) -> HttpFetcher:
        return HttpFetcher(httpx.AsyncClient(transport=httpx.MockTransport(self)))


def hook(server: Server, **changes: Any) -> Webhook:
    arguments: dict[str, Any] = {"secret": SECRET, "headers": ("X-TENANT",), "unix_time": lambda: NOW, **changes}
    return Webhook("before_connect", URL, server.fetcher().post, **arguments)


def ask(server: Server, **changes: Any) -> Allow | Deny:
    return asyncio.run(hook(server, **changes)(REQUEST))


def failure(server: Server, **changes: Any) -> str:
    with pytest.raises(HookFailedError) as caught:
        ask(server, **changes)
    return caught.value.reason


def test_the_event_travels_as_json_and_is_signed() -> None:
    server = Server(body={"allow": {}})
    assert ask(server) == Allow()
    (request,) = server.requests
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["icelane-event"] == "before_connect"
    assert json.loads(request.content) == {
        "event": "before_connect",
        "ip": "203.0.113.7",
        "headers": {"x-tenant": "t1"},
        "cookies": {"a": "1"},
        "origin": "https://app.example.org",
        "token": "t",
        "claims": {"sub": "alice"},
        "query": {"room": "lobby"},
        "data": {"version": 2},
        "transport": "websocket",
        "path": "/v1/signal",
        "tls": {"version": "TLSv1.3", "cipher": "", "server_name": "call.example.org", "alpn": ""},
        "node": "n1",
    }
    signature = request.headers["icelane-signature"]
    assert is_signed(signature, request.content, SECRET, NOW)
    assert not is_signed(signature, request.content + b" ", SECRET, NOW)
    assert not is_signed(signature, request.content, SECRET[::-1], NOW)
    assert not is_signed(signature, request.content, SECRET, UnixSeconds(NOW + SIGNATURE_AGE + 1))
    for broken in ("", "t=", "t=x,v1=y", "v1=" + "0" * 64, "t=99999999999999,v1=a", signature.replace("t=", "t=0")):
        assert not is_signed(broken, request.content, SECRET, NOW)


def test_the_signature_is_as_it_is_documented() -> None:
    import hmac

    assert sign(b"{}", "s", UnixSeconds(12.9)) == f"t=12,v1={hmac.digest(b's', b'12.{}', 'sha256').hex()}"


def test_only_listed_headers_travel_and_none_becomes_ours() -> None:
    """SG-7: a header of the client is data in the body; its token is in no header of ours."""
    server = Server(body={"allow": {}})
    ask(server, headers=())
    (request,) = server.requests
    assert json.loads(request.content)["headers"] == {}
    assert "hunter2" not in request.content.decode()
    assert "hunter2" not in repr(request.headers.raw)
    assert "x-tenant" not in request.headers


def test_without_a_secret_nothing_is_signed() -> None:
    server = Server(body={"allow": {}})
    ask(server, secret=None)
    assert "icelane-signature" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {
                "allow": {
                    "identity": "alice", "name": "Alice", "rooms": ["lobby", "t-*"], "grants": ["join", "moderate"],
                    "meta": {"a": 1}, "labels": {"tenant": "t1"}, "expires_at": 1_800_000_600,
                    "limits": {"rooms": 3, "frames_per_second": 2.5}, "ice": {"policy": "relay", "ttl": 60},
                }
            },
            Allow(
                identity="alice", name="Alice", rooms=("lobby", "t-*"),
                grants=frozenset({Grant.JOIN, Grant.MODERATE}), meta={"a": 1}, labels={"tenant": "t1"},
                expires_at=UnixSeconds(1_800_000_600),
                ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY, ttl=60),
            ),
        ),
        ({"allow": {"identity": None, "rooms": None}}, Allow()),
        ({"deny": {}}, Deny()),
        (
            {"deny": {"code": "banned", "reason": "ask", "reconnect": True, "retry_after": 5}},
            Deny("banned", "ask", True, 5.0),
        ),
        ({"result": {"user": "56"}}, Allow(identity="56")),
        (
            {"result": {"user": "56", "channels": ["a"], "info": {"n": 1}, "meta": {"t": "x", "n": 1}, "expire_at": 7}},
            Allow(identity="56", rooms=("a",), meta={"n": 1}, labels={"t": "x"}, expires_at=UnixSeconds(7.0)),
        ),
        ({"result": {"user": ""}}, Allow()),
        ({"result": {"user": "56", "expire_at": 0, "info": "text", "b64info": "eA=="}}, Allow(identity="56")),
        ({"error": {"code": 1000, "message": "custom"}}, Deny("error_1000", "custom")),
        ({"error": {"code": 1000, "temporary": True}}, Deny("error_1000", reconnect=True)),
        ({"disconnect": {"code": 4501, "reason": "go"}}, Deny("disconnect_4501", "go")),
        ({"disconnect": {"code": 4001, "reason": "later"}}, Deny("disconnect_4001", "later", reconnect=True)),
        ({"disconnect": {"code": 3501}}, Deny("disconnect_3501")),
    ],
)  # fmt: skip
def test_an_answer_is_ours_or_centrifugos(body: object, expected: Allow | Deny) -> None:
    found = ask(Server(body=body))
    if isinstance(found, Allow) and found.limits is not None:
        assert found.limits.rooms == 3
        assert found.limits.frames_per_second == 2.5
        found = type(found)(**{**{name: getattr(found, name) for name in found.__slots__}, "limits": None})
    assert found == expected


@pytest.mark.parametrize(
    "body",
    [
        {}, [], None, "allow", {"allow": True}, {"allow": {}, "deny": {}}, {"result": None}, {"allow": {"admin": True}},
        {"allow": {"identity": ""}}, {"allow": {"rooms": "lobby"}}, {"allow": {"grants": ["root"]}},
        {"allow": {"labels": {"a": 1}}}, {"allow": {"limits": {"x": 1}}}, {"allow": {"limits": {"rooms": -1}}},
        {"allow": {"expires_at": "soon"}}, {"allow": {"expires_at": 1e12}}, {"allow": {"name": 7}},
        {"deny": {"code": "Not A Word"}}, {"deny": {"reconnect": "yes"}}, {"deny": {"retry_after": -1}},
        {"error": {"code": "x"}}, {"disconnect": {"code": True}}, {"result": {"user": 7}},
        b"", b"<html>", b'{"allow":{},"allow":{}}', b"\xff", b"[" * 50_000,
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing_is_a_failure(body: object) -> None:
    """SG-3: fail closed, also on `{"allow": {"admin": true}}`, which was meant to say something."""
    assert failure(Server(body=body)) == "malformed-answer"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, Deny("unauthorized")),
        (403, Deny("denied")),
        (404, Deny("not_found")),
        (418, Deny("denied")),
        (423, Deny("locked")),
    ],
)
def test_a_status_is_a_denial(status: int, expected: Deny) -> None:
    assert ask(Server(status, body={"allow": {}})) == expected


def test_too_many_requests_says_when() -> None:
    assert ask(Server(429, headers={"Retry-After": "7"})) == Deny("rate_limited", reconnect=True, retry_after=7.0)
    assert ask(Server(429, headers={"Retry-After": "Wed, 21 Oct"})) == Deny("rate_limited", "", True, 1.0)


@pytest.mark.parametrize("status", [201, 204, 302, 307, 500, 502, 503])
def test_any_other_status_is_a_failure(status: int) -> None:
    """SG-3: a redirect is not followed, and an error of the server is no answer."""
    server = Server(status, body={"allow": {}}, headers={"Location": "https://evil.example/"})
    assert failure(server) in (f"status-{status}", "no-answer")
    assert len(server.requests) == 1


def test_a_body_without_end_is_cut() -> None:
    assert failure(Server(body=b'{"allow":{}}' + b" " * 100_000)) == "unreachable"


def test_a_server_that_is_not_there_is_a_failure() -> None:
    async def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("hunter2")

    fetcher = HttpFetcher(httpx.AsyncClient(transport=httpx.MockTransport(nobody)))
    found = Webhook("before_connect", URL, fetcher.post, secret=SECRET)
    with pytest.raises(HookFailedError) as caught:
        asyncio.run(found(REQUEST))
    assert caught.value.reason == "unreachable"
    assert caught.value.__context__ is None
    with pytest.raises(OperationError) as other:
        asyncio.run(fetcher.get(URL, 10))
    assert "hunter2" not in str(other.value)
    assert other.value.__context__ is None


def test_who_is_only_told_may_say_anything() -> None:
    assert ask(Server(204), answers=False) == Allow()
    assert ask(Server(200, body=b"ok"), answers=False) == Allow()
    assert failure(Server(500), answers=False) == "status-500"


def test_every_event_has_its_document() -> None:
    """What is sent about each, with all of its fields."""
    join = JoinRequest(identity="a", room="r", meta={"x": 1}, labels={"l": "1"}, ip="203.0.113.7", session="s")
    message = MessageRequest(identity="a", room="r", to="*", kind="message", data=[1], session="s")
    assert document_of(join)["room"] == "r"
    assert document_of(message) == {
        "identity": "a", "room": "r", "to": "*", "kind": "message", "data": [1], "labels": {}, "session": "s",
    }  # fmt: skip
    assert document_of(IceRequest(identity="a", ip="203.0.113.7"))["ip"] == "203.0.113.7"
    assert document_of(Connected(identity="a", session="s", ip="203.0.113.7", at=UnixSeconds(7.9)))["at"] == 7
    assert document_of(Left(identity="a", session="s", reason="closed", at=NOW))["reason"] == "closed"
    assert "origin" not in document_of(ConnectRequest(ip="203.0.113.7"))


def test_the_environment_and_redirects_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://evil.example:1")
    client = http_fetch._client(1)
    assert client.follow_redirects is False
    assert client.trust_env is False
    assert "HttpFetcher()" in repr(HttpFetcher())


def test_hooks_that_hang_keep_no_key_from_being_fetched() -> None:
    """SG-3: every call that may run has a connection, and what fetches keys has its own."""
    assert MAX_POST_CONNECTIONS >= 4 * MAX_RUNNING + 64

    async def scenario() -> None:
        all_wait, release = asyncio.Event(), asyncio.Event()
        waiting = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal waiting
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                waiting += 1
                if waiting == 100:
                    all_wait.set()
                await release.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        fetcher = HttpFetcher()
        posts = [asyncio.create_task(fetcher.post(url, {}, b"", 10)) for _ in range(100)]
        async with asyncio.timeout(30):
            await all_wait.wait()
            assert await fetcher.get(url, 10) == b"{}"
            release.set()
            await asyncio.gather(*posts)
        await fetcher.close()
        await fetcher.close()
        server.close()

    asyncio.run(scenario())
