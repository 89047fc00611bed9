"""Why a request was refused stands in the log: each code, provoked on real sockets and read back as JSON."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from icelane.core.net import SocketAddress, Transport
from icelane.server.config import LogSettings
from icelane.server.logs import configure_logging
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType
from icelane.stun.integrity import long_term_key_md5
from icelane.stun.message import Method
from icelane.turn.attributes import encode_requested_transport
from icelane.turn.throttle import SOURCE_FAILURES
from tests.loops import Run
from tests.server.clients import (
    IPV6,
    PASSWORD,
    REALM,
    REQUESTED_TRANSPORT,
    USER,
    Client,
    Peer,
    Refused,
    address_on,
    settings,
)
from tests.server.test_turn_server import SteppedClock

ROOT = Path(__file__).parents[2]
SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
TCP_TRANSPORT = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))
PRIVATE_PEER = SocketAddress("10.20.30.40", 5000)
METADATA = SocketAddress("169.254.169.254", 80)


@dataclass(frozen=True)
class Case:
    """What a client does, and what the log must say about it."""

    code: int
    reason: str
    provoke: Callable[[SocketAddress], Awaitable[object]]
    method: str = "allocate"
    username: str = USER
    turn: dict[str, Any] = field(default_factory=dict)


async def without_transport(server: SocketAddress) -> None:
    client = await Client.connect(server)
    await client.request(Method.ALLOCATE)


async def with_wrong_password(server: SocketAddress) -> None:
    await Client.allocated(server, password="guess")


async def as_a_stranger(server: SocketAddress) -> None:
    await Client.allocated(server, username="mallory")


async def with_expired_credential(server: SocketAddress) -> None:
    await Client.allocated(server, username="1000000000:k1:carol", password="whatever")


async def to_a_private_peer(server: SocketAddress) -> None:
    await (await Client.allocated(server)).permit(PRIVATE_PEER)


async def to_the_metadata_service(server: SocketAddress) -> None:
    await (await Client.allocated(server)).bind(0x4000, METADATA)


async def without_allocation(server: SocketAddress) -> None:
    client = await Client.connect(server)
    await client.refresh(600)


async def twice(server: SocketAddress) -> None:
    client = await Client.allocated(server)
    await client.allocate()


async def with_a_nonce_of_another(server: SocketAddress) -> None:
    """The client has moved: its nonce was made for another port."""
    first, second = await Client.allocated(server), await Client.connect(server)
    second._challenge, second._key = first._challenge, first._key
    await second.request_once(Method.ALLOCATE, REQUESTED_TRANSPORT)


async def as_somebody_else(server: SocketAddress) -> None:
    """A second user behind the port of the first."""
    client = await Client.allocated(server)
    client._challenge = [
        (kind, b"bob" if kind == AttributeType.USERNAME else value) for kind, value in client._challenge
    ]
    client._key = long_term_key_md5("bob", REALM, "builder")
    await client.refresh(600)


async def over_tcp_to_the_peer(server: SocketAddress) -> None:
    client = await Client.connect(server)
    await client.request(Method.ALLOCATE, TCP_TRANSPORT)


async def to_a_peer_of_the_other_family(server: SocketAddress) -> None:
    await (await Client.allocated(server)).permit(Peer("::1").address)


async def once_too_often(server: SocketAddress) -> None:
    await Client.allocated(server)
    await Client.allocated(server)


CASES = [
    Case(400, "transport-missing", without_transport),
    Case(401, "wrong-password", with_wrong_password),
    Case(401, "unknown-user", as_a_stranger, username="mallory"),
    Case(
        401,
        "expired",
        with_expired_credential,
        username="1000000000:k1:carol",
        turn={"secrets": [{"kid": "k1", "secret": SECRET}]},
    ),
    Case(403, "private", to_a_private_peer, method="create-permission"),
    Case(403, "link-local", to_the_metadata_service, method="channel-bind"),
    Case(437, "no-allocation", without_allocation, method="refresh"),
    Case(437, "already-allocated", twice),
    Case(438, "nonce-foreign", with_a_nonce_of_another),
    Case(441, "other-user", as_somebody_else, method="refresh", username="bob"),
    Case(442, "transport-unsupported", over_tcp_to_the_peer),
    Case(443, "peer-family", to_a_peer_of_the_other_family, method="create-permission"),
    Case(486, "user-quota", once_too_often, turn={"quota": {"allocations_per_user": 1}}),
    Case(508, "total-quota", once_too_often, turn={"quota": {"allocations_total": 1}}),
    Case(508, "no-relay-port", once_too_often, turn={"relay_ports": "61911-61911"}),
]


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("icelane")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(logging.NOTSET)


def configured(level: str = "info") -> io.StringIO:
    """The log of a server with `log.format = "json"`."""
    stream = io.StringIO()
    configure_logging(LogSettings.model_validate({"format": "json", "level": level}), stream)
    return stream


def refusals(log: io.StringIO) -> list[dict[str, Any]]:
    """Every record of a refusal."""
    records = [json.loads(line) for line in log.getvalue().splitlines()]
    return [record for record in records if record["event"] == "turn.refused"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.reason}")
def test_the_log_says_why(run: Run, case: Case) -> None:
    """TA-15, OP-15: one record, with the documented reason and who it was, and without a secret."""
    log = configured()
    users = {USER: PASSWORD, "bob": "builder"}
    turn = {"users": users} | case.turn
    config = settings(turn.pop("quota", None), **turn)

    async def scenario() -> None:
        async with TurnServer(config) as server:
            with pytest.raises(Refused) as caught:
                await case.provoke(address_on(server, Transport.UDP))
            assert caught.value.code == case.code

    run(scenario())
    (record,) = refusals(log)
    told = {name: record[name] for name in ("code", "reason", "method", "username", "realm", "transport", "client")}
    assert told == {
        "code": case.code,
        "reason": case.reason,
        "method": case.method,
        "username": case.username,
        "realm": REALM,
        "transport": "udp",
        "client": "127.0.0.0/24",
    }
    for secret in (PASSWORD, "builder", SECRET, "guess"):
        assert secret not in log.getvalue()


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", [(401, "no-credentials", "debug"), (438, "nonce-stale", "debug")]), ("info", [])],
)
def test_what_belongs_to_every_session_is_written_to_who_asks_for_it(
    run: Run, level: str, written: list[tuple[int, str, str]]
) -> None:
    """OP-15: every code has a record with its reason; two of them at level debug alone."""
    log = configured(level)

    async def scenario() -> None:
        clock = SteppedClock()
        async with TurnServer(settings(), wall_clock=clock) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            clock.offset += 601  # nonces live for ten minutes
            with pytest.raises(Refused, match="438"):
                await client.request_once(Method.REFRESH)

    run(scenario())
    assert [(record["code"], record["reason"], record["level"]) for record in refusals(log)] == written


def test_every_code_that_people_ask_about_is_provoked() -> None:
    assert {case.code for case in CASES} == {400, 401, 403, 437, 438, 441, 442, 443, 486, 508}


def test_every_reason_stands_in_the_reference_beside_its_code() -> None:
    page = (ROOT / "docs/reference/logs.md").read_text()
    rows = {
        (int(code), reason)
        for code, reasons in re.findall(r"^\| ([0-9]{3}) \| (.*?) \|", page, re.MULTILINE)
        for reason in re.findall(r"`([a-z0-9-]+)`", reasons)
    }
    assert {(case.code, case.reason) for case in CASES} <= rows


def test_a_client_that_is_refused_again_and_again_is_one_record_and_a_count(run: Run) -> None:
    """OP-15: volume follows the number of sources, not the number of requests."""
    log = configured()

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            for _ in range(SOURCE_FAILURES):
                client = await Client.connect(address_on(server, Transport.UDP), username="mallory")
                with pytest.raises(Refused):
                    await client.allocate()
                client.close()

    run(scenario())
    first, *rest = refusals(log)
    assert first["reason"] == "unknown-user"
    assert sum(record.get("repeats", 0) for record in rest) == SOURCE_FAILURES - 1
    assert len(rest) <= 5


@pytest.mark.parametrize(
    "name", ['a\r\n{"event": "turn.allocated"}', "\x1b[2J\x1b[31m", '", "code": 200, "x": "', "%s%n", "\u202eecila"]
)
def test_a_user_name_cannot_forge_a_record(run: Run, name: str) -> None:
    """OP-15: injection, over the wire and not only into the formatter."""
    log = configured()

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.connect(address_on(server, Transport.UDP), username=name)
            with pytest.raises(Refused):
                await client.allocate()

    run(scenario())
    lines = log.getvalue().splitlines()
    assert all(json.loads(line)["event"] in ("turn.refused", "turn.ended") for line in lines)
    (record,) = refusals(log)
    assert record["code"] == 401
    assert record["username"].isprintable()


def test_a_first_request_is_no_news_and_an_allocation_is_two_records(run: Run) -> None:
    """OP-15: one record for each event."""
    log = configured()

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP), Transport.UDP, IPV6)
            await client.refresh(0)

    run(scenario())
    assert [json.loads(line)["event"] for line in log.getvalue().splitlines()] == ["turn.allocated", "turn.ended"]
