"""What `icelane join` shows of a peer while it runs: the path in words, codecs, rates, loss and round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from icelane import RTCPeerConnection
from icelane.core.clock import Duration, Instant
from icelane.peer.stats import Stats, StatsReport

COLUMNS: Final = ("peer", "state", "path", "in", "out", "loss", "round trip")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFigures:
    """One look. Rates in kbit/s since the look before, None at the first; times in seconds; loss from 0 to 1."""

    peer: str
    name: str
    state: str
    path: str
    received: tuple[str, ...]
    sent: tuple[str, ...]
    kbit_in: float | None
    kbit_out: float | None
    loss: float | None
    round_trip: float | None
    packets_received: int
    packets_lost: int

    def row(self) -> list[str]:
        """For a table with COLUMNS."""
        return [
            self.name,
            self.state,
            self.path or "-",
            _flow(self.received, self.kbit_in),
            _flow(self.sent, self.kbit_out),
            "-" if self.loss is None else f"{100 * self.loss:.1f} %",
            "-" if self.round_trip is None else f"{1000 * self.round_trip:.1f} ms",
        ]

    def as_json(self) -> dict[str, object]:
        """For programs, in camelCase."""
        return {
            "peer": self.peer,
            "name": self.name,
            "state": self.state,
            "path": self.path,
            "receivedCodecs": list(self.received),
            "sentCodecs": list(self.sent),
            "kbitPerSecondIn": _rounded(self.kbit_in, 1),
            "kbitPerSecondOut": _rounded(self.kbit_out, 1),
            "loss": _rounded(self.loss, 4),
            "roundTrip": _rounded(self.round_trip, 6),
            "packetsReceived": self.packets_received,
            "packetsLost": self.packets_lost,
        }


class PeerWatch:
    """Looks at one peer connection again and again."""

    def __init__(self, peer: str, name: str, pc: RTCPeerConnection) -> None:
        self._peer = peer
        self._name = name
        self._pc = pc
        self._last: tuple[Instant, int, int] | None = None
        self._code: str | None = None

    @property
    def code(self) -> str | None:
        """What both sides may read to each other; None before they are connected."""
        if self._code is None:  # computing it takes its time, on purpose
            self._code = self._pc.security_report().security_code()
        return self._code

    async def look(self, now: Instant) -> PeerFigures:
        """What holds now."""
        stats = await self._pc.getStats()
        inbound, outbound = stats.of_type("inbound-rtp"), stats.of_type("outbound-rtp")
        transport = stats.get("T") or Stats()
        came, went = int(transport.get("bytesReceived") or 0), int(transport.get("bytesSent") or 0)
        pair = stats.get(str(transport.get("selectedCandidatePairId"))) or Stats()
        packets = sum(int(one.get("packetsReceived") or 0) for one in inbound)
        lost = sum(max(int(one.get("packetsLost") or 0), 0) for one in inbound)
        round_trip = pair.get("currentRoundTripTime")
        rates = self._rates(came, went, now)
        return PeerFigures(
            peer=self._peer,
            name=self._name,
            state=self._pc.connectionState,
            path=_path(stats, pair),
            received=_codecs(stats, inbound),
            sent=_codecs(stats, outbound),
            kbit_in=rates[0],
            kbit_out=rates[1],
            loss=lost / (packets + lost) if packets + lost else None,
            round_trip=None if round_trip is None else float(round_trip),
            packets_received=packets,
            packets_lost=lost,
        )

    def _rates(self, came: int, went: int, now: Instant) -> tuple[float | None, float | None]:
        last, self._last = self._last, (now, came, went)
        if last is None or now <= last[0]:
            return None, None
        seconds: Duration = now - last[0]
        return (came - last[1]) * 8 / seconds / 1000, (went - last[2]) * 8 / seconds / 1000


def table_of(looks: list[PeerFigures]) -> Table:
    """All peers, for a terminal."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("loss", "round trip") else "left", overflow="fold")
    for figures in looks:
        table.add_row(*[Text(cell) for cell in figures.row()])
    return table


def _path(stats: StatsReport, pair: Stats) -> str:
    local = stats.get(str(pair.get("localCandidateId"))) or Stats()
    remote = stats.get(str(pair.get("remoteCandidateId"))) or Stats()
    if not local:
        return ""
    if local.get("candidateType") == "relay":
        return f"relayed, {str(local.get('relayProtocol', 'udp')).upper()}"
    protocol = str(local.get("protocol", "udp")).upper()
    return f"relayed by the other side, {protocol}" if remote.get("candidateType") == "relay" else f"direct, {protocol}"


def _codecs(stats: StatsReport, streams: list[Stats]) -> tuple[str, ...]:
    """Such as VP8 and opus, each once."""
    codecs = (stats.get(str(stream.get("codecId"))) for stream in streams)
    names = (str(codec.get("mimeType", "")).rpartition("/")[2] for codec in codecs if codec is not None)
    return tuple(dict.fromkeys(name for name in names if name))


def _flow(codecs: tuple[str, ...], rate: float | None) -> str:
    words = [*codecs, *([] if rate is None else [f"{rate:,.0f} kbit/s"])]
    return " ".join(words) or "-"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
