"""What streams count, by the names of the W3C's statistics in Python's spelling; lengths of time are in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.core.clock import Duration, UnixSeconds


@dataclass(slots=True)
class OutboundStatistics:
    """Of RTCOutboundRtpStreamStats, what the stream knows. `bytes_sent` is payload, without headers and padding."""

    packets_sent: int = 0
    bytes_sent: int = 0
    header_bytes_sent: int = 0
    retransmitted_packets_sent: int = 0
    retransmitted_bytes_sent: int = 0
    frames_sent: int = 0
    # Bytes of those frames, and how many of them were 2.5 times as large as those until then on average, or more.
    frame_bytes_sent: int = 0
    huge_frames_sent: int = 0
    key_frames_sent: int = 0
    frames_discarded: int = 0
    nack_count: int = 0
    pli_count: int = 0
    fir_count: int = 0
    # Asked for again, and not sent again: too old, asked for too often, or not sent by us at all.
    retransmissions_refused: int = 0


@dataclass(slots=True)
class RemoteInboundStatistics:
    """RTCRemoteInboundRtpStreamStats: what the receiver reports of our stream.

    `jitter` is in seconds, `fraction_lost` 0 to 1. `round_trip_time` is None before the first measurement.
    """

    reports_received: int = 0
    packets_lost: int = 0
    packets_received: int = 0
    fraction_lost: float = 0.0
    jitter: Duration = 0.0
    round_trip_time: Duration | None = None
    total_round_trip_time: Duration = 0.0
    round_trip_time_measurements: int = 0


@dataclass(slots=True)
class RemoteOutboundStatistics:
    """RTCRemoteOutboundRtpStreamStats: what the sender reports of its stream."""

    reports_sent: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    remote_timestamp: UnixSeconds | None = None


@dataclass(slots=True)
class InboundStatistics:
    """Of RTCInboundRtpStreamStats, what is known before decoding.

    `jitter` is in seconds. `packets_received` counts those of the stream itself, also duplicates and what was sent
    again without a stream of its own; what came by one of its own is in `retransmitted_packets_received`.
    `packets_discarded` came too late or twice, or found a queue full. `jitter_buffer_*` count frames of video and
    samples of audio; `concealed_samples` and the like are of audio, `freeze_*` of video.
    """

    packets_received: int = 0
    bytes_received: int = 0
    header_bytes_received: int = 0
    packets_lost: int = 0
    jitter: Duration = 0.0
    packets_discarded: int = 0
    packets_duplicated: int = 0
    packets_malformed: int = 0
    retransmitted_packets_received: int = 0
    retransmitted_bytes_received: int = 0
    nack_count: int = 0
    pli_count: int = 0
    fir_count: int = 0
    frames_received: int = 0
    key_frames_received: int = 0
    frames_dropped: int = 0
    frames_assembled_from_multiple_packets: int = 0
    total_assembly_time: Duration = 0.0
    freeze_count: int = 0
    total_freezes_duration: Duration = 0.0
    jitter_buffer_delay: Duration = 0.0
    jitter_buffer_target_delay: Duration = 0.0
    jitter_buffer_emitted_count: int = 0
    total_samples_received: int = 0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    fec_samples: int = 0
    source_changes: int = 0
