"""RTCRtpSender: what goes out through one transceiver (W3C webrtc-pc section 5.2).

    sender = pc.addTrack(track)
    parameters = sender.getParameters()
    parameters.encodings[0].maxBitrate = 500_000
    await sender.setParameters(parameters)

Ours, where frames are encoded elsewhere: a track may give EncodedFrame or RtpPacket, and there need be none at all:

    sender.on("keyframerequest", encoder.make_key_frame)
    sender.send_encoded(EncodedFrame(data=..., timestamp=...))
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

from icelane.aio.arguments import expect, expect_number
from icelane.aio.dtmf_sender import RTCDTMFSender
from icelane.aio.event_target import EventTarget
from icelane.aio.media_port import MediaPort
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.rtp_parameters import (
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpSendParameters,
    describe_negotiated,
    machine_capabilities,
)
from icelane.aio.sender_encoder import EncoderWish
from icelane.aio.sender_pump import SenderPump
from icelane.aio.system import monotonic
from icelane.aio.transports import RTCDtlsTransport
from icelane.core.entropy import random_uuid
from icelane.crypto.provider import SystemEntropy
from icelane.errors import InvalidModificationError, InvalidStateError
from icelane.media.codec import MediaKind
from icelane.media.codecs.interface import MAX_FRAME_RATE
from icelane.media.frame import EncodedFrame
from icelane.peer.rtp_parameters import packet_time
from icelane.peer.stats import StatsReport
from icelane.peer.transceiver import Transceiver
from icelane.rtp.header_extension import PlayoutDelay
from icelane.rtp.packet import RtpPacket

# What twelve bits of 10 ms say (the header extension `playout-delay`).
_MAX_PLAYOUT_DELAY = 40_950.0
# What Web IDL's `unsigned long` holds.
_MAX_UNSIGNED_LONG = 2**32 - 1


class RTCRtpSender(EventTarget):
    """Made by the peer connection.

    Events of ours, for who encodes elsewhere: `keyframerequest` (nothing: the peer cannot go on without a key frame)
    and `bitratelimit` (bit/s: the peer takes no more).
    """

    EVENTS = frozenset({"keyframerequest", "bitratelimit"})

    def __init__(self, port: MediaPort, transceiver: Transceiver) -> None:
        super().__init__()
        self._port = port
        self._transceiver = transceiver
        self._track: MediaStreamTrack | None = None
        self._encoding = RTCRtpEncodingParameters()
        self._transaction = ""
        self._limit: int | None = None
        self._playout_delay: tuple[float, float] | None = None
        self._dtmf = RTCDTMFSender(port, transceiver) if transceiver.kind is MediaKind.AUDIO else None
        self._pump = SenderPump(port, transceiver, self._wish)

    def __repr__(self) -> str:
        return f"RTCRtpSender({self.kind}, {self._track!r})"

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self._transceiver.kind.value

    @property
    def track(self) -> MediaStreamTrack | None:
        """What is sent."""
        return self._track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """What it is sent over, None before that was negotiated."""
        return self._port.dtls if self._transceiver.current_direction is not None else None

    @property
    def dtmf(self) -> RTCDTMFSender | None:
        """Tones, for sound."""
        return self._dtmf

    @property
    def playoutDelay(self) -> tuple[float, float] | None:  # noqa: N802  (ours, written as what it stands beside)
        """Between how many milliseconds the peer is asked to hold pictures back, None: as it likes."""
        return self._playout_delay

    @playoutDelay.setter
    def playoutDelay(self, wanted: tuple[float, float] | None) -> None:  # noqa: N802
        if wanted is not None and not 0 <= wanted[0] <= wanted[1] <= _MAX_PLAYOUT_DELAY:
            raise ValueError(f"playoutDelay is a range within 0 to {_MAX_PLAYOUT_DELAY:.0f} ms")
        self._playout_delay = wanted
        self._apply_playout_delay()

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:  # noqa: N802  (W3C names)
        """What this machine can send; None for a kind that there is not."""
        return machine_capabilities(kind, can_send=True)

    async def replaceTrack(self, track: MediaStreamTrack | None) -> None:  # noqa: N802
        """Send another track of the same kind, or nothing, without negotiation.

        Raises TypeError for a track of the other kind, InvalidStateError when the transceiver is stopped.
        """
        self._replace(track)

    def setStreams(self, *streams: MediaStream) -> None:  # noqa: N802
        """Tell the peer that the track belongs to these, with the next negotiation."""
        identifiers = [expect(stream, MediaStream).id for stream in streams]
        self._port.run(lambda _: self._port.engine.set_streams(self._transceiver, identifiers))

    def getParameters(self) -> RTCRtpSendParameters:  # noqa: N802
        """What was negotiated and how it is encoded, to be changed and given to `setParameters`."""
        negotiated, engine = self._transceiver.negotiated, self._port.engine
        self._transaction = self._transaction or random_uuid(SystemEntropy())
        parameters = RTCRtpSendParameters(transactionId=self._transaction, encodings=[replace(self._encoding)])
        if negotiated is not None:
            parameters.codecs = describe_negotiated(negotiated.send_codecs)
            parameters.headerExtensions = [
                RTCRtpHeaderExtensionParameters(uri, number) for number, uri in negotiated.send_extensions
            ]
            parameters.rtcp = RTCRtcpParameters(engine.negotiation.media.cname, negotiated.reduced_size)
        return parameters

    async def setParameters(self, parameters: RTCRtpSendParameters) -> None:  # noqa: N802
        """Encode in another way from the next frame on.

        Raises InvalidStateError for parameters of before the last time, and when the transceiver is stopped,
        InvalidModificationError where more than `encodings` was changed, TypeError, ValueError (W3C: RangeError).
        """
        wanted = expect(parameters, RTCRtpSendParameters)
        if self._transceiver.is_stopping:
            raise InvalidStateError("the transceiver is stopped")
        if not self._transaction or wanted.transactionId != self._transaction:
            raise InvalidStateError("the parameters are of before the last setParameters: ask for them again")
        unchanged = self.getParameters()
        if len(wanted.encodings) != 1 or wanted.encodings[0].rid != self._encoding.rid:
            raise InvalidModificationError("the encodings may be changed, not their number or names")
        if (wanted.codecs, wanted.headerExtensions, wanted.rtcp) != (
            unchanged.codecs,
            unchanged.headerExtensions,
            unchanged.rtcp,
        ):
            raise InvalidModificationError("only encodings may be changed")
        self._encoding = check_encoding(replace(wanted.encodings[0]))
        self._transaction = ""
        self._follow()

    async def getStats(self) -> StatsReport:  # noqa: N802
        """What concerns this sender: outbound-rtp, remote-inbound-rtp, codec, media-source, transport."""
        return self._port.stats_of(self._transceiver, sends=True)

    # Ours: what is encoded elsewhere

    def send_encoded(self, frame: EncodedFrame) -> bool:
        """Send a frame that was encoded elsewhere, as it is; False when nothing may be sent, or not yet.

        Its `timestamp` counts in the codec's clock from wherever it likes. `payload_type` is one of `getParameters`,
        by default that of the first codec. Raises InvalidStateError for another payload type, InvalidAccessError for
        what is no frame of the codec, MessageTooLargeError for sound that does not fit into a packet.
        """
        if not self._encoding.active or self._port.is_closed:
            return False
        return self._port.send_frame(self._transceiver, frame, monotonic())

    def send_packet(self, packet: RtpPacket) -> bool:
        """Send an RTP packet; SSRC, sequence numbers and timestamps become this stream's. False as `send_encoded`."""
        if not self._encoding.active or self._port.is_closed:
            return False
        return self._port.send_packet(self._transceiver, packet, None)

    # For the connection, and for aiortc's names

    def _replace(self, track: MediaStreamTrack | None) -> None:
        if track is not None and expect(track, MediaStreamTrack).kind != self.kind:
            raise TypeError(f"a sender of {self.kind} does not send {track.kind}")
        identifier = None if track is None else track.id
        self._port.run(lambda _: self._port.engine.replace_track(self._transceiver, identifier))
        self._take(track)

    def _follow(self) -> None:
        """Begin or stop to take frames from the track, as it has become allowed."""
        self._apply_playout_delay()
        may_send = self._transceiver.sends and self._port.is_ready and self._encoding.active
        self._pump.follow(self._track if may_send and not self._port.is_closed else None)

    def _apply_playout_delay(self) -> None:
        stream, wanted = self._port.outbound(self._transceiver), self._playout_delay
        if stream is not None:
            stream.set_playout_delay(None if wanted is None else PlayoutDelay(wanted[0] / 1000, wanted[1] / 1000))

    def _key_frame_requested(self) -> None:
        self._pump.force_key_frame = True
        track = self._track
        request = getattr(track, "request_key_frame", None)
        if callable(request):
            request()  # a track that gives encoded frames may be able to bring one
        self._emit("keyframerequest")

    def _bitrate_limited(self, limit: int) -> None:
        self._limit = limit
        self._emit("bitratelimit", limit, bitrate=limit)

    def _begin(self, track: MediaStreamTrack | None, encoding: RTCRtpEncodingParameters | None) -> None:
        if encoding is not None:
            self._encoding = replace(encoding)
        self._take(track)

    def _take(self, track: MediaStreamTrack | None) -> None:
        self._track = track
        self._follow()

    def _end(self) -> None:
        self._pump.follow(None)

    async def _close(self) -> None:
        await self._pump.close()

    def _wish(self) -> EncoderWish:
        encoding, negotiated = self._encoding, self._transceiver.negotiated
        stream = self._port.outbound(self._transceiver)
        limits = [self._limit, negotiated.max_bitrate if negotiated is not None else None]
        return EncoderWish(
            bitrate=encoding.maxBitrate,
            limit=min((limit for limit in limits if limit is not None), default=None),
            packet_loss=round(stream.remote.fraction_lost, 2) if stream is not None else 0.0,
            packet_time=packet_time(negotiated) if negotiated is not None else None,
            scale_down_by=encoding.scaleResolutionDownBy or 1.0,
            frame_rate=None if encoding.maxFramerate is None else min(encoding.maxFramerate, MAX_FRAME_RATE),
        )


def check_encoding(encoding: RTCRtpEncodingParameters) -> RTCRtpEncodingParameters:
    """The same. Raises TypeError for what is no such thing, ValueError (W3C: RangeError) for what is out of range."""
    expect(encoding.active, bool)
    _check_range(encoding, "scaleResolutionDownBy", 1.0)
    _check_range(encoding, "maxFramerate", 0.0)
    _check_range(encoding, "maxBitrate", 1, _MAX_UNSIGNED_LONG)
    if encoding.maxBitrate is not None:
        encoding.maxBitrate = int(encoding.maxBitrate)
    return encoding


def _check_range(encoding: RTCRtpEncodingParameters, name: str, least: float, most: float = sys.float_info.max) -> None:
    value: float | None = getattr(encoding, name)
    if value is None:
        return
    if isinstance(expect_number(name, value), float) and not math.isfinite(value):
        raise TypeError(f"{name} is a finite number, not {value!r}")  # as Web IDL
    if not least <= value <= most:
        raise ValueError(f"{name} is {least:g} or more, and {most:g} at most")
