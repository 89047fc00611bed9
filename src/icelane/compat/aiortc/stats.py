"""What `getStats` gives, as aiortc has it: dataclasses of five kinds, by their id.

What a browser tells of the same thing beyond aiortc's fields is there as further attributes: `framesDecoded`,
`totalAudioEnergy` and the like, by the names of W3C webrtc-stats.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from icelane.peer.stats import Stats, StatsReport


@dataclass
class RTCStats:
    """What all have."""

    timestamp: datetime.datetime
    type: str
    id: str


@dataclass
class RTCRtpStreamStats(RTCStats):
    """Of one stream."""

    ssrc: int
    kind: str
    transportId: str  # noqa: N815  (W3C names)


@dataclass
class RTCReceivedRtpStreamStats(RTCRtpStreamStats):
    """`jitter` in units of the codec's clock."""

    packetsReceived: int  # noqa: N815
    packetsLost: int  # noqa: N815
    jitter: int


@dataclass
class RTCSentRtpStreamStats(RTCRtpStreamStats):
    """What was sent."""

    packetsSent: int  # noqa: N815
    bytesSent: int  # noqa: N815


@dataclass
class RTCInboundRtpStreamStats(RTCReceivedRtpStreamStats):
    """What we receive."""


@dataclass
class RTCRemoteInboundRtpStreamStats(RTCReceivedRtpStreamStats):
    """What the peer says of what we send: `roundTripTime` in seconds, `fractionLost` of 256."""

    roundTripTime: float  # noqa: N815
    fractionLost: float  # noqa: N815


@dataclass
class RTCOutboundRtpStreamStats(RTCSentRtpStreamStats):
    """What we send."""

    trackId: str  # noqa: N815


@dataclass
class RTCRemoteOutboundRtpStreamStats(RTCSentRtpStreamStats):
    """What the peer says of what it sends."""

    remoteTimestamp: datetime.datetime | None = None  # noqa: N815


@dataclass
class RTCTransportStats(RTCStats):
    """What carries everything."""

    packetsSent: int  # noqa: N815
    packetsReceived: int  # noqa: N815
    bytesSent: int  # noqa: N815
    bytesReceived: int  # noqa: N815
    iceRole: str  # noqa: N815
    dtlsState: str  # noqa: N815


class RTCStatsReport(dict[str, RTCStats]):
    """All records, by their id."""

    def add(self, stats: RTCStats) -> None:
        """Put `stats` in."""
        self[stats.id] = stats


def convert_report(report: StatsReport) -> RTCStatsReport:
    """What aiortc would tell of `report`."""
    converted = RTCStatsReport()
    for stats in report.values():
        found = _convert(report, stats)
        if found is not None:
            converted.add(found)
    return converted


def _convert(report: StatsReport, stats: Stats) -> RTCStats | None:
    kind, common = stats["type"], _common(stats)
    found: RTCStats
    if kind == "transport":
        found = RTCTransportStats(
            *common,
            packetsSent=_integer(stats, "packetsSent"),
            packetsReceived=_integer(stats, "packetsReceived"),
            bytesSent=_integer(stats, "bytesSent"),
            bytesReceived=_integer(stats, "bytesReceived"),
            iceRole=str(stats.get("iceRole", "unknown")),
            dtlsState=str(stats.get("dtlsState", "new")),
        )
    elif kind in ("inbound-rtp", "remote-inbound-rtp"):
        found = _received(report, stats)
    elif kind in ("outbound-rtp", "remote-outbound-rtp"):
        found = _sent(report, stats)
    else:
        return None
    for name, value in stats.items():
        if not hasattr(found, name):
            setattr(found, name, value)
    return found


def _received(report: StatsReport, stats: Stats) -> RTCReceivedRtpStreamStats:
    clock_rate = _number(_referred(report, stats, "codecId"), "clockRate")
    stream = (*_common(stats), *_stream(stats))
    counts = (
        _integer(stats, "packetsReceived"),
        _integer(stats, "packetsLost"),
        int(_number(stats, "jitter") * clock_rate),
    )
    if stats["type"] == "inbound-rtp":
        return RTCInboundRtpStreamStats(*stream, *counts)
    return RTCRemoteInboundRtpStreamStats(
        *stream,
        *counts,
        roundTripTime=_number(stats, "roundTripTime"),
        fractionLost=round(_number(stats, "fractionLost") * 256),
    )


def _sent(report: StatsReport, stats: Stats) -> RTCSentRtpStreamStats:
    stream = (*_common(stats), *_stream(stats))
    counts = _integer(stats, "packetsSent"), _integer(stats, "bytesSent")
    if stats["type"] == "outbound-rtp":
        source = _referred(report, stats, "mediaSourceId")
        return RTCOutboundRtpStreamStats(*stream, *counts, trackId=str(source.get("trackIdentifier", "")))
    remote = stats.get("remoteTimestamp")
    return RTCRemoteOutboundRtpStreamStats(
        *stream, *counts, remoteTimestamp=None if remote is None else _moment(_number(stats, "remoteTimestamp"))
    )


def _referred(report: StatsReport, stats: Stats, name: str) -> Stats:
    """The record that `stats` refers to by `name`, an empty one where there is none."""
    return report.get(str(stats.get(name))) or Stats()


def _common(stats: Stats) -> tuple[datetime.datetime, str, str]:
    return _moment(_number(stats, "timestamp")), str(stats["type"]), str(stats["id"])


def _stream(stats: Stats) -> tuple[int, str, str]:
    return _integer(stats, "ssrc"), str(stats["kind"]), str(stats.get("transportId", ""))


def _moment(milliseconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _integer(stats: Stats, name: str) -> int:
    return int(_number(stats, name))


def _number(stats: Stats, name: str) -> float:
    value = stats.get(name, 0)
    return 0.0 if isinstance(value, str) else float(value)
