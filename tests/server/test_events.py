"""What the server reports, how often, and in how much memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.server.events import LOGGER, MAX_SOURCES, RefusalLog, RepeatGate, redact_address, report, source_of

SERVER = SocketAddress("192.0.2.1", 3478)


def client(host: str, port: int = 4000) -> Path:
    """The 5-tuple of a client over UDP."""
    return Path(SERVER, SocketAddress(host, port), Transport.UDP)


class Collector(logging.Handler):
    """Keeps records in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.LogRecord]]:
    """What the server logs during the test."""
    collector = Collector()
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    monkeypatch.setattr(LOGGER, "handlers", [collector])
    monkeypatch.setattr(LOGGER, "propagate", False)
    yield collector.records
    LOGGER.setLevel(level)


def test_an_address_is_masked_to_its_network() -> None:
    assert redact_address("203.0.113.77") == "203.0.113.0/24"
    assert redact_address("2001:db8:1:2:3:4:5:6") == "2001:db8:1::/48"


def test_an_ipv6_source_is_its_64() -> None:
    assert source_of("2001:db8:1:2:3:4:5:6") == source_of("2001:db8:1:2:ffff::") == "2001:db8:1:2::"
    assert source_of("203.0.113.77") == "203.0.113.77"


def test_a_record_names_the_place_that_reports(records: list[logging.LogRecord]) -> None:
    report("turn.allocated", logging.INFO)
    (record,) = records
    assert (record.filename, record.funcName) == (
        "test_events.py",
        "test_a_record_names_the_place_that_reports",
    )
    assert record.lineno > 0


def test_a_refusal_is_one_record_with_all_that_is_known(records: list[logging.LogRecord]) -> None:
    """OP-15: one record per event."""
    log = RefusalLog()
    log.refused(client("203.0.113.7"), code=401, reason="expired", realm="r", username="1:k:u", kid="k", now=Instant(0))
    (record,) = records
    assert record.getMessage() == "turn.refused"
    shown = {key: record.__dict__[key] for key in ("code", "reason", "client", "transport", "realm", "username", "kid")}
    assert shown == {
        "code": 401,
        "reason": "expired",
        "client": ("203.0.113.7", 4000),
        "transport": "udp",
        "realm": "r",
        "username": "1:k:u",
        "kid": "k",
    }


def test_repeats_of_a_source_are_counted_in_one_record_per_ten_seconds(records: list[logging.LogRecord]) -> None:
    """OP-15: rate-limited per source; the port does not make another source."""
    log = RefusalLog()
    for tick in range(300):
        log.refused(client("203.0.113.7", 4000 + tick), code=401, reason="expired", now=Instant(tick / 10))
    log.flush(Instant(60.0))
    counts = [record.__dict__.get("repeats", 1) for record in records]
    assert len(counts) == 4
    assert sum(counts) == 300


def test_another_source_and_another_reason_are_reported_beside_a_flood(records: list[logging.LogRecord]) -> None:
    """OP-15: a flood hides nobody else."""
    log = RefusalLog()
    for _ in range(1000):
        log.refused(client("203.0.113.7"), code=401, reason="expired", now=Instant(0))
    log.refused(client("203.0.113.8"), code=401, reason="expired", now=Instant(0))
    log.refused(client("203.0.113.7"), code=403, reason="denied", now=Instant(0))
    assert len(records) == 3


def test_a_million_sources_fill_neither_memory_nor_disk(records: list[logging.LogRecord]) -> None:
    """OP-15: what finds no room is counted in one record."""
    log = RefusalLog(capacity=MAX_SOURCES)
    for number in range(20_000):
        log.refused(
            client(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), code=401, reason="x", now=Instant(0)
        )
    assert len(log) == len(records) == MAX_SOURCES
    log.flush(Instant(1.0))
    assert records[-1].__dict__["repeats"] == 20_000 - MAX_SOURCES
    assert len(records) == MAX_SOURCES + 1
    log.flush(Instant(30.0))
    assert len(log) == 0


def test_a_window_without_repeats_ends_in_silence() -> None:
    gate: RepeatGate[str] = RepeatGate(window=10.0)
    assert gate.admit("a", Instant(0))
    assert gate.ended(Instant(9.9)) == []
    assert len(gate) == 1
    assert gate.ended(Instant(10.0)) == []
    assert len(gate) == 0
    assert gate.admit("a", Instant(10.0))


def test_a_count_is_a_report_and_opens_the_next_window() -> None:
    gate: RepeatGate[str] = RepeatGate(window=10.0)
    assert gate.admit("a", Instant(0))
    assert not gate.admit("a", Instant(1))
    assert gate.ended(Instant(10)) == [("a", 1)]
    assert not gate.admit("a", Instant(11))
    assert gate.ended(Instant(20)) == [("a", 1)]
    assert gate.ended(Instant(30)) == []
    assert len(gate) == 0
