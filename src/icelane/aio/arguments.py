"""What a program gives, looked at before anything is done with it: Python has no Web IDL that would."""

from __future__ import annotations

from typing import Final, TypeVar

from icelane.datachannel.dcep import MAX_TEXT, encode_text
from icelane.peer.connection_options import ChannelOptions

T = TypeVar("T")

# W3C RTCDataChannelInit: what `[EnforceRange] unsigned short` holds.
_MAX_UNSIGNED_SHORT: Final = 65_535


def expect(value: T, kind: type) -> T:
    """The argument itself. Raises TypeError when it is another thing than its annotation says."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, not {value!r}")
    return value


def expect_number(name: str, value: float) -> float:
    """The argument itself. Raises TypeError when it is no number; what is not finite is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, not {value!r}")
    return value


def channel_options(
    label: str,
    ordered: bool,
    max_packet_life_time: int | None,
    max_retransmits: int | None,
    protocol: str,
    negotiated: bool,
    stream_id: int | None,
) -> ChannelOptions:
    """The arguments of createDataChannel (W3C section 6.1). Raises TypeError for what it refuses."""
    if max_packet_life_time is not None and max_retransmits is not None:
        raise TypeError("maxPacketLifeTime and maxRetransmits exclude each other")
    if negotiated and stream_id is None:
        raise TypeError("a negotiated channel needs an id")
    label, protocol = (encode_text(expect(text, str)).decode() for text in (label, protocol))
    if max(len(text.encode()) for text in (label, protocol)) > MAX_TEXT:
        raise TypeError(f"label and protocol have {MAX_TEXT} bytes of UTF-8 at most")
    for name, number in (
        ("maxPacketLifeTime", max_packet_life_time),
        ("maxRetransmits", max_retransmits),
        ("id", stream_id),
    ):
        if number is not None and not _is_unsigned_short(number):
            raise TypeError(f"{name} is a whole number from 0 to {_MAX_UNSIGNED_SHORT}, not {number!r}")
    if negotiated and stream_id == _MAX_UNSIGNED_SHORT:
        raise TypeError(f"{stream_id} is no stream id (RFC 8832 section 6)")
    return ChannelOptions(
        label=label,
        protocol=protocol,
        ordered=ordered,
        max_retransmits=max_retransmits,
        max_packet_life_time=max_packet_life_time,
        negotiated=negotiated,
        stream_id=stream_id if negotiated else None,
    )


def _is_unsigned_short(number: object) -> bool:
    return isinstance(number, int) and 0 <= number <= _MAX_UNSIGNED_SHORT
