from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator

import pytest

from benches.load import Direction, Generator, Traffic
from benches.measure import Processors
from benches.turn_client import Flow

TRAFFIC = Traffic(payload=172, flows=2, burst=4, packets_per_second=4000)


@pytest.fixture(scope="module")
def generator() -> Generator:
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed: apt-get install gcc")
    return Generator.build(Processors.available().load)


@contextlib.contextmanager
def flows_without_a_relay(count: int) -> Iterator[tuple[socket.socket, list[Flow]]]:
    """Clients that are connected to the peer itself: what they send is what the sink gets."""
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.bind(("127.0.0.1", 0))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        flows = []
        for _ in range(count):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.connect(peer.getsockname())
            client.setblocking(False)
            flows.append(Flow(client, is_stream=False, relay=client.getsockname()))
        yield peer, flows


@pytest.mark.parametrize("direction", Direction)
def test_the_sink_counts_every_packet_of_either_direction(generator: Generator, direction: Direction) -> None:
    traffic = Traffic(payload=172, flows=2, burst=4, packets_per_second=4000, direction=direction)
    with flows_without_a_relay(2) as (peer, flows):
        delivery = generator.run(traffic, 0.1, flows, peer, b"\x40\x00\x00\xac")
    assert 0 < delivery.sent <= 404  # 0.1 s of 4000 per second; a busy machine may offer less
    assert delivery.received == delivery.sent
    assert delivery.loss == 0
    assert delivery.held_back == 0
    assert 0 <= delivery.p50_us <= delivery.p99_us


def test_packets_that_nobody_reads_are_loss(generator: Generator) -> None:
    with flows_without_a_relay(2) as (_, flows), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other_sink:
        other_sink.bind(("127.0.0.1", 0))
        upward = Traffic(payload=172, flows=2, burst=4, packets_per_second=4000, direction=Direction.UP)
        delivery = generator.run(upward, 0.05, flows, other_sink, b"")
    assert delivery.sent > 0
    assert delivery.received == 0
    assert delivery.loss == 1


def test_a_stream_gets_whole_frames_one_after_the_other(generator: Generator) -> None:
    ours, theirs = socket.socketpair()
    header = b"\x40\x00\x00\x18"
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        ours.setblocking(False)
        flow = Flow(ours, is_stream=True, relay=("127.0.0.1", 9))
        upward = Traffic(payload=24, flows=1, burst=2, packets_per_second=200, direction=Direction.UP)
        delivery = generator.run(upward, 0.05, [flow], peer, header)
        written = theirs.recv(65536)
    assert delivery.sent > 0
    assert len(written) == delivery.sent * 28
    assert {written[start : start + 4] for start in range(0, len(written), 28)} == {header}


def test_the_name_of_traffic_says_all_of_it() -> None:
    assert TRAFFIC.name == "UDP ChannelData, 172 B, 2 flows, burst 4, both, 4 kpps"
    assert TRAFFIC.at(3500).name == "UDP ChannelData, 172 B, 2 flows, burst 4, both, 3.5 kpps"
