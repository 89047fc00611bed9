"""Relay and signaling as one node: one port, one reload, one drain, one end."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from icelane import web
from icelane.core.net import Transport
from icelane.errors import ConfigurationError
from icelane.node import admission
from icelane.node.admission import admission_settings
from icelane.server.admin import RequestError
from icelane.server.config import Config, parse_config
from icelane.signaling.admission.control import AdmissionSettings
from icelane.signaling.admission.http_fetch import HttpFetcher
from tests.certificates import NAME
from tests.loops import Run
from tests.node.nodes import AS_OPERATOR, KEY, ORIGIN, SECRET, document, hear, node, say
from tests.server.clients import Client, Peer, Refused


def test_two_peers_meet_and_one_is_relayed_by_what_he_was_handed(run: Run, tmp_path: Path) -> None:
    """CR-3: what was issued in band works on TURN over UDP and over TLS on the shared port."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            alice, welcome = await running.enter("alice")
            bob, _ = await running.enter("bob")
            joined = await hear(alice)
            assert (joined["type"], joined["identity"]) == ("peer-joined", "bob")
            server = welcome["ice"]["iceServers"][1]
            assert server["urls"][-1] == f"turns:{NAME}:{running.address.port}?transport=tcp"
            credentials = {"username": server["username"], "password": server["credential"]}
            for address, transport in (
                (running.server.listening[0].address, Transport.UDP),
                (running.address, Transport.TLS),
            ):
                client = await Client.allocated(address, transport, **credentials)
                peer = Peer()
                await client.permit(peer.address)
                client.send_to(peer.address, b"relayed")
                assert (await peer.inbox.take())[0] == b"relayed"
            for one in (alice, bob):
                await one.close()

    run(scenario())


def test_turn_is_taken_where_signaling_is_and_nowhere_else(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path, turn={"listen": []}) as running:
            assert running.server.listening == []
            alice, welcome = await running.enter("alice")
            (server,) = welcome["ice"]["iceServers"]
            assert server["urls"] == [f"turns:{NAME}:{running.address.port}?transport=tcp"]
            credentials = {"username": server["username"], "password": server["credential"]}
            client = await Client.allocated(running.address, Transport.TLS, **credentials)
            peer = Peer()
            await client.permit(peer.address)
            client.send_to(peer.address, b"relayed")
            assert (await peer.inbox.take())[0] == b"relayed"
            await alice.close()

    run(scenario())


def test_whoever_shows_no_good_token_sees_why_and_gets_no_credential(run: Run, tmp_path: Path) -> None:
    """CR-1: over WebSocket by a goodbye, over HTTP by a constant 401."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            websocket = await running.open()
            goodbye = await say(websocket, {"type": "hello", "id": 1, "token": "not.a.token"})
            assert (goodbye["type"], goodbye["code"]) == ("goodbye", 4401)
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401
            bodies = set()
            for headers in ({}, {"Authorization": "Bearer not.a.token"}, {"Authorization": "Bearer ik_0000"}):
                answer = await running.ask("POST", "/v1/ice-servers", headers)
                assert answer.status == 401
                bodies.add(answer.body)
            assert len(bodies) == 1

    run(scenario())


def test_a_ticket_opens_one_websocket(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as running:
            bearer = {"Authorization": "Bearer " + await running.token("alice")}
            ticket = (await running.ask("POST", "/v1/tickets", bearer)).json
            assert ticket["url"] == f"wss://{NAME}:{running.address.port}/v1/signal"
            outcomes = []
            for _ in range(2):
                websocket = await running.open(f"/v1/signal?ticket={ticket['ticket']}")
                outcomes.append((await say(websocket, {"type": "hello", "id": 1}))["type"])
                await websocket.close()
            assert outcomes == ["welcome", "goodbye"]

    run(scenario())


def test_a_foreign_page_is_refused_before_the_upgrade_and_ours_is_let_in(run: Run, tmp_path: Path) -> None:
    """SG-1, SG-2, CR-2: 403, for WebSocket and HTTP; the page of our own URL needs no list."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            own = f"https://{NAME}:{running.address.port}"
            for origin, allowed in ((ORIGIN, True), (own, True), ("https://evil.example", False), ("null", False)):
                answer = await running.ask("POST", "/v1/ice-servers", AS_OPERATOR, {"Origin": origin})
                assert answer.status == (201 if allowed else 403)
                if allowed:
                    await (await running.open(origin=origin)).close()
                    continue
                with pytest.raises(InvalidStatus) as refused:
                    await running.open(origin=origin)
                assert refused.value.response.status_code == 403

    run(scenario())


def test_a_credential_that_is_taken_back_ends_what_it_has_and_makes_nothing_new(run: Run, tmp_path: Path) -> None:
    """CR-8, TR-12: at once."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            bearer = {"Authorization": "Bearer " + await running.token("alice")}
            server = (await running.ask("POST", "/v1/ice-servers", bearer)).json["iceServers"][1]
            credentials = {"username": server["username"], "password": server["credential"]}
            udp = running.server.listening[0].address
            await Client.allocated(udp, **credentials)
            assert running.server.allocation_count == 1
            answer = await running.ask("DELETE", f"/v1/ice-servers/{server['username']}", AS_OPERATOR)
            assert answer.status == 204
            assert running.server.allocation_count == 0
            with pytest.raises(Refused, match="401"):
                await Client.allocated(udp, **credentials)
            other = {"Authorization": "Bearer " + await running.token("bob")}
            assert (await running.ask("POST", "/v1/ice-servers", other)).status == 201

    run(scenario())


def test_a_user_may_not_ask_without_end(run: Run, tmp_path: Path) -> None:
    """CR-4: by user and by address, and a thousand at once get no more."""

    async def scenario() -> None:
        async with node(tmp_path, limits={"credentials_per_minute_per_identity": 30}) as running:
            bearer = {"Authorization": "Bearer " + await running.token("alice")}
            sources = [f"127.0.1.{number + 1}" for number in range(12)]
            answers = [await running.ask("POST", "/v1/ice-servers", bearer, source=source) for source in sources]
            statuses = [answer.status for answer in answers]
            assert statuses.count(201) == 5
            limited = answers[statuses.index(429)]
            assert limited.json["code"] == "rate_limited"
            assert int(limited.headers["retry-after"]) >= 1

        async with node(tmp_path, limits={"connects_per_minute_per_address": 60}) as running:
            bearer = {"Authorization": "Bearer nobody"}
            asked = [running.ask("POST", "/v1/ice-servers", bearer, source="127.0.2.1") for _ in range(40)]
            statuses = [answer.status for answer in await asyncio.gather(*asked)]
            assert 0 < statuses.count(401) <= 12
            assert statuses.count(401) + statuses.count(429) == 40
            assert (await running.ask("GET", "/healthz", source="127.0.2.1")).status == 200

    run(scenario())


def test_a_program_of_the_operator_asks_for_all_of_its_users_from_one_address(run: Run, tmp_path: Path) -> None:
    """SG-11: the rate of an address is not a backend's; a key that nobody has is limited like everybody."""

    async def scenario() -> None:
        async with node(tmp_path, limits={"connects_per_minute_per_address": 6}) as running:
            for headers, limited in ((AS_OPERATOR, False), ({"Authorization": "Bearer ik_0000"}, True)):
                asked = [running.ask("POST", "/v1/ice-servers", headers, source="127.0.2.1") for _ in range(20)]
                assert (429 in [answer.status for answer in await asyncio.gather(*asked)]) is limited

    run(scenario())


def test_the_client_for_browsers_comes_from_the_server_itself(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as running:
            own = {"Origin": f"https://{NAME}:{running.address.port}"}
            answer = await running.ask("GET", "/icelane.js", own)
            assert (answer.status, answer.body) == (200, web.MODULE.read_bytes())
            again = await running.ask("GET", "/icelane.js", {"If-None-Match": answer.headers["etag"]})
            assert (again.status, again.body) == (304, b"")

    run(scenario())


def test_rooms_are_told_and_ruled_over_the_admin_socket(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as running:
            alice, _ = await running.enter("alice")
            listed = await running.server.administer({"command": "room-list"}, 0.0)  # type: ignore[arg-type]
            assert [(row["room"], row["members"]) for row in listed["rooms"]] == [("demo", 1)]
            shown = await running.server.administer({"command": "room-show", "room": "demo"}, 0.0)  # type: ignore[arg-type]
            [peer] = shown["peers"]
            assert peer["identity"] == "alice"
            lock = {"command": "room-lock", "room": "demo"}
            assert (await running.server.administer(lock, 0.0))["locked"] is True  # type: ignore[arg-type]
            kick = {"command": "room-kick", "room": "demo", "peer": peer["peer"], "reason": "noise"}
            await running.server.administer(kick, 0.0)  # type: ignore[arg-type]
            kinds = [(await hear(alice))["type"] for _ in range(2)]
            assert "left" in kinds
            with pytest.raises(RequestError, match="no peer"):
                await running.server.administer(kick, 0.0)  # type: ignore[arg-type]
            await alice.close()

    run(scenario())


def test_a_reload_counts_for_the_relay_and_for_signaling(run: Run, tmp_path: Path) -> None:
    """OP-12, SG-4: other lists, keys and secrets from now on; who is denied is closed within five seconds."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            alice, _ = await running.enter("alice")
            bob, _ = await running.enter("bob")
            changed = document(tmp_path, running.address.port, lists={"deny": ["identity:alice"]})
            changed["turn"]["secrets"] = [
                {"kid": "k2", "secret": "another secret of many bytes"},
                {"kid": "k1", "secret": SECRET},
            ]
            result = await running.server.reload(parse_config(changed))
            assert {"lists.deny", "turn.secrets"} <= set(result.changed)
            assert result.restart == ()
            await hear(alice)  # that bob came
            goodbye = await hear(alice)
            assert (goodbye["type"], goodbye["code"]) == ("goodbye", 4403)
            assert (await hear(bob))["type"] == "peer-left"
            fresh = await running.ask("POST", "/v1/ice-servers", AS_OPERATOR, body={"user": "carol"})
            assert ":k2:" in fresh.json["iceServers"][1]["username"]
            await bob.close()

    run(scenario())


def test_a_reload_that_cannot_be_changes_nothing(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """OP-12: neither for the relay nor for signaling, whichever of the two would have had to refuse."""
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with node(tmp_path) as running:
            port = running.address.port
            with_hook = document(tmp_path, port, hooks={"before_connect": "no.such.module:function"})
            with_list = document(tmp_path, port, lists={"deny_file": str(tmp_path / "missing")})
            with_revoked = document(tmp_path, port, auth={"api_keys": {}})
            with_revoked["turn"]["revoked_file"] = str(tmp_path / "missing")
            for broken in (with_hook, with_list, with_revoked):
                broken["turn"]["secrets"] = [{"kid": "k9", "secret": "a ninth secret of many bytes"}]
                with pytest.raises(ConfigurationError):
                    await running.server.reload(parse_config(broken))
            answer = await running.ask("POST", "/v1/ice-servers", AS_OPERATOR)
            assert answer.status == 201
            assert ":k1:" in answer.json["iceServers"][1]["username"]

    run(scenario())


HOOKS = """\
from icelane.signaling.admission import Allow, Deny

async def join(event):
    return Deny("full_moon") if event.identity == "wolf" else Allow()

async def message(event):
    return Deny("swearing") if event.data == "bad" else Allow()
"""


def write_hooks(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Hooks in a module, and what names them."""
    monkeypatch.syspath_prepend(folder)
    (folder / f"{name}.py").write_text(HOOKS)
    return {"before_join": f"{name}:join", "before_message": f"{name}:message"}


def test_lists_are_watched_once_and_a_reload_makes_admission_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Config] = []

    def settings(config: Config, fetcher: HttpFetcher, node: str) -> AdmissionSettings:
        made.append(config)
        return admission_settings(config, fetcher, node)

    monkeypatch.setattr(admission, "admission_settings", settings)
    file = tmp_path / "deny"
    file.write_text("")

    async def scenario() -> None:
        async with node(tmp_path, lists={"deny_file": str(file)}) as running:
            names = [task.get_name() for task in asyncio.all_tasks()]
            assert [name for name in names if "lists" in name] == ["access lists"]
            made.clear()
            lists = {"deny_file": str(file), "deny": ["203.0.113.9"]}
            await running.server.reload(parse_config(document(tmp_path, running.address.port, lists=lists)))
            assert len(made) == 1

    run(scenario())


def test_what_waits_for_a_restart_waits_for_signaling_too(run: Run, tmp_path: Path) -> None:
    """OP-12: what a reload says of a key holds for all that goes by it."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            changed = document(tmp_path, running.address.port, limits={"connections_total": 1})
            result = await running.server.reload(parse_config(changed))
            assert result.restart == ("limits.connections_total",)
            both = [await running.open(), await running.open()]
            for websocket in both:
                await websocket.close()

    run(scenario())


@pytest.mark.parametrize("workers", [1, 2])
def test_hooks_that_a_reload_adds_are_asked_and_those_that_it_removes_are_not(
    run: Run, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP-12: also about those who are there already."""
    hooks = write_hooks(tmp_path, f"hooks_of_{workers}", monkeypatch)
    turn = _workers(tmp_path, workers)

    async def scenario() -> None:
        async with node(tmp_path, turn=turn) as running:
            wolf = await running.open()
            hello = {"type": "hello", "id": 1, "token": await running.token("wolf", "demo*")}
            assert (await say(wolf, hello))["type"] == "welcome"
            assert (await say(wolf, {"type": "join", "id": 2, "room": "demo"}))["type"] == "joined"
            asked = ({"type": "message", "to": "*", "room": "demo", "data": "bad"}, {"type": "join", "room": "demo-2"})
            for sections, words in (({"hooks": hooks}, ["swearing", "full_moon"]), ({}, [None, None])):
                changed = parse_config(document(tmp_path, running.address.port, turn=turn, **sections))
                result = await running.server.reload(changed)
                assert result.restart == ()
                assert {"hooks.before_join", "hooks.before_message"} <= set(result.changed)
                answers = [await say(wolf, frame | {"id": 10 + number}) for number, frame in enumerate(asked)]
                assert [answer.get("code") for answer in answers] == words
            await wolf.close()

    run(scenario())


def test_a_reload_that_cannot_be_leaves_several_processes_as_they_were(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP-12: the one with signaling is asked before anybody goes by it; sessions stay."""
    hooks = write_hooks(tmp_path, "hooks_to_be_broken", monkeypatch)
    turn = _workers(tmp_path, 2)

    async def scenario() -> None:
        async with node(tmp_path, turn=turn, hooks=hooks) as running:
            alice, _ = await running.enter("alice")
            before = running.server.config
            port = running.address.port
            for key, sections in (
                ("hooks.before_join", {"hooks": {"before_join": "no.such.module:function"}}),
                ("lists.deny_file", {"hooks": hooks, "lists": {"deny_file": str(tmp_path / "missing")}}),
            ):
                with pytest.raises(ConfigurationError) as caught:
                    await running.server.reload(parse_config(document(tmp_path, port, turn=turn, **sections)))
                assert caught.value.key == key
                assert running.server.config is before
            assert (await say(alice, {"type": "message", "to": "*", "data": "bad", "id": 9}))["code"] == "swearing"
            await alice.close()

    run(scenario())


def test_the_process_with_signaling_is_replaced_while_its_hooks_are_broken(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP-5: the new one has the hooks that its predecessor had."""
    hooks = write_hooks(tmp_path, "hooks_half_written", monkeypatch)

    async def scenario() -> None:
        async with node(tmp_path, turn=_workers(tmp_path, 2), hooks=hooks) as running:
            (tmp_path / "hooks_half_written.py").write_text("async def join(")
            first = running.server.workers[0]  # type: ignore[attr-defined]
            first.kill()
            await first.gone.wait()
            alice, _ = await running.enter("alice")
            assert (await say(alice, {"type": "message", "to": "*", "data": "bad", "id": 9}))["code"] == "swearing"
            await alice.close()

    run(scenario())


def test_a_drain_sends_everybody_away_in_his_own_time_and_calls_go_on(run: Run, tmp_path: Path) -> None:
    """OP-1, OP-2: 503 for HTTP at once, 4503 with reconnect for sessions, spread, 508 for the relay; no call ends."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            entered = [await running.enter(f"user-{number}", f"room-{number}") for number in range(6)]
            server = entered[0][1]["ice"]["iceServers"][1]
            credentials = {"username": server["username"], "password": server["credential"]}
            client = await Client.allocated(running.server.listening[0].address, **credentials)
            running.server.begin_drain()
            assert (await running.ask("POST", "/v1/ice-servers", AS_OPERATOR)).status == 503
            assert (await running.ask("GET", "/readyz")).status == 503
            assert (await running.ask("GET", "/healthz")).status == 200
            with pytest.raises(InvalidStatus) as late:
                await running.open()
            assert late.value.response.status_code == 503
            loop = asyncio.get_running_loop()
            began, went = loop.time(), []
            for websocket, _ in entered:
                goodbye = await hear(websocket)
                assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == ("goodbye", 4503, True)
                went.append(loop.time() - began)
            assert max(went) <= 6
            peer = Peer()
            await client.permit(peer.address)
            client.send_to(peer.address, b"still")
            assert (await peer.inbox.take())[0] == b"still"
            with pytest.raises(Refused, match="508"):
                await Client.allocated(running.server.listening[0].address, **credentials)
            await client.refresh(0)
            assert await running.server.drain()

    run(scenario())


def test_an_end_says_goodbye(run: Run, tmp_path: Path) -> None:
    """OP-2: whoever was not sent away before is told to come back."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            websocket, _ = await running.enter("alice")
            closing = asyncio.create_task(running.server.__aexit__(None, None, None))
            goodbye = await hear(websocket)
            assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == ("goodbye", 4503, True)
            await closing
            await websocket.close()

    run(scenario())


def test_secrets_are_in_no_record_and_no_answer(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SG-7, CR-6: tokens, API keys, TURN secrets and passwords, of what works and what does not."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.INFO)
    shown: list[str] = []
    secrets: list[str] = [KEY, SECRET]

    async def scenario() -> None:
        async with node(tmp_path) as running:
            token = await running.token("alice")
            secrets.append(token)
            websocket = await running.open(f"/v1/signal?token={token}")
            shown.append(json.dumps(await say(websocket, {"type": "hello", "id": 1, "token": token + "x"})))
            await websocket.close()
            for headers in ({"Authorization": f"Bearer {token}x"}, {"Authorization": f"Bearer {KEY}x"}):
                answer = await running.ask("POST", "/v1/ice-servers?token=" + token, headers)
                shown.append(answer.body.decode())
            issued = await running.ask("POST", "/v1/ice-servers", {"Authorization": f"Bearer {token}"})
            secrets.append(issued.json["iceServers"][1]["credential"])
            shown.append(repr(running.server.config))

    run(scenario())
    records = [str(vars(record)) for record in caplog.records if not record.name.startswith(("websockets", "asyncio"))]
    assert not [one for one in secrets for text in (*records, *shown) if one in text]


@pytest.mark.parametrize("workers", [2])
def test_with_several_workers_one_has_the_rooms_and_all_are_told(run: Run, tmp_path: Path, workers: int) -> None:
    """OP-5: rooms are in one process; what is taken back is so in all, and the port outlives its worker."""

    async def scenario() -> None:
        async with node(tmp_path, turn=_workers(tmp_path, workers)) as running:
            assert running.server.processes == workers
            alice, welcome = await running.enter("alice")
            bob, _ = await running.enter("bob")
            assert (await hear(alice))["identity"] == "bob"
            username = welcome["ice"]["iceServers"][1]["username"]
            assert (await running.ask("DELETE", f"/v1/ice-servers/{username}", AS_OPERATOR)).status == 204
            assert (await running.ask("GET", "/readyz")).status == 200
            shown = await running.server.administer({"command": "room-show", "room": "demo"}, 0.0)  # type: ignore[arg-type]
            assert shown["members"] == 2
            first = running.server.workers[0]  # type: ignore[attr-defined]
            first.kill()
            await first.gone.wait()
            for one in (alice, bob):
                async with asyncio.timeout(10):
                    await one.wait_closed()
            again, _ = await running.enter("alice")
            await again.close()

    run(scenario())


def _workers(folder: Path, workers: int) -> dict[str, object]:
    turn: dict[str, object] = document(folder, 1)["turn"]
    return turn | {"workers": workers, "relay_ports": "50000-50999"}


def test_no_answer_sends_anybody_to_the_host_that_he_has_named(run: Run, tmp_path: Path) -> None:
    """CR-9: a path with a slash too many is not there; it is no way to a host of somebody's choice."""

    async def scenario() -> None:
        async with node(tmp_path) as running:
            for path in ("/healthz/", "/v1/tokens/", "/icelane.js/", "/pages/style.css/", "//evil.example/"):
                answer = await running.ask("GET", path)
                assert (answer.status, answer.headers.get("location")) == (404, None), path

    run(scenario())


def test_pages_are_there_unless_they_are_switched_off(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as running:
            for path in ("/", "/r/blue-otter", "/pages/main.js"):
                answer = await running.ask("GET", path)
                assert answer.status == 200, path
                assert "strict-transport-security" in answer.headers
                assert "permissions-policy" in answer.headers
        async with node(tmp_path, server={"pages": False}) as running:
            for path in ("/", "/r/blue-otter", "/pages/main.js"):
                assert (await running.ask("GET", path)).status == 404, path

    run(scenario())
