"""`icelane dev`: starts with nothing, tests itself, and lets in who has the link."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from icelane.aio.client_tls import client_context
from tests.cli.conftest import Icelane
from tests.cli.development import ICELANE, Development, development, home
from tests.node.nodes import say

ROOM = "blue-otter"


@pytest.fixture(scope="module")
def running() -> Iterator[Development]:
    """A node that all these tests share."""
    with home() as environment, development(environment, ROOM) as node:
        yield node


def checks(node: Development) -> dict[str, dict[str, object]]:
    """The self-test, by name."""
    return {one["name"]: one for one in node.document["selfTest"]["checks"]}


def test_every_path_works(running: Development) -> None:
    found = checks(running)
    for name in ("bind", "HTTPS", "WSS", "STUN", "TURN/udp", "TURN/tcp", "TURN/tls"):
        assert found[name]["status"] == "passed", found[name]
    assert running.document["ok"] is True


def test_pages_get_no_turns_and_it_says_why_and_what_mends_it(running: Development) -> None:
    found = checks(running)["TURNS for pages"]
    assert found["status"] == "warned"
    assert "does not trust the authority" in str(found["detail"])
    assert str(found["mend"]).startswith("icelane certs trust")
    assert not any(url.startswith("turns:") for url in running.document["turn"])


def test_links_lead_to_the_node_and_hold_the_key_behind_the_hash(running: Development) -> None:
    urls = running.document["urls"]
    assert urlsplit(urls["call"]).path == f"/r/{ROOM}"
    assert urlsplit(urls["signal"]).scheme == "wss"
    assert len(running.key) == 22
    assert running.key not in urls["signal"] + urls["trust"]


async def entered(node: Development, token: str, secret: str | None = None) -> list[dict[str, object]]:
    """What somebody hears who says hello, and enters the room."""
    context = client_context(node.authority, alpn=("http/1.1",))
    async with connect(node.document["urls"]["signal"], ssl=context, proxy=None) as websocket:
        data = {} if secret is None else {"data": {"guest": secret}}
        heard = [await say(websocket, {"type": "hello", "id": 1, "token": token} | data)]
        if heard[0]["type"] == "welcome":
            heard.append(await say(websocket, {"type": "join", "id": 2, "room": ROOM}))
        return heard


def test_who_has_the_link_is_in_the_room_and_gets_servers(running: Development) -> None:
    welcome, joined = asyncio.run(entered(running, running.key))
    assert welcome["type"] == "welcome"
    assert joined["type"] == "joined"
    assert str(welcome["ice"]).count("turn:127.0.0.1") == 2


def test_two_with_the_link_are_two(running: Development) -> None:
    async def both() -> None:
        context = client_context(running.authority, alpn=("http/1.1",))
        url = running.document["urls"]["signal"]
        async with connect(url, ssl=context, proxy=None) as ann, connect(url, ssl=context, proxy=None) as bob:
            identities = []
            for websocket, secret in ((ann, "a" * 32), (bob, "b" * 32)):
                hello = {"type": "hello", "id": 1, "token": running.key, "data": {"guest": secret}}
                identities.append((await say(websocket, hello))["identity"])
                await say(websocket, {"type": "join", "id": 2, "room": ROOM})
            assert len(set(identities)) == 2

    asyncio.run(both())


def test_who_has_no_link_is_refused_in_plain_words(running: Development) -> None:
    (heard,) = asyncio.run(entered(running, "A" * 22))
    assert heard["type"] in ("error", "goodbye")
    assert "icelane dev" in json.dumps(heard)


def test_the_page_about_trust_is_served_with_the_certificate(running: Development) -> None:
    import urllib.request

    context = client_context(running.authority, alpn=("http/1.1",))
    url = running.document["urls"]["trust"]
    with urllib.request.urlopen(url, context=context, timeout=30) as answer:
        text = answer.read().decode()
    assert running.document["authority"]["sha256"][:23] in text
    with urllib.request.urlopen(f"{url}/icelane-development.pem", context=context, timeout=30) as answer:
        assert answer.read() == running.authority.read_bytes()


def test_other_commands_find_it_without_being_told(icelane: Icelane, running: Development) -> None:
    for command in (["room", "list"], ["turn", "sessions"], ["top", "--once", "--interval", "0.2"]):
        result = icelane(*command, "--json", **running.environment)
        assert result.code == 0, result.err
        assert result.document["ok"] is True


def test_a_ticket_opens_the_page_once(icelane: Icelane, running: Development) -> None:
    arguments = ["token", "create", "--open", "--identity", "ann", "--room", ROOM, "--json"]
    result = icelane(*arguments, **running.environment, DISPLAY="", WAYLAND_DISPLAY="")
    assert result.code == 0
    assert result.document["opened"] is False
    page, _, ticket = result.document["url"].partition("#ticket=")
    assert urlsplit(page).path == f"/r/{ROOM}"

    async def enter() -> str:
        context = client_context(running.authority, alpn=("http/1.1",))
        async with connect(running.document["urls"]["signal"], ssl=context, proxy=None) as websocket:
            heard = await say(websocket, {"type": "hello", "id": 1, "ticket": ticket})
            return str(heard.get("identity", heard["type"]))

    assert asyncio.run(enter()) == "ann"
    assert asyncio.run(enter()) != "ann"


def test_a_second_node_takes_the_next_ports_and_says_so() -> None:
    with home() as environment, development(environment) as first:
        web = urlsplit(first.document["urls"]["call"]).port
        assert web is not None
        with development(environment, "--port", str(web)) as second:
            assert second.document["ok"] is True
            assert second.document["movedPorts"][str(web)] == urlsplit(second.document["urls"]["call"]).port
            ranges = {node.document["relayPorts"] for node in (first, second)}
            assert len(ranges) == 2
            assert second.document["authority"]["sha256"] == first.document["authority"]["sha256"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_well_and_leaves_nothing_but_the_authority(number: signal.Signals) -> None:
    with home() as environment, development(environment) as node:
        run = Path(node.document["adminSocket"]).parent
        assert run.is_dir()
        node.process.send_signal(number)
        _, err = node.process.communicate(timeout=60)
        assert node.process.returncode == 0
        assert "Traceback" not in err
        assert not run.exists()
        assert node.authority.exists()


def test_its_secrets_are_in_no_file(running: Development) -> None:
    folder = Path(running.document["adminSocket"]).parent
    written = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert running.key.encode() not in written
    assert {path.name for path in folder.iterdir()} == {"admin.sock", "leaf.pem", "leaf.key"}


@pytest.mark.parametrize("address", ["8.8.8.8", "0.0.0.0", "2a00:1450::1"])
def test_a_public_address_is_refused_in_one_line_with_the_mend(icelane: Icelane, address: str) -> None:
    with home() as environment:
        result = icelane("dev", "--listen", address, **environment)
    assert result.code == 2
    error, mend = result.err.splitlines()
    assert error.startswith("error: ")
    assert "icelane serve" in mend


def test_an_address_of_somebody_else_is_said(icelane: Icelane) -> None:
    with home() as environment:
        result = icelane("dev", "--listen", "10.255.255.77", **environment)
    assert result.code == 2
    assert "does not have the address" in result.err


@pytest.mark.parametrize("room", ["", "a*", "x" * 1000, "a\nb"])
def test_a_room_that_no_link_can_name_is_refused(icelane: Icelane, room: str) -> None:
    with home() as environment:
        assert icelane("dev", "--", room, **environment).code == 2


def test_without_json_a_pipe_gets_links_and_the_table_and_no_codes() -> None:
    with home() as environment:
        command = [*ICELANE, "dev", "--listen", "127.0.0.1"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | environment
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            process.terminate()
            lines += process.stdout.readlines()
            assert process.wait(60) == 0
    text = "".join(lines)
    assert "\x1b" not in text
    assert "▀" not in text
    assert text.count("✔") >= 7
    assert "stopped" in lines[-1]


def test_a_terminal_gets_links_to_click_and_a_code_to_scan() -> None:
    terminal, inner = pty.openpty()
    with home() as environment:
        command = [*ICELANE, "dev", "--listen", "127.0.0.1"]
        variables = os.environ | environment | {"TERM": "xterm-256color", "COLUMNS": "100"}
        with subprocess.Popen(command, stdout=inner, stderr=subprocess.DEVNULL, env=variables) as process:
            os.close(inner)
            seen = b""
            while b"Ctrl-C" not in seen:
                seen += os.read(terminal, 4096)
            process.terminate()
            assert process.wait(60) == 0
    os.close(terminal)
    text = seen.decode(errors="replace")
    assert re.search(r"\x1b\]8;[^;]*;https://127\.0\.0\.1:\d+/r/[a-z]+-[a-z]+#token=", text)  # OSC 8
    assert "▀" in text


def test_ports_are_free_again_afterwards() -> None:
    with home() as environment, development(environment) as node:
        port = urlsplit(node.document["urls"]["call"]).port
        assert port is not None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_help_has_an_example(icelane: Icelane) -> None:
    result = icelane("dev", "--help")
    assert result.code == 0
    assert "icelane dev blue-otter" in result.out
