"""Close codes and what a client does after them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from icelane import signaling
from icelane.signaling.close_code import CloseCode, Reconnect, reconnect_rule
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.hub_event import ConnectionEnded
from icelane.signaling.service import SignalService
from icelane.signaling.session import ConnectionId
from tests.signaling.fake_gate import FakeGate


def test_every_code_has_a_rule_and_only_few_come_back() -> None:
    back = {code for code in CloseCode if code.reconnect is not Reconnect.NEVER}
    assert back == {
        CloseCode.TOKEN_EXPIRED, CloseCode.TIMEOUT, CloseCode.TOO_SLOW, CloseCode.RATE_LIMITED, CloseCode.INTERNAL,
        CloseCode.DRAINING,
    }  # fmt: skip
    assert CloseCode.TOKEN_EXPIRED.reconnect is Reconnect.FRESH_TOKEN
    assert CloseCode.RATE_LIMITED.reconnect is Reconnect.AFTER


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (4401, Reconnect.FRESH_TOKEN), (4499, Reconnect.NEVER), (4599, Reconnect.JITTER), (1000, Reconnect.NEVER),
        (1001, Reconnect.JITTER), (1006, Reconnect.JITTER), (1009, Reconnect.NEVER), (1012, Reconnect.JITTER),
    ],
)  # fmt: skip
def test_codes_that_are_not_ours_have_a_rule_as_well(code: int, rule: Reconnect) -> None:
    assert reconnect_rule(code) is rule


def test_every_error_has_words_for_people() -> None:
    assert all(error.message and error.value.islower() for error in ErrorCode)
    assert {error for error in ErrorCode if error.retryable} >= {ErrorCode.ROOM_FULL, ErrorCode.RATE_LIMITED}
    assert not ErrorCode.FORBIDDEN.retryable


def test_every_error_is_one_that_some_client_can_get() -> None:
    sources = [path for path in Path(signaling.__file__).parent.rglob("*.py") if path.name != "error_code.py"]
    said = set(re.findall(r"ErrorCode\.([A-Z_]+)", "".join(path.read_text() for path in sources)))
    assert said == {error.name for error in ErrorCode}


def test_every_code_has_one_status_of_http_and_what_may_pass_is_one_that_is_tried_again() -> None:
    assert all(400 <= code.status < 600 for code in CloseCode)
    assert (CloseCode.INTERNAL.status, CloseCode.DRAINING.status) == (503, 503)


def test_records_have_the_number_of_a_code(caplog: pytest.LogCaptureFixture) -> None:
    """And not what Python calls a member of an enumeration."""
    caplog.set_level("INFO", "icelane.signaling")

    async def scenario() -> None:
        service = SignalService(FakeGate())
        service._tell(ConnectionEnded(ConnectionId(1), "203.0.113.7", CloseCode.INTERNAL, "internal", None))
        await service.close()

    asyncio.run(scenario())
    [record] = [one for one in caplog.records if one.message == "signaling.closed"]
    assert type(record.__dict__["code"]) is int
    assert record.__dict__["code"] == 4500
