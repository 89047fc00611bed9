"""OP-8: clients come, talk and go, some without a word; afterwards the server holds what it held before.

`make test` churns for seconds, `make test-long` for minutes. What is compared is a second round with the first: what a
server opens once and keeps is then no growth.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benches import turn_client
from benches.turn_client import Flow
from icelane.core.net import Transport
from icelane.server.descriptors import allow_many_descriptors
from tests import certificates
from tests.server.served import Holdings, Served, served
from tests.server.test_floods import (
    CREDENTIALS,
    MIB,
    close_flows,
    junk,
    open_flow,
    open_flows,
    settled,
    sources,
    warmed_up,
)

BATCH = 10
BATCHES_PER_SECOND = 5  # 50 allocations a second
LIFETIME = 2  # whoever goes without a word is forgotten after so many seconds
PAYLOAD = bytes(400)
# asyncio reports callbacks of 0.1 s; other tests run beside this one.
TOLERATED_CALLBACK = 0.5
RESET = struct.pack("ii", 1, 0)  # struct linger: on, for no time

LENGTHS = pytest.mark.parametrize(
    "seconds", [3.0, pytest.param(300.0, marks=pytest.mark.long)], ids=["seconds", "minutes"]
)


@pytest.fixture(autouse=True)
def _many_sockets() -> None:
    allow_many_descriptors()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a client comes, and how it reaches its peer."""

    transport: Transport
    tcp_relay: bool = False


KINDS = (
    Kind(transport=Transport.UDP),
    Kind(transport=Transport.TCP),
    Kind(transport=Transport.TLS),
    Kind(transport=Transport.TCP, tcp_relay=True),
    Kind(transport=Transport.TLS, tcp_relay=True),
)


class Peers:
    """One peer over UDP that answers nothing, and one over TCP that hangs up when it is told to."""

    def __init__(self, stack: ExitStack) -> None:
        self._udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        for one in (self._udp, self._tcp):
            one.bind(("127.0.0.1", 0))
        self._tcp.listen()
        self._tcp.setblocking(False)

    @property
    def udp(self) -> tuple[str, int]:
        host, port = self._udp.getsockname()
        return host, port

    @property
    def tcp(self) -> tuple[str, int]:
        host, port = self._tcp.getsockname()
        return host, port

    def hang_up(self) -> int:
        """Close every connection that has been made; returns how many."""
        count = 0
        while True:
            try:
                self._tcp.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


Origins = Iterator[tuple[str, int]]


def come(server: Served, kind: Kind, count: int, peers: Peers, origins: Origins) -> tuple[list[Flow], list[Flow]]:
    """Clients that have sent a few packets to their peer, and their connections with it, if it is reached by TCP."""
    if not kind.tcp_relay:
        flows = open_flows(server, count, kind.transport, peers.udp, origins)
        packet = turn_client.channel_data_prefix(len(PAYLOAD)) + PAYLOAD
        for flow in flows:
            for _ in range(5):
                flow.socket.send(packet)
        return flows, []
    flows = [open_flow(server, kind.transport, origins) for _ in range(count)]
    turn_client.open_allocations(flows, CREDENTIALS, turn_client.TCP_PROTOCOL)
    connections = []
    # One in ten connects and never binds.
    for connection_id in turn_client.connect_peers(flows, CREDENTIALS, peers.tcp)[: -count // 10]:
        connection = open_flow(server, kind.transport, origins)
        turn_client.bind_connection(connection, CREDENTIALS, connection_id)
        connection.socket.send(PAYLOAD)
        connections.append(connection)
    return flows, connections


def go(flows: list[Flow], connections: list[Flow], order: random.Random) -> None:
    """Most say goodbye; one in ten vanishes, over TCP and TLS with a reset."""
    rude = [flow for flow in (*flows, *connections) if order.random() < 0.1]
    close_flows([flow for flow in flows if flow not in rude])
    for flow in connections:
        if flow not in rude:
            flow.socket.close()
    for flow in rude:
        if flow.is_stream:
            flow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        flow.socket.close()


def churn(server: Served, seconds: float, peers: Peers, seed: int) -> int:
    """Clients of every kind for so long; returns how many."""
    order, rubbish = random.Random(seed), junk(seed)
    # A host for each client: whoever gets the port of one that vanished would inherit its allocation, and a 437.
    origins = sources()
    began, clients, reached = time.monotonic(), 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(server.listening[Transport.UDP])
        for kind in itertools.cycle(KINDS):
            passed = time.monotonic() - began
            if passed >= seconds and clients >= BATCH * len(KINDS):
                break
            flows, connections = come(server, kind, BATCH, peers, origins)
            for _ in range(20):
                stranger.send(next(rubbish))
            # Whose turn it is to hang up first changes.
            if order.random() < 0.5:
                reached += peers.hang_up()
            go(flows, connections, order)
            reached += peers.hang_up()
            clients += BATCH
            time.sleep(max(0.0, clients / (BATCH * BATCHES_PER_SECOND) - passed))
    assert reached >= BATCH
    return clients


@LENGTHS
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_that_come_and_go_leave_nothing_behind(loop: str, seconds: float, tmp_path: Path) -> None:
    """OP-8: descriptors, tasks, timers, sockets and collections are back, memory stays level."""
    turn = {
        "quota": {"allocations_per_user": 1000, "bytes_per_second_per_user": 1 << 30},
        "listen": [f"{scheme}://127.0.0.1:0" for scheme in ("udp", "tcp", "tls")],
        "tcp_allocations": True,
        "tls": certificates.good(tmp_path).section(),
    }
    with served(turn, {"default_lifetime": LIFETIME}, loop=loop) as server, ExitStack() as stack:
        peers = Peers(stack)
        for kind in KINDS:
            go(*come(server, kind, 1, peers, sources()), random.Random(0))
        start = warmed_up(server)
        rounds: list[Holdings] = []
        for seed in (1, 2):
            clients = churn(server, seconds, peers, seed)
            rounds.append(settled(server, lambda holdings: holdings.idle and holdings.is_back_at(start)))
            print(f"{clients} clients in {seconds:.0f} s, {rounds[-1].resident / MIB:.1f} MiB")
            assert rounds[-1].is_back_at(start), (rounds[-1], start)
            assert rounds[-1].idle
            assert not rounds[-1].unhandled
        first, second = rounds
        assert second.resident - first.resident <= 2 * MIB


def test_the_program_runs_in_development_mode_without_a_word(tmp_path: Path) -> None:
    """OP-9: no resource left open, no exception that nobody saw, no callback that holds the loop up."""
    configuration = tmp_path / "icelane.toml"
    configuration.write_text(
        """
        [turn]
        listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
        relay_addresses = ["127.0.0.1"]
        dangerously_allow_loopback_peers = true
        users = { alice = "wonderland" }
        [metrics]
        listen = "127.0.0.1:0"
        [log]
        format = "json"
        """
    )
    program = "from icelane.cli.main import main; main()"
    strict = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", program]
    with subprocess.Popen(
        [*strict, "serve", "--json", "-c", str(configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONASYNCIODEBUG": "1"},
    ) as server:
        assert server.stdout is not None
        listening = json.loads(server.stdout.readline())["listening"]
        for url in listening:
            transport, _, address = url.partition("://")
            command = [*strict, "turn", "check", f"turn:{address}?transport={transport}", "--user", "alice", "--json"]
            environ = os.environ | {"ICELANE_CHECK_PASSWORD": "wonderland", "PYTHONASYNCIODEBUG": "1"}
            checked = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
            assert checked.returncode == 0
            assert checked.stderr == ""
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 0
    records = [json.loads(line) for line in err.splitlines()]
    names = [record["event"] for record in records]
    assert names.count("turn.allocated") == 4
    # Before the first client it imports, which may take its time.
    begun = records[names.index("turn.allocated") :]
    assert [record for record in begun if record["level"] != "info" and not on_a_busy_machine(record)] == []


def on_a_busy_machine(record: dict[str, Any]) -> bool:
    """Whether asyncio calls a callback slow that most likely waited for the processor."""
    slow = re.search(r"^Executing .* took ([0-9.]+) seconds$", record["event"])
    return slow is not None and float(slow[1]) < TOLERATED_CALLBACK
