"""What encoders and decoders are asked, whatever library is behind them.

What a codec has no use for, such as the loss that an encoder of video is told, is taken and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, runtime_checkable

from icelane.errors import LocalProtocolError
from icelane.media.frame import EncodedFrame

if TYPE_CHECKING:
    from icelane.media.pyav import av

MediaFrame: TypeAlias = "av.AudioFrame | av.VideoFrame"
"""A decoded frame: PyAV's. Those that are handed to encoders are read, never written, and may be shared."""

# Whatever a remote side asks for stays within these.
MIN_BITRATE: Final = 6_000
MAX_BITRATE: Final = 200_000_000
MAX_FRAME_RATE: Final = 240.0

# How much sound goes into a packet unless somebody wishes otherwise, in seconds (RFC 3551 section 4.2).
DEFAULT_PACKET_TIME: Final = 0.02
# The room of one RTP packet for a NAL unit that must not be split (H.264, packetization mode 0).
DEFAULT_PAYLOAD_SIZE: Final = 1_100


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """What the sender wishes, within what the codec's parameters allow.

    `bitrate` in bit/s, None for the codec's own. `frame_rate` is what is expected; frames may come otherwise.
    `packet_time` is how many seconds of audio go into a packet. `application` is whether Opus works for speech or for
    music, None for speech where there is one channel. `packet_loss` is a fraction. `speed` is libvpx's `cpu-used` or
    SVT-AV1's preset, None for what keeps up in real time. `payload_size` bounds NAL units where they cannot be split.
    """

    bitrate: int | None = None
    frame_rate: float = 30.0
    packet_time: float = DEFAULT_PACKET_TIME
    application: Literal["voip", "audio"] | None = None
    packet_loss: float = 0.0
    threads: int = 1
    speed: int | None = None
    payload_size: int = DEFAULT_PAYLOAD_SIZE

    def __post_init__(self) -> None:
        if self.bitrate is not None and self.bitrate <= 0:
            raise LocalProtocolError("a bitrate is a positive number of bit/s")
        if not 0 < self.frame_rate <= MAX_FRAME_RATE:
            raise LocalProtocolError(f"a frame rate is between 0 and {MAX_FRAME_RATE:.0f}")
        if not 0 <= self.packet_loss <= 1:
            raise LocalProtocolError("packet loss is a fraction between 0 and 1")
        if self.packet_time <= 0 or self.threads < 1:
            raise LocalProtocolError("packet time and threads are positive")


class Encoder(Protocol):
    """Frames in, encoded frames out, in order. `timestamp` and `duration` of those are in the codec's RTP clock.

    A timestamp is the frame's `pts`, and where that is None what follows from the frames before.
    """

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
        """What can be sent now: nothing while audio does not fill a packet, in silence, or when the rate is used up.

        Size, format and sampling rate of frames may change. Raises LocalProtocolError for a frame of the other kind,
        OperationError when the library fails.
        """
        ...

    def set_bitrate(self, bitrate: int) -> None:  # noqa: ARG002  (for whom it has no use)
        """Aim at `bitrate` bit/s from the next frame on, without a key frame where the library can."""
        return

    def set_frame_rate(self, frame_rate: float) -> None:  # noqa: ARG002
        """Expect `frame_rate` pictures a second."""
        return

    def set_packet_loss(self, fraction: float) -> None:  # noqa: ARG002
        """Expect that this fraction of packets is lost."""
        return

    def close(self) -> None:
        """Give memory back; encoding afterwards is an error. Idempotent."""
        return


@runtime_checkable
class QuantizerTeller(Protocol):
    """What some encoders of video are besides."""

    def last_quantizer(self) -> int | None:
        """Of the picture that was encoded last, by the codec's own scale; None when the encoder is not open."""
        ...


class Decoder(Protocol):
    """Encoded frames in, frames out. Audio comes as packed s16; `pts` counts in `time_base` from the RTP timestamps."""

    sample_rate: int
    """Of the audio that comes out, in Hz; 0 for video."""

    def decode(self, frame: EncodedFrame) -> list[MediaFrame]:
        """What `frame` completes. Raises MalformedError when it does not decode; later frames may be tried."""
        ...

    def conceal(self, samples: int) -> list[MediaFrame]:  # noqa: ARG002
        """Audio in place of `samples` (for each channel) that did not come. Video: nothing."""
        return []

    def decode_fec(self, next_frame: EncodedFrame, samples: int) -> list[MediaFrame]:  # noqa: ARG002
        """The last `samples` before `next_frame`, from what it carries of them, else concealed.

        To be called before `next_frame` itself is decoded. Raises MalformedError.
        """
        return self.conceal(samples)

    def close(self) -> None:
        """Give memory back. Idempotent."""
        return
