"""aiortc's way of a packet, for `benches/srtp.py`: `python srtp_peer.py PROFILE SIZE PACKETS CHUNK`.

Prints packets per CPU-second from fields to protected bytes and back. Standard library, aiortc and its pylibsrtp only:
it runs in an environment of its own.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

# Bytes of master key and of master salt.
SIZES = {"AES128_CM_HMAC_SHA1_80": (16, 14), "AEAD_AES_128_GCM": (16, 12), "AEAD_AES_256_GCM": (32, 12)}


def sessions(profile: str) -> tuple[Any, Any]:
    """Sender and receiver, with the policies that aiortc gives them."""
    library = importlib.import_module("pylibsrtp")
    number = getattr(library.Policy, f"SRTP_PROFILE_{profile.replace('_HMAC', '')}")
    key = b"".join(bytes(range(size)) for size in SIZES[profile])
    opened = []
    for kind in (library.Policy.SSRC_ANY_OUTBOUND, library.Policy.SSRC_ANY_INBOUND):
        policy = library.Policy(key=key, ssrc_type=kind, srtp_profile=number)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        opened.append(library.Session(policy))
    return opened[0], opened[1]


def measure(profile: str, size: int, packets: int, chunk: int) -> tuple[float, float]:
    """Packets per CPU-second, sent and received."""
    rtp = importlib.import_module("aiortc.rtp")
    extensions = rtp.HeaderExtensionsMap()
    sender, receiver = sessions(profile)
    sending = receiving = 0
    for first in range(0, packets, chunk):
        plain = []
        for number in range(first, first + chunk):
            packet = rtp.RtpPacket(payload_type=96, sequence_number=number, ssrc=5)
            packet.payload = bytes(size)
            plain.append(packet)
        began = time.process_time_ns()
        protected = [sender.protect(packet.serialize(extensions)) for packet in plain]
        between = time.process_time_ns()
        opened = [rtp.RtpPacket.parse(receiver.unprotect(data), extensions) for data in protected]
        ended = time.process_time_ns()
        if [packet.payload for packet in opened] != [packet.payload for packet in plain]:
            raise RuntimeError("what was unprotected is not what was protected")
        sending += between - began
        receiving += ended - between
    return packets / sending * 1e9, packets / receiving * 1e9


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *(int(argument) for argument in sys.argv[2:5]))))
