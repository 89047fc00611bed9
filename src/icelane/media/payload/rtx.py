"""Retransmission (RFC 4588 section 4): the sequence number that the packet had, and then what it carried.

 0                   1
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
|  Original Sequence Number     | original payload ...
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
"""

from __future__ import annotations

from typing import Final

from icelane.errors import MalformedError

OVERHEAD: Final = 2
"""How many bytes a packet is longer when it is sent again."""


def encode_retransmission(sequence_number: int, payload: bytes) -> bytes:
    """The payload of a packet that repeats the one with `sequence_number`, 0 to 65535."""
    return sequence_number.to_bytes(OVERHEAD, "big") + payload


def parse_retransmission(payload: bytes) -> tuple[int, bytes]:
    """The sequence number and the payload of the packet that is repeated.

    Raises MalformedError where there is no number. A packet of padding alone, by which browsers try how much a path
    carries, has none: whoever takes off the padding drops what is empty then.
    """
    if len(payload) < OVERHEAD:
        raise MalformedError("a retransmission without a sequence number")
    return payload[0] << 8 | payload[1], payload[OVERHEAD:]
