"""What an exchange has agreed on for one section of media: with which numbers what is sent, and what is received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration
from icelane.media.codec import NegotiatedCodec

# In milliseconds: what every encoder of sound makes packets of. Beyond the longest a loss is heard for too long.
_PACKET_TIMES: Final = (10, 20, 40, 60)
_USUAL_PACKET_TIME: Final = 20


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """An SSRC that the peer's description names; `rtx_ssrc` is that of its retransmissions, None when not named."""

    ssrc: int
    rtx_ssrc: int | None = None
    cname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpParameters:
    """`send_codecs` have the peer's parameters and payload types, `receive_codecs` ours; both in the answer's order.

    Tones are among both, retransmission is in each codec. Extensions are pairs of a number and a URI; the `send_` ones
    are those that the peer reads. `max_bitrate` is in bits per second, `packet_time` and `max_packet_time` are in
    milliseconds: None where the peer says nothing.
    """

    mid: str
    send_codecs: tuple[NegotiatedCodec, ...]
    receive_codecs: tuple[NegotiatedCodec, ...]
    send_extensions: tuple[tuple[int, str], ...] = ()
    receive_extensions: tuple[tuple[int, str], ...] = ()
    reduced_size: bool = False
    max_bitrate: int | None = None
    packet_time: float | None = None
    max_packet_time: float | None = None
    remote_sources: tuple[RemoteSource, ...] = ()


def packet_time(parameters: RtpParameters) -> Duration | None:
    """How much sound the peer wants in a packet, in seconds, of what encoders make; None where it does not say.

    RFC 8866 section 6.5: `a=ptime` is a wish, and `a=maxptime` the most that it takes.
    """
    wished, longest = parameters.packet_time, parameters.max_packet_time
    if wished is None and longest is None:
        return None
    allowed = [one for one in _PACKET_TIMES if longest is None or one <= longest] or _PACKET_TIMES[:1]
    return min(allowed, key=lambda one: abs(one - (wished or _USUAL_PACKET_TIME))) / 1000
