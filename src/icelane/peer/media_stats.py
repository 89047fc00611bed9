"""What `getStats` tells of media (W3C webrtc-stats), before it is decoded and after it is encoded.

outbound-rtp          OT<n>     what a transceiver sends
remote-inbound-rtp    RI<n>     what the peer reports of it
inbound-rtp           IT<n>     what a transceiver receives
remote-outbound-rtp   RO<n>     what the peer reports of it
codec                 C<...>    a codec in one direction, once for the transport

`<n>` is the number of the transceiver. What codecs and devices know is added above: see `icelane.aio`.
"""

from __future__ import annotations

from collections.abc import Callable

from icelane.media.codec import NegotiatedCodec
from icelane.media.inbound_stream import InboundStream
from icelane.media.outbound_stream import OutboundStream
from icelane.peer.media_plane import MediaPlane
from icelane.peer.transceiver import Transceiver

Value = str | int | float | bool
Add = Callable[..., str]


def add_media(add: Add, media: MediaPlane, transceivers: tuple[Transceiver, ...]) -> None:
    """Tell `add` of every stream: it takes a type, an identifier, and values by their W3C names."""
    for transceiver in transceivers:
        outbound, inbound = media.outbound(transceiver), media.inbound(transceiver)
        if outbound is not None:
            _add_outbound(add, transceiver, outbound)
        if inbound is not None and inbound.ssrc is not None:
            _add_inbound(add, transceiver, inbound, inbound.ssrc)


def _add_outbound(add: Add, transceiver: Transceiver, stream: OutboundStream) -> None:
    counts, remote = stream.statistics, stream.remote
    number, kind, ssrc = transceiver.number, transceiver.kind.value, stream.options.ssrc
    is_video = kind == "video"
    common = _stream(ssrc, kind, _add_codec(add, stream.codec, "encode"))
    has_remote = remote.reports_received > 0
    add(
        "outbound-rtp",
        f"OT{number}",
        **common,
        mid=transceiver.mid,
        remoteId=f"RI{number}" if has_remote else None,
        rtxSsrc=stream.options.rtx_ssrc,
        active=transceiver.sends,
        packetsSent=counts.packets_sent,
        bytesSent=counts.bytes_sent,
        headerBytesSent=counts.header_bytes_sent,
        retransmittedPacketsSent=counts.retransmitted_packets_sent,
        retransmittedBytesSent=counts.retransmitted_bytes_sent,
        nackCount=counts.nack_count,
        framesSent=counts.frames_sent if is_video else None,
        hugeFramesSent=counts.huge_frames_sent if is_video else None,
        keyFramesEncoded=counts.key_frames_sent if is_video else None,
        totalPacketSendDelay=0.0,  # nothing is held back: there is no pacer
        pliCount=counts.pli_count if is_video else None,
        firCount=counts.fir_count if is_video else None,
    )
    if has_remote:
        add(
            "remote-inbound-rtp",
            f"RI{number}",
            **common,
            localId=f"OT{number}",
            packetsReceived=remote.packets_received,
            packetsLost=remote.packets_lost,
            jitter=remote.jitter,
            fractionLost=remote.fraction_lost,
            roundTripTime=remote.round_trip_time,
            totalRoundTripTime=remote.total_round_trip_time,
            roundTripTimeMeasurements=remote.round_trip_time_measurements,
        )


def _add_inbound(add: Add, transceiver: Transceiver, stream: InboundStream, ssrc: int) -> None:
    counts, remote = stream.statistics, stream.remote
    number, kind = transceiver.number, transceiver.kind.value
    is_video = kind == "video"
    received = stream.codec
    common = _stream(ssrc, kind, _add_codec(add, received, "decode") if received is not None else None)
    has_remote = remote.reports_sent > 0
    add(
        "inbound-rtp",
        f"IT{number}",
        **common,
        mid=transceiver.mid,
        trackIdentifier=transceiver.receiver.track_id,
        rtxSsrc=stream.repeated_ssrc,
        remoteId=f"RO{number}" if has_remote else None,
        packetsReceived=counts.packets_received,
        bytesReceived=counts.bytes_received,
        headerBytesReceived=counts.header_bytes_received,
        packetsLost=counts.packets_lost,
        packetsDiscarded=counts.packets_discarded,
        jitter=counts.jitter,
        retransmittedPacketsReceived=counts.retransmitted_packets_received,
        retransmittedBytesReceived=counts.retransmitted_bytes_received,
        nackCount=counts.nack_count,
        jitterBufferDelay=counts.jitter_buffer_delay,
        jitterBufferTargetDelay=counts.jitter_buffer_target_delay,
        jitterBufferEmittedCount=counts.jitter_buffer_emitted_count,
        **(_video_counts(stream) if is_video else _audio_counts(stream)),
    )
    if has_remote:
        add(
            "remote-outbound-rtp",
            f"RO{number}",
            **common,
            localId=f"IT{number}",
            packetsSent=remote.packets_sent,
            bytesSent=remote.bytes_sent,
            reportsSent=remote.reports_sent,
            remoteTimestamp=remote.remote_timestamp * 1000 if remote.remote_timestamp is not None else None,
        )


def _stream(ssrc: int, kind: str, codec: str | None) -> dict[str, Value | None]:
    """RTCRtpStreamStats: what all four have in common."""
    return {"ssrc": ssrc, "kind": kind, "transportId": "T", "codecId": codec}


def _video_counts(stream: InboundStream) -> dict[str, Value | None]:
    counts = stream.statistics
    return {
        "framesReceived": counts.frames_received,
        "framesDropped": counts.frames_dropped,
        "framesAssembledFromMultiplePackets": counts.frames_assembled_from_multiple_packets,
        "totalAssemblyTime": counts.total_assembly_time,
        "pliCount": counts.pli_count,
        "firCount": counts.fir_count,
        "freezeCount": counts.freeze_count,
        "totalFreezesDuration": counts.total_freezes_duration,
    }


def _audio_counts(stream: InboundStream) -> dict[str, Value | None]:
    counts = stream.statistics
    return {
        "totalSamplesReceived": counts.total_samples_received,
        "concealedSamples": counts.concealed_samples,
        "silentConcealedSamples": counts.silent_concealed_samples,
        "concealmentEvents": counts.concealment_events,
        "insertedSamplesForDeceleration": counts.inserted_samples_for_deceleration,
        "removedSamplesForAcceleration": counts.removed_samples_for_acceleration,
    }


def _add_codec(add: Add, negotiated: NegotiatedCodec, direction: str) -> str:
    codec = negotiated.codec
    return add(
        "codec",
        f"C{direction}{negotiated.payload_type}{codec.mime_type}{codec.parameters_text}",
        transportId="T",
        codecType=direction,
        payloadType=negotiated.payload_type,
        mimeType=codec.mime_type,
        clockRate=codec.clock_rate,
        channels=codec.channels if codec.kind.value == "audio" else None,
        sdpFmtpLine=codec.parameters_text or None,
    )
