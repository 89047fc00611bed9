"""Callers of HTTP as admission knows them."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from icelane.signaling.admission.control import AdmissionHooks
from icelane.signaling.admission.request import Allow, IceRequest
from icelane.signaling.admitted import Admission, IcePolicy, IceTransportPolicy, Refusal
from icelane.signaling.http.admission_callers import AdmissionCallers
from icelane.signaling.http.caller import Operator, operator_of
from icelane.signaling.http.endpoint import routes
from icelane.signaling.http.problem import Problem
from icelane.signaling.http.surface import HttpSurface
from icelane.signaling.ice_servers import IceServers, IceSettings
from icelane.turn.access_list import AccessEntries, parse_access_entry
from tests.signaling.admission.entrance import API_KEY, IP, entrance, token
from tests.signaling.http.asgi import SECRET, URLS, ask


def asking(authorization: str = "") -> Request:
    lines = [(b"authorization", authorization.encode())] if authorization else []
    return Request({
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": "/v1/rooms",
        "query_string": b"",
        "headers": lines,
        "client": (IP, 40000),
        "server": ("192.0.2.1", 443),
    })  # fmt: skip


def test_only_an_api_key_makes_an_operator() -> None:
    """SG-13: no token makes one, whoever it says it is."""
    callers = AdmissionCallers(entrance())
    pretender = f"Bearer {token(sub='api:backend', grants=['moderate'])}"

    async def scenario() -> None:
        assert await callers.identify(asking(f"Bearer {API_KEY}")) == Operator("backend")
        assert isinstance(await callers.identify(asking(pretender)), Admission)
        with pytest.raises(Problem) as caught:
            await operator_of(callers, asking(pretender))
        assert caught.value.status == 403
        nobody = await callers.identify(asking())
        assert isinstance(nobody, Refusal)
        assert nobody.error == "unauthorized"

    asyncio.run(scenario())


def test_nothing_is_made_for_a_user_whom_the_lists_keep_out() -> None:
    """CR-8: neither a token nor credentials, though an operator asks."""
    control = entrance()
    control.lists.replace(AccessEntries(deny=(parse_access_entry("identity:mallory"),)))
    callers = AdmissionCallers(control)
    refusal = callers.refuses("mallory")
    assert refusal is not None
    assert (refusal.error, refusal.http_status) == ("denied", 403)
    assert callers.refuses("alice") is None


def test_whoever_has_a_hook_about_credentials_need_not_say_so_to_the_surface() -> None:
    """CR-4: `before_ice`, and the rate of an identity, of whatever stands on these callers."""

    async def before_ice(event: IceRequest) -> object:
        return Allow(ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY, ttl=7))

    async def readiness() -> tuple[bool, dict[str, object]]:
        return True, {}

    callers = AdmissionCallers(entrance(hooks=AdmissionHooks(before_ice=before_ice)))
    ice = IceServers(IceSettings(urls=URLS, secrets=(SECRET,)))
    surface = HttpSurface(callers=callers, readiness=readiness, signal_url=lambda: "wss://x/v1/signal", ice=ice)
    app = Starlette(routes=routes(surface.endpoints(), callers))

    async def scenario() -> None:
        bearer = {"authorization": f"Bearer {token()}"}
        answers = [await ask(app, "POST", "/v1/ice-servers", bearer, [b""]) for _ in range(12)]
        assert [answer.status for answer in answers] == [201] * 10 + [429] * 2
        assert (answers[0].json["iceTransportPolicy"], answers[0].json["ttl"]) == ("relay", 7)

    asyncio.run(scenario())
