"""What parsing and building cost, in the compiled form and in the pure one: `python benches/codec.py [--smoke]`.

Each form runs in a process of its own, alternating, and the median of the rounds is printed. Ratios are what counts;
the module list of `build_ext.py` keeps what pays.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable

ROUNDS = 6
CALLS = 20_000


def cases() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    from icelane.core.net import SocketAddress
    from icelane.core.reader import Reader
    from icelane.rtp.packet import RtpPacket, parse_rtp_packet, serialize
    from icelane.rtp.sequence import Unwrapper
    from icelane.stun.attributes import AttributeType, encode_uint32, encode_xor_address
    from icelane.stun.integrity import verify_integrity
    from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
    from icelane.turn.channel_data import encode_channel_data, measure_turn, parse_channel_data
    from icelane.turn.translation import build_data_indication, parse_send_indication

    transaction_id = bytes(range(12))
    key = bytes(range(16))
    peer = SocketAddress("192.0.2.1", 5000)
    payload = bytes(172)

    def build_allocate() -> bytes:
        builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, transaction_id)
        builder.add(AttributeType.REQUESTED_TRANSPORT, b"\x11\0\0\0")
        builder.add(AttributeType.LIFETIME, encode_uint32(600))
        builder.add(AttributeType.USERNAME, b"1800000000:k1:alice")
        builder.add(AttributeType.REALM, b"example.org")
        builder.add(AttributeType.NONCE, b"obMatJos2gAAA0123456789012345678901")
        return builder.add_integrity_sha1(key).build()

    allocate = build_allocate()
    binding = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id).build()
    send = (
        MessageBuilder(Method.SEND, MessageClass.INDICATION, transaction_id)
        .add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
        .add(AttributeType.DATA, payload)
        .build()
    )
    channel = encode_channel_data(0x4001, payload)
    unwrapper = Unwrapper()

    def build_rtp() -> bytes:
        return serialize(RtpPacket(96, 7, 3000, 5, payload, True, [(1, b"0"), (3, b"\x01\x02\x03"), (5, b"\0\7")]))

    media = build_rtp()

    def answer_binding() -> bytes:
        request = parse_message(binding)
        reply = MessageBuilder.response_to(request)
        reply.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(peer, request.transaction_id))
        return reply.build()

    def read_fields() -> int:
        reader = Reader(allocate)
        return reader.uint16() + reader.uint16() + reader.uint32() + len(reader.take(12)) + reader.uint64()

    return {
        "Reader: five fields": read_fields,
        "parse Allocate": lambda: parse_message(allocate),
        "parse and verify Allocate": lambda: verify_integrity(parse_message(allocate), key),
        "build Allocate with integrity": build_allocate,
        "answer Binding": answer_binding,
        "parse Send indication": lambda: parse_send_indication(send),
        "build Data indication": lambda: build_data_indication(peer, payload, transaction_id),
        "parse ChannelData": lambda: parse_channel_data(channel),
        "encode ChannelData": lambda: encode_channel_data(0x4001, payload),
        "measure ChannelData in a stream": lambda: measure_turn(channel, 0, len(channel)),
        "parse RTP": lambda: parse_rtp_packet(media),
        "build RTP": build_rtp,
        "unwrap a sequence number": lambda: unwrapper.unwrap(7),
    }


def measure(calls: int) -> dict[str, float]:
    """Nanoseconds per call by case, in this process's form."""
    return {name: timeit.timeit(case, number=calls) / calls * 1e9 for name, case in cases().items()}


def run_form(pure: bool, calls: int) -> tuple[bool, dict[str, float]]:
    """Measure in a process of its own; returns whether it ran compiled, and the figures."""
    environment = {**os.environ, "ICELANE_PURE": "1" if pure else "0"}
    command = [sys.executable, __file__, "--child", str(calls)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    compiled, figures = json.loads(output)
    return bool(compiled), figures


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a single short round: shows that the bench works")
    parser.add_argument("--child", type=int, metavar="CALLS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import icelane

        print(json.dumps([icelane.__compiled__, measure(options.child)]))
        return 0
    rounds, calls = (1, 200) if options.smoke else (ROUNDS, CALLS)
    samples: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(rounds):
        for pure in (False, True):
            compiled, figures = run_form(pure, calls)
            samples[compiled].append(figures)
    if not samples[True]:
        print("no compiled form here; pure figures only")
    print(f"{'ns per call':34}{'pure':>10}{'compiled':>10}{'ratio':>8}")
    for name in samples[False][0]:
        slow = statistics.median(figures[name] for figures in samples[False])
        fast = statistics.median(figures[name] for figures in samples[True]) if samples[True] else float("nan")
        print(f"{name:34}{slow:10.0f}{fast:10.0f}{slow / fast:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
