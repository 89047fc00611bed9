"""A server that is changed, emptied and restarted while clients use it, on real sockets."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from icelane.aio.turn_client import connect_turn
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.errors import ConfigurationError, IntegrityError, TurnError
from icelane.server.config import Config
from icelane.server.config.sources import dotted, table_of
from icelane.server.config.sources import settings as all_settings
from icelane.server.credential_source import CredentialQuery, LongTermKey, Password
from icelane.server.credentials import issue
from icelane.server.reload import RELOADABLE, changed_keys, with_values_of
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, parse_address
from icelane.stun.message import Method
from icelane.turn.revocation import Revocation
from tests.loops import Run
from tests.scale import scaled
from tests.server.clients import (
    IPV6,
    PASSWORD,
    REQUESTED_TRANSPORT,
    USER,
    Client,
    Peer,
    Refused,
    address_on,
    eventually,
    settings,
)

CHANNEL = 0x4001
NONCE_KEY = "q5Vn0nJ3rX8sZk2LwT7yBd4Eq5Vn0nJ3rX8sZk2L"
OLD = {"kid": "old", "secret": "q5Vn0nJ3rX8sZk2LwT7yBd4E"}
NEW = {"kid": "new", "secret": "Wm8cR1xTf6Yh0pLd3sKv9aZu"}
UDP = Transport.UDP


async def code_of(client: Client) -> int | None:
    """What an Allocate is refused with, None when it is not."""
    try:
        await client.allocate()
    except Refused as refused:
        return refused.code
    return None


async def echo(client: Client, peer: Peer, payload: bytes = b"x") -> None:
    """A packet out and back; fails the test when it is lost."""
    client.send_on(CHANNEL, payload)
    data, source = await peer.inbox.take()
    assert data == payload
    peer.send(payload, source)
    assert (await client.inbox.take())[4 : 4 + len(payload)] == payload


async def in_use(server: TurnServer, **arguments: Any) -> tuple[Client, Peer]:
    client = await Client.allocated(address_on(server, UDP), UDP, **arguments)
    peer = Peer()
    await client.bind(CHANNEL, peer.address)
    await echo(client, peer)
    return client, peer


async def caught_up(server: TurnServer) -> None:
    """Everything that was sent before has been handled, and what came of it has arrived."""
    stranger = await Client.connect(address_on(server, UDP))
    await stranger.request_once(Method.BINDING)
    await asyncio.sleep(0.02)


async def guest(server: TurnServer, credential: dict[str, str]) -> Client:
    """A client with that credential."""
    username, password = credential["username"], credential["password"]
    return await Client.connect(address_on(server, UDP), username=username, password=password)


def ephemeral(config: Config, user: str, secret: dict[str, str], ttl: int = 600, behind: float = 0) -> dict[str, str]:
    """A credential that `secret` signed, by a clock that is `behind`."""
    signer = config.model_copy(
        update={"turn": config.turn.model_copy(update={"secrets": settings(secrets=[secret]).turn.secrets})}
    )
    issued = issue(signer, user, ttl, _now() - behind)
    return {"username": issued.username, "password": issued.password}


def _now() -> Any:
    from icelane.aio.system import SystemWallClock, monotonic

    return SystemWallClock().unix_time(monotonic())


# Reload


def test_every_key_that_is_said_to_be_reloadable_exists() -> None:
    assert {dotted(path) for path, info in all_settings() if table_of(info) is None} >= RELOADABLE


def test_what_changed_is_told_apart_from_what_needs_a_restart() -> None:
    old = settings()
    new = settings(users={"bob": "x"}, listen=["udp://127.0.0.1:0"], quota={"allocations_total": 3})
    assert changed_keys(old, old) == ((), ())
    assert changed_keys(old, settings()) == ((), ())
    changed, restart = changed_keys(old, new)
    assert set(changed) == {"turn.users", "turn.quota.allocations_total"}
    assert restart == ("turn.listen",)
    merged = with_values_of(old, new, changed)
    assert list(merged.turn.users) == ["bob"]
    assert merged.turn.listen == old.turn.listen
    assert merged.turn.quota.allocations_total == 3


def test_an_issuer_whose_clock_is_behind_is_forgiven_within_the_leeway(run: Run) -> None:
    """TA-10: 30 s with a leeway of 2 minutes, and not 5 minutes; without one, again after a reload, neither."""

    async def scenario() -> None:
        strict = settings(secrets=[OLD])
        forgiving = settings(secrets=[OLD], expiry_leeway="2m")
        async with TurnServer(strict) as server:
            for config, code in ((strict, 401), (forgiving, None), (strict, 401)):
                server.reload(config)
                late = ephemeral(config, "carol", OLD, ttl=1, behind=30)
                assert await code_of(await guest(server, late)) == code
                later = ephemeral(config, "carol", OLD, ttl=1, behind=300)
                assert await code_of(await guest(server, later)) == 401
                ahead = ephemeral(config, "carol", OLD, ttl=1, behind=-300)
                assert await code_of(await guest(server, ahead)) is None

    run(scenario())


def test_the_nat64_prefixes_of_the_configuration_are_closed_and_reloaded(run: Run) -> None:
    """TR-1: an IPv4 address in the network's own prefix is no way around the ranges, whatever the allow list says."""
    prefix, behind = "2a00:1450:64::/96", SocketAddress("2a00:1450:64::a00:1", 9)

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, UDP), UDP, IPV6)
            await client.permit(behind)
            closed = settings(peers={"allow": [prefix], "nat64_prefixes": [prefix]})
            assert "turn.peers.nat64_prefixes" in server.reload(closed).changed
            with pytest.raises(Refused) as caught:
                await client.permit(behind)
            assert caught.value.code == 403
            server.reload(settings())
            await client.permit(behind)

    run(scenario())


def test_users_quotas_and_limits_change_under_a_live_session(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client, peer = await in_use(server)
            result = server.reload(
                settings(
                    users={USER: PASSWORD, "bob": "hunter2"},
                    quota={"allocations_per_user": 1, "bytes_per_second_per_user": 1_000_000},
                )
            )
            assert result.ended == 0
            assert set(result.changed) == {
                "turn.users",
                "turn.quota.allocations_per_user",
                "turn.quota.bytes_per_second_per_user",
            }
            assert result.restart == ()
            await echo(client, peer)
            assert await code_of(await Client.connect(address_on(server, UDP))) == 486
            bob = await Client.connect(address_on(server, UDP), username="bob", password="hunter2")
            assert await code_of(bob) is None

    run(scenario())


def test_a_bandwidth_limit_takes_hold_of_live_sessions_and_lets_go_again(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client, peer = await in_use(server)
            server.reload(settings(quota={"bytes_per_second_per_allocation": 1000}))
            for _ in range(20):
                client.send_on(CHANNEL, bytes(1000))
            (relayed,) = server.plane.clients.values()
            await eventually(lambda: relayed.traffic().dropped >= 15)
            server.reload(settings())
            peer.inbox.take_all()
            before = relayed.traffic().dropped
            for _ in range(20):
                client.send_on(CHANNEL, bytes(1000))
            await eventually(lambda: peer.inbox.qsize() >= 20)
            assert relayed.traffic().dropped == before

    run(scenario())


@pytest.mark.parametrize(
    "denying",
    [{"dangerously_allow_loopback_peers": False}, {"peers": {"deny": ["127.0.0.1"]}}],
    ids=["switch", "list"],
)
def test_a_peer_that_a_reload_denies_gets_no_further_packet(run: Run, denying: dict[str, Any]) -> None:
    """TR-7: within a second, both ways, whether the switch is taken back or the list names the peer."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client, peer = await in_use(server)
            server.reload(settings(**denying))
            client.send_on(CHANNEL, b"late")
            client.send_to(peer.address, b"late")
            peer.send(b"late", client.relayed[0])
            await caught_up(server)
            assert not peer.inbox.take_all()
            assert not client.inbox.take_all()
            with pytest.raises(Refused) as caught:
                await client.permit(peer.address)
            assert caught.value.code == 403
            await client.refresh(600)

    run(scenario())


def test_rotating_a_secret_disturbs_nobody(run: Run) -> None:
    """TA-11: new beside old, then new alone: who allocated with the old one goes on, and cannot begin again."""

    async def scenario() -> None:
        first = settings(secrets=[OLD])
        async with TurnServer(first) as server:
            credential = ephemeral(first, "carol", OLD)
            client, peer = await in_use(server, **credential)
            server.reload(settings(secrets=[NEW, OLD]))
            for secret in (OLD, NEW):
                assert await code_of(await guest(server, ephemeral(first, "dave", secret))) is None
            assert server.reload(settings(secrets=[NEW])).ended == 0
            assert await code_of(await guest(server, credential)) == 401
            await client.refresh(600)
            await echo(client, peer)

    run(scenario())


def test_a_static_user_who_is_removed_is_gone_and_others_stay(run: Run) -> None:
    """TR-12: at once, not only within 5 s."""

    async def scenario() -> None:
        async with TurnServer(settings(users={USER: PASSWORD, "bob": "hunter2"})) as server:
            await in_use(server)
            bob, peer = await in_use(server, username="bob", password="hunter2")
            assert server.reload(settings(users={"bob": "hunter2"})).ended == 1
            assert [allocation.username for allocation in server.allocations] == ["bob"]
            await echo(bob, peer)

    run(scenario())


def test_the_reloaded_list_of_revocations_ends_and_refuses(run: Run, tmp_path: Path) -> None:
    """TR-12: and a list that cannot be read changes nothing at all."""
    file = tmp_path / "revoked"
    file.write_text("# nobody yet\n")

    async def scenario() -> None:
        config = settings(revoked_file=str(file))
        async with TurnServer(config) as server:
            await in_use(server)
            file.write_text("--kid not a kid\n")
            with pytest.raises(ConfigurationError):
                server.reload(settings(revoked_file=str(file), users={"bob": "x"}))
            assert len(server.allocations) == 1
            assert list(server.config.turn.users) == [USER]
            file.write_text(USER + "\n")
            assert server.reload(config).ended == 1
            assert await code_of(await Client.connect(address_on(server, UDP))) == 401
            file.write_text("")
            server.reload(config)
            assert await code_of(await Client.connect(address_on(server, UDP))) is None

    run(scenario())


def test_reloads_and_authentications_race_and_nobody_is_wrongly_refused_or_let_in(run: Run) -> None:
    """OP-12: ten thousand times, scaled; every reload swaps one of two users, while alice and strangers keep asking."""

    async def scenario() -> None:
        async with TurnServer(settings(quota={"allocations_per_user": 100})) as server:
            stop = False

            async def reload() -> None:
                number = 0
                while not stop:
                    number += 1
                    server.reload(settings(users={USER: PASSWORD, f"u{number % 2}": "x"}))
                    await asyncio.sleep(0)

            reloading = asyncio.create_task(reload())
            client = await Client.allocated(address_on(server, UDP))
            strangers = 10  # more would be slowed, as whoever guesses passwords is
            for number in range(max(strangers, scaled(10_000))):
                await client.refresh(600)
                if number < strangers:
                    stranger = await Client.connect(address_on(server, UDP), password="guess")
                    assert await code_of(stranger) == 401
                    stranger.close()
            stop = True
            await reloading
            assert len(server.allocations) == 1

    run(scenario())


# Revocation


def test_a_revoked_user_stops_now_and_cannot_come_back(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """TR-12."""

    async def scenario() -> None:
        first = settings(secrets=[OLD])
        async with TurnServer(first) as server:
            carol = ephemeral(first, "carol", OLD)
            client, peer = await in_use(server, **carol)
            with caplog.at_level(logging.INFO, "icelane.server"):
                assert server.revoke(Revocation("carol")) == 1
            client.send_on(CHANNEL, b"late")
            await caught_up(server)
            assert not peer.inbox.take_all()
            assert await code_of(await guest(server, carol)) == 401
            assert await code_of(await Client.connect(address_on(server, UDP))) is None

    run(scenario())
    (record,) = [record for record in caplog.records if record.message == "turn.revoked"]
    assert record.__dict__["user"] == "carol"


# Drain


def test_a_server_that_drains_is_not_ready_at_once_and_is_done_with_its_last_allocation(run: Run) -> None:
    """OP-1: nothing of what lives is lost, new ones are refused."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            sessions = [await in_use(server) for _ in range(5)]
            ready = [server.ready]
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
            ready.append(server.ready)
            assert ready == [True, False]
            assert not server.observation.health.readiness().ok
            assert await code_of(await Client.connect(address_on(server, UDP))) == 508
            for client, peer in sessions:
                await echo(client, peer)
                await client.refresh(600)
            for client, _peer in sessions:
                assert not draining.done()
                await client.refresh(0)
            assert await asyncio.wait_for(draining, 5)

    run(scenario())


def test_a_server_without_allocations_drains_at_once(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            assert await asyncio.wait_for(server.drain(), 5)

    run(scenario())


def test_draining_ends_at_the_deadline(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """OP-1."""

    async def scenario() -> None:
        async with TurnServer(settings(drain_deadline="0s")) as server:
            await in_use(server)
            assert not await asyncio.wait_for(server.drain(), 5)

    run(scenario())
    assert "server.drain_deadline" in caplog.text


def test_a_deadline_that_is_reloaded_while_the_server_drains_counts_from_the_beginning(run: Run) -> None:
    """OP-1: shorter ends it now, longer lets the calls go on."""

    async def scenario() -> None:
        async with TurnServer(settings(drain_deadline="1s")) as server:
            await in_use(server)
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
            assert server.reload(settings(drain_deadline="1h")).changed == ("turn.drain_deadline",)
            await asyncio.sleep(1.2)
            assert not draining.done()
            server.reload(settings(drain_deadline="1s"))
            assert not await asyncio.wait_for(draining, 5)
            server.reload(settings(drain_deadline="1h"))  # too late, and harmless

    run(scenario())


def test_an_alternate_server_that_is_reloaded_while_the_server_drains_is_named_from_then_on(run: Run) -> None:
    """OP-1: the operator learns only then where clients should go, or that they should not go there."""

    async def named(server: TurnServer) -> SocketAddress | None:
        with pytest.raises(Refused) as caught:
            await Client.allocated(address_on(server, UDP))
        assert caught.value.code == 508
        value = caught.value.message.get(AttributeType.ALTERNATE_SERVER)
        return parse_address(value) if value is not None else None

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            server.reload(settings(alternate_server="192.0.2.1:3478"))
            await Client.allocated(address_on(server, UDP))  # it does not drain yet
            server.reload(settings())
            server.begin_drain()
            assert await named(server) is None
            server.reload(settings(alternate_server="192.0.2.1:3478"))
            assert await named(server) == SocketAddress("192.0.2.1", 3478)
            server.reload(settings())
            assert await named(server) is None

    run(scenario())


def test_a_client_that_disconnects_while_the_server_drains_is_no_trouble(run: Run) -> None:
    """OP-1: no deadlock when a client closes."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
            client.abort()
            assert await asyncio.wait_for(draining, 5)

    run(scenario())


@pytest.mark.parametrize("transport", [UDP, Transport.TCP])
def test_new_clients_are_sent_to_the_alternate_server_and_ours_follows(run: Run, transport: Transport) -> None:
    """OP-1: one server drains, the next one takes over without anybody being told."""

    async def scenario() -> None:
        async with TurnServer(settings()) as other:
            target = address_on(other, transport)
            config = settings(alternate_server=str(target), alternate_domain="b.example.org")
            async with TurnServer(config) as server:
                server.begin_drain()
                with pytest.raises(Refused) as caught:
                    await Client.allocated(address_on(server, transport), transport)
                assert caught.value.code == 508
                value = caught.value.message.get(AttributeType.ALTERNATE_SERVER)
                domain = caught.value.message.get(AttributeType.ALTERNATE_DOMAIN)
                assert value is not None
                assert parse_address(value) == target
                assert domain == b"b.example.org"
                assert await code_of(await Client.connect(address_on(server, UDP, AddressFamily.IPV6))) == 508
                relay = await connect_turn(
                    address_on(server, transport), transport=transport, username=USER, password=PASSWORD
                )
                async with relay:
                    assert len(other.allocations) == 1

    run(scenario())


# Restart


@pytest.mark.parametrize("shared", [True, False], ids=["shared-key", "own-key"])
def test_after_a_restart_a_client_is_challenged_again_only_without_a_shared_nonce_key(run: Run, shared: bool) -> None:
    """OP-3: no 438 with `turn.nonce_key`, exactly one without it; then it has its allocation."""

    async def scenario() -> None:
        keys: list[str | None] = [NONCE_KEY, NONCE_KEY] if shared else [NONCE_KEY, NONCE_KEY[::-1]]
        async with TurnServer(settings(nonce_key=keys[0])) as server:
            listen = [str(listener) for listener in server.listening]
            client = await Client.allocated(address_on(server, UDP))
        async with TurnServer(settings(listen=listen, nonce_key=keys[1])):
            if not shared:
                with pytest.raises(Refused) as caught:
                    await client.request_once(Method.ALLOCATE, REQUESTED_TRANSPORT)
                assert caught.value.code == 438
                client._take_challenge(caught.value.message)
            await client.request_once(Method.ALLOCATE, REQUESTED_TRANSPORT)

    run(scenario())


def test_our_client_notices_a_restart_and_has_a_new_allocation_within_ten_seconds(run: Run) -> None:
    """OP-3: the relay is lost at its next request, and connecting again works at once."""

    async def scenario() -> None:
        async with TurnServer(settings(nonce_key=NONCE_KEY)) as server:
            listen = [str(listener) for listener in server.listening]
            address = address_on(server, UDP)
            relay = await connect_turn(address, username=USER, password=PASSWORD)
        async with asyncio.timeout(10), TurnServer(settings(listen=listen, nonce_key=NONCE_KEY)) as server:
            with pytest.raises(TurnError) as caught:
                await relay.permit(SocketAddress("127.0.0.1", 9))
            assert caught.value.code == 437
            await relay.close()
            async with await connect_turn(address, username=USER, password=PASSWORD):
                assert len(server.allocations) == 1

    run(scenario())


# Users of another program

ASKED: list[CredentialQuery] = []


async def users(query: CredentialQuery) -> Password | LongTermKey | None:
    """What `turn.auth` names below."""
    ASKED.append(query)
    if query.username == "broken":
        raise RuntimeError("the database is gone")
    if query.username == "slow":
        await asyncio.sleep(30)
    return Password("swordfish") if query.username in ("zoe", "slow") else None


def test_static_ephemeral_and_foreign_users_live_side_by_side(run: Run) -> None:
    async def scenario() -> None:
        ASKED.clear()
        first = settings(secrets=[OLD], auth=f"{__name__}:users")
        async with TurnServer(first) as server:
            for transport in (UDP, Transport.TCP):
                address = address_on(server, transport)
                zoe = await Client.allocated(address, transport, username="zoe", password="swordfish")
                await zoe.refresh(600)
                await Client.allocated(address, transport)
                await Client.allocated(address, transport, **ephemeral(first, "carol", OLD))
                wrong = await Client.connect(address, transport, username="zoe", password="guess")
                assert await code_of(wrong) == 401
                nobody = await Client.connect(address, transport, username="nobody", password="guess")
                assert await code_of(nobody) == 401
            assert len(server.allocations) == 6
        assert [query.username for query in ASKED] == ["zoe", "nobody"], "the rest was remembered"

    run(scenario())


@pytest.mark.parametrize("username", ["broken", "slow"])
def test_a_program_that_fails_lets_nobody_in_and_stops_nobody_else(run: Run, username: str) -> None:
    async def scenario() -> None:
        async with TurnServer(settings(auth=f"{__name__}:users")) as server:
            client = await Client.connect(address_on(server, UDP), username=username, password="swordfish")
            refused = asyncio.create_task(code_of(client))
            await Client.allocated(address_on(server, UDP))
            assert await refused == 500
            assert len(server.allocations) == 1

    run(scenario())


@pytest.mark.parametrize("transport", [UDP, Transport.TCP])
def test_our_client_says_what_the_server_of_a_program_that_fails_answered(run: Run, transport: Transport) -> None:
    """TA-14: nobody's key is known there, so the 500 is unsigned; it is not believed, and not kept from the user."""

    async def scenario() -> None:
        async with TurnServer(settings(auth=f"{__name__}:users")) as server:
            with pytest.raises(IntegrityError, match=r"said 500: the server has a defect or lost its database"):
                await connect_turn(
                    address_on(server, transport), transport=transport, username="broken", password="x", timeout=2
                )

    run(scenario())


def test_closing_does_not_wait_for_an_answer(run: Run) -> None:
    async def scenario() -> None:
        ASKED.clear()
        async with TurnServer(settings(auth=f"{__name__}:users")) as server:
            client = await Client.connect(address_on(server, UDP), username="slow", password="swordfish")
            waiting = asyncio.create_task(code_of(client))
            await eventually(lambda: bool(ASKED))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    run(scenario())


def test_a_function_that_cannot_be_imported_stops_the_start(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigurationError) as caught:
            await TurnServer(settings(auth="no.such.module:users")).start()
        assert caught.value.key == "turn.auth"

    run(scenario())
