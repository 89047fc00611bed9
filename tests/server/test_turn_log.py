"""The engine's events as records."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.server.events import LOGGER
from icelane.server.turn_log import TurnLog
from icelane.stun.message import Method
from icelane.turn import peer_policy
from icelane.turn.allocation import AllocationCreated, EndReason
from icelane.turn.credentials import RefusalReason
from icelane.turn.peer_policy import EMBEDDED_IPV4, HARD, SPECIAL_PURPOSE
from icelane.turn.quota import QuotaRefusal
from icelane.turn.refusal import RequestRefused

ROOT = FilePath(__file__).parents[2]

CLIENT = Path(SocketAddress("192.0.2.1", 3478), SocketAddress("203.0.113.7", 4000), Transport.UDP)


class Collector(logging.Handler):
    """Keeps records in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What the server logs during the test."""
    collector, level = Collector(), LOGGER.level
    LOGGER.addHandler(collector)
    LOGGER.setLevel(logging.INFO)
    yield collector.records
    LOGGER.removeHandler(collector)
    LOGGER.setLevel(level)


def refused(reason: str, code: int = 401, silent: bool = False) -> RequestRefused:
    """A refusal of an Allocate."""
    return RequestRefused(
        client=CLIENT,
        method=Method.ALLOCATE,
        code=code,
        reason=reason,
        username="",
        kid="",
        silent=silent,
        unreported=0,
    )


def test_a_refusal_says_why(records: list[logging.LogRecord]) -> None:
    TurnLog(realm="example.org").record(refused("expired"), Instant(0))
    (record,) = records
    fields = record.__dict__
    assert (record.getMessage(), fields["code"], fields["reason"]) == ("turn.refused", 401, "expired")
    assert (fields["client"], fields["transport"], fields["realm"]) == (CLIENT.remote, "udp", "example.org")
    assert fields["method"] == "allocate"


def test_what_belongs_to_every_session_is_no_refusal_to_report(records: list[logging.LogRecord]) -> None:
    """OP-15: every client asks without credentials once, and every nonce gets old."""
    log = TurnLog(realm="example.org")
    log.record(refused("no-credentials"), Instant(0))
    log.record(refused("nonce-stale", 438), Instant(0))
    assert records == []
    assert not log.waiting


def test_a_flood_is_one_record_per_window(records: list[logging.LogRecord]) -> None:
    """OP-15: and its count."""
    log = TurnLog(realm="example.org")
    for tick in range(100):
        log.record(refused("wrong-password"), Instant(tick / 100))
    assert len(records) == 1
    assert log.waiting
    log.flush(Instant(20.0))
    assert records[1].__dict__["repeats"] == 99
    log.flush(Instant(40.0))
    assert not log.waiting


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs/reference/logs.md").read_text()
    source = "".join(file.read_text() for file in FilePath(peer_policy.__file__).parent.glob("*.py"))
    written = set(re.findall(r'Refusal\(\s*[0-9]{3}, *"([^"]+)"', source))
    ranges = {rule.reason for rule in (*EMBEDDED_IPV4, *HARD, *SPECIAL_PURPOSE)}
    policy = {value for name, value in vars(peer_policy).items() if name.startswith("REASON_")} - {"allowed"}
    enums = {member.value for kind in (RefusalReason, QuotaRefusal, EndReason) for member in kind}
    assert len(written) > 20
    missing = [reason for reason in written | ranges | policy | enums if f"`{reason}`" not in page]
    assert missing == []


def test_an_allocation_is_one_record(records: list[logging.LogRecord]) -> None:
    relays = (SocketAddress("192.0.2.1", 50000),)
    log = TurnLog(realm="example.org")
    log.record(AllocationCreated(client=CLIENT, username="1:k1:a", kid="k1", relays=relays), Instant(0))
    (record,) = records
    assert record.getMessage() == "turn.allocated"
    assert record.__dict__["kid"] == "k1"
    assert record.__dict__["relays"] == relays
