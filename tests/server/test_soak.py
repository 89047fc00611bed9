"""OP-8: clients come, talk and go, some without a word; afterwards the server holds what it held before.

`make test` churns for seconds, `make test-long` for minutes. What is compared is a second round with the first: what a
server opens once and keeps is then no growth.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

import pytest

from benches import turn_client
from benches.turn_client import Flow
from icelane.core.net import Transport
from icelane.server.descriptors import allow_many_descriptors
from tests.server.served import Holdings, Served, served
from tests.server.test_floods import MIB, close_flows, junk, open_flows, settled, sources, warmed_up

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


def talk(flows: list[Flow]) -> None:
    """A few packets each, to a peer that answers none."""
    packet = turn_client.channel_data_prefix(len(PAYLOAD)) + PAYLOAD
    for flow in flows:
        for _ in range(5):
            flow.socket.send(packet)


def go(flows: list[Flow], transport: Transport, order: random.Random) -> None:
    """Most say goodbye; one in ten vanishes, over TCP with a reset."""
    rude = [flow for flow in flows if order.random() < 0.1]
    close_flows([flow for flow in flows if flow not in rude])
    for flow in rude:
        if transport is Transport.TCP:
            flow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        flow.socket.close()


def churn(server: Served, seconds: float, peer: tuple[str, int], seed: int) -> int:
    """Clients for so long; returns how many."""
    order, rubbish = random.Random(seed), junk(seed)
    # A host for each client: whoever gets the port of one that vanished would inherit its allocation, and a 437.
    origins = sources()
    began, clients = time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(server.listening[Transport.UDP])
        while (passed := time.monotonic() - began) < seconds:
            transport = order.choice((Transport.UDP, Transport.TCP))
            flows = open_flows(server, BATCH, transport, peer, origins)
            talk(flows)
            for _ in range(20):
                stranger.send(next(rubbish))
            go(flows, transport, order)
            clients += BATCH
            time.sleep(max(0.0, clients / (BATCH * BATCHES_PER_SECOND) - passed))
    return clients


@LENGTHS
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_that_come_and_go_leave_nothing_behind(loop: str, seconds: float) -> None:
    """OP-8: descriptors, tasks, timers, sockets and collections are back, memory stays level."""
    turn = {"quota": {"allocations_per_user": 1000, "bytes_per_second_per_user": 1 << 30}}
    with (
        served(turn, {"default_lifetime": LIFETIME}, loop=loop) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        peer.bind(("127.0.0.1", 0))
        start = warmed_up(server)
        rounds: list[Holdings] = []
        for seed in (1, 2):
            clients = churn(server, seconds, peer.getsockname(), seed)
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
