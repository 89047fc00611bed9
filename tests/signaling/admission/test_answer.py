"""Answers of functions."""

from __future__ import annotations

from typing import Any

import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError, MalformedError
from icelane.signaling.admission.answer import checked_answer
from icelane.signaling.admission.control import AdmissionHooks
from icelane.signaling.admission.hook import chained
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny
from icelane.signaling.admitted import AdmissionLimits, Grant, IcePolicy, IceTransportPolicy
from tests.loops import Run
from tests.signaling.admission.entrance import bearing, entrance, refused, token

WRONG: dict[str, object] = {
    "nothing": None,
    "limits are a table": Allow(limits={"rooms": 1}),  # type: ignore[arg-type]
    "a limit is a text": Allow(limits=AdmissionLimits(rooms="1")),  # type: ignore[arg-type]
    "a limit is nan": Allow(limits=AdmissionLimits(frames_per_second=float("nan"))),
    "a limit is negative": Allow(limits=AdmissionLimits(sessions=-1)),
    "a name is a number": Allow(name=17),  # type: ignore[arg-type]
    "a name is long": Allow(name="x" * 257),
    "an identity is bytes": Allow(identity=b"alice"),  # type: ignore[arg-type]
    "labels are a list": Allow(labels=[1]),  # type: ignore[arg-type]
    "a label is a number": Allow(labels={"a": 1}),  # type: ignore[dict-item]
    "an expiry is nan": Allow(expires_at=float("nan")),  # type: ignore[arg-type]
    "an expiry is infinite": Allow(expires_at=float("inf")),  # type: ignore[arg-type]
    "an expiry is a text": Allow(expires_at="2027"),  # type: ignore[arg-type]
    "rooms are a text": Allow(rooms="lobby"),  # type: ignore[arg-type]
    "grants are a text": Allow(grants="moderate"),  # type: ignore[arg-type]
    "grants are a number": Allow(grants=1),  # type: ignore[arg-type]
    "meta is a list": Allow(meta=[]),  # type: ignore[arg-type]
    "ice is a word": Allow(ice="relay"),  # type: ignore[arg-type]
    "a policy is another word": Allow(ice=IcePolicy(transport_policy="relais")),  # type: ignore[arg-type]
    "a life is a text": Allow(ice=IcePolicy(ttl="600")),  # type: ignore[arg-type]
    "a life is negative": Allow(ice=IcePolicy(ttl=-1)),
    "servers are a number": Allow(ice=IcePolicy(servers=1)),  # type: ignore[arg-type]
    "a code is a number": Deny(4403),  # type: ignore[arg-type]
    "a reason is nothing": Deny("banned", None),  # type: ignore[arg-type]
    "a wait is nan": Deny("banned", retry_after=float("nan")),
    "a wait is a text": Deny("banned", retry_after="5"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_answer_admits_nobody(name: str, run: Run) -> None:
    """SG-3: of another type in any of its parts, alone and among several hooks; and no ticket says it either."""

    async def wrong(request: ConnectRequest) -> object:
        return WRONG[name]

    async def right(request: ConnectRequest) -> object:
        return Allow()

    async def scenario() -> None:
        with pytest.raises(MalformedError):
            checked_answer(WRONG[name])
        for hook in (wrong, chained((wrong, right)), chained((right, wrong))):
            control = entrance(hooks=AdmissionHooks(before_connect=hook))
            assert refused(await control.admit(bearing(token()))).error == "hook_failed"
        answer: Any = WRONG[name]
        if isinstance(answer, Allow):
            with pytest.raises(LocalProtocolError):
                entrance().invite(answer)

    run(scenario())


def test_words_do_as_well_as_members() -> None:
    """SG-3: `relay` as a word is not passed over."""
    words: Any = ["join", Grant.MESSAGE]
    policy: Any = "relay"
    given = Allow(identity="alice", grants=words, ice=IcePolicy(transport_policy=policy))
    found = checked_answer(given)
    assert isinstance(found, Allow)
    assert found.grants == frozenset({Grant.JOIN, Grant.MESSAGE})
    assert found.ice == IcePolicy(transport_policy=IceTransportPolicy.RELAY)


def test_a_right_answer_is_what_it_was() -> None:
    allow = Allow(
        identity="alice", name="Alice", rooms=("lobby",), grants=frozenset({Grant.JOIN}), meta={"a": 1},
        labels={"b": "c"},
        limits=AdmissionLimits(frames_per_second=5.0, frame_burst=6, rooms=7, sessions=8), expires_at=UnixSeconds(1e9),
        ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY, ttl=60, servers=False),
    )  # fmt: skip
    assert checked_answer(allow) == allow
    assert checked_answer(Allow()) == Allow()
    assert checked_answer(Deny("banned", "why", True, 5)) == Deny("banned", "why", True, 5)
