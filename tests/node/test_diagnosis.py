"""What the node says about itself, whom it says it to, and that nothing which a request names is contacted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from icelane import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from icelane.diagnostics.echo import MAX_SESSIONS_PER_USER
from tests.node.nodes import AS_OPERATOR, Node, node

SESSIONS = "/v1/diag/sessions"
CHECKS = "/v1/diag/checks"
REPORTS = "/v1/diag/reports"
ROW = {"name": "TURN udp", "status": "failed", "detail": "203.0.113.77:3478 and [2001:db8:1:2::9]:443 do not answer"}


def run(folder: Path, story: Any, **sections: Any) -> None:
    async def inside() -> None:
        async with node(folder, **sections) as found:
            await story(found)

    asyncio.run(inside())


async def bearer(found: Node, identity: str = "alice") -> dict[str, str]:
    return {"Authorization": f"Bearer {await found.token(identity)}"}


@asynccontextmanager
async def calling(found: Node, headers: dict[str, str], policy: str = "relay") -> AsyncIterator[RTCPeerConnection]:
    """Somebody who takes part as a page does; loopback is all that there is."""
    answer = await found.ask("POST", "/v1/ice-servers", headers, body={})
    servers = [RTCIceServer(**one) for one in answer.json["iceServers"] if "username" in one]
    (listener,) = [one for one in found.server.listening if one.transport.value == "udp"]
    servers = [
        RTCIceServer(urls=f"turn:{listener.address}", username=one.username, credential=one.credential)
        for one in servers
    ]
    connection = RTCPeerConnection(
        RTCConfiguration(iceServers=servers, iceTransportPolicy=policy, include_loopback=True)
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=0)


async def offer_of(connection: RTCPeerConnection) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    await connection.gathering_complete()
    assert connection.localDescription is not None
    return connection.localDescription.sdp


def test_the_server_answers_a_call_over_its_own_relay_and_sends_back_what_it_gets(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        async with calling(found, headers) as connection:
            channel = connection.createDataChannel("echo", ordered=False, maxRetransmits=0)
            offer = await offer_of(connection)
            answer = await found.ask("POST", SESSIONS, headers, body={"type": "offer", "sdp": offer})
            assert answer.status == 201, answer
            assert answer.json["address"] == "127.0.0.1"
            description = answer.json["description"]
            assert " typ host" not in description["sdp"]
            assert " typ relay" in description["sdp"]
            await connection.setRemoteDescription(RTCSessionDescription(sdp=description["sdp"], type="answer"))
            async with asyncio.timeout(10):
                await channel.opened()
                for number in range(20):
                    channel.send(f"{number}")
                    assert await channel.receive() == f"{number}"
            seen = await found.ask("GET", f"{SESSIONS}/{answer.json['session']}", headers)
            assert seen.json["returned"] == seen.json["received"] == 20
            assert seen.json["state"] == "connected"
            other = await found.ask("GET", f"{SESSIONS}/{answer.json['session']}", await bearer(found, "mallory"))
            assert other.status == 404

    run(tmp_path, story)


def test_candidates_in_an_offer_are_never_contacted_unless_our_own_relay_relays_there(tmp_path: Path) -> None:
    """No request makes the server send to an address that the request names."""

    async def story(found: Node) -> None:
        headers = await bearer(found)
        with watched() as trap:
            port = trap.getsockname()[1]
            async with calling(found, headers, "all") as connection:
                connection.createDataChannel("echo")
                offer = await offer_of(connection)
                kinds = ("host", "srflx raddr 127.0.0.1 rport 9", "relay raddr 0.0.0.0 rport 9", "RELAY", "prflx")
                lures = [f"a=candidate:{n} 1 udp 999 127.0.0.2 {port} typ {kind}" for n, kind in enumerate(kinds)]
                lines = [line for line in offer.splitlines() if not line.startswith("a=candidate")]
                lines = [*lines, *lures, *(f"a=Candidate:7 1 UDP 9 127.0.0.2 {port} typ host" for _ in range(2))]
                body = {"type": "offer", "sdp": "\r\n".join(lines) + "\r\n"}
                answer = await found.ask("POST", SESSIONS, headers, body=body)
                assert answer.status in (201, 400)
                await asyncio.sleep(0.7)
            with pytest.raises(BlockingIOError):
                trap.recv(2048)

    run(tmp_path, story)


def watched() -> Any:
    """A socket where nothing must come, in a block."""
    trap = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    trap.bind(("127.0.0.2", 0))
    trap.setblocking(False)
    return trap


@pytest.mark.parametrize(
    "sdp", ["", "no description", "v=0\r\n", "x" * 20_000, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9"]
)
def test_an_offer_that_is_none_is_refused_and_nothing_is_left_of_it(tmp_path: Path, sdp: str) -> None:
    async def story(found: Node) -> None:
        answer = await found.ask("POST", SESSIONS, await bearer(found), body={"type": "offer", "sdp": sdp})
        assert answer.status == 400, answer
        assert answer.json["code"] == "bad_offer"

    run(tmp_path, story)


def test_media_is_not_taken(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        async with calling(found, headers) as connection:
            connection.createDataChannel("echo")
            connection.addTransceiver("audio")
            body = {"type": "offer", "sdp": await offer_of(connection)}
        answer = await found.ask("POST", SESSIONS, headers, body=body)
        assert answer.status == 400

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", SESSIONS),
        ("GET", SESSIONS + "/x"),
        ("GET", CHECKS),
        ("POST", REPORTS),
        ("GET", REPORTS + "/x"),
    ],
)
def test_nothing_is_begun_or_told_for_somebody_unknown(tmp_path: Path, method: str, path: str) -> None:
    """CR-1: no token, a wrong one and a used ticket get the same 401."""

    async def story(found: Node) -> None:
        body = {"type": "offer", "sdp": "v=0\r\n"} if method == "POST" else None
        answers = [
            await found.ask(method, path, body=body),
            await found.ask(method, path, {"Authorization": "Bearer eyJ.eyJ.x"}, body=body),
            await found.ask(method, path + "?ticket=unknown", body=body),
        ]
        assert {answer.status for answer in answers} == {401}
        assert len({answer.body for answer in answers}) == 1

    run(tmp_path, story)


def test_a_ticket_is_good_for_one_request_and_no_other_endpoint_takes_it(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        first, second = [(await found.ask("POST", "/v1/tickets", headers)).json["ticket"] for _ in range(2)]
        body = {"checks": [ROW]}
        assert (await found.ask("POST", f"{REPORTS}?ticket={first}", body=body)).status == 201
        assert (await found.ask("POST", f"{REPORTS}?ticket={first}", body=body)).status == 401
        assert (await found.ask("POST", f"/v1/ice-servers?ticket={second}", body={})).status == 401

    run(tmp_path, story)


def test_a_report_is_kept_with_addresses_cut_to_networks(tmp_path: Path) -> None:
    """What is shared tells networks, and nobody's address, unless he wants that."""

    async def story(found: Node) -> None:
        headers = await bearer(found)
        for addresses, shown in ((False, "203.0.113.x:3478 and [2001:db8:1::x]:443"), (True, "203.0.113.77:3478")):
            kept = await found.ask("POST", REPORTS, headers, body={"checks": [ROW], "addresses": addresses})
            assert kept.status == 201, kept
            read = await found.ask("GET", f"{REPORTS}/{kept.json['id']}", await bearer(found, "bob"))
            assert shown in read.json["checks"][0]["detail"]
        assert (await found.ask("GET", f"{REPORTS}/unknown", headers)).status == 404

    run(tmp_path, story)


def test_a_report_has_bounds_and_a_shape(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        long = {"checks": [ROW | {"detail": "x" * 40_000}]}
        assert (await found.ask("POST", REPORTS, headers, body=long)).status == 413
        many = {"checks": [{"name": "x", "status": "passed"}] * 200}
        assert (await found.ask("POST", REPORTS, headers, body=many)).status == 400
        assert (await found.ask("POST", REPORTS, headers, body={"checks": "none"})).status == 400
        assert (await found.ask("POST", REPORTS, headers, body={"checks": [{"name": "x"}]})).status == 400

    run(tmp_path, story)


def test_one_user_is_held_back_and_told_how_long(tmp_path: Path) -> None:
    """What costs something is counted for each user."""

    async def story(found: Node) -> None:
        headers = await bearer(found)
        limits = [await found.ask("POST", REPORTS, headers, body={"checks": []}) for _ in range(14)]
        assert [answer.status for answer in limits][-1] == 429
        assert limits[-1].json["retryAfter"] > 0
        assert (await found.ask("POST", REPORTS, await bearer(found, "bob"), body={"checks": []})).status == 201

    run(tmp_path, story, limits={"connects_per_minute_per_address": 0, "connects_per_minute_per_identity": 0})


def test_the_server_checks_itself_once_for_all_and_tells_users_no_address(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        answers = await asyncio.gather(*(found.ask("GET", CHECKS, headers) for _ in range(3)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert answers[0].json["relayPorts"] == "49160-49199"
        rows = {row["name"]: row for row in answers[0].json["checks"]}
        assert rows["STUN udp"]["status"] == "passed", rows
        assert rows["TURN udp"]["status"] == "passed", rows
        assert rows["relay echo"]["status"] == "passed", rows
        assert rows["certificate"]["cause"] == "certificate-unknown-authority"  # nobody here trusts the test's
        assert "relay from outside" not in rows

    run(tmp_path, story, turn={"relay_ports": "49160-49199"})


def test_a_user_who_begins_again_and_again_has_a_few_sessions_at_most(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        headers = await bearer(found)
        async with calling(found, headers) as connection:
            connection.createDataChannel("echo")
            body = {"type": "offer", "sdp": await offer_of(connection)}
            begun = [await found.ask("POST", SESSIONS, headers, body=body) for _ in range(4)]
            assert {answer.status for answer in begun} == {201}
            seen = [await found.ask("GET", f"{SESSIONS}/{answer.json['session']}", headers) for answer in begun]
            assert [answer.status for answer in seen].count(200) == MAX_SESSIONS_PER_USER

    run(tmp_path, story, limits={"connects_per_minute_per_address": 0})


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async def story(found: Node) -> None:
        assert (await found.ask("GET", CHECKS, AS_OPERATOR)).status == 404
        assert (await found.ask("GET", "/v1/diag/whoami")).status == 200

    run(tmp_path, story, diag={"enabled": False})
