"""Lists that the relay goes by, on sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from icelane.errors import ConfigurationError
from icelane.server.access import WatchedLists
from icelane.server.config import parse_config
from icelane.server.machine import Machine
from icelane.server.turn_server import TurnServer
from tests.loops import Run, run

__all__ = ["run"]

MACHINE = Machine(addresses=("127.0.0.1",), preferred=("127.0.0.1",))


def document(**lists: object) -> dict[str, object]:
    return {
        "turn": {"listen": ["udp://127.0.0.1:0"], "relay_addresses": ["127.0.0.1"], "users": {"alice": "wonderland"}},
        "lists": lists,
    }


def test_lists_are_watched_until_they_are_closed(run: Run, tmp_path: Path) -> None:
    """SG-4: a change of a file counts within the second, and is told."""
    file = tmp_path / "deny"
    file.write_text("")

    async def scenario() -> None:
        changed = asyncio.Event()
        watched = WatchedLists()
        watched.on_change(changed.set)
        watched.start(parse_config(document(deny_file=str(file)), machine=MACHINE))
        assert watched._watch is not None
        file.write_text("127.0.0.1\n")
        watched._watch.look()
        assert changed.is_set()
        assert watched.lists.refuses_address("127.0.0.1") is not None
        await watched.close()

    run(scenario())


def test_a_server_does_not_start_and_does_not_reload_with_a_list_that_it_cannot_read(run: Run, tmp_path: Path) -> None:
    """OP-12: the old lists count on."""

    async def scenario() -> None:
        broken = parse_config(document(deny_file=str(tmp_path / "missing")), machine=MACHINE)
        with pytest.raises(ConfigurationError, match=r"lists\.deny_file"):
            await TurnServer(broken, machine=MACHINE).start()
        async with TurnServer(parse_config(document(deny=["127.0.0.9"]), machine=MACHINE), machine=MACHINE) as server:
            with pytest.raises(ConfigurationError, match=r"lists\.deny_file"):
                server.reload(broken)
            assert server._access.lists.refuses_address("127.0.0.9") is not None

    run(scenario())
