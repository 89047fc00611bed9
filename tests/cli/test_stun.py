"""`icelane stun --behavior`, on loopback; tests/interop has it behind NATs of the kernel's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from icelane.server.config import Config
from icelane.server.turn_server import TurnServer
from tests.cli.conftest import Icelane
from tests.server.test_behavior_addresses import HOSTS, settings, two_ports

PORTS = two_ports()
URL = f"stun:{HOSTS[0]}:{PORTS[0]}"


@contextmanager
def serving(config: Config) -> Iterator[None]:
    """A server in a loop of its own."""
    ready, end = threading.Event(), threading.Event()

    async def main() -> None:
        async with TurnServer(config):
            ready.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        end.set()
        thread.join()


def test_a_host_in_the_open_is_told_that_everything_comes_in(icelane: Icelane) -> None:
    with serving(settings(PORTS)):
        result = icelane("stun", URL, "--behavior", "--json")
        shown = icelane("stun", URL, "--behavior")
    assert result.code == shown.code == 0
    document = result.document
    assert document["ok"] is True
    assert document["nat"] is False
    assert document["address"] == HOSTS[0]
    assert (document["mapping"], document["filtering"]) == ("endpoint-independent", "endpoint-independent")
    assert document["other"] == f"{HOSTS[1]}:{PORTS[1]}"
    assert document["hairpinning"] is None
    assert document["direct"] == "everybody"
    assert "direct calls work with everybody" in document["meaning"]
    rows = dict(line.split("\t") for line in shown.out.splitlines())
    assert rows["mapping"] == "none: the server sees our own address"
    assert rows["filtering"] == "endpoint-independent: anybody may answer"
    assert rows["for a call"] == document["meaning"]


def test_a_server_with_one_address_fails_the_check_and_tells_what_it_can(icelane: Icelane) -> None:
    config = settings(PORTS).model_copy(update={"stun": Config().stun})
    with serving(config):
        result = icelane("stun", URL, "--behavior", "--json")
        shown = icelane("stun", URL, "--behavior")
    assert result.code == shown.code == 1
    document = result.document
    assert document["ok"] is False
    assert document["address"] == HOSTS[0]
    assert (document["other"], document["mapping"], document["filtering"]) == (None, None, None)
    (problem,) = document["problems"]
    assert "names no second address" in problem["message"]
    assert "stun.behavior_addresses" in problem["mend"]
    assert "our address" in shown.out
    assert "names no second address" in shown.err


def test_udp_that_does_not_pass_is_told_from_a_server_that_is_not_there(icelane: Icelane) -> None:
    """Over TCP the server answers, and whatever comes over UDP is lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lost:
        lost.bind((HOSTS[0], PORTS[0]))
        only_tcp = settings(PORTS, listen=[f"tcp://{HOSTS[0]}:{PORTS[0]}"])
        with serving(only_tcp.model_copy(update={"stun": Config().stun})):
            blocked = icelane("stun", URL, "--behavior", "--timeout", "1", "--json")
        silent = icelane("stun", URL, "--behavior", "--timeout", "1", "--json")
    assert blocked.code == silent.code == 4
    assert blocked.document["udp"] == "blocked"
    assert "UDP is blocked" in blocked.document["problems"][0]["message"]
    assert "turns:" in blocked.document["problems"][0]["mend"]
    assert "udp" not in silent.document
    assert silent.document["problems"][0]["message"] == "no response from the server"


def test_a_port_that_nobody_listens_at_is_said_at_once(icelane: Icelane) -> None:
    result = icelane("stun", URL, "--behavior", "--json")
    assert result.code == 4
    assert "nobody listens there" in result.document["problems"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((URL, "--tcp"), "asks over UDP"),
        (("stuns:turn.example.org",), "asks over UDP"),
        (("turn:turn.example.org?transport=tcp",), "asks over UDP"),
        ((URL, "--timeout", "0.5"), "waits for answers"),
    ],
)
def test_what_a_nat_does_to_other_transports_is_not_asked(
    icelane: Icelane, arguments: tuple[str, ...], words: str
) -> None:
    result = icelane("stun", *arguments, "--behavior", "--json")
    assert result.code == 2
    assert words in result.document["problems"][0]["message"]
