"""`icelane top`, against a server that a test makes; `test_dev.py` has it against a real one."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Icelane
from tests.cli.development import ICELANE

SESSION = {
    "session": "192.0.2.1:49160",
    "transport": "tcp",
    "client": "192.168.1.7:50000",
    "user": "ann",
    "bytesToClient": 0,
    "dropped": 0,
    "expiresIn": 600.0,
}


class FakeNode:
    """Answers like a node in which Ann relays 1000 bytes between two looks."""

    def __init__(self, path: Path, *, signaling: bool = True) -> None:
        self._signaling = signaling
        self._looks = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take nobody any more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as lines:
                for line in lines:
                    lines.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                    lines.flush()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "sessions":
            self._looks += 1
            row = SESSION | {"bytesFromClient": 1000 * self._looks}
            return {"ok": True, "at": float(self._looks), "sessions": [row], "omitted": 0}
        if not self._signaling:
            return {"ok": False, "error": "the commands are sessions, users"}
        assert request == {"command": "room-list", "peers": True}
        peers = [{"peer": "p_1", "identity": "ann", "name": "Ann", "meta": {}}]
        return {"ok": True, "rooms": [{"room": "demo", "members": 1, "peers": peers}], "omitted": 0}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as sockets need one."""
    with tempfile.TemporaryDirectory(prefix="ice") as name:
        yield Path(name)


@pytest.fixture
def node(folder: Path) -> Iterator[Path]:
    """Where a node answers."""
    fake = FakeNode(folder / "admin.sock")
    yield folder / "admin.sock"
    fake.close()


def test_once_is_one_document(icelane: Icelane, node: Path) -> None:
    document = icelane("top", "--once", "--json", "--interval", "0.2", "--socket", str(node)).document
    assert document["rooms"][0]["peers"][0]["path"] == "relayed, TCP"
    assert document["allocations"][0]["rateFromClient"] == 1000.0


def test_once_is_one_screen(icelane: Icelane, node: Path) -> None:
    text = icelane("top", "--once", "--interval", "0.2", "--socket", str(node), COLUMNS="80").out
    assert "demo" in text
    assert "relayed, TCP" in text
    assert "1.0k" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_relay_without_signaling_is_shown_all_the_same(icelane: Icelane, folder: Path) -> None:
    fake = FakeNode(folder / "admin.sock", signaling=False)
    document = icelane("top", "--once", "--json", "--interval", "0.2", "--socket", str(folder / "admin.sock")).document
    fake.close()
    assert document["rooms"] == []
    assert len(document["allocations"]) == 1


def test_nobody_there_is_a_network_error(icelane: Icelane, folder: Path) -> None:
    assert icelane("top", "--once", "--socket", str(folder / "none.sock")).code == 4


def test_an_order_that_nobody_knows_is_a_mistake(icelane: Icelane, node: Path) -> None:
    assert icelane("top", "--once", "--sort", "beauty", "--socket", str(node)).code == 2


def test_on_a_terminal_keys_sort_and_end_it(node: Path) -> None:
    terminal, inner = pty.openpty()
    command = [*ICELANE, "top", "--interval", "0.2", "--socket", str(node)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        seen = b""
        while b"q ends" not in seen:
            seen += os.read(terminal, 4096)
        os.write(terminal, b"tq")
        try:
            while os.read(terminal, 4096):
                pass
        except OSError:  # how Linux says that nobody has the other end any more
            pass
        assert process.wait(30) == 0
    os.close(terminal)
    assert b"demo" in seen


def test_help_has_an_example(icelane: Icelane) -> None:
    assert "icelane top --once" in icelane("top", "--help").out
