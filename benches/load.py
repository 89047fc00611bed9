"""The load: which traffic to offer, the set-up of its flows, and the run of the C program that sends and counts it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benches import turn_client
from benches.certificates import client_context
from benches.links import Link
from benches.measure import cpu_list
from benches.turn_client import Address, Credentials

SOURCE = Path(__file__).with_name("relay_load.c")
BUILD = Path(__file__).with_name("build")

RECEIVE_BUFFER = 4 << 20
"""Bytes that each socket of the sink may queue: what is lost shall be lost by the relay."""

STREAM_SEND_BUFFER = 64 << 10
"""Bytes that a client stream may have on its way: with the kernel's megabytes, a saturated server lags by seconds."""

_SO_RCVBUFFORCE = 33  # Linux; not in the socket module


class Direction(StrEnum):
    """Which way packets go; up is from the client to its peer."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Form(StrEnum):
    """How application data is wrapped between client and server."""

    CHANNEL = "ChannelData"
    INDICATION = "Send/Data"


class ClientTransport(StrEnum):
    """Transport between client and server."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One kind of offered traffic."""

    payload: int
    flows: int
    burst: int
    packets_per_second: int | None
    """Over all flows and directions; None: as much as the generator can send."""
    form: Form = Form.CHANNEL
    transport: ClientTransport = ClientTransport.UDP
    direction: Direction = Direction.BOTH

    @property
    def name(self) -> str:
        """A line that says everything."""
        rate = "saturated" if self.packets_per_second is None else f"{self.packets_per_second / 1000:g} kpps"
        flows = "1 flow" if self.flows == 1 else f"{self.flows} flows"
        shape = f"{flows}, burst {self.burst}"
        return f"{self.transport} {self.form}, {self.payload} B, {shape}, {self.direction}, {rate}"

    def at(self, packets_per_second: int) -> Traffic:
        """The same traffic at another rate."""
        return replace(self, packets_per_second=packets_per_second)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What the generator and its sink counted in one run."""

    sent: int
    received: int
    held_back: int
    """Packets that the generator's own socket did not take."""
    sending_seconds: float
    arriving_seconds: float
    """Until the last packet arrived: what waits in queues when the sending ends is carried late, not faster."""
    p50_us: int
    p99_us: int

    @property
    def loss(self) -> float:
        """Share of the sent packets that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 1.0

    @property
    def delivered_per_second(self) -> float:
        """Packets per second at the sink."""
        return self.received / self.arriving_seconds if self.received else 0.0

    @property
    def offered_per_second(self) -> float:
        """Packets per second at the generator."""
        return self.sent / self.sending_seconds


class Generator:
    """The compiled load generator, pinned to one CPU, or to some."""

    def __init__(self, program: Path, *cpus: int) -> None:
        self._program = program
        self._cpus = cpus

    @classmethod
    def build(cls, *cpus: int) -> Generator:
        """Compile the program if its source is newer; needs a C compiler (Debian package gcc)."""
        program = BUILD / SOURCE.stem
        if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
            compiler = shutil.which("cc")
            if compiler is None:
                raise FileNotFoundError("the load generator needs a C compiler: install the Debian package gcc")
            BUILD.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
                fresh = Path(scratch) / program.name
                flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
                subprocess.run([compiler, *flags, str(SOURCE), "-o", str(fresh)], check=True)
                fresh.replace(program)
        return cls(program, *cpus)

    def run(
        self, traffic: Traffic, seconds: float, flows: Sequence[turn_client.Flow], peer: socket.socket, prefix: bytes
    ) -> Delivery:
        """Offer `traffic` on flows that are set up, from and to `peer`, for `seconds`."""
        lines = "".join(
            f"{flow.socket.fileno()} {'stream' if flow.is_stream else 'datagram'} {prefix.hex() or '-'}"
            f" {flow.relay[0]} {flow.relay[1]}\n"
            for flow in flows
        )
        arguments = [
            str(traffic.payload),
            str(traffic.burst),
            str(traffic.packets_per_second or 0),
            str(round(seconds * 1000)),
            str(traffic.direction),
            str(peer.fileno()),
            str(len(flows)),
        ]
        finished = subprocess.run(
            ["taskset", "--cpu-list", cpu_list(self._cpus), str(self._program), *arguments],
            input=lines,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            pass_fds=[peer.fileno(), *(flow.socket.fileno() for flow in flows)],
        )
        return Delivery(**json.loads(finished.stdout))


@dataclass(frozen=True, kw_only=True)
class OpenFlows:
    """Allocations that are ready to carry traffic."""

    flows: Sequence[turn_client.Flow]
    peer: socket.socket
    prefix: bytes

    @property
    def cipher(self) -> str:
        """What TLS has agreed on, "" without it."""
        first = self.flows[0].socket
        return " ".join(map(str, (first.cipher() or ("?", "?"))[1::-1])) if isinstance(first, ssl.SSLSocket) else ""


@contextlib.contextmanager
def open_flows(traffic: Traffic, link: Link, server: Address, credentials: Credentials) -> Iterator[OpenFlows]:
    """Set the flows of `traffic` up from fresh addresses; their allocations end with the block."""
    with contextlib.ExitStack() as stack, link.client_side():
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.bind((link.client_host, 0))
        _widen(peer)
        peer_address: Address = peer.getsockname()
        flows = []
        for _ in range(traffic.flows):
            is_stream, tls = traffic.transport is not ClientTransport.UDP, None
            if traffic.transport is ClientTransport.TLS:
                tls = client_context()
            flow = turn_client.connect(server, link.sources, is_stream=is_stream, tls=tls)
            flows.append(flow)
            stack.enter_context(flow.socket)
            if flow.is_stream:
                flow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_SEND_BUFFER)
            else:
                _widen(flow.socket)
        turn_client.open_allocations(flows, credentials)
        turn_client.create_permissions(flows, credentials, peer_address)
        if traffic.form is Form.CHANNEL:
            turn_client.bind_channels(flows, credentials, peer_address)
            prefix = turn_client.channel_data_prefix(traffic.payload)
        else:
            prefix = turn_client.send_indication_prefix(peer_address, traffic.payload)
        yield OpenFlows(flows=flows, peer=peer, prefix=prefix)
        # A stream may have stopped inside a frame; closing it ends its allocation anyway.
        turn_client.release_allocations([flow for flow in flows if not flow.is_stream], credentials)


def allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one: a thousand flows are a thousand sockets here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _widen(receiver: socket.socket) -> None:
    option = _SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF
    receiver.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
