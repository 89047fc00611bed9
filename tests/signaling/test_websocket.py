"""The WebSocket side: real sockets on loopback, uvicorn, and a client that is not ours."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
import websockets
from fastapi import FastAPI
from msgspec import UNSET

from icelane.core.clock import UnixSeconds
from icelane.signaling.admission.request import Left as LeftNotice
from icelane.signaling.admitted import Admission, IcePolicy, IceTransportPolicy, Refusal
from icelane.signaling.app import signaling_app
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.problem import problem_of, problem_response
from icelane.signaling.limits import MAX_FRAME, SignalingLimits
from icelane.signaling.messages import (
    Error,
    Goodbye,
    Hello,
    Ice,
    Join,
    Joined,
    Ok,
    PeerJoined,
    PeerLeft,
    Refresh,
    Resume,
    SendMessage,
    ServerMessage,
    Welcome,
    encode_json,
)
from icelane.signaling.service import SignalService
from tests.loops import Run
from tests.signaling.fake_gate import FakeGate, FakeIce
from tests.signaling.http_server import SignalSocket, connected, serving


async def enter(client: SignalSocket, name: str, room: str = "r") -> tuple[Welcome, Joined]:
    await client.say(Hello(id=1, token=name))
    await client.say(Join(id=2, room=room))
    welcome, joined = await client.hear(), await client.hear()
    assert isinstance(welcome, Welcome)
    assert isinstance(joined, Joined)
    return welcome, joined


def test_two_clients_meet_and_talk(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        app = signaling_app(gate, ice=FakeIce())
        async with serving(app) as url, connected(url) as alice, connected(url) as bob:
            welcome, _ = await enter(alice, "alice")
            assert welcome.ice == FakeIce().ice_servers(Admission(identity="alice"), 0.0)  # type: ignore[arg-type]  # an Instant
            assert alice.socket.subprotocol == "icelane.signal.v1"
            _, joined = await enter(bob, "bob")
            assert [peer.identity for peer in joined.peers] == ["alice"]
            assert isinstance(await alice.hear(), PeerJoined)
            await bob.say(SendMessage(id=3, to="*", data=encode_json("hi")))
            heard = await alice.hear()
            assert isinstance(heard, ServerMessage)
            assert bytes(heard.data) == b'"hi"'
            assert isinstance(await bob.hear(), Ok)
            await bob.socket.close()
            assert isinstance(await alice.hear(), PeerLeft)
        assert gate.places == 0
        assert app.state.signaling.hub.empty
        assert [notice.identity for notice in gate.notices[:3]] == ["alice", "bob", "bob"]
        assert [isinstance(notice, LeftNotice) for notice in gate.notices[:3]] == [False, False, True]

    run(scenario())


def test_a_broken_connection_is_resumed(run: Run) -> None:
    """OP-10: over real sockets."""

    async def scenario() -> None:
        app = signaling_app(FakeGate())
        async with serving(app) as url, connected(url) as alice:
            await enter(alice, "alice")
            async with connected(url) as bob:
                welcome, _ = await enter(bob, "bob")
                bob.socket.transport.abort()
            assert isinstance(await alice.hear(), PeerJoined)
            for number in range(3):
                await alice.say(SendMessage(id=number + 3, to="*", data=encode_json(number)))
                assert isinstance(await alice.hear(), Ok)
            async with connected(url) as again:
                await again.say(Hello(id=1, token="bob", resume=Resume(session=welcome.session, seq=0)))
                resumed = await again.hear()
                assert isinstance(resumed, Welcome)
                assert resumed.resumed
                frames = [await again.hear() for _ in range(3)]
                heard = [(one.seq, bytes(one.data)) for one in frames if isinstance(one, ServerMessage)]
                assert heard == [(1, b"0"), (2, b"1"), (3, b"2")]

    run(scenario())


@pytest.mark.parametrize("carrier", ["header", "sub-protocol", "hello", "ticket", "hello-ticket"])
def test_a_credential_may_come_in_many_ways(run: Run, carrier: str) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        async with serving(signaling_app(gate)) as url:
            where = f"{url}/v1/signal?ticket=alice" if carrier == "ticket" else url
            subprotocols = ("bearer.alice",) if carrier == "sub-protocol" else ()
            headers = {"Authorization": "Bearer alice"} if carrier == "header" else {}
            hello = {
                "hello": Hello(id=1, token="alice"),
                "hello-ticket": Hello(id=1, ticket="alice"),
            }.get(carrier, Hello(id=1))
            async with connected(where, *subprotocols, additional_headers=headers) as client:
                await client.say(hello)
                welcome = await client.hear()
                assert isinstance(welcome, Welcome)
                assert welcome.identity == "alice"
                assert client.socket.subprotocol == "icelane.signal.v1"

    run(scenario())


def test_a_refused_one_sees_the_reason_before_the_close(run: Run) -> None:
    """SG-4: accepted first, so that a browser shows more than 1006."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["eve"] = Refusal(code=CloseCode.DENIED, error="banned", reason="ask the office")
        async with serving(signaling_app(gate)) as url:
            for token, code, word in (("eve", 4403, "banned"), (None, 4401, "unauthorized")):
                async with connected(url) as client:
                    await client.say(Hello(id=1) if token is None else Hello(id=1, token=token))
                    frames, closed = await client.until_closed()
                    [goodbye] = frames
                    assert isinstance(goodbye, Goodbye)
                    assert (goodbye.code, goodbye.reason, closed) == (code, word, code)
        assert not gate.notices

    run(scenario())


@pytest.mark.parametrize(
    ("screened", "status", "retry"),
    [
        (Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=2.5, status=429), 429, "3"),
        (Refusal(code=CloseCode.DENIED, error="origin_not_allowed", status=403), 403, None),
        (Refusal(code=CloseCode.DRAINING, error="draining", retry_after=1.0), 503, "1"),
        (Refusal(code=CloseCode.INTERNAL, error="internal", retry_after=0.2), 503, "1"),
        (Refusal(code=CloseCode.NO_ROOM, error="not_found"), 404, None),
    ],
)
def test_lists_rates_and_origin_answer_before_the_upgrade(
    run: Run, screened: Refusal, status: int, retry: str | None
) -> None:
    """SG-2, SG-4: by a status of HTTP; SG-11: with the wait."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.screened = screened
        async with serving(signaling_app(gate)) as url:
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with connected(url):
                    pass
            response = caught.value.response
            assert response.status_code == status
            assert response.headers.get("Retry-After") == retry
            assert response.headers["Content-Type"] == "application/problem+json"
            over_http = problem_response(problem_of(screened))
            assert response.body == over_http.body, "one form, whoever asks"
        assert not gate.requests
        assert gate.places == 0

    run(scenario())


def test_connections_beyond_the_cap_are_refused_before_the_upgrade(run: Run) -> None:
    """SG-11: caps."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.max_places = 1
        async with serving(signaling_app(gate)) as url:
            async with connected(url):
                with pytest.raises(websockets.InvalidStatus):
                    async with connected(url):
                        pass
            for _ in range(100):
                if not gate.places:
                    break
                await asyncio.sleep(0.01)
            async with connected(url) as client:
                await enter(client, "alice")

    run(scenario())


def test_a_client_of_another_protocol_is_told_which_is_ours(run: Run) -> None:
    async def scenario() -> None:
        async with serving(signaling_app(FakeGate())) as url:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(f"{url}/v1/signal", subprotocols=["chat"])  # type: ignore[list-item]  # a NewType of str
            assert caught.value.response.status_code == 400
            async with websockets.connect(f"{url}/v1/signal") as bare:
                await SignalSocket(bare).say(Hello(id=1, token="alice"))
                assert isinstance(await SignalSocket(bare).hear(), Welcome)

    run(scenario())


def test_a_frame_above_the_limit_is_1009_and_one_at_it_is_read(run: Run) -> None:
    """SG-8: refused by the WebSocket layer before it is buffered."""

    async def scenario() -> None:
        async with serving(signaling_app(FakeGate())) as url, connected(url) as client:
            await enter(client, "alice")
            frame = '{"type":"message","id":3,"to":"*","data":""}'
            await client.say(frame.replace('""', '"' + "x" * (MAX_FRAME - len(frame)) + '"'))
            assert isinstance(await client.hear(), Ok)
            await client.say(" " * (MAX_FRAME + 1))
            _, code = await client.until_closed()
            assert code == 1009

    run(scenario())


def test_a_binary_frame_is_a_bad_frame(run: Run) -> None:
    """SG-9: bytes are none of ours."""

    async def scenario() -> None:
        async with serving(signaling_app(FakeGate())) as url, connected(url) as client:
            await client.socket.send(b"\x00\x01")
            _, code = await client.until_closed()
            assert code == 4400

    run(scenario())


def test_hooks_decide_about_joins_and_messages(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        gate.refuse_joins = {"closed"}
        gate.refuse_data = "bad"
        gate.asks_about_messages = True
        async with (
            serving(signaling_app(gate)) as url,
            connected(url) as alice,
            connected(url) as bob,
        ):
            await enter(alice, "alice")
            await enter(bob, "bob")
            await bob.say(Join(id=3, room="closed"))
            refused = await bob.hear()
            assert isinstance(refused, Error)
            assert (refused.code, refused.message) == ("not_today", "come tomorrow")
            await bob.say(SendMessage(id=4, to="*", data=encode_json("bad")))
            await bob.say(SendMessage(id=5, to="*", data=encode_json("good")))
            answers = [await bob.hear(), await bob.hear()]
            assert [type(answer) for answer in answers] == [Error, Ok]
            assert isinstance(await alice.hear(), PeerJoined)
            heard = await alice.hear()
            assert isinstance(heard, ServerMessage)
            assert bytes(heard.data) == b'"good"'

    run(scenario())


def test_an_identity_that_says_too_much_is_told_to_wait(run: Run) -> None:
    """SG-12: bounds of an identity and a room, beside those of the connection."""

    async def scenario() -> None:
        async with serving(signaling_app(FakeGate())) as url, connected(url) as client:
            await client.say(Hello(id=1, token="chatty"))
            assert isinstance(await client.hear(), Welcome)
            await client.say(Join(id=2, room="r"))
            error = await client.hear()
            assert isinstance(error, Error)
            assert (error.code, error.after, error.retryable) == ("rate_limited", 3.0, True)

    run(scenario())


def test_an_admission_that_breaks_admits_nobody(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """SG-3: whatever goes wrong, the answer is no, and others get in. SG-7: what it said is not written."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.raises = RuntimeError("token s3cret")
        async with serving(signaling_app(gate)) as url:
            async with connected(url) as client:
                await client.say(Hello(id=1, token="alice"))
                [goodbye], code = await client.until_closed()
                assert isinstance(goodbye, Goodbye)
                assert (goodbye.reason, code) == ("internal", 4500)
                assert "s3cret" not in goodbye.message
            gate.raises = None
            async with connected(url) as client:
                await enter(client, "bob")

    run(scenario())
    [record] = [record for record in caplog.records if record.getMessage() == "signaling.failed"]
    assert vars(record)["error"] == "RuntimeError"
    assert "s3cret" not in caplog.text + str(vars(record))


def test_a_token_is_refreshed_whatever_the_first_one_came_with(run: Run) -> None:
    """SG-13: the newer one counts."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.admissions["new"] = Admission(identity="alice", rooms=("*",), expires_at=UnixSeconds(4e9))
        headers = {"Authorization": "Bearer alice"}
        async with serving(signaling_app(gate)) as url, connected(url, additional_headers=headers) as client:
            await client.say(Hello(id=1))
            assert isinstance(await client.hear(), Welcome)
            await client.say(Refresh(id=2, token="new"))
            answer = await client.hear()
            assert isinstance(answer, Ok)
            assert answer.expires_at == "2096-10-02T07:06:40Z"
            await client.say(Refresh(id=3, token="bob"))
            refused = await client.hear()
            assert isinstance(refused, Error)
            assert refused.code == "identity_changed"

    run(scenario())


def test_a_list_that_has_somebody_now_ends_him_within_five_seconds(run: Run) -> None:
    """SG-4: deny of a live user closes it."""

    async def scenario() -> None:
        gate = FakeGate()
        async with serving(signaling_app(gate)) as url, connected(url) as client:
            await enter(client, "eve")
            gate.denied.add("eve")
            frames, code = await client.until_closed()
            assert isinstance(frames[-1], Goodbye)
            assert code == 4403

    run(scenario())


def test_a_relay_only_policy_is_in_the_welcome_and_fresh_servers_come_in_band(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        policy = IcePolicy(transport_policy=IceTransportPolicy.RELAY)
        gate.admissions["alice"] = Admission(identity="alice", ice=policy)
        async with serving(signaling_app(gate, ice=FakeIce(ttl=1))) as url, connected(url) as client:
            await client.say(Hello(id=1, token="alice"))
            welcome = await client.hear()
            assert isinstance(welcome, Welcome)
            assert welcome.ice
            assert welcome.ice.ice_transport_policy == "relay"
            assert isinstance(await client.hear(), Ice)

    run(scenario())


def test_an_admission_that_the_hub_cannot_take_ends_the_connection_at_once(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """SG-3: no session is half registered, whatever a gate admits with, and others get in. SG-7: nor is it written."""

    async def scenario() -> None:
        gate = FakeGate()
        bad = Admission(identity="bad", rooms=("*",), limits={"s3cret": 1})  # type: ignore[arg-type]
        gate.admissions["bad"] = bad
        gate.admissions["worse"] = Admission(identity="worse", rooms=("*",), expires_at="s3cret")  # type: ignore[arg-type]
        app = signaling_app(gate)
        async with serving(app) as url:
            for name in ("bad", "worse"):
                async with connected(url) as client:
                    await client.say(Hello(id=1, token=name))
                    _, code = await asyncio.wait_for(client.until_closed(), 5)
                    assert code == 4500
            hub = app.state.signaling.hub
            assert (hub.figures().sessions, hub._waiting_for_welcome) == (0, 0)
            async with connected(url) as alice:
                await enter(alice, "alice")
                gate.admissions["narrow"] = replace(bad, identity="alice")
                await alice.say(Refresh(id=3, token="narrow"))
                _, code = await asyncio.wait_for(alice.until_closed(), 5)
                assert code == 4500
            assert hub.figures().sessions == 0

    run(scenario())
    assert "s3cret" not in caplog.text
    assert "never retrieved" not in caplog.text


def test_a_policy_of_before_ice_counts_for_what_is_passed_on(run: Run) -> None:
    """SG-13: the hook says `relay`, and so does the server where it passes something on; SG-3: or it has failed."""
    relay = IcePolicy(transport_policy=IceTransportPolicy.RELAY)
    failed = Refusal(code=CloseCode.INTERNAL, error="hook_failed")
    denied = Refusal(code=CloseCode.DENIED, error="no_turn_for_you")

    async def policy(decided: IcePolicy | Refusal, ice: FakeIce | None = None) -> object:
        gate = FakeGate()
        gate.asks_about_ice, gate.decide_ice = True, decided
        async with serving(signaling_app(gate, ice=ice)) as url, connected(url) as client:
            _, joined = await enter(client, "alice")
            return joined.ice_transport_policy

    async def scenario() -> None:
        assert await policy(relay, FakeIce()) == "relay"
        assert await policy(failed, FakeIce()) == "relay"
        assert await policy(relay) == "relay"
        assert await policy(denied, FakeIce()) is UNSET
        assert await policy(IcePolicy(), FakeIce()) is UNSET

    run(scenario())


def test_a_refresh_asks_before_ice_again(run: Run) -> None:
    """SG-13: what the hook made of the last token is not forgotten with it."""

    async def scenario() -> None:
        gate = FakeGate()
        gate.asks_about_ice, gate.decide_ice = True, IcePolicy(transport_policy=IceTransportPolicy.RELAY)
        async with serving(signaling_app(gate, ice=FakeIce())) as url, connected(url) as client:
            await enter(client, "alice")
            await client.say(Refresh(id=3, token="alice"))
            assert isinstance(await client.hear(), Ok)
            await client.say(Join(id=4, room="s"))
            joined = await client.hear()
            assert isinstance(joined, Joined)
            assert joined.ice_transport_policy == "relay"

    run(scenario())


def test_it_mounts_in_a_fastapi_program_that_never_starts_it(run: Run) -> None:
    async def scenario() -> None:
        gate = FakeGate()
        app = FastAPI()
        app.mount("/rtc", signaling_app(gate))
        async with serving(app) as url, connected(f"{url}/rtc/v1/signal") as client:
            await enter(client, "alice")
            assert gate.requests[0].path == "/rtc/v1/signal"

    run(scenario())


def test_closing_says_goodbye_to_everybody(run: Run) -> None:
    """OP-1: 4503 before the server goes."""

    async def scenario() -> None:
        gate = FakeGate()
        service = SignalService(gate)
        async with serving(signaling_app(gate, service=service)) as url, connected(url) as client:
            await enter(client, "alice")
            await service.close()
            [goodbye], code = await client.until_closed()
            assert isinstance(goodbye, Goodbye)
            assert (goodbye.reconnect, code) == (True, 4503)
            async with connected(url) as late:
                _, code = await late.until_closed()
                assert code == 4503
        assert service.connections == 0
        assert service.hub.empty

    run(scenario())


def test_whoever_does_not_read_is_dropped_and_others_are_not_held_up(run: Run) -> None:
    """SG-10: 10 MB to a room with a member that does not read; he goes at 1 MiB, and memory comes back."""

    async def scenario() -> None:
        limits = SignalingLimits(frames_per_second=100_000.0, frame_burst=100_000)
        service = SignalService(gate := FakeGate(), limits=limits)
        async with serving(signaling_app(gate, service=service)) as url, connected(url) as alice, connected(url) as bob:
            await enter(alice, "alice")
            await enter(bob, "bob")
            slow = await websockets.connect(f"{url}/v1/signal", max_queue=1, compression=None)
            await SignalSocket(slow).say(Hello(id=1, token="slow"))
            await SignalSocket(slow).hear()
            await SignalSocket(slow).say(Join(id=2, room="r"))
            await SignalSocket(slow).hear()
            slow.transport.pause_reading()
            data = encode_json("x" * 60_000)
            frames = [await bob.hear()]
            for _ in range(170):
                await alice.say(SendMessage(to="*", data=data))
                frames.append(await bob.hear())
            assert sum(isinstance(frame, ServerMessage) for frame in frames) >= 168
            detached = [one for one in service.moderation.sessions() if one.identity == "slow"]
            assert [one.connected for one in detached] == [False]
            slow.transport.abort()

    run(scenario())


def test_nothing_that_was_secret_is_in_a_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """SG-7: a token in the header, the sub-protocol, the hello, a refresh, and in nonsense."""

    async def scenario() -> None:
        gate = FakeGate()
        secret = "c0ffee" * 4
        gate.admissions[secret] = Admission(identity="alice", rooms=("r",))
        async with serving(signaling_app(gate, ice=FakeIce())) as url:
            for options in ({"additional_headers": {"Authorization": f"Bearer {secret}"}}, {}):
                async with connected(url, f"bearer.{secret}", **options) as client:
                    await client.say(Hello(id=1, token=secret))
                    await client.hear()
                    await client.say(Refresh(id=2, token=secret))
                    await client.hear()
                    await client.say(f'{{"type":"{secret}"}}')
                    await client.until_closed()
        assert secret not in caplog.text
        assert not any(secret in str(vars(record)) for record in caplog.records if record.name == "icelane.signaling")

    caplog.set_level(logging.INFO, logger="icelane")
    run(scenario())
    assert caplog.records


def test_a_connection_that_never_says_hello_is_closed(run: Run) -> None:
    """SG-11: with a bound that a test can wait for."""

    async def scenario() -> None:
        limits = SignalingLimits(hello_timeout=0.2)
        async with serving(signaling_app(FakeGate(), limits=limits)) as url, connected(url) as client:
            _, code = await client.until_closed()
            assert code == 4408

    run(scenario())


def test_a_request_that_does_not_parse_is_400(run: Run) -> None:
    async def scenario() -> None:
        async with serving(signaling_app(FakeGate())) as url:
            for query in ("ticket=%FF%FE", "&".join(["a"] * 101)):
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await websockets.connect(f"{url}/v1/signal?{query}")
                assert caught.value.response.status_code == 400

    run(scenario())
