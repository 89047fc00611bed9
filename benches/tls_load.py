"""The load over TLS: what `relay_load.c` does, in Python, because a TLS stream cannot be handed to another process.

It keeps to the same rules: paced bursts over all flows, stamped payloads, a sink that counts, a drain. It costs more
than the C program and carries less, about 10 000 packets per second; the CPU that a row is about is the server's, so
that matters only while the asked rate is held, which the tables show. The latencies hold its own time, too.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence

from benches.load import Delivery, Direction, Traffic
from benches.turn_client import Flow

RUN_SIZE = 8
STAMP = struct.Struct("!8sQ")  # which run, and when it was sent in nanoseconds
READ_SIZE = 1 << 16
CATCH_UP = 16
"""Bursts that may be sent back to back before the sink is looked at."""

DRAIN_IDLE_SECONDS = 0.5
DRAIN_MAX_SECONDS = 3.0


class TlsGenerator:
    """Generator and sink of one run at a time, on the CPU that this process is on."""

    def run(
        self, traffic: Traffic, seconds: float, flows: Sequence[Flow], peer: socket.socket, prefix: bytes
    ) -> Delivery:
        """Offer `traffic` on flows that are set up, from and to `peer`, for `seconds`; it needs a rate."""
        if traffic.packets_per_second is None:
            raise ValueError("a TLS row needs a rate: this generator would be saturated, not the server")
        run = _Run(traffic, [_Stream(flow) for flow in flows], peer, prefix)
        run.offer(traffic.packets_per_second, seconds)
        run.drain()
        return run.delivery()


class _Stream:
    """A client's TLS stream: what it has not taken yet, and the frame that has not come whole."""

    def __init__(self, flow: Flow) -> None:
        self.relay = flow.relay
        self.socket = flow.socket
        self._out = b""
        self._in = bytearray()

    def send(self, frames: bytes) -> bool:
        """Whether there was room for these frames; then they are on their way."""
        if not self.flush():
            return False
        self._out = frames
        self.flush()
        return True

    def flush(self) -> bool:
        """Whether all has been taken."""
        while self._out:
            try:
                self._out = self._out[self.socket.send(self._out) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                return False
        return True

    def frames(self) -> list[bytes]:
        """The frames that are complete."""
        self._read()
        found, start = [], 0
        while len(self._in) - start >= 4:
            end = start + frame_length(self._in, start)
            if end > len(self._in):
                break
            found.append(bytes(self._in[start:end]))
            start = end
        del self._in[:start]
        return found

    def _read(self) -> None:
        while True:
            try:
                data = self.socket.recv(READ_SIZE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            if not data:
                raise ConnectionError("the server closed a TLS stream during a run")
            self._in += data


def frame_length(buffer: bytes | bytearray, start: int) -> int:
    """RFC 8656 section 12.5: over a stream, ChannelData has padding to four bytes; STUN messages need none."""
    body = buffer[start + 2] << 8 | buffer[start + 3]
    return 4 + body + -body % 4 if buffer[start] & 0xC0 == 0x40 else 20 + body


class _Run:
    def __init__(self, traffic: Traffic, streams: Sequence[_Stream], peer: socket.socket, prefix: bytes) -> None:
        self._burst = traffic.burst
        self._up = traffic.direction is not Direction.DOWN
        self._both = traffic.direction is Direction.BOTH
        self._streams = streams
        self._peer = peer
        self._prefix = prefix
        self._run = os.urandom(RUN_SIZE)
        self._rest = bytes(traffic.payload - STAMP.size)
        self._poll = select.epoll()
        self._streams_by_descriptor = {stream.socket.fileno(): stream for stream in streams}
        for descriptor in (peer.fileno(), *self._streams_by_descriptor):
            self._poll.register(descriptor, select.EPOLLIN)
        self._sent = self._held_back = 0
        self._latencies_us: list[int] = []
        self._start = self._offered_until = self._last_arrival = time.monotonic_ns()

    def offer(self, rate: int, seconds: float) -> None:
        """Send bursts at the rate, upwards and downwards in turn where both are asked, and count what comes."""
        interval, end, bursts = self._burst * 1_000_000_000 // rate, self._start + round(seconds * 1e9), 0
        now = self._start
        while now < end:
            for _ in range(CATCH_UP):
                if self._start + bursts * interval > now:
                    break
                stream = self._streams[(bursts // 2 if self._both else bursts) % len(self._streams)]
                self._send(stream, up=bursts % 2 == 0 if self._both else self._up)
                bursts += 1
            self._receive(0)
            now = time.monotonic_ns()
        self._offered_until = now

    def drain(self) -> None:
        """Wait for what is on its way, as long as something comes."""
        start = last = time.monotonic()
        before = len(self._latencies_us)
        while before < self._sent and max(last + DRAIN_IDLE_SECONDS, start) > (now := time.monotonic()):
            if now - start > DRAIN_MAX_SECONDS:
                return
            for stream in self._streams:
                stream.flush()
            self._receive(0.02)
            if len(self._latencies_us) != before:
                last, before = time.monotonic(), len(self._latencies_us)

    def delivery(self) -> Delivery:
        """What was counted."""
        self._poll.close()
        ordered, count = sorted(self._latencies_us), len(self._latencies_us)
        return Delivery(
            sent=self._sent,
            received=count,
            held_back=self._held_back,
            sending_seconds=(self._offered_until - self._start) / 1e9,
            arriving_seconds=(self._last_arrival - self._start) / 1e9,
            p50_us=ordered[count // 2] if count else 0,
            p99_us=ordered[count * 99 // 100] if count else 0,
        )

    def _send(self, stream: _Stream, *, up: bool) -> None:
        payload = STAMP.pack(self._run, time.monotonic_ns()) + self._rest
        if up:
            # One write, and so one TLS record: a burst leaves in one system call.
            taken = self._burst if stream.send((self._prefix + payload) * self._burst) else 0
        else:
            taken = sum(self._send_from_peer(payload, stream) for _ in range(self._burst))
        self._sent += taken
        self._held_back += self._burst - taken

    def _send_from_peer(self, payload: bytes, stream: _Stream) -> bool:
        try:
            self._peer.sendto(payload, socket.MSG_DONTWAIT, stream.relay)
        except OSError:  # a full buffer, or an ICMP error from a server that went away: the packet was not offered
            return False
        return True

    def _receive(self, timeout: float) -> None:
        for descriptor, _ in self._poll.poll(timeout):
            stream = self._streams_by_descriptor.get(descriptor)
            packets = self._datagrams() if stream is None else stream.frames()
            now = time.monotonic_ns()
            for packet in packets:
                self._count(packet, now)

    def _datagrams(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                found.append(self._peer.recv(READ_SIZE, socket.MSG_DONTWAIT))
            except OSError:
                return found

    def _count(self, packet: bytes, now: int) -> None:
        # Wherever it stands: behind ChannelData's header, in a Data indication, or at the beginning.
        position = packet.find(self._run)
        if position < 0 or len(packet) - position < STAMP.size + len(self._rest):
            return
        _, sent_at = STAMP.unpack_from(packet, position)
        self._latencies_us.append((now - sent_at) // 1000)
        self._last_arrival = now
