"""The ASGI application: what it is made of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny, JoinRequest, MessageRequest
from icelane.signaling.app import signaling_app
from icelane.signaling.http.endpoint import SECURITY_HEADERS
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import Error, Hello, Join, Joined, Ok, SendMessage, Welcome, encode_json
from icelane.signaling.service import SignalService
from tests.loops import Run
from tests.signaling.fake_gate import FakeGate, FakeIce
from tests.signaling.http.asgi import ask
from tests.signaling.http_server import connected, serving


def test_a_service_that_is_there_is_used_as_it_is() -> None:
    gate = FakeGate()
    service = SignalService(gate)
    assert signaling_app(gate, service=service).state.signaling is service


def test_what_a_service_would_not_hear_of_is_refused_by_name() -> None:
    gate = FakeGate()
    with pytest.raises(TypeError, match=r"its own ice, limits: "):
        signaling_app(gate, service=SignalService(gate), ice=FakeIce(), limits=SignalingLimits())


def test_hooks_about_frames_are_asked_because_they_are_there(run: Run) -> None:
    """SG-3: who mounts the application with a hook says nothing else, and nothing passes that the hook forbids."""

    async def before_connect(request: ConnectRequest) -> object:
        return Allow(identity=request.token, rooms=("*",))

    async def before_join(event: JoinRequest) -> object:
        return Deny("not_today") if event.room == "closed" else Allow()

    async def before_message(event: MessageRequest) -> object:
        return Deny("muted", "no talking")

    hooks = AdmissionHooks(before_connect=before_connect, before_join=before_join, before_message=before_message)
    control = AdmissionControl(AdmissionSettings(hooks=hooks), entropy=SystemEntropy())

    async def scenario() -> None:
        async with serving(signaling_app(control)) as url, connected(url) as alice:
            await alice.say(Hello(id=1, token="alice"))
            for number, room in enumerate(("closed", "open")):
                await alice.say(Join(id=number + 2, room=room))
            await alice.say(SendMessage(id=4, to="*", data=encode_json("hi")))
            heard = [await alice.hear() for _ in range(4)]
            assert [type(frame) for frame in heard] == [Welcome, Error, Joined, Error]
            assert [frame.code for frame in heard if isinstance(frame, Error)] == ["not_today", "muted"]

    run(scenario())


def test_a_hook_that_a_reload_adds_is_asked_from_the_next_frame_on(run: Run) -> None:
    """SG-3: whoever reloads admission need not tell the hub."""

    async def before_connect(request: ConnectRequest) -> object:
        return Allow(identity=request.token, rooms=("*",))

    async def before_message(event: MessageRequest) -> object:
        return Deny("muted")

    hooks = AdmissionHooks(before_connect=before_connect)
    control = AdmissionControl(AdmissionSettings(hooks=hooks), entropy=SystemEntropy())

    async def scenario() -> None:
        async with serving(signaling_app(control)) as url, connected(url) as alice:
            await alice.say(Hello(id=1, token="alice"))
            await alice.say(Join(id=2, room="r"))
            await alice.say(SendMessage(id=3, to="*", data=encode_json("hi")))
            assert [type(await alice.hear()) for _ in range(3)] == [Welcome, Joined, Ok]
            control.reload(AdmissionSettings(hooks=replace(hooks, before_message=before_message)))
            await alice.say(SendMessage(id=4, to="*", data=encode_json("hi")))
            assert isinstance(await alice.hear(), Error)

    run(scenario())


@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/v1/signal", "/v1/nothing/"])
def test_a_path_that_nobody_has_is_a_problem_like_others(path: str) -> None:
    """CR-2: with the headers of every answer."""
    answer = asyncio.run(ask(signaling_app(FakeGate()), "GET", path, {}, [b""]))
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
