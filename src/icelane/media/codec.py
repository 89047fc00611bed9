"""A codec as two peers agree on it: its name, its clock and what each wants of the other (RFC 8866 section 6.6).

a=rtpmap:111 opus/48000/2                 name, clock rate, channels
a=fmtp:111 minptime=10;useinbandfec=1     parameters
a=rtcp-fb:96 nack pli                     feedback
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

# RFC 4588, RFC 4733: formats that carry no media of a codec of their own.
RTX: Final = "rtx"
TELEPHONE_EVENT: Final = "telephone-event"


class MediaKind(enum.Enum):
    """What an `m=` line of media says first."""

    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpCodec:
    """What can be sent or received, without the payload type that an exchange of descriptions gives it.

    `name` is written as in `a=rtpmap` and compared without regard to case. `clock_rate` is in Hz, and that of the RTP
    timestamps, which for G.722 is not the sampling rate. `parameters` are the pairs of `a=fmtp` in their order, names
    in lower case, "" where there is no value. `feedback` are values of `a=rtcp-fb` such as `nack pli`.
    """

    kind: MediaKind
    name: str
    clock_rate: int
    channels: int = 1
    parameters: tuple[tuple[str, str], ...] = ()
    feedback: tuple[str, ...] = ()

    @property
    def mime_type(self) -> str:
        """As the W3C's RTCRtpCodec has it: `audio/opus`."""
        return f"{self.kind.value}/{self.name}"

    @property
    def is_media(self) -> bool:
        """Whether this is a codec, and not retransmission or tones beside one."""
        return self.name.lower() not in (RTX, TELEPHONE_EVENT)

    @property
    def parameters_text(self) -> str:
        """The value of `a=fmtp` behind the payload type, "" when there are no parameters."""
        return ";".join(f"{name}={value}" if value else name for name, value in self.parameters)

    def parameter(self, name: str, default: str = "") -> str:
        """One of `parameters`; `name` in lower case."""
        return dict(self.parameters).get(name, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiatedCodec:
    """A codec with the payload types that both peers know it by; `rtx_payload_type` is None without retransmission."""

    codec: RtpCodec
    payload_type: int
    rtx_payload_type: int | None = None
