"""What `getStats` tells of media beyond what the engine knows: encoders, decoders and sources (W3C webrtc-stats).

media-source          S<n>      the track that a transceiver sends
"""

from __future__ import annotations

from collections.abc import Iterable

from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.rtp_transceiver import RTCRtpTransceiver
from icelane.aio.sender_pump import SourceCounts
from icelane.core.clock import Instant
from icelane.peer.stats import Stats, StatsReport, Value


def add_media_stats(report: StatsReport, transceivers: Iterable[RTCRtpTransceiver], now: Instant) -> None:
    """Complete the records of streams, and add those of sources."""
    for transceiver in transceivers:
        number = transceiver._transceiver.number
        if (track := transceiver.sender.track) is not None:
            _add_source(report, number, track, transceiver.sender._pump.source, now)
        sent, received = report.get(f"OT{number}"), report.get(f"IT{number}")
        if sent is not None:
            _complete_outbound(sent, transceiver, now)
        if received is not None:
            _complete_inbound(received, transceiver, now)


def select_stats(report: StatsReport, identifier: str) -> StatsReport:
    """The record of that name and all that it refers to, and they in turn."""
    selected, waiting = StatsReport(), [identifier]
    while waiting:
        stats = report.get(waiting.pop())
        if stats is None or stats["id"] in selected:
            continue
        selected[str(stats["id"])] = stats
        waiting += [str(value) for name, value in stats.items() if name.endswith("Id")]
    return selected


def _add_source(report: StatsReport, number: int, track: MediaStreamTrack, source: SourceCounts, now: Instant) -> None:
    timestamp = next(iter(report.values()))["timestamp"]
    stats = Stats(type="media-source", id=f"S{number}", timestamp=timestamp)
    stats.update(trackIdentifier=track.id, kind=track.kind)
    if track.kind == "video":
        stats.update(
            width=source.width,
            height=source.height,
            frames=source.frames,
            framesPerSecond=source.frames_per_second(now),
        )
    else:
        stats.update(
            audioLevel=source.audio_level,
            totalAudioEnergy=source.total_audio_energy,
            totalSamplesDuration=source.total_samples_duration,
        )
    report[f"S{number}"] = stats


def _complete_outbound(stats: Stats, transceiver: RTCRtpTransceiver, now: Instant) -> None:
    sender = transceiver.sender
    counts = sender._pump.counts
    more: dict[str, Value | None] = {
        "mediaSourceId": f"S{transceiver._transceiver.number}" if sender.track is not None else None,
        "targetBitrate": counts.target_bitrate,
        "active": bool(stats.get("active")) and sender._encoding.active,
    }
    if transceiver.kind == "video":
        more |= {
            "encoderImplementation": counts.implementation or None,
            "framesEncoded": counts.frames_encoded,
            "keyFramesEncoded": counts.key_frames_encoded or stats.get("keyFramesEncoded"),
            "totalEncodeTime": counts.total_encode_time,
            "totalEncodedBytesTarget": round(counts.total_target_bytes),
            "frameWidth": counts.width or None,
            "frameHeight": counts.height or None,
            "framesPerSecond": sender._pump.frames_per_second(now),
            "qualityLimitationReason": "bandwidth" if sender._pump.is_limited else "none",
        }
    stats.update({name: value for name, value in more.items() if value is not None})


def _complete_inbound(stats: Stats, transceiver: RTCRtpTransceiver, now: Instant) -> None:
    pump = transceiver.receiver._pump
    counts, heard_at = pump.counts, pump.heard_at
    more: dict[str, Value | None] = {"totalProcessingDelay": counts.total_decode_time}
    if heard_at is not None:
        more["lastPacketReceivedTimestamp"] = float(stats["timestamp"]) - (now - heard_at) * 1000
    if transceiver.kind == "video":
        more |= {
            "decoderImplementation": counts.implementation or None,
            "framesDecoded": counts.frames_decoded,
            "keyFramesDecoded": counts.key_frames_decoded,
            "totalDecodeTime": counts.total_decode_time,
            "frameWidth": counts.width or None,
            "frameHeight": counts.height or None,
            "framesPerSecond": counts.frames_per_second(now),
            "totalInterFrameDelay": counts.total_inter_frame_delay,
            "totalSquaredInterFrameDelay": counts.total_squared_inter_frame_delay,
            "pauseCount": counts.pauses,
            "totalPausesDuration": counts.total_pauses_duration,
        }
    else:
        more |= {
            "audioLevel": counts.audio_level,
            "totalAudioEnergy": counts.total_audio_energy,
            "totalSamplesDuration": counts.total_samples_duration,
        }
    stats.update({name: value for name, value in more.items() if value is not None})
