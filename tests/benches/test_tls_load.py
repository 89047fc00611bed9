from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benches.certificates import client_context, write_certificate
from benches.load import ClientTransport, Direction, Traffic
from benches.tls_load import TlsGenerator, frame_length
from benches.turn_client import Address, Flow, connect

HEADER = struct.pack("!HH", 0x4000, 172)


def traffic(direction: Direction, rate: int | None = 1000) -> Traffic:
    return Traffic(
        payload=172, flows=1, burst=2, packets_per_second=rate, transport=ClientTransport.TLS, direction=direction
    )


def relay_upwards(listener: socket.socket, context: ssl.SSLContext, sink: Address) -> None:
    """One connection: the payload of each frame goes to `sink` as a datagram, as a relay does."""
    plain, _ = listener.accept()
    with (
        context.wrap_socket(plain, server_side=True) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        buffer = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                buffer += data
                while len(buffer) >= 4 and len(buffer) >= (length := frame_length(buffer, 0)):
                    out.sendto(buffer[4:length], sink)
                    buffer = buffer[length:]


@contextlib.contextmanager
def a_flow_over_tls(directory: Path) -> Iterator[tuple[Flow, socket.socket]]:
    certificate = write_certificate("127.0.0.1", directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        relay = threading.Thread(target=relay_upwards, args=(listener, context, peer.getsockname()))
        relay.start()
        flow = connect(listener.getsockname(), iter([("127.0.0.1", 0)]), is_stream=True, tls=client_context())
        try:
            yield flow, peer
        finally:
            flow.socket.close()
            relay.join()


def test_every_packet_that_a_relay_passes_on_is_counted(tmp_path: Path) -> None:
    with a_flow_over_tls(tmp_path) as (flow, peer):
        delivery = TlsGenerator().run(traffic(Direction.UP), 0.1, [flow], peer, HEADER)
    assert 0 < delivery.sent <= 102
    assert delivery.received == delivery.sent
    assert delivery.held_back == 0


def test_what_does_not_come_is_loss(tmp_path: Path) -> None:
    with a_flow_over_tls(tmp_path) as (flow, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        delivery = TlsGenerator().run(traffic(Direction.UP), 0.05, [flow], other, HEADER)
    assert delivery.sent > 0
    assert delivery.loss == 1


def test_a_saturating_run_is_refused_because_it_would_measure_the_generator(tmp_path: Path) -> None:
    with a_flow_over_tls(tmp_path) as (flow, peer), pytest.raises(ValueError, match="needs a rate"):
        TlsGenerator().run(traffic(Direction.UP, rate=None), 0.05, [flow], peer, HEADER)


def test_frames_of_channel_data_are_padded_and_messages_of_stun_are_not() -> None:
    assert frame_length(struct.pack("!HH", 0x4001, 171), 0) == 4 + 172
    assert frame_length(struct.pack("!HH", 0x0017, 172), 0) == 20 + 172
