"""What DTLS costs for each packet and each handshake, over both backends.

    python -m benches.dtls            six rounds, under a minute
    python -m benches.dtls --smoke    a single short round

A packet is 1200 bytes of application data through the whole engine: `send` and `poll_transmit` on one side,
`handle_datagram` and `poll_data` on the other. `session` rows leave the engine out: what the backend alone costs. A
handshake is both ends of one, certificates made before. CPU time of this process, median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from icelane.core.clock import Instant, UnixSeconds
from icelane.crypto.certificate import Certificate
from icelane.dtls.backend import Backend, native_backend, pyopenssl_backend
from icelane.dtls.connection import DtlsConnection
from icelane.dtls.options import DtlsRole
from icelane.errors import NotSupportedError

ROUNDS = 6
PACKETS = 20_000
HANDSHAKES = 100
BATCH = 100
PAYLOAD = bytes(1200)
NOW = Instant(0.0)


def backends() -> list[Backend]:
    """Those that can be had here."""
    try:
        return [pyopenssl_backend(), native_backend()]
    except NotSupportedError as error:
        print(f"no compiled backend: {error}")
        return [pyopenssl_backend()]


def connect(backend: Backend, certificates: list[Certificate]) -> tuple[DtlsConnection, DtlsConnection]:
    """A client and a server that have shaken hands."""
    client = DtlsConnection(certificates[0], role=DtlsRole.CLIENT, backend=backend)
    server = DtlsConnection(certificates[1], role=DtlsRole.SERVER, backend=backend)
    client.set_remote_fingerprints([("sha-256", certificates[1].fingerprint())], NOW)
    server.set_remote_fingerprints([("sha-256", certificates[0].fingerprint())], NOW)
    server.start(NOW)
    client.start(NOW)
    while (flight := client.poll_transmit()) is not None:
        server.handle_datagram(flight, NOW)
        while (flight := server.poll_transmit()) is not None:
            client.handle_datagram(flight, NOW)
    if client.security is None or server.security is None:
        raise RuntimeError("no handshake")
    return client, server


def timed(work: Callable[[], object]) -> float:
    """Nanoseconds of CPU that it took."""
    began = time.process_time_ns()
    work()
    return time.process_time_ns() - began


def measure_packets(backend: Backend, certificates: list[Certificate], packets: int) -> dict[str, float]:
    """Nanoseconds per packet: through the engine, and through the session alone."""
    client, server = connect(backend, certificates)
    records: list[bytes] = []
    totals = dict.fromkeys(("send", "receive", "session: seal", "session: open"), 0.0)

    def send() -> None:
        for _ in range(BATCH):
            client.send(PAYLOAD, NOW)
            record = client.poll_transmit()
            if record is not None:
                records.append(record)

    def receive() -> None:
        for record in records:
            server.handle_datagram(record, NOW)
            if server.poll_data() is None:
                raise RuntimeError("a packet was lost")

    def seal() -> None:
        records.extend(client._seal(PAYLOAD) for _ in range(BATCH))

    def open_() -> None:
        for record in records:
            server._open(record)

    for _ in range(max(packets // BATCH, 1)):
        for name, work in (("send", send), ("receive", receive), ("session: seal", seal), ("session: open", open_)):
            totals[name] += timed(work)
            if work in (receive, open_):
                records.clear()
    return {name: total / (max(packets // BATCH, 1) * BATCH) for name, total in totals.items()}


def measure(backend: Backend, packets: int, handshakes: int) -> dict[str, float]:
    """Nanoseconds by what was done."""
    certificates = [Certificate.generate(now=UnixSeconds(1.8e9)) for _ in range(2)]
    figures = measure_packets(backend, certificates, packets)
    spent = timed(lambda: [connect(backend, certificates) for _ in range(handshakes)])
    figures["handshake, both ends"] = spent / handshakes
    return figures


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a single short round: shows that the bench works")
    options = parser.parse_args()
    rounds, packets, handshakes = (1, 200, 2) if options.smoke else (ROUNDS, PACKETS, HANDSHAKES)
    found = backends()
    samples: dict[str, list[dict[str, float]]] = {backend.name: [] for backend in found}
    for _ in range(rounds):
        for backend in found:
            samples[backend.name].append(measure(backend, packets, handshakes))
    for backend in found:
        print(f"{backend.name}: {backend.version}")
    print(f"{f'ns, {len(PAYLOAD)} bytes':24}" + "".join(f"{name:>12}" for name in samples))
    for row in samples[found[0].name][0]:
        medians = (statistics.median(sample[row] for sample in taken) for taken in samples.values())
        print(f"{row:24}" + "".join(f"{median:12.0f}" for median in medians))
    return 0


if __name__ == "__main__":
    sys.exit(main())
