"""The ASGI application: what it is made of."""

from __future__ import annotations

import asyncio

import pytest

from icelane.signaling.app import signaling_app
from icelane.signaling.http.endpoint import SECURITY_HEADERS
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.service import SignalService
from tests.signaling.fake_gate import FakeGate, FakeIce
from tests.signaling.http.asgi import ask


def test_a_service_that_is_there_is_used_as_it_is() -> None:
    gate = FakeGate()
    service = SignalService(gate)
    assert signaling_app(gate, service=service).state.signaling is service


def test_what_a_service_would_not_hear_of_is_refused_by_name() -> None:
    gate = FakeGate()
    with pytest.raises(TypeError, match=r"its own ice, limits, ask_message: "):
        signaling_app(gate, service=SignalService(gate), ice=FakeIce(), limits=SignalingLimits(), ask_message=False)


@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/v1/signal", "/v1/nothing/"])
def test_a_path_that_nobody_has_is_a_problem_like_others(path: str) -> None:
    """CR-2: with the headers of every answer."""
    answer = asyncio.run(ask(signaling_app(FakeGate()), "GET", path, {}, [b""]))
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
