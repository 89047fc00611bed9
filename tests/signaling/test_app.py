"""The ASGI application: what it is made of."""

from __future__ import annotations

import pytest

from icelane.signaling.app import signaling_app
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.service import SignalService
from tests.signaling.fake_gate import FakeGate, FakeIce


def test_a_service_that_is_there_is_used_as_it_is() -> None:
    gate = FakeGate()
    service = SignalService(gate)
    assert signaling_app(gate, service=service).state.signaling is service


def test_what_a_service_would_not_hear_of_is_refused_by_name() -> None:
    gate = FakeGate()
    with pytest.raises(TypeError, match=r"its own ice, limits, ask_message: "):
        signaling_app(gate, service=SignalService(gate), ice=FakeIce(), limits=SignalingLimits(), ask_message=False)
