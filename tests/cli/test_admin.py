"""`icelane serve` under signals, and the commands that rule it, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from icelane.core.net import SocketAddress
from tests import certificates
from tests.cli.conftest import Icelane
from tests.server.clients import Client, Refused

ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
SECONDS = 30
CONFIGURATION = f"""
[turn]
realm = "example.org"
listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
users = {{ alice = "wonderland", bob = "hunter2" }}
drain_deadline = "20s"
[[turn.secrets]]
kid = "k1"
secret = "{SECRET}"
[log]
format = "json"
[admin]
socket = "admin.sock"
"""


@dataclass
class Served:
    """A server in a process of its own, and its files."""

    process: subprocess.Popen[str]
    file: Path
    log: Path
    udp: SocketAddress

    def records(self, event: str) -> list[dict[str, Any]]:
        found = (json.loads(line) for line in self.log.read_text().splitlines())
        return [record for record in found if record["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The records of an event, once there are so many."""
        deadline = time.monotonic() + SECONDS
        while len(records := self.records(event)) < count:
            assert time.monotonic() < deadline, f"{event}: {self.log.read_text()}"
            time.sleep(0.02)
        return records

    def configure(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def end(self, *numbers: signal.Signals) -> int:
        for number in numbers:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def serving(folder: Path, configuration: str = CONFIGURATION) -> Iterator[Served]:
    file, log = folder / "icelane.toml", folder / "log"
    file.write_text(configuration)
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*ICELANE, "serve", "--json", "-c", str(file)], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text()
            host, _, port = json.loads(line)["listening"][0].removeprefix("udp://").rpartition(":")
            yield Served(process, file, log, SocketAddress(host, int(port)))
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as server:
        yield server


def arguments(served: Served) -> tuple[str, str]:
    return "-c", str(served.file)


async def code_of(served: Served, username: str = "alice", password: str = "wonderland") -> int | None:
    """What a fresh client's Allocate is refused with, None when it is not."""
    client = await Client.connect(served.udp, username=username, password=password)
    try:
        await client.allocate()
        await client.refresh(0)
    except Refused as refused:
        return refused.code
    finally:
        client.close()
    return None


def test_a_hang_up_reads_the_configuration_again_and_a_bad_one_changes_nothing(served: Served) -> None:
    """OP-12: the old one is kept, and the log says why."""

    async def scenario() -> None:
        client = await Client.allocated(served.udp, username="bob", password="hunter2")
        served.configure('bob = "hunter2"', 'bob = "hunter2", carol = "new"')
        served.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(served.wait_for, "config.reloaded")
        assert await code_of(served, "carol", "new") is None
        served.configure("realm =", "relm =")
        served.configure('carol = "new"', 'dave = "newer"')
        served.process.send_signal(signal.SIGHUP)
        (record,) = await asyncio.to_thread(served.wait_for, "config.rejected")
        assert record["key"] == "turn.relm"
        assert record["problem"] == "unknown key; did you mean realm?"
        assert record["file"] == str(served.file)
        assert await code_of(served, "carol", "new") is None
        assert await code_of(served, "dave", "newer") == 401
        await client.refresh(600)
        client.close()

    asyncio.run(scenario())
    assert "newer" not in served.log.read_text()


def test_reload_tells_what_changed_and_what_needs_a_restart(served: Served, icelane: Icelane) -> None:
    result = icelane("turn", "reload", *arguments(served))
    assert (result.code, result.out) == (0, "changed: nothing\n")
    served.configure("[log]", "[log]\naddresses = true")
    served.configure('realm = "example.org"', 'realm = "example.net"')
    result = icelane("turn", "reload", *arguments(served))
    assert result.code == 0
    assert result.out == "changed: log.addresses\n"
    assert "needs a restart: turn.realm" in result.err
    served.configure("drain_deadline", "dran_deadline")
    result = icelane("turn", "reload", "--socket", str(served.file.with_name("admin.sock")))
    assert result.code == 2
    assert "the old configuration still counts" in result.err
    assert "turn.dran_deadline" in result.err
    assert "mend: icelane config check" in result.err


def test_the_level_of_the_log_is_reloaded(served: Served, icelane: Icelane) -> None:
    """OP-15: the first request of a client is a refusal that is written to who asks for it."""

    def written() -> bool:
        return any(record["reason"] == "no-credentials" for record in served.records("turn.refused"))

    assert asyncio.run(code_of(served)) is None
    assert not written()
    served.configure("[log]", '[log]\nlevel = "debug"')
    assert icelane("turn", "reload", *arguments(served)).out == "changed: log.level\n"
    assert asyncio.run(code_of(served)) is None
    assert written()


def test_a_reload_with_a_bad_certificate_says_so_in_one_document(icelane: Icelane, tmp_path: Path) -> None:
    """OP-4: what was taken over is in it as well."""
    pair = certificates.good(tmp_path)
    configuration = CONFIGURATION.replace('"tcp://127.0.0.1:0"', '"tls://127.0.0.1:0"') + pair.toml()
    with serving(tmp_path, configuration) as served:
        served.configure("[log]", "[log]\naddresses = true")
        pair.certificate.write_text("nothing")
        result = icelane("turn", "reload", *arguments(served), "--json")
        assert result.code == 1
        document = result.document
        assert (document["ok"], document["exit"], document["certificate"]) == (False, 1, False)
        assert document["changed"] == ["log.addresses"]
        assert "the old one stays" in document["problems"][0]["message"]
        text = icelane("turn", "reload", *arguments(served))
        assert (text.code, text.out) == (1, "changed: nothing\n")
        assert "the old one stays" in text.err
        served.end(signal.SIGTERM)


def test_sessions_are_shown_and_ended(served: Served, icelane: Icelane) -> None:
    async def scenario() -> None:
        client = await Client.allocated(served.udp, username="bob", password="hunter2")
        shown = await asyncio.to_thread(icelane, "turn", "sessions", *arguments(served), "--json")
        (session,) = shown.document["sessions"]
        assert session["user"] == "bob"
        assert session["client"] == f"127.0.0.1:{client.local.port}"
        assert session["rateFromClient"] == 0
        users = await asyncio.to_thread(icelane, "turn", "users", *arguments(served))
        assert users.out.split("\t")[:2] == ["bob", "1"]
        text = await asyncio.to_thread(icelane, "turn", "sessions", "--user", "alice", *arguments(served))
        assert (text.code, text.out) == (0, "")
        await client.bind(0x4001, SocketAddress("127.0.0.1", 9))
        await client.permit(SocketAddress("127.0.0.2", 9))
        client.send_to(SocketAddress("127.0.0.2", 9), bytes(2000))
        routes = await asyncio.to_thread(icelane, "turn", "sessions", "--routes", *arguments(served))
        lines = [[cell.strip() for cell in line.split("\t")] for line in routes.out.splitlines()[1:]]
        assert [line[:2] + line[5:7] for line in lines] == [
            ["0x4001", "to 127.0.0.1:9", "0 B", "0 B"],
            ["Send, Data", "to 127.0.0.1", "0 B", "0 B"],
            ["Send, Data", "to 127.0.0.2", "2.0 kB", "0 B"],
        ]
        kicked = await asyncio.to_thread(icelane, "turn", "kick", session["session"], *arguments(served))
        assert (kicked.code, kicked.out) == (0, "ended 1 session(s)\n")
        again = await asyncio.to_thread(icelane, "turn", "kick", session["session"], *arguments(served))
        assert again.code == 1
        assert "there is no session" in again.err
        assert await code_of(served, "bob", "hunter2") is None
        client.close()

    asyncio.run(scenario())


def test_a_revoked_user_is_out_within_five_seconds(served: Served, icelane: Icelane) -> None:
    """TR-12."""

    async def scenario() -> None:
        client = await Client.allocated(served.udp, username="bob", password="hunter2")
        before = time.monotonic()
        result = await asyncio.to_thread(icelane, "turn", "revoke", "bob", *arguments(served))
        assert (result.code, result.out) == (0, "revoked; 1 session(s) ended\n")
        with pytest.raises(Refused) as caught:
            await client.refresh(600)
        assert caught.value.code == 401
        assert time.monotonic() - before < 5
        assert await code_of(served, "bob", "hunter2") == 401
        assert await code_of(served) is None
        client.close()

    asyncio.run(scenario())
    assert served.records("turn.revoked")[0]["user"] == "bob"
    assert any(record["reason"] == "revoked" for record in served.records("turn.refused"))
    assert icelane("turn", "revoke", "--kid", "k1", *arguments(served)).code == 0
    assert icelane("turn", "revoke", *arguments(served)).code == 2
    assert icelane("turn", "revoke", "a", "--kid", "k1", *arguments(served)).code == 2


def test_the_server_drains_and_ends_with_its_last_session(served: Served, icelane: Icelane) -> None:
    """OP-1: by the command; SIGTERM does the same."""

    async def scenario() -> None:
        client = await Client.allocated(served.udp, username="bob", password="hunter2")
        result = await asyncio.to_thread(icelane, "turn", "drain", *arguments(served))
        assert result.out == "draining; 1 session(s) left\n"
        assert await code_of(served) == 508
        await client.refresh(600)
        assert served.process.poll() is None
        await client.refresh(0)
        client.close()

    asyncio.run(scenario())
    assert served.process.wait(SECONDS) == 0
    assert not served.file.with_name("admin.sock").exists()


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGINT,)])
def test_a_server_without_sessions_ends_at_once(served: Served, numbers: tuple[signal.Signals, ...]) -> None:
    assert served.end(*numbers) == 0
    assert not served.records("server.drain_deadline")


def test_a_second_signal_ends_the_server_in_spite_of_its_sessions(served: Served) -> None:
    """OP-1."""

    async def scenario() -> None:
        client = await Client.allocated(served.udp, username="bob", password="hunter2")
        served.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(served.wait_for, "server.draining")
        assert served.process.poll() is None
        client.close()

    asyncio.run(scenario())
    before = time.monotonic()
    assert served.end(signal.SIGTERM) == 0
    assert time.monotonic() - before < 10
    assert served.records("turn.ended")[-1]["reason"] == "server-closed"


def test_nobody_there_is_said_with_the_command_that_starts_somebody(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION)
    for command in ("sessions", "users", "reload", "drain"):
        result = icelane("turn", command, "-c", str(file))
        assert result.code == 4
        assert f"no server answers on {tmp_path / 'admin.sock'}" in result.err
        assert f"mend: icelane serve -c {file}" in result.err
    document = icelane("turn", "sessions", "-c", str(file), "--json").document
    assert (document["ok"], document["exit"]) == (False, 4)


def test_a_configuration_without_a_socket_says_what_to_add(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION.partition("[admin]")[0])
    result = icelane("turn", "sessions", "-c", str(file))
    assert result.code == 2
    assert "[admin] socket = " in result.err


def test_two_servers_do_not_share_a_socket(served: Served) -> None:
    result = subprocess.run(
        [*ICELANE, "serve", "-c", str(served.file)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | {"ICELANE_TURN__LISTEN": '["udp://127.0.0.1:0"]'},
        check=False,
    )
    assert result.returncode == 2
    assert "another server answers" in result.stderr
