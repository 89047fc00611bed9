"""DATA_CHANNEL_OPEN and ACK: what parses comes back byte for byte, but for the priority that nobody here reads."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.datachannel.dcep import AckMessage, OpenMessage, encode_ack, encode_open, parse_dcep
from icelane.errors import MalformedError

SEEDS = [
    encode_ack(),
    encode_open(OpenMessage("")),
    encode_open(OpenMessage("chat", "protocol")),
    encode_open(OpenMessage("łódź", ordered=False, max_retransmits=3)),
    encode_open(OpenMessage("t", max_packet_life_time=2**32 - 1)),
]


def run(data: bytes) -> Hashable:
    """What it is."""
    try:
        message = parse_dcep(data)
    except MalformedError as error:
        return str(error)[:12]
    if isinstance(message, AckMessage):
        assert data[0] == 2
        return "ack"
    again = encode_open(message)
    assert len(again) == len(data)
    assert again[:2] + again[8:] == data[:2] + data[8:]
    assert message.max_retransmits is None or message.max_packet_life_time is None
    return message.ordered, message.max_retransmits is None, message.max_packet_life_time is None, bool(message.label)
