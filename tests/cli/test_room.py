"""`icelane serve` with signaling, and `icelane room`, as processes."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any, cast

import pytest

from icelane.server.config import parse_config
from tests.cli.conftest import Icelane
from tests.cli.test_admin import CONFIGURATION, serving
from tests.node.nodes import KEY, Node, document, free_port, hear

SIGNALING = """
[server]
listen = ["https://127.0.0.1:{port}"]
public_url = "https://turn.example.org:{port}"
[auth]
api_keys = {{ backend = "{key}" }}
[[auth.jwt]]
issuer = "example"
algorithm = "HS256"
secret = "a secret of forty bytes, which is enough!"
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_rooms_are_shown_and_ruled_and_a_signal_ends_it_all(tmp_path: Path, icelane: Icelane, workers: int) -> None:
    """OP-1: SIGTERM says goodbye to everybody and the process ends well."""
    port = free_port()
    made = document(tmp_path, port)
    tls = f'[tls]\ncertificate = "{made["tls"]["certificate"]}"\nkey = "{made["tls"]["key"]}"\n'
    configuration = CONFIGURATION.replace('"20s"', f'"20s"\nworkers = {workers}')
    configuration += SIGNALING.format(port=port, key=KEY) + tls
    with serving(tmp_path, configuration) as served:
        socket = ("-c", str(served.file))

        async def scenario() -> None:
            node = Node(cast(Any, None), parse_config(made), port)
            alice, _ = await node.enter("alice")
            bob, _ = await node.enter("bob")
            listed = await asyncio.to_thread(icelane, "room", "list", *socket, "--json")
            assert [(room["room"], room["members"]) for room in listed.document["rooms"]] == [("demo", 2)]
            shown = await asyncio.to_thread(icelane, "room", "show", "demo", *socket, "--json")
            assert [peer["client"]["version"] for peer in shown.document["peers"]] == ["7", "7"]
            peers = {peer["identity"]: peer["peer"] for peer in shown.document["peers"]}
            text = await asyncio.to_thread(icelane, "room", "show", "demo", *socket)
            assert text.code == 0
            assert "alice" in text.out
            assert "a?[2Jprogram 7" in text.out
            locked = await asyncio.to_thread(icelane, "room", "lock", "demo", *socket)
            assert (locked.code, locked.out) == (0, "demo is locked\n")
            kicked = await asyncio.to_thread(icelane, "room", "kick", "demo", peers["bob"], *socket)
            assert (kicked.code, kicked.out) == (0, f"{peers['bob']} is out of demo\n")
            again = await asyncio.to_thread(icelane, "room", "kick", "demo", peers["bob"], *socket)
            assert (again.code, "there is no peer" in again.err) == (1, True)
            missing = await asyncio.to_thread(icelane, "room", "show", "other", *socket)
            assert (missing.code, "there is no room other" in missing.err) == (1, True)
            served.process.send_signal(signal.SIGTERM)
            while (frame := await hear(alice))["type"] != "goodbye":
                pass
            assert frame["code"] == 4503
            for one in (alice, bob):
                await one.close()

        asyncio.run(scenario())
        began = time.monotonic()
        assert served.process.wait(30) == 0
        assert time.monotonic() - began < 20
        assert KEY not in served.log.read_text()
        assert [json.loads(line) for line in served.log.read_text().splitlines()]


def test_without_listeners_there_are_no_rooms(tmp_path: Path, icelane: Icelane) -> None:
    with serving(tmp_path) as served:
        answer = icelane("room", "list", "-c", str(served.file))
        assert answer.code == 1
        assert "the commands are" in answer.err
        served.end(signal.SIGTERM)
