"""The filter in front of OpenSSL, on a datagram, in every role and state.

What it lets through is made of whole records of the datagram, in their order; it lets the same through again; once
connected nothing in plaintext is left; and no handshake message that passes claims more than it may.
"""

from __future__ import annotations

from collections.abc import Hashable

from icelane.dtls.options import DtlsRole
from icelane.dtls.record import (
    MAX_HANDSHAKE_MESSAGE,
    ContentType,
    RecordFilter,
    is_application_record,
    pack_records,
    parse_fragments,
    parse_records,
)

_HEAD = bytes.fromhex("fefd 0000 000000000000")
_FRAGMENT = bytes.fromhex("01 00002a 0000 000000 00002a") + bytes(42)

SEEDS = [
    b"\x16" + _HEAD + len(_FRAGMENT).to_bytes(2, "big") + _FRAGMENT,
    b"\x16" + bytes.fromhex("feff 0000 000000000001 0010 0b 000100 0001 000010 000004") + b"abcd",
    b"\x14" + _HEAD + b"\x00\x01\x01",
    b"\x15" + _HEAD + b"\x00\x02\x02\x28",
    b"\x17" + bytes.fromhex("fefd 0001 000000000005 0020") + bytes(32),
    b"\x14" + _HEAD + b"\x00\x01\x01" + b"\x16" + bytes.fromhex("fefd 0001 000000000000 0030") + bytes(48),
    b"\x17" + _HEAD + b"\x00\x00",
    b"",
]
DICTIONARY = [
    b"\xfe\xfd",
    b"\xfe\xff",
    b"\x00\x00\x00\x01",
    bytes(6),
    b"\xff\xff\xff",
    b"\x16",
    b"\x17",
    b"\x15\xfe\xfd",
]


def run(data: bytes) -> Hashable:
    """What passed, in each role and state, by the types of its records."""
    outcomes: list[Hashable] = []
    for role in DtlsRole:
        for connected in (False, True):
            filtering = RecordFilter(role)
            filtering.connected = connected
            left = filtering.admit(data)
            assert bool(filtering.discarded) == (left != data or not data)
            if not left:
                outcomes.append(())
                continue
            again = RecordFilter(role)
            again.connected = connected
            assert again.admit(left) == left
            assert again.discarded == 0
            kinds = []
            position = 0
            for record in parse_records(left):
                whole = left[record.start : record.end]
                position = data.index(whole, position) + len(whole)
                kinds.append((record.content_type, record.epoch))
                assert record.epoch == 1 or not connected
                if record.epoch == 0 and record.content_type == ContentType.HANDSHAKE:
                    for fragment in parse_fragments(left, record.body, record.end):
                        assert fragment.offset + fragment.size <= fragment.length <= MAX_HANDSHAKE_MESSAGE
            outcomes.append(tuple(kinds))
            assert b"".join(pack_records(left, 300)) == left
            if is_application_record(data) and connected and len(data) > 29:
                assert left == data
    return tuple(outcomes)
