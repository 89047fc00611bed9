"""What SRTP costs for each packet: ours compiled, ours as Python, and pylibsrtp, a call for each packet.

    python -m benches.srtp            six rounds, a minute
    python -m benches.srtp --smoke    a single short round

Packets per CPU-second of this process, in thousands, median of the rounds: RTP packets with 172 and 1200 bytes of
payload, protected and unprotected. `batch` rows hand over 32 packets a call; pylibsrtp has no such call.

The last table is the way that a packet of media goes: from fields to protected bytes, and back. There aiortc is
measured too, which runs in an environment of its own (`make bench` makes it).
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from icelane.errors import NotSupportedError
from icelane.rtp.packet import RtpPacket, serialize
from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile
from icelane.srtp.session import SrtpSession

ROUNDS: Final = 6
PACKETS: Final = 16_384
BATCH: Final = 32
CHUNK: Final = 64
SIZES: Final = (172, 1200)
PROFILES: Final = (
    ProtectionProfile.AES128_CM_HMAC_SHA1_80,
    ProtectionProfile.AEAD_AES_128_GCM,
    ProtectionProfile.AEAD_AES_256_GCM,
)
SSRC: Final = 0x01020304
HERE: Final = Path(__file__).parent
PEERS_PYTHON: Final = HERE.parent / ".venv-peers/bin/python"

Work = Callable[[list[bytes]], list[bytes]]


class Contender(Protocol):
    """Somebody's SRTP: makes the two directions of a fresh session by name of what is called."""

    @property
    def name(self) -> str:
        """For the table."""
        ...

    def open(self, profile: ProtectionProfile) -> tuple[Work, Work]:
        """What protects many packets, and what unprotects them again."""
        ...


class Ours:
    """Our session, over one backend, packet by packet or in batches."""

    def __init__(self, backend: Backend, batch: bool) -> None:
        self._backend = backend
        self._batch = batch
        self.name = f"{backend.name}, {'batch' if batch else 'single'}"

    def open(self, profile: ProtectionProfile) -> tuple[Work, Work]:
        """See Contender."""
        key, salt = bytes(range(profile.key_size)), bytes(range(profile.salt_size))
        session = SrtpSession(
            profile, local_key=key, local_salt=salt, remote_key=key, remote_salt=salt, backend=self._backend
        )
        if not self._batch:
            return (
                lambda packets: [session.protect(packet) for packet in packets],
                lambda packets: [session.unprotect(packet) for packet in packets],
            )
        return (
            lambda packets: [
                out
                for start in range(0, len(packets), BATCH)
                for out in session.protect_batch(packets[start : start + BATCH])
            ],
            lambda packets: [
                out
                for start in range(0, len(packets), BATCH)
                for out in session.unprotect_batch(packets[start : start + BATCH])
                if out is not None
            ],
        )


class Pylibsrtp:
    """libsrtp as aiortc calls it."""

    name = "pylibsrtp"

    def __init__(self) -> None:
        self._module = importlib.import_module("pylibsrtp")

    def open(self, profile: ProtectionProfile) -> tuple[Work, Work]:
        """See Contender."""
        policy = self._module.Policy
        numbers = {
            ProtectionProfile.AES128_CM_HMAC_SHA1_80: policy.SRTP_PROFILE_AES128_CM_SHA1_80,
            ProtectionProfile.AEAD_AES_128_GCM: policy.SRTP_PROFILE_AEAD_AES_128_GCM,
            ProtectionProfile.AEAD_AES_256_GCM: policy.SRTP_PROFILE_AEAD_AES_256_GCM,
        }
        key = bytes(range(profile.key_size)) + bytes(range(profile.salt_size))
        sender, receiver = (
            self._module.Session(policy(key=key, ssrc_type=kind, srtp_profile=numbers[profile]))
            for kind in (policy.SSRC_ANY_OUTBOUND, policy.SSRC_ANY_INBOUND)
        )
        return (
            lambda packets: [sender.protect(packet) for packet in packets],
            lambda packets: [receiver.unprotect(packet) for packet in packets],
        )


def contenders() -> list[Contender]:
    """Those that can be had here."""
    found: list[Contender] = []
    try:
        found += [Ours(native_backend(), batch=True), Ours(native_backend(), batch=False)]
    except NotSupportedError as error:
        print(f"no compiled form: {error}")
    found += [Ours(python_backend(), batch=True), Ours(python_backend(), batch=False)]
    try:
        found.append(Pylibsrtp())
    except ImportError as error:
        print(f"no pylibsrtp: {error}")
    return found


def measure(contender: Contender, profile: ProtectionProfile, size: int, packets: int) -> tuple[float, float]:
    """Packets per CPU-second, protected and unprotected."""
    protect, unprotect = contender.open(profile)
    protecting = unprotecting = 0
    # So few at a time that they stay in the cache, as they do between a socket and a codec.
    for first in range(0, packets, CHUNK):
        plain = [
            serialize(RtpPacket(payload_type=96, sequence_number=number, ssrc=SSRC, payload=bytes(size)))
            for number in range(first, first + CHUNK)
        ]
        began = time.process_time_ns()
        protected = protect(plain)
        between = time.process_time_ns()
        opened = unprotect(protected)
        ended = time.process_time_ns()
        if opened != plain:
            raise RuntimeError(f"{contender.name}: what was unprotected is not what was protected")
        protecting += between - began
        unprotecting += ended - between
    return packets / protecting * 1e9, packets / unprotecting * 1e9


def measure_way(profile: ProtectionProfile, size: int, packets: int) -> tuple[float, float]:
    """Packets per CPU-second from fields to protected bytes, and from those to fields, by ours."""
    key, salt = bytes(range(profile.key_size)), bytes(range(profile.salt_size))
    session = SrtpSession(profile, local_key=key, local_salt=salt, remote_key=key, remote_salt=salt)
    protecting = unprotecting = 0
    for first in range(0, packets, CHUNK):
        plain = [
            RtpPacket(payload_type=96, sequence_number=number, ssrc=SSRC, payload=bytes(size))
            for number in range(first, first + CHUNK)
        ]
        began = time.process_time_ns()
        protected = session.protect_packets(plain)
        between = time.process_time_ns()
        opened, _, _ = session.unprotect_packets(protected)
        ended = time.process_time_ns()
        if [packet.payload for packet in opened] != [packet.payload for packet in plain]:
            raise RuntimeError("what was unprotected is not what was protected")
        protecting += between - began
        unprotecting += ended - between
    return packets / protecting * 1e9, packets / unprotecting * 1e9


def measure_aiortc(profile: ProtectionProfile, size: int, packets: int) -> tuple[float, float]:
    """The same by aiortc, in its own environment."""
    command = [str(PEERS_PYTHON), str(HERE / "srtp_peer.py"), profile.name, str(size), str(packets), str(CHUNK)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    sending, receiving = json.loads(finished.stdout)
    return float(sending), float(receiving)


def print_ways(rounds: int, packets: int) -> None:
    """The last table."""
    ways = {"icelane": measure_way}
    if PEERS_PYTHON.exists():
        ways["aiortc"] = measure_aiortc
    else:
        print("\nno aiortc: make bench makes .venv-peers")
    for profile in PROFILES:
        for size in SIZES:
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    samples[name].append(way(profile, size, packets))
            print_table(f"{profile.name}, {size} bytes", ("send", "receive"), samples)


def print_table(title: str, columns: tuple[str, str], samples: dict[str, list[tuple[float, float]]]) -> None:
    """A row for everybody: the median of the rounds, in thousands."""
    print(f"\n{title:40}{columns[0]:>10}{columns[1]:>12}")
    for name, taken in samples.items():
        there, back = (statistics.median(column) / 1000 for column in zip(*taken, strict=True))
        print(f"  {name:38}{there:10.0f}{back:12.0f}")


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a single short round: shows that the bench works")
    options = parser.parse_args()
    rounds, packets = (1, 64) if options.smoke else (ROUNDS, PACKETS)
    found = contenders()
    print("thousands of packets per CPU-second")
    for profile in PROFILES:
        for size in SIZES:
            samples: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in found}
            for _ in range(rounds):
                for contender in found:
                    samples[contender.name].append(measure(contender, profile, size, packets))
            print_table(f"{profile.name}, {size} bytes", ("protect", "unprotect"), samples)
    print("\nfrom fields to protected bytes, and back")
    print_ways(rounds, packets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
