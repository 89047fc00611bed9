"""What SCTP costs: two associations back to back in one process, without sockets: `python -m benches.sctp [--smoke]`.

Both ends together: packets out of one, 32 at a time into the other, their SACKs back. Each form runs in a process of
its own, alternating, and the median of the rounds is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROUNDS = 5
SECONDS = 0.8
BATCH = 32
CASES = {
    "16 KiB messages, zero checksum": (16_384, True),
    "16 KiB messages, CRC32c": (16_384, False),
    "1132-byte messages, zero checksum": (1132, True),
    "100-byte messages, zero checksum": (100, True),
}


def carry(size: int, zero_checksum: bool, seconds: float) -> tuple[float, float]:
    """Send messages of `size` bytes for a while; returns Mbit/s and microseconds per DATA packet, of both ends."""
    from icelane.core.clock import Instant
    from icelane.crypto.provider import SystemEntropy
    from icelane.sctp.association import SctpAssociation
    from icelane.sctp.event import MessageReceived
    from icelane.sctp.options import SctpOptions

    options = SctpOptions(zero_checksum=zero_checksum)
    a, b = (SctpAssociation(entropy=SystemEntropy(), options=options) for _ in range(2))
    clock = time.perf_counter

    def move(source: SctpAssociation, target: SctpAssociation) -> int:
        """Hand over up to a batch of packets; returns how many bytes of messages came out of it."""
        packets: list[bytes] = []
        while len(packets) < BATCH and (packet := source.poll_transmit()) is not None:
            packets.append(packet)
        now = Instant(clock())
        target.begin_batch()
        for packet in packets:
            target.handle_datagram(packet, now)
        target.end_batch(now)
        received = messages = 0
        while (event := target.poll_event()) is not None:
            if isinstance(event, MessageReceived):
                received += len(event.data)
                messages += 1
        if received:
            target.release(received, now, messages=messages)
        return received

    a.connect(Instant(clock()))
    for _ in range(4):
        move(a, b)
        move(b, a)
    message = bytes(size)
    total = 0
    before = a.statistics.packets_sent
    start = clock()
    while (elapsed := clock() - start) < seconds:
        now = Instant(clock())
        while a.buffered_amount(0) < 2 * BATCH * 1132:
            a.send(0, 53, message, now)
        a.handle_timeout(now)
        total += move(a, b)
        move(b, a)
    packets = a.statistics.packets_sent - before
    return total * 8 / elapsed / 1e6, elapsed / packets * 1e6


def run_form(pure: bool, seconds: float) -> tuple[bool, dict[str, tuple[float, float]]]:
    """Measure in a process of its own; returns whether it ran compiled, and the figures."""
    environment = {**os.environ, "ICELANE_PURE": "1" if pure else "0"}
    command = [sys.executable, "-m", "benches.sctp", "--child", str(seconds)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    compiled, figures = json.loads(output)
    return bool(compiled), figures


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a single short round: shows that the bench works")
    parser.add_argument("--child", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import icelane

        print(json.dumps([icelane.__compiled__, {name: carry(*case, options.child) for name, case in CASES.items()}]))
        return 0
    rounds, seconds = (1, 0.05) if options.smoke else (ROUNDS, SECONDS)
    samples: dict[bool, list[dict[str, tuple[float, float]]]] = {True: [], False: []}
    for _ in range(rounds):
        for pure in (False, True):
            compiled, figures = run_form(pure, seconds)
            samples[compiled].append(figures)
    print(f"{'both ends together':36}{'form':>10}{'Mbit/s':>10}{'us/packet':>11}")
    for name in CASES:
        for compiled, label in ((True, "compiled"), (False, "pure")):
            if samples[compiled]:
                rate = statistics.median(figures[name][0] for figures in samples[compiled])
                cost = statistics.median(figures[name][1] for figures in samples[compiled])
                print(f"{name:36}{label:>10}{rate:10.0f}{cost:11.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
