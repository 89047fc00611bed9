"""The pipeline: who is let in, who is not, and when which question is asked."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from icelane.core.clock import UnixSeconds
from icelane.core.secret_header import SECRET_HEADERS
from icelane.errors import ConfigurationError, MalformedError
from icelane.server.config.values import parse_header_name
from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks
from icelane.signaling.admission.json_web_token import TrustedIssuer
from icelane.signaling.admission.rate import Connection, Rate, RateSettings
from icelane.signaling.admission.request import (
    Allow,
    Connected,
    ConnectRequest,
    Deny,
    IceRequest,
    JoinRequest,
    MessageRequest,
    TlsFacts,
    tls_facts_of,
)
from icelane.signaling.admission.session_cookie import csrf_value, set_cookie
from icelane.signaling.admitted import (
    DEFAULT_GRANTS,
    Admission,
    AdmissionLimits,
    Grant,
    IcePolicy,
    IceTransportPolicy,
    Refusal,
)
from icelane.signaling.close_code import CloseCode
from icelane.turn.access_list import AccessEntries, AccessLists, Client, parse_access_entry
from tests.loops import Run, run
from tests.signaling.admission.entrance import (
    API_KEY,
    IP,
    NOW,
    ORIGIN,
    SETTINGS,
    admitted,
    bearing,
    claims,
    entrance,
    knock,
    raw_token,
    refused,
    token,
)

__all__ = ["run"]

BACKEND = f"Basic {base64.b64encode(f'backend:{API_KEY}'.encode()).decode()}"


def admit(request: ConnectRequest, control: AdmissionControl | None = None, **changes: Any) -> Admission | Refusal:
    found = control or entrance(**changes)
    return asyncio.run(found.admit(request))


def hooks(answer: object = None, seen: list[ConnectRequest] | None = None, **changes: Any) -> AdmissionHooks:
    async def before_connect(request: ConnectRequest) -> object:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return AdmissionHooks(before_connect=before_connect, **changes)


def loose(**fields: Any) -> Allow:
    """As a function that knows nothing of types may make it."""
    return Allow(**fields)


def deny(*texts: str) -> AccessEntries:
    return AccessEntries(deny=tuple(parse_access_entry(text) for text in texts))


# Who is known by what.


def test_a_good_token_admits_as_it_says() -> None:
    found = admitted(admit(bearing(token(name="Alice", meta={"hat": "red"}, ice={"policy": "relay"}))))
    assert found == Admission(
        identity="alice",
        name="Alice",
        rooms=("lobby", "team-*"),
        grants=DEFAULT_GRANTS,
        meta={"hat": "red"},
        expires_at=UnixSeconds(NOW + 600),
        ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY),
    )


@pytest.mark.parametrize(
    "request_with",
    [
        lambda text: bearing(text),
        lambda text: knock(("authorization", f"bearer   {text}")),
        lambda text: knock(subprotocols=("icelane.signal.v1", f"bearer.{text}")),
        lambda text: knock().with_hello(text, {"x": 1}),
    ],
    ids=["header", "header in another case", "sub-protocol", "hello"],
)
def test_a_token_comes_by_each_carrier(request_with: Callable[[str], ConnectRequest]) -> None:
    assert admitted(admit(request_with(token()))).identity == "alice"


def test_the_first_carrier_counts_and_it_alone() -> None:
    """SG-13: a bad token in the header is not made good by a good one elsewhere."""
    good = token()
    for request in (
        replace(bearing("wrong"), subprotocols=(f"bearer.{good}",)).with_hello(good),
        replace(knock(("Authorization", "Digest x")), subprotocols=(f"bearer.{good}",)),
        replace(knock(("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}"))),
        knock(subprotocols=("bearer.wrong",)).with_hello(good),
    ):
        assert refused(admit(request)).code is CloseCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "request_",
    [
        knock(),
        bearing("wrong"),
        bearing(token(aud="other")),
        bearing(token(iss="other")),
        bearing(token(exp=None)),
        bearing(token(sub="")),
        bearing(raw_token({"alg": "none"}, claims())),
        knock(("Authorization", "Basic !!!")),
        knock(("Authorization", f"Basic {base64.b64encode(b'backend:wrong').decode()}")),
        knock(("Authorization", f"Basic {base64.b64encode(b'nobody').decode()}")),
        knock(("Authorization", "Bearer ")),
        knock(("Authorization", "")),
        knock(ticket="wrong"),
        knock(ticket="\ud800" * 9000),
        bearing("x" * 100_000),
    ],
)
def test_whoever_shows_nothing_good_gets_one_and_the_same_answer(request_: ConnectRequest) -> None:
    """CR-1: no, invalid, other-audience token: never anonymous, and nothing in the answer tells them apart."""
    found = refused(admit(request_))
    assert found == Refusal(code=CloseCode.TOKEN_EXPIRED, error="unauthorized", reason="a valid token is needed")
    assert found.http_status == 401


def test_an_expired_token_is_told_so() -> None:
    """CR-1: its owner gets another one; nobody else has it."""
    found = refused(admit(bearing(token(exp=int(NOW) - 60))))
    assert found.error == "token_expired"
    assert found.code is CloseCode.TOKEN_EXPIRED


def test_a_token_in_the_url_is_refused_unless_switched_on() -> None:
    """SG-7: query-string tokens are off by default, and the answer says what to do instead."""
    request = knock(query_token=token())
    found = refused(admit(request))
    assert found.error == "token_in_query"
    assert "ticket" in found.reason
    assert admitted(admit(request, query_tokens=True)).identity == "alice"


def test_a_backend_is_known_by_its_key() -> None:
    for request in (knock(("Authorization", BACKEND)), bearing(API_KEY)):
        found = admitted(admit(request))
        assert found.api_key == "backend"
        assert found.identity == "api:backend"
        assert found.grants == frozenset(Grant)
        assert found.covers("any room")


def test_a_ticket_admits_once_as_its_owner_was() -> None:
    control = entrance()

    async def scenario() -> None:
        first = admitted(await control.admit(bearing(token(grants=["join"], meta={"a": 1}))))
        ticket = control.issue_ticket(first)
        assert ticket is not None
        request = control.request(peer=IP, raw_headers=[], query=f"ticket={ticket}&room=x".encode())
        assert ticket not in repr(request)
        assert dict(request.query) == {"room": "x"}
        assert admitted(await control.admit(request)) == first
        assert refused(await control.admit(request)).error == "unauthorized"

    asyncio.run(scenario())


# Cookies and Origin.


def test_a_cookie_alone_is_never_enough() -> None:
    """SG-2: it needs an allowed Origin, and beside it a value that a foreign page cannot know."""
    cookie = token()
    cookies = {"session": cookie}
    value = csrf_value(cookie)
    origin = ("Origin", ORIGIN)
    nothing_beside = (
        knock(cookies=cookies),
        knock(origin, cookies=cookies),
        knock(("X-CSRF-Token", value), cookies=cookies),
        knock(origin, ("X-CSRF-Token", "wrong"), cookies=cookies),
        knock(origin, ("X-CSRF-Token", csrf_value("other")), cookies=cookies),
        knock(origin, cookies={"other": cookie}, subprotocols=(f"csrf.{value}",)),
        knock(origin, cookies=cookies, subprotocols=("csrf.",)),
    )
    for request in nothing_beside:
        assert refused(admit(request)).error == "unauthorized"
    enough = (
        knock(origin, ("X-CSRF-Token", value), cookies=cookies),
        knock(origin, cookies=cookies, subprotocols=("icelane.signal.v1", f"csrf.{value}")),
        knock(origin, cookies=cookies).with_hello(f"csrf.{value}"),
    )
    for request in enough:
        assert admitted(admit(request)).identity == "alice"


def test_a_foreign_page_is_refused_before_the_upgrade_whatever_it_shows() -> None:
    """SG-2: cross-site WebSocket hijacking: a valid cookie, even a valid token, and a foreign Origin: 403."""
    cookie = token()
    for request in (
        knock(("Origin", "https://evil.example"), ("X-CSRF-Token", csrf_value(cookie)), cookies={"session": cookie}),
        replace(bearing(token()), headers=bearing(token()).headers.__class__([("Origin", "null")])),
    ):
        found = refused(entrance().screen(request))
        assert (found.status, found.error) == (403, "origin_not_allowed")
        assert refused(admit(request)).error == "origin_not_allowed"
        control = entrance()
        outcome = asyncio.run(control.admit(request, screened=True))
        assert refused(outcome).error == "origin_not_allowed"


def test_a_hook_sees_cookies_only_beside_something_that_a_page_must_know() -> None:
    """SG-2: what a browser sends for anybody's page never reaches the program alone."""
    origin, cookies = ("Origin", ORIGIN), {"app": "1"}
    for request, shown in (
        (knock(cookies=cookies), {}),
        (knock(origin, cookies=cookies), {}),
        (knock(("X-CSRF-Token", "v"), cookies=cookies), {}),
        (knock(origin, ("X-CSRF-Token", "v"), cookies=cookies), cookies),
        (knock(origin, cookies=cookies).with_hello("opaque"), cookies),
        (knock(cookies=cookies).with_hello("opaque"), {}),
    ):
        seen: list[ConnectRequest] = []
        admit(request, hooks=hooks(Deny(), seen))
        assert dict(seen[0].cookies) == shown


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    assert set_cookie("T", 60) == "__Host-icelane=T; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"


# The order of things.


def test_lists_rates_and_origin_answer_before_the_upgrade() -> None:
    """SG-4: with a status, before a token is read; deny beats allow."""
    lists = AccessLists(deny("203.0.113.0/24"))
    control = entrance(lists=lists)
    assert refused(control.screen(bearing(token()))).status == 403
    lists.replace(deny())
    assert control.screen(bearing(token())) is None
    for _ in range(9):
        assert control.screen(knock()) is None
    found = refused(control.screen(knock()))
    assert (found.status, found.code) == (429, CloseCode.RATE_LIMITED)
    assert found.retry_after == pytest.approx(1.0)


def test_the_hook_runs_last_and_never_for_nothing() -> None:
    """SG-4: it is not asked about whom a list, a rate, an Origin or a bad token keeps out."""
    seen: list[ConnectRequest] = []
    lists = AccessLists(deny("198.51.100.1", "identity:mallory"))
    control = entrance(lists=lists, hooks=hooks(Allow(), seen))

    async def scenario() -> None:
        for request in (
            bearing(token(), ip="198.51.100.1"),
            bearing(token(sub="mallory")),
            bearing(token(exp=1)),
            bearing(raw_token({"alg": "HS256"}, claims())),
            knock(("Origin", "null")),
            knock(query_token=token()),
        ):
            refused(await control.admit(request))
        assert seen == []
        admitted(await control.admit(bearing(token())))
        assert len(seen) == 1

    asyncio.run(scenario())


def test_whoever_the_hook_makes_of_somebody_is_held_against_the_lists() -> None:
    """SG-4, CR-8: deny wins over the hook."""
    lists = AccessLists(deny("identity:mallory"))
    found = refused(admit(knock(), lists=lists, hooks=hooks(Allow(identity="mallory"))))
    assert found.code is CloseCode.DENIED


def test_the_hook_sees_the_request_as_it_is() -> None:
    """SG-4: canonical address, final path, headers in any case; TLS, verified claims, and the hello's data."""
    seen: list[ConnectRequest] = []
    control = entrance(hooks=hooks(Allow(), seen))
    text = token(custom=7)
    request = control.request(
        peer="::ffff:10.0.0.1",
        raw_headers=[
            (b"x-forwarded-for", b"1.1.1.1, ::ffff:198.51.100.9"),
            (b"User-Agent", b"Firefox"),
            (b"origin", ORIGIN.encode()),
            (b"cookie", b"a=1"),
        ],
        query=b"room=x&room=y",
        path="/v1/signal",
        tls=TlsFacts(version="TLSv1.3"),
    ).with_hello(text, {"v": 2})
    admitted(admit(request, control))
    (found,) = seen
    assert found.ip == "198.51.100.9"
    assert found.path == "/v1/signal"
    assert found.headers["USER-agent"] == "Firefox"
    assert found.origin == ORIGIN
    assert dict(found.cookies) == {"a": "1"}
    assert found.token == text
    assert found.claims["custom"] == 7
    assert dict(found.query) == {"room": "x"}
    assert found.data == {"v": 2}
    assert found.tls == TlsFacts(version="TLSv1.3")
    assert found.node == "n1"


def test_a_hook_is_not_shown_what_opens_doors_twice() -> None:
    """SG-7: a hook that logs its request logs no token: not in headers, sub-protocols or the query, nor by repr."""
    seen: list[ConnectRequest] = []
    text = token()
    request = replace(bearing(text), subprotocols=(f"bearer.{text}",), hello_token=text, query_token=text, ticket=text)
    admit(request, hooks=hooks(Allow(), seen))
    (found,) = seen
    assert "authorization" not in found.headers
    assert text not in repr(found)
    assert text not in repr(request)
    assert (found.subprotocols, found.hello_token, found.query_token, found.ticket) == ((), None, None, None)


def test_without_a_hook_a_token_that_is_not_ours_is_nobodys() -> None:
    assert refused(admit(bearing("opaque"))).error == "unauthorized"
    assert refused(admit(bearing(token(iss="elsewhere")))).error == "unauthorized"


def test_a_hook_may_make_sense_of_a_token_that_is_not_ours() -> None:
    seen: list[ConnectRequest] = []
    found = admitted(admit(bearing("opaque"), hooks=hooks(Allow(identity="bob", rooms=("a",)), seen)))
    assert found.identity == "bob"
    assert seen[0].token == "opaque"
    assert seen[0].claims == {}


def test_a_hook_never_sees_claims_of_a_token_that_was_not_verified() -> None:
    """SG-6: a token of another issuer, or unsigned, is text and nothing more."""
    for text in (token(iss="elsewhere"), raw_token({"alg": "none"}, claims(iss="elsewhere"))):
        seen: list[ConnectRequest] = []
        admit(bearing(text), hooks=hooks(Deny(), seen))
        assert seen[0].claims == {}


def test_a_hook_sees_no_header_that_opens_doors_and_the_csrf_value_that_it_is_to_check() -> None:
    """SG-7: the token and the cookies that count are there, each in one place."""
    seen: list[ConnectRequest] = []
    secret = [(name.title(), "Basic c2VjcmV0") for name in SECRET_HEADERS - {"authorization"}]
    raw = [*secret, ("Authorization", f"Bearer {token()}"), ("X-CSRF-Token", "v"), ("User-Agent", "phone")]
    admit(knock(*raw), hooks=hooks(Allow(), seen))
    assert {name for name in ("user-agent", "x-csrf-token", *SECRET_HEADERS) if name in seen[0].headers} == {
        "user-agent", "x-csrf-token",
    }  # fmt: skip
    assert all(parse_header_name(name) == name for name in ("user-agent", "x-csrf-token"))
    for name in SECRET_HEADERS:
        with pytest.raises(ValueError, match="carries credentials"):
            parse_header_name(name)


def test_a_hook_refines_what_a_token_says() -> None:
    answer = Allow(rooms=("only",), labels={"tenant": "t1"}, limits=AdmissionLimits(rooms=1), expires_at=NOW)
    found = admit(bearing(token()), hooks=hooks(answer))
    assert refused(found).error == "token_expired"
    answer = replace(answer, expires_at=UnixSeconds(NOW + 9999))
    found = admitted(admit(bearing(token()), hooks=hooks(answer)))
    assert found.rooms == ("only",)
    assert found.labels == {"tenant": "t1"}
    assert found.limits.rooms == 1
    assert found.identity == "alice"
    assert found.expires_at == NOW + 600  # a token cannot be outlived by what was made of it


def test_a_backend_and_a_ticket_need_no_hook() -> None:
    seen: list[ConnectRequest] = []
    control = entrance(hooks=hooks(Allow(), seen))

    async def scenario() -> None:
        admitted(await control.admit(bearing(API_KEY)))
        assert seen == []
        ticket = control.issue_ticket(admitted(await control.admit(bearing(token()))))
        assert len(seen) == 1
        admitted(await control.admit(knock(ticket=ticket)))
        assert len(seen) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        None, True, "allow", {"allow": {}}, RuntimeError("x"), asyncio.CancelledError(), Allow,
        loose(identity=""), loose(identity=7), loose(rooms="lobby"), loose(rooms=(7,)), loose(grants="join"),
        loose(grants=frozenset({"root"})), loose(meta={"a": "x" * 5000}), loose(ice="relay"), loose(grants=7),
    ],
)  # fmt: skip
def test_a_hook_that_says_nothing_of_sense_lets_nobody_in(answer: Any) -> None:
    """SG-3: fail closed, although the token is good; the client is told to come back."""
    found = refused(admit(bearing(token()), hooks=hooks(answer)))
    assert found.error == "hook_failed"
    assert found.code is CloseCode.INTERNAL
    assert found.http_status == 503


def test_a_hook_that_knows_nobody_admits_nobody() -> None:
    assert refused(admit(knock(), hooks=hooks(Allow()))).error == "unauthorized"


@pytest.mark.parametrize(
    ("answer", "code", "wait"),
    [
        (Deny(), CloseCode.DENIED, None),
        (Deny("banned", "ask the office"), CloseCode.DENIED, None),
        (Deny("unauthorized"), CloseCode.TOKEN_EXPIRED, None),
        (Deny("rate_limited", reconnect=True, retry_after=7.0), CloseCode.RATE_LIMITED, 7.0),
        (Deny("full", reconnect=True, retry_after=3.0), CloseCode.RATE_LIMITED, 3.0),
        (Deny("later", reconnect=True), CloseCode.RATE_LIMITED, 2.0),
        (Deny("locked"), CloseCode.ROOM_CLOSED_TO_YOU, None),
        (Deny("not_found"), CloseCode.NO_ROOM, None),
    ],
)
def test_a_denial_reaches_the_client_in_its_words(answer: Deny, code: CloseCode, wait: float | None) -> None:
    found = refused(admit(bearing(token()), hooks=hooks(answer)))
    assert (found.code, found.error, found.reason, found.retry_after) == (code, answer.code, answer.reason, wait)


def test_a_hook_that_hangs_is_waited_for_a_second(run: Run) -> None:
    """SG-3: other users, who are not asked about, get in meanwhile."""

    async def scenario() -> None:
        async def before_connect(request: ConnectRequest) -> object:
            await asyncio.Event().wait()
            return None

        control = entrance(hooks=AdmissionHooks(before_connect=before_connect, timeout=0.05))
        stuck = asyncio.create_task(control.admit(bearing(token())))
        await asyncio.sleep(0)
        admitted(await control.admit(bearing(API_KEY, ip="198.51.100.1")))
        assert refused(await stuck).error == "hook_failed"
        await control.close()

    run(scenario())


def test_an_answer_is_remembered_by_everything_that_it_may_depend_on() -> None:
    """SG-13: another address, cookie, Origin, query or hello is another question."""
    seen: list[ConnectRequest] = []
    rates = RateSettings(
        connects_per_address=Rate(per_second=0, burst=0), admissions_per_identity=Rate(per_second=0, burst=0)
    )
    control = entrance(hooks=hooks(Allow(), seen, cache_time=30.0), rates=rates)
    base = bearing(token())
    others = (
        bearing(token(), ip="198.51.100.1"),
        replace(base, query={"a": "1"}),
        replace(base, data={"a": 1}),
        replace(base, path="/other"),
        bearing(token(sub="bob")),
        knock(("Authorization", f"Bearer {token()}"), ("Origin", ORIGIN), cookies={"a": "1"}),
    )

    async def scenario() -> None:
        for _ in range(3):
            admitted(await control.admit(base))
        assert len(seen) == 1
        for number, other in enumerate(others, start=2):
            admitted(await control.admit(other))
            assert len(seen) == number

    asyncio.run(scenario())


# How often.


def test_whoever_guesses_is_shut_out_and_nobody_else() -> None:
    """TA-12, SG-11: wrong tokens and keys count against the address, with a wait."""
    rates = RateSettings(connects_per_address=Rate(per_second=0, burst=0))
    control = entrance(rates=rates)

    async def scenario() -> None:
        outcomes = [refused(await control.admit(bearing(f"guess{number}"))) for number in range(30)]
        assert [outcome.error for outcome in outcomes] == ["unauthorized"] * 20 + ["rate_limited"] * 10
        assert refused(await control.admit(bearing(token()))).status == 429
        admitted(await control.admit(bearing(token(), ip="198.51.100.1")))

    asyncio.run(scenario())


def test_a_backend_asks_for_all_of_its_users_from_one_address() -> None:
    """SG-11: the rate of an address is not for whoever shows an API key; lists and Origin are."""
    control = entrance(lists=AccessLists(deny("198.51.100.0/24")))
    assert all(control.screen(bearing(API_KEY)) is None for _ in range(100))
    assert all(control.screen(knock(("Authorization", BACKEND))) is None for _ in range(100))
    assert sum(control.screen(bearing(f"{API_KEY}x")) is None for _ in range(100)) == 10
    assert refused(control.screen(bearing(API_KEY, ip="198.51.100.1"))).status == 403
    foreign = knock(("Authorization", BACKEND), ("Origin", "null"))
    assert refused(control.screen(foreign)).status == 403


def test_forged_hops_do_not_open_a_second_bucket() -> None:
    """SG-5: fifty requests through the proxy with rotated forgeries: one bucket, 429 after its limit."""
    control = entrance()
    answers = []
    for number in range(50):
        headers = [(b"x-forwarded-for", f"192.0.2.{number}, 198.51.100.9".encode())]
        refusal = control.screen(control.request(peer="10.0.0.1", raw_headers=headers))
        answers.append(None if refusal is None else refusal.status)
    assert answers == [None] * 10 + [429] * 40


def test_an_identity_comes_so_often_from_wherever() -> None:
    control = entrance()

    async def scenario() -> None:
        outcomes = [await control.admit(bearing(token(), ip=f"198.51.100.{number}")) for number in range(12)]
        assert [isinstance(outcome, Admission) for outcome in outcomes] == [True] * 10 + [False] * 2
        assert refused(outcomes[-1]).code is CloseCode.RATE_LIMITED

    asyncio.run(scenario())


def test_a_place_is_needed_for_each_connection() -> None:
    """SG-11: per address, and in all."""
    control = entrance(rates=RateSettings(connections_per_address=2))
    places = [control.open_connection(knock()) for _ in range(3)]
    assert isinstance(places[1], Connection)
    assert isinstance(places[2], Refusal)
    assert places[2].status == 429
    places[1].close()
    assert isinstance(control.open_connection(knock()), Connection)


def test_frames_and_credentials_are_counted() -> None:
    control = entrance()
    assert control.message_wait("alice", "lobby", "join") is None
    assert sum(control.message_wait("alice", "lobby", "join") is None for _ in range(100)) == 31

    async def scenario() -> None:
        policy = IcePolicy(ttl=60)
        outcomes = [await control.before_ice(IceRequest(identity="alice", ip=IP), policy) for _ in range(12)]
        assert outcomes[:10] == [policy] * 10
        assert refused_policy(outcomes[10]).code is CloseCode.RATE_LIMITED

    asyncio.run(scenario())


def refused_policy(outcome: IcePolicy | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal)
    return outcome


@pytest.mark.parametrize(
    ("scope", "facts"),
    [
        (
            {"extensions": {"tls": {"tls_version": 0x0304, "version": "TLSv1.3", "cipher": "AES", "alpn": "http/1.1"}}},
            TlsFacts(version="TLSv1.3", cipher="AES", alpn="http/1.1"),
        ),
        ({"extensions": {"tls": {"tls_version": 0x0303, "cipher_suite": None}}}, TlsFacts(version="TLSv1.2")),
        ({"scheme": "wss"}, TlsFacts()),
        ({"scheme": "https", "extensions": {}}, TlsFacts()),
        ({"scheme": "ws"}, None),
    ],
)
def test_tls_is_the_same_for_a_websocket_and_a_request(scope: dict[str, Any], facts: TlsFacts | None) -> None:
    assert tls_facts_of(scope) == facts


# What comes after.


def test_whoever_is_on_a_list_by_now_has_to_go() -> None:
    """SG-4, TR-12: the lists are asked about those who are in."""
    lists = AccessLists()
    control = entrance(lists=lists)
    clients = [Client("a", IP, "alice"), Client("b", "198.51.100.1", "bob")]
    assert list(control.refused_now(clients)) == []
    lists.replace(deny("identity:bob"))
    ((key, refusal),) = control.refused_now(clients)
    assert key == "b"
    assert refusal.code is CloseCode.DENIED


def test_joins_messages_and_ice_are_asked_about(run: Run) -> None:
    async def scenario() -> None:
        async def before_join(event: JoinRequest) -> object:
            return Allow() if event.room == "lobby" else Deny("not_found")

        async def before_message(event: MessageRequest) -> object:
            return None if event.data == "broken" else Deny("banned") if event.data == "bad" else Allow()

        async def before_ice(event: IceRequest) -> object:
            match event.identity:
                case "alice":
                    return Allow(ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY))
                case "bob":
                    return Allow()
                case "carol":
                    return Deny("banned")
            raise ValueError

        control = entrance(
            hooks=AdmissionHooks(before_join=before_join, before_message=before_message, before_ice=before_ice)
        )
        join = JoinRequest(identity="alice", room="lobby", ip=IP)
        assert await control.before_join(join) is None
        assert refused(await control.before_join(replace(join, room="x"))).code is CloseCode.NO_ROOM
        message = MessageRequest(identity="alice", room="lobby", to="*", kind="message", data="good")
        assert await control.before_message(message, IP) is None
        assert refused(await control.before_message(replace(message, data="bad"), IP)).error == "banned"
        assert refused(await control.before_message(replace(message, data="broken"), IP)).error == "hook_failed"
        policy = IcePolicy()
        relay = await control.before_ice(IceRequest(identity="alice", ip=IP), policy)
        assert isinstance(relay, IcePolicy)
        assert relay.transport_policy is IceTransportPolicy.RELAY
        assert await control.before_ice(IceRequest(identity="bob", ip=IP), policy) is policy
        for identity, error in (("carol", "banned"), ("dave", "hook_failed")):
            outcome = await control.before_ice(IceRequest(identity=identity, ip=IP), policy)
            assert refused_policy(outcome).error == error
        assert await entrance().before_join(join) is None

    run(scenario())


def test_programs_are_told(run: Run) -> None:
    async def scenario() -> None:
        got: list[object] = []

        async def on_connected(event: Connected) -> object:
            got.append(event)
            return None

        control = entrance(hooks=AdmissionHooks(on_connected=on_connected))
        event = Connected(identity="alice", session="s", ip=IP, at=NOW)
        control.tell(event)
        await control.close()
        assert got == [event]

    run(scenario())


# Settings.


def test_a_reload_counts_for_the_next_and_a_bad_one_not_at_all() -> None:
    """OP-12: keys, origins and lists change in one step; what cannot be used leaves what could."""
    control = entrance()

    async def scenario() -> None:
        for broken in (
            replace(SETTINGS, trusted_proxies=("0.0.0.0/0",)),
            replace(SETTINGS, allowed_origins=("*",)),
            replace(SETTINGS, api_keys={"a": "weak"}),
            replace(SETTINGS, issuers=(TrustedIssuer(issuer="x", algorithm="HS256", secret="weak"),)),
        ):
            with pytest.raises(ConfigurationError):
                control.reload(broken)
        admitted(await control.admit(bearing(token())))
        control.reload(replace(SETTINGS, issuers=()))
        assert refused(await control.admit(bearing(token()))).error == "unauthorized"
        control.reload(SETTINGS)
        admitted(await control.admit(bearing(token())))

    asyncio.run(scenario())


def test_a_reload_during_a_verification_is_no_mixture() -> None:
    """OP-12: who is being decided about is decided about by the settings of the moment, 200 times over."""
    control = entrance(
        rates=RateSettings(
            admissions_per_identity=Rate(per_second=0, burst=0), connects_per_address=Rate(per_second=0, burst=0)
        )
    )
    other = replace(SETTINGS, issuers=(), rates=control._rules.settings.rates)
    ours = replace(SETTINGS, rates=other.rates)

    async def scenario() -> None:
        for _ in range(200):
            waiting = asyncio.gather(*(control.admit(bearing(token())) for _ in range(3)))
            control.reload(other)
            control.reload(ours)
            assert all(isinstance(outcome, Admission) for outcome in await waiting)
        assert len(control._retired) <= 2

    asyncio.run(scenario())


def test_the_defaults_let_nobody_in() -> None:
    from icelane.crypto.provider import SystemEntropy
    from icelane.signaling.admission.control import AdmissionSettings

    control = AdmissionControl(AdmissionSettings(), entropy=SystemEntropy())
    assert refused(admit(bearing(token()), control)).error == "unauthorized"
    assert refused(admit(knock(("Origin", ORIGIN)), control)).status == 403


def test_a_request_that_does_not_parse_is_said() -> None:
    """SG-9: a cookie, a query, a sub-protocol list out of order: 400, and nothing of it in the error."""
    control = entrance()
    for arguments in (
        {"raw_headers": [(b"cookie", b"hunter2\x00")]},
        {"raw_headers": [], "query": b"token=hunter2&" + b"a=1&" * 200},
        {"raw_headers": [], "query": b"token=hunter2%ff"},
        {"raw_headers": [], "query": "token=hunter2é".encode()},
        {"raw_headers": [], "query": b"x" * 10_000},
        {"raw_headers": [(b"sec-websocket-protocol", b"bearer.hunter2,,")]},
    ):
        with pytest.raises(MalformedError) as caught:
            control.request(peer=IP, **arguments)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value.__context__)


def test_records_say_why_and_never_what(caplog: pytest.LogCaptureFixture) -> None:
    """SG-7, OP-15: good or bad, by each carrier: no token, key, ticket or cookie in any record; few for one address."""
    text, bad = token(), token(aud="x")
    carriers = (bearing, lambda one: knock(subprotocols=(f"bearer.{one}",)), lambda one: knock().with_hello(one),
                lambda one: knock(query_token=one), lambda one: knock(ticket=one),
                lambda one: knock(("Origin", ORIGIN), cookies={"session": one}))  # fmt: skip
    with caplog.at_level(logging.DEBUG, logger="icelane"):
        for secret in (text, bad, "opaque-hunter2"):
            for carrier in carriers:
                request = carrier(secret)
                admit(request)
                admit(request, hooks=hooks(RuntimeError(secret)))
    records = " ".join(repr(record.__dict__) for record in caplog.records)
    for secret in (text, bad, "hunter2", API_KEY):
        assert secret not in records
    caplog.clear()
    control = entrance(rates=RateSettings(connects_per_address=Rate(per_second=0, burst=0)))
    with caplog.at_level(logging.DEBUG, logger="icelane"):
        for _ in range(500):
            admit(knock(), control)
    assert 1 <= len(caplog.records) <= 5
    assert caplog.records[0].message == "signaling.refused"
    assert caplog.records[0].__dict__["reason"] == "no-credential"
