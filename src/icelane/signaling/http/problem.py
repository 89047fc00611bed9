"""Errors of HTTP, as RFC 9457 has them: `application/problem+json`, with a stable word for programs.

    {"title": "rate limited", "status": 429, "code": "rate_limited", "retryable": true, "retryAfter": 3.0}

`hint` says what mends it. Nothing of what was sent is repeated: it may hold a token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.responses import Response

from icelane.core.clock import Duration
from icelane.signaling.admitted import Refusal

CONTENT_TYPE: Final = "application/problem+json"

_RETRYABLE: Final = frozenset({429, 503})


@dataclass(kw_only=True, eq=False)  # not frozen: whoever raises it writes to it
class Problem(Exception):
    """What an endpoint raises instead of answering. `code` is for programs, `title` and `detail` are for people."""

    status: int
    code: str
    title: str
    detail: str = ""
    hint: str = ""
    retryable: bool = False
    retry_after: Duration | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The body. What is not known is left out."""
        body: dict[str, Any] = {"title": self.title, "status": self.status, "code": self.code}
        if self.detail:
            body["detail"] = self.detail
        body["retryable"] = self.retryable
        if self.retry_after is not None:
            body["retryAfter"] = retry_milliseconds(self.retry_after) / 1000
        if self.hint:
            body["hint"] = self.hint
        return body

    def all_headers(self) -> dict[str, str]:
        """Those of the answer, `Retry-After` among them when there is a time to wait."""
        if self.retry_after is None:
            return dict(self.headers)
        return {**self.headers, "retry-after": str(retry_seconds(self.retry_after))}


def retry_seconds(wait: Duration) -> int:
    """What `Retry-After` says. Up, and never 0: who comes back sooner than he may is refused once more."""
    return max(1, math.ceil(wait))


def retry_milliseconds(wait: Duration) -> int:
    """The same for bodies, which have finer words."""
    return math.ceil(wait * 1000)


def unauthorized() -> Problem:
    """CR-1: the same for everybody, whatever was wrong with what he showed."""
    return Problem(
        status=401,
        code="unauthorized",
        title="not authorized",
        hint="send a join token or an API key as `Authorization: Bearer ...`",
        headers={"www-authenticate": 'Bearer realm="icelane"'},
    )


def bad_request(detail: str, code: str = "bad_request") -> Problem:
    """The request is not one of ours."""
    return Problem(status=400, code=code, title="bad request", detail=detail)


def forbidden(code: str = "forbidden", detail: str = "") -> Problem:
    """Whoever asks is known, and may not."""
    return Problem(status=403, code=code, title="forbidden", detail=detail)


def not_found(what: str) -> Problem:
    """There is no such thing."""
    return Problem(status=404, code="not_found", title="not found", detail=what)


def problem_of(refusal: Refusal) -> Problem:
    """What admission has refused, in the words of HTTP."""
    status = refusal.http_status
    if status == 401:
        return unauthorized()
    return Problem(
        status=status,
        code=refusal.error,
        title=refusal.error.replace("_", " "),
        detail=refusal.reason,
        retryable=status in _RETRYABLE or refusal.retry_after is not None,
        retry_after=refusal.retry_after,
    )


def problem_response(problem: Problem) -> Response:
    """The answer."""
    body = msgspec.json.encode(problem.document())
    return Response(body, problem.status, headers=problem.all_headers(), media_type=CONTENT_TYPE)
