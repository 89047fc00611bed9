"""Errors of HTTP: one form, and waits that are never too short."""

from __future__ import annotations

import json

import pytest

from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.problem import problem_of, problem_response, retry_milliseconds, retry_seconds


@pytest.mark.parametrize(
    ("wait", "seconds", "milliseconds"),
    [(0.0, 1, 0), (0.2, 1, 200), (1.0, 1, 1000), (1.00001, 2, 1001), (7.0, 7, 7000)],
)
def test_a_wait_is_rounded_up_wherever_it_is_said(wait: float, seconds: int, milliseconds: int) -> None:
    assert (retry_seconds(wait), retry_milliseconds(wait)) == (seconds, milliseconds)
    refusal = Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=wait)
    response = problem_response(problem_of(refusal))
    assert response.headers["retry-after"] == str(seconds)
    assert json.loads(bytes(response.body))["retryAfter"] == milliseconds / 1000


@pytest.mark.parametrize("code", list(CloseCode))
def test_a_refusal_has_the_status_of_its_code_and_the_one_that_it_names_wins(code: CloseCode) -> None:
    assert problem_of(Refusal(code=code, error="word")).status == code.status
    assert problem_of(Refusal(code=code, error="word", status=418)).status == 418


def test_what_cannot_be_decided_now_may_be_asked_again() -> None:
    assert problem_of(Refusal(code=CloseCode.INTERNAL, error="hook_failed", retry_after=2.0)).retryable
    assert not problem_of(Refusal(code=CloseCode.DENIED, error="banned")).retryable
