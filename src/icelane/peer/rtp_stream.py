"""The streams of a transceiver, as an exchange has agreed on them."""

from __future__ import annotations

from collections.abc import Iterable

from icelane.core.clock import WallClock
from icelane.core.entropy import Entropy
from icelane.media.codec import TELEPHONE_EVENT, NegotiatedCodec
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.media.transport_sequence import TransportSequence
from icelane.peer.rtp_parameters import RtpParameters
from icelane.peer.transceiver import Transceiver
from icelane.rtp.header_extension import ExtensionMap


def open_outbound(
    transceiver: Transceiver,
    parameters: RtpParameters,
    *,
    entropy: Entropy,
    wall: WallClock,
    sequence: TransportSequence,
) -> OutboundStream:
    """What sends for the transceiver, by the codec that the answer prefers."""
    codec = preferred_codec(parameters)
    sender = transceiver.sender
    options = OutboundOptions(
        codec=codec,
        ssrc=sender.ssrc,
        rtx_ssrc=sender.rtx_ssrc if any(one.rtx_payload_type is not None for one in parameters.send_codecs) else None,
        telephone_event=tones_for(codec, parameters.send_codecs),
        extensions=extension_map(parameters.send_extensions),
        mid=parameters.mid,
    )
    return OutboundStream(options, entropy=entropy, wall=wall, sequence=sequence)


def open_inbound(transceiver: Transceiver, parameters: RtpParameters, *, keeps_packets: bool) -> InboundStream:
    """What receives for the transceiver."""
    options = InboundOptions(
        kind=transceiver.kind,
        codecs=parameters.receive_codecs,
        extensions=extension_map(parameters.receive_extensions),
        local_ssrc=transceiver.sender.ssrc,
        keeps_packets=keeps_packets,
    )
    return InboundStream(options)


def preferred_codec(parameters: RtpParameters) -> NegotiatedCodec:
    """The first that carries media; an exchange without one agrees on nothing."""
    return next(one for one in parameters.send_codecs if one.codec.is_media)


def extension_map(extensions: Iterable[tuple[int, str]]) -> ExtensionMap:
    """By their numbers, each of which and each URI is there once."""
    found = ExtensionMap(two_byte=True)
    for number, uri in extensions:
        found.add(number, uri)
    return found


def tones_for(codec: NegotiatedCodec, codecs: Iterable[NegotiatedCodec]) -> NegotiatedCodec | None:
    """The format of tones that goes with a codec (RFC 4733 section 2.1): one of the same clock."""
    clock_rate = codec.codec.clock_rate
    tones = (one for one in codecs if one.codec.name.lower() == TELEPHONE_EVENT)
    return next((one for one in tones if one.codec.clock_rate == clock_rate), None)
