"""A server with two addresses and two ports (RFC 5780), on sockets: each is asked, and answers for the others."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket

import pytest

from icelane.core.net import SocketAddress
from icelane.errors import ConfigurationError
from icelane.server.config import Config, parse_config
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import (
    AttributeType,
    ChangeRequest,
    encode_change_request,
    parse_address,
    parse_error_code,
    parse_xor_address,
)
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from tests.interop.running import free_port
from tests.loops import Run
from tests.server.clients import Peer
from tests.server.test_external_address import PublicStunServer

HOSTS = ("127.0.0.1", "127.0.0.2")


def two_ports() -> tuple[int, int]:
    """Two that are free on both addresses."""
    while True:
        first = free_port(HOSTS[0], consecutive=2)
        try:
            for port in (first, first + 1):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind((HOSTS[1], port))
        except OSError:
            continue
        return first, first + 1


def settings(ports: tuple[int, int], **turn: object) -> Config:
    defaults: dict[str, object] = {
        "listen": [f"udp://127.0.0.1:{ports[0]}"],
        "relay_addresses": list(HOSTS),
        "dangerously_allow_loopback_peers": True,
        "users": {"alice": "correct-horse-battery"},
    }
    stun = {"behavior_addresses": list(HOSTS), "behavior_ports": list(ports)}
    return parse_config({"turn": defaults | turn, "stun": stun})


async def ask(client: Peer, server: SocketAddress, change: ChangeRequest) -> tuple[Message, SocketAddress]:
    """The answer, and where it came from."""
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, secrets.token_bytes(12))
    client.send(builder.add(AttributeType.CHANGE_REQUEST, encode_change_request(change)).build(), server)
    data, source = await client.inbox.take()
    return parse_message(data), source


def test_every_address_answers_for_every_other(run: Run) -> None:
    async def main() -> None:
        ports = two_ports()
        client = Peer()
        async with TurnServer(settings(ports)):
            for here, port, address, other in itertools.product((0, 1), repeat=4):
                asked = SocketAddress(HOSTS[here], ports[port])
                message, source = await ask(client, asked, ChangeRequest(bool(address), bool(other)))
                assert source == (HOSTS[here ^ address], ports[port ^ other])
                hidden = message.get(AttributeType.XOR_MAPPED_ADDRESS)
                assert hidden is not None
                assert parse_xor_address(hidden, message.transaction_id) == client.address
                told = message.get(AttributeType.OTHER_ADDRESS)
                assert told is not None
                assert parse_address(told) == (HOSTS[1 - here], ports[1 - port])

    run(main())


def test_a_public_address_that_is_not_known_yet_is_not_told_wrongly(run: Run) -> None:
    """While the public addresses are looked for, there is no second address; then clients are told the public one."""

    async def main() -> None:
        ports = two_ports()
        outside = PublicStunServer("203.0.113.7")
        outside.silent = True
        client = Peer()
        both = ChangeRequest(address=True, port=True)
        asked = SocketAddress(HOSTS[0], ports[0])
        config = settings(
            ports,
            external_addresses={HOSTS[1]: "203.0.113.8"},
            external_address_from=outside.url,
        )
        server = TurnServer(config)
        async with asyncio.timeout(20), server:
            message, source = await ask(client, asked, both)
            error = message.get(AttributeType.ERROR_CODE)
            assert error is not None
            assert (parse_error_code(error).code, source) == (420, asked)
            outside.silent = False
            watch = server._external_watch
            assert watch is not None
            await watch.look()
            server._follow(watch.found)
            message, source = await ask(client, asked, both)
            assert source == (HOSTS[1], ports[1])
            told = message.get(AttributeType.OTHER_ADDRESS)
            assert told is not None
            assert parse_address(told) == ("203.0.113.8", ports[1])

    run(main())


def test_an_address_that_cannot_be_bound_names_its_key(run: Run) -> None:
    async def main() -> None:
        ports = two_ports()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((HOSTS[1], ports[1]))
            with pytest.raises(ConfigurationError) as caught:
                await TurnServer(settings(ports)).start()
            assert caught.value.key == "stun.behavior_addresses"
            assert f"{HOSTS[1]}:{ports[1]}" in caught.value.message

    run(main())
