"""Commands to a running server: what they answer, whatever is asked, and who may ask."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Callable, Collection
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import ConfigurationError, LocalProtocolError
from icelane.server.admin import MAX_LINE, MAX_ROUTES, MAX_ROWS, Admin, Administered, Answer, Request, Sessions
from icelane.server.admin_socket import MAX_CONNECTIONS, AdminSocket
from icelane.server.relay_plane import RelayPlane
from icelane.server.reload import Reloaded
from icelane.server.turn_server import TurnServer
from icelane.testing.entropy import SeededEntropy
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.revocation import Revocation
from tests.loops import Run
from tests.server.clients import Client, Peer, address_on, settings
from tests.turn.server_driver import ServerDriver

NOTHING = Reloaded(changed=(), restart=(), ended=0, certificate=True)
CHANNEL = 0x4001


class FakeServer:
    """Allocations of a driven engine, and no sockets."""

    def __init__(self, driver: ServerDriver) -> None:
        self.driver = driver
        self.plane = RelayPlane(SeededEntropy(1))
        self.revoked: list[Revocation] = []

    @property
    def allocations(self) -> AllocationTable:
        return self.driver.engine.allocations

    def revoke(self, entry: Revocation) -> int:
        self.revoked.append(entry)
        if entry.name == "full":
            raise LocalProtocolError("no room")
        return 1

    def end(self, clients: Collection[Path]) -> int:
        return self.driver.engine.revoke(lambda one: one.client in clients)


def refuse() -> Reloaded:
    raise ConfigurationError("unknown key", key="turn.relm", file="icelane.toml")


def administration(
    server: Administered, reload: Callable[[], Reloaded], drain: Callable[[], None] = lambda: None
) -> Admin:
    """What answers for a server in this process."""
    sessions = Sessions(server)

    async def administer(request: Request, now: Instant) -> Answer:
        return sessions.answer(request, now)

    async def reload_soon() -> Reloaded:
        return reload()

    def drain_and_count() -> int:
        drain()
        return len(server.allocations)

    return Admin(sessions=administer, reload=reload_soon, drain=drain_and_count)


async def in_capitals(line: bytes) -> bytes:
    return line.upper()


async def as_it_is(line: bytes) -> bytes:
    return line


def ask(server: FakeServer, request: object, reload: Callable[[], Reloaded] = lambda: NOTHING) -> dict[str, Any]:
    line = request if isinstance(request, bytes) else json.dumps(request).encode()
    answer = asyncio.run(administration(server, reload).answer(line, Instant(1000.0)))
    assert answer.count(b"\n") == 1
    assert answer.endswith(b"\n")
    document: dict[str, Any] = json.loads(answer)
    return document


def occupied() -> FakeServer:
    driver = ServerDriver()
    for name in ("alice", "alice", "bob"):
        assert driver.caller(name).allocate().code is None
    return FakeServer(driver)


def test_sessions_are_told_with_their_counters_and_without_keys() -> None:
    server = occupied()
    document = ask(server, {"command": "sessions"})
    assert document["ok"] is True
    assert [one["user"] for one in document["sessions"]] == ["alice", "alice", "bob"]
    first = document["sessions"][0]
    assert first["session"] == first["relays"][0]
    assert first["bytesFromClient"] == 0
    assert 0 < first["expiresIn"] <= 3600
    assert "key" not in json.dumps(document)
    assert len(ask(server, {"command": "sessions", "user": "bob"})["sessions"]) == 1


def test_users_are_summed_up() -> None:
    rows = ask(occupied(), {"command": "users"})["users"]
    assert {one["user"]: one["sessions"] for one in rows} == {"alice": 2, "bob": 1}


def test_a_session_is_ended_by_its_name_or_its_client() -> None:
    server = occupied()
    first, second = ask(server, {"command": "sessions"})["sessions"][:2]
    assert ask(server, {"command": "kick", "session": first["session"]})["ended"] == 1
    assert ask(server, {"command": "kick", "session": second["client"]})["ended"] == 1
    assert ask(server, {"command": "kick", "session": first["session"]})["ok"] is False
    assert len(server.allocations) == 1


def test_a_revocation_is_handed_on_as_it_was_meant() -> None:
    server = occupied()
    assert ask(server, {"command": "revoke", "name": "1800000000:carol"})["ended"] == 1
    assert ask(server, {"command": "revoke", "kid": "2026a"})["ok"] is True
    assert server.revoked == [Revocation("1800000000:carol"), Revocation(kid="2026a")]
    for wrong in ({}, {"name": "a", "kid": "b"}, {"name": ""}, {"name": 7}, {"name": "x" * 509}, {"kid": "a b"}):
        assert ask(server, {"command": "revoke"} | wrong)["ok"] is False
    assert len(server.revoked) == 2
    assert ask(server, {"command": "revoke", "name": "full"}) == {"ok": False, "error": "no room"}


def test_a_reload_says_what_became_of_it() -> None:
    """OP-12: an invalid file is visible where it was asked for."""
    server = occupied()
    done = Reloaded(changed=("turn.users",), restart=("turn.listen",), ended=2, certificate=False)
    document = ask(server, {"command": "reload"}, lambda: done)
    assert document == {
        "ok": True,
        "changed": ["turn.users"],
        "restart": ["turn.listen"],
        "ended": 2,
        "certificate": False,
    }
    document = ask(server, {"command": "reload"}, refuse)
    assert document["ok"] is False
    assert document["problems"] == [{"message": "unknown key", "key": "turn.relm", "file": "icelane.toml"}]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"7", b"null", b'{"command": 7}', b'{"command": "shutdown"}', b"\xff\xfe", b"[" * 60_000]
)
def test_nonsense_is_answered_in_words(line: bytes) -> None:
    assert ask(occupied(), line)["ok"] is False


@given(
    st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
    )
)
def test_no_line_raises(line: bytes) -> None:
    assert isinstance(ask(SERVER, line), dict)


SERVER = occupied()


def test_an_answer_has_so_many_rows_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ROWS == 1000
    monkeypatch.setattr("icelane.server.admin.MAX_ROWS", 2)
    server = occupied()
    document = ask(server, {"command": "sessions"})
    assert (len(document["sessions"]), document["omitted"]) == (2, 1)
    assert ask(server, {"command": "users"})["omitted"] == 0


# The socket


async def exchange(path: File, *lines: bytes) -> list[bytes]:
    """The answers; b"" from a connection that was closed instead."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
    answers = []
    for line in lines:
        try:
            writer.write(line)
            answers.append(await asyncio.wait_for(reader.readline(), 10))
        except ConnectionError:
            answers.append(b"")
    writer.transport.abort()
    return answers


def test_the_socket_is_its_owner_s_alone_and_goes_with_the_server(run: Run, tmp_path: File) -> None:
    path = tmp_path / "admin.sock"

    async def scenario() -> None:
        before = os.umask(0)
        try:
            admin = AdminSocket(path, in_capitals)
            await admin.start()
        finally:
            os.umask(before)
        mode = stat.S_IMODE(path.stat().st_mode)
        answers = await exchange(path, b"one\n", b"two\n")
        await admin.close()
        assert mode == 0o600
        assert answers == [b"ONE\n", b"TWO\n"]
        assert not path.exists()
        await admin.close()

    run(scenario())


def test_what_a_dead_server_left_behind_is_taken_over_and_a_live_one_s_is_not(run: Run, tmp_path: File) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))

    async def scenario() -> None:
        admin = AdminSocket(path, as_it_is)
        await admin.start()
        with pytest.raises(ConfigurationError) as caught:
            await AdminSocket(path, as_it_is).start()
        assert caught.value.key == "admin.socket"
        assert await exchange(path, b"still here\n") == [b"still here\n"]
        await admin.close()

    run(scenario())


def test_a_file_that_is_no_socket_is_left_alone(run: Run, tmp_path: File) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    async def scenario() -> None:
        with pytest.raises(ConfigurationError):
            await AdminSocket(path, as_it_is).start()

    run(scenario())
    assert path.read_text() == "data"


def test_a_line_without_end_is_refused_and_the_connection_closed(run: Run, tmp_path: File) -> None:
    path = tmp_path / "admin.sock"

    async def scenario() -> None:
        admin = AdminSocket(path, as_it_is)
        await admin.start()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(bytes(2 * MAX_LINE + 10))
        assert b"one line" in await asyncio.wait_for(reader.readline(), 10)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await admin.close()

    run(scenario())


def test_only_so_many_may_ask_at_a_time(run: Run, tmp_path: File) -> None:
    path = tmp_path / "admin.sock"

    async def scenario() -> None:
        admin = AdminSocket(path, as_it_is)
        await admin.start()
        held = []
        for _ in range(MAX_CONNECTIONS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"x\n")
            await asyncio.wait_for(reader.readline(), 10)
            held.append(writer)
        assert await exchange(path, b"late\n") == [b""]
        held.pop().close()
        for _ in range(100):
            if await exchange(path, b"again\n") == [b"again\n"]:
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("the place is not free again")
        for writer in held:
            writer.close()
        await admin.close()

    run(scenario())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_bytes_of_a_live_session_are_told(run: Run, transport: Transport) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            admin = administration(server, lambda: server.reload(settings()), server.begin_drain)
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            client.send_on(CHANNEL, bytes(100))
            payload, source = await peer.inbox.take()
            peer.send(payload, source)
            await client.inbox.take()
            document = json.loads(await admin.answer(b'{"command": "sessions"}', Instant(0.0)))
            (session,) = document["sessions"]
            assert session["bytesFromClient"] == 100
            assert session["channels"] == 1
            assert json.loads(await admin.answer(b'{"command": "reload"}', Instant(0.0)))["changed"] == []
            assert json.loads(await admin.answer(b'{"command": "drain"}', Instant(0.0)))["allocations"] == 1
            assert not server.ready
            name = {"command": "kick", "session": session["session"]}
            assert json.loads(await admin.answer(json.dumps(name).encode(), Instant(0.0)))["ended"] == 1
            assert await asyncio.wait_for(server.drain(), 5)

    run(scenario())


@pytest.mark.parametrize("plane", ["pure", "auto"])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_each_route_of_a_session_is_told_with_what_it_carried(run: Run, transport: Transport, plane: str) -> None:
    async def scenario() -> None:
        async with TurnServer(settings(plane=plane)) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            near, far = Peer(), Peer("127.0.0.2")
            await client.bind(CHANNEL, near.address)
            await client.permit(far.address)
            client.send_on(CHANNEL, bytes(100))
            client.send_to(far.address, bytes(30))
            for peer in (near, far):
                payload, source = await peer.inbox.take()
                peer.send(payload[:7], source)
            for _ in range(2):
                await client.inbox.take()
            request = {"command": "sessions", "routes": True}
            (session,) = Sessions(server).answer(request, Instant(0.0))["sessions"]
            told = {route.get("channel") or route["permission"]: route for route in session["routes"]}
            ways = ("packetsFromClient", "bytesFromClient", "packetsToClient", "bytesToClient")
            assert {name: tuple(route[way] for way in ways) for name, route in told.items()} == {
                f"{CHANNEL:#06x}": (1, 100, 1, 7),
                near.address.host: (0, 0, 0, 0),
                far.address.host: (1, 30, 1, 7),
            }
            assert told[f"{CHANNEL:#06x}"]["peer"] == str(near.address)
            assert session["routesOmitted"] == 0
            await client.permit(*(SocketAddress(f"127.0.1.{number}", 1) for number in range(MAX_ROUTES)))
            (session,) = Sessions(server).answer(request, Instant(0.0))["sessions"]
            assert len(session["routes"]) == MAX_ROUTES
            assert session["routesOmitted"] == 3

    run(scenario())
