"""Health, and what the server has seen of a request."""

from __future__ import annotations

from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from tests.signaling.http.asgi import World


def test_liveness_and_readiness_are_two_questions() -> None:
    """OP-14: a server that takes no new clients lives; and rate limits never look like a dead server."""
    world = World(ready=False)
    world.callers.refusal = Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", retry_after=1.0, status=429)
    assert (world.ask("GET", "/healthz").status, world.ask("GET", "/readyz").status) == (200, 503)
    assert World().ask("GET", "/readyz").status == 200
    assert world.ask("GET", "/v1/diag/whoami").status == 429


def test_a_request_is_told_what_came_of_it_and_no_value_of_a_header() -> None:
    """SG-7: names alone."""
    answer = World().ask("GET", "/v1/diag/whoami", {"X-Forwarded-For": "10.0.0.1", "Authorization": "Bearer secret"})
    assert answer.json == {
        "ip": "203.0.113.7",
        "port": 40000,
        "tls": True,
        "httpVersion": "1.1",
        "headersSeen": ["authorization", "host", "x-forwarded-for"],
    }
    assert b"secret" not in answer.body
