"""Calls go on while the server's configuration and certificates are exchanged under them, and while it is emptied.

`icelane serve` runs as a process of its own. Clients over UDP, TCP and TLS send numbered packets through their channels
to a peer that sends them back; between them the server is reloaded by signal and by command, each time with other users
and limits and, every few times, another certificate. Then it is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from icelane.core.net import SocketAddress, Transport
from tests import certificates
from tests.certificates import NAME, trusting
from tests.loops import Run
from tests.server.clients import Client, Echo, Refused, eventually

CHANNEL = 0x4001
INTERVAL = 0.1  # seconds between two packets of a client: a voice call has five times as many
PATIENCE = 60.0
ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
CONFIGURATION = """
[turn]
realm = "example.org"
listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
users = {{ alice = "wonderland", user{number} = "password" }}
[turn.quota]
allocations_per_user = {quota}
connections_per_source = {quota}
[tls]
certificate = "{certificate}"
key = "{key}"
[log]
format = "json"
addresses = {addresses}
[admin]
socket = "admin.sock"
"""


@dataclass
class Call:
    """One allocation in use."""

    client: Client
    sent: int = 0
    back: set[int] = field(default_factory=set)

    async def talk(self, over: asyncio.Event) -> None:
        """Send numbered packets until `over`."""
        while not over.is_set():
            self.client.send_on(CHANNEL, self.sent.to_bytes(4, "big"))
            self.sent += 1
            await asyncio.sleep(INTERVAL)
            self.listen()

    def listen(self) -> None:
        self.back |= {int.from_bytes(frame[4:8], "big") for frame in self.client.inbox.take_all()}

    @property
    def lost(self) -> int:
        self.listen()
        return self.sent - len(self.back)


@dataclass
class Served:
    """The server and how it is configured."""

    process: subprocess.Popen[str]
    folder: Path
    pairs: list[certificates.Pair]
    quota: int
    addresses: dict[Transport, SocketAddress] = field(default_factory=dict)

    def configure(self, number: int) -> None:
        """Another configuration for each number, and another certificate for every fifth."""
        pair = self.pairs[number // 5 % len(self.pairs)]
        text = CONFIGURATION.format(
            number=number,
            quota=self.quota + number,
            certificate=pair.certificate,
            key=pair.key,
            addresses="true" if number % 2 else "false",
        )
        (self.folder / "icelane.toml").write_text(text)

    def records(self, event: str) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == event]

    async def command(self, name: str) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "admin.sock"))
        writer.write(json.dumps({"command": name}).encode() + b"\n")
        document: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE))
        writer.close()
        return document

    async def until(self, event: str, count: int) -> None:
        await eventually(lambda: len(self.records(event)) >= count, lambda: asyncio.sleep(0.02))

    async def serial(self) -> int:
        """Of the certificate that a new connection gets."""
        address = self.addresses[Transport.TLS]
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=trusting(), server_hostname=NAME)
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        der = shown.getpeercert(binary_form=True)
        assert der is not None
        writer.close()
        await writer.wait_closed()
        return x509.load_der_x509_certificate(der).serial_number


@contextmanager
def serving(folder: Path, quota: int) -> Iterator[Served]:
    pairs = [certificates.good(folder, file=name) for name in ("one", "two")]
    with (folder / "log").open("wb") as log:
        command = [*ICELANE, "serve", "--json", "-c", str(folder / "icelane.toml")]
        served = Served(None, folder, pairs, quota)  # type: ignore[arg-type]  # filled in below
        served.configure(0)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            served.process = process
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, (folder / "log").read_text()
                for url in json.loads(line)["listening"]:
                    scheme, _, address = url.partition("://")
                    host, _, port = address.rpartition(":")
                    served.addresses[Transport(scheme)] = SocketAddress(host, int(port))
                yield served
            finally:
                if process.poll() is None:
                    process.kill()


async def begin(served: Served, echo: Echo, transport: Transport) -> Call:
    client = await Client.allocated(served.addresses[transport], transport, username="alice", password="wonderland")
    await client.bind(CHANNEL, echo.address)
    return Call(client)


@pytest.mark.parametrize(
    ("calls", "reloads"), [(12, 10), pytest.param(100, 50, marks=pytest.mark.long)], ids=["12-calls", "100-calls"]
)
def test_nothing_is_lost_by_reloads_and_by_the_drain_and_the_server_ends_well(
    run: Run, tmp_path: Path, calls: int, reloads: int
) -> None:
    """OP-1, OP-4, OP-12."""

    async def scenario(served: Served) -> None:
        echo, over = Echo(), asyncio.Event()
        transports = list(Transport)
        live = [await begin(served, echo, transports[n % len(transports)]) for n in range(calls)]
        talking = [asyncio.create_task(call.talk(over)) for call in live]
        serials = {await served.serial()}

        for number in range(1, reloads + 1):
            served.configure(number)
            if number % 2:
                served.process.send_signal(signal.SIGHUP)
            else:
                answer = await served.command("reload")
                assert answer["ok"], answer
                assert answer["certificate"] is True
                assert answer["restart"] == []
            await served.until("config.reloaded", number)
            serials.add(await served.serial())
        assert len(serials) == 2
        assert all("turn.users" in record["changed"] for record in served.records("config.reloaded"))
        assert sum(record["ended"] for record in served.records("config.reloaded")) == 0

        served.process.send_signal(signal.SIGTERM)
        await served.until("server.draining", 1)
        with pytest.raises(Refused) as caught:
            await begin(served, echo, Transport.UDP)
        assert caught.value.code == 508
        await asyncio.sleep(5 * INTERVAL)
        for call in live:
            await call.client.refresh(600)

        over.set()
        await asyncio.gather(*talking)
        await eventually(lambda: all(call.lost == 0 for call in live), lambda: asyncio.sleep(0.05))
        assert all(call.sent > 5 for call in live)
        assert served.process.poll() is None
        for call in live:
            await call.client.refresh(0)
        assert await asyncio.to_thread(served.process.wait, PATIENCE) == 0

    with serving(tmp_path, calls + 5) as served:
        run(scenario(served))
    assert not served.records("server.drain_deadline")
    assert {record["reason"] for record in served.records("turn.ended")} == {"refreshed-to-zero"}
    assert len(served.records("turn.ended")) == calls
