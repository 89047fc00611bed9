"""Callers of HTTP as admission knows them."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.http.admission_callers import AdmissionCallers
from icelane.signaling.http.caller import Operator, operator_of
from icelane.signaling.http.problem import Problem
from icelane.turn.access_list import AccessEntries, parse_access_entry
from tests.signaling.admission.entrance import API_KEY, IP, entrance, token


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
