"""What the page of diagnosis asks of a server: an echo over its own relay, its own checks, and a report to share.

For users and operators alone, and nothing is kept, begun or contacted for anybody else: with a join token, an API key,
a cookie, or a one-time ticket as `?ticket=`. Nothing that a request names is ever contacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from icelane.core.clock import Duration, UnixSeconds
from icelane.signaling.http.caller import Caller, Callers, Operator, identified
from icelane.signaling.http.endpoint import Endpoint, json_of, json_response
from icelane.signaling.http.problem import Problem, bad_request, not_found
from icelane.signaling.messages import iso_time

SESSIONS_PATH: Final = "/v1/diag/sessions"
CHECKS_PATH: Final = "/v1/diag/checks"
REPORTS_PATH: Final = "/v1/diag/reports"

MAX_CHECKS: Final = 128
"""Rows of a report: those of a page and of a server together are half as many."""

_TAGS: Final = ("diagnostics",)


class Diagnosis(Protocol):
    """What the endpoints stand on. `user` is a name that nobody else has."""

    def wait(self, user: str) -> Duration | None:
        """Count one request of a user that costs something; the seconds to wait when it is one too many."""
        ...

    async def begin_echo(self, offer: str, user: str) -> tuple[str, str, Duration]:
        """The name of a session, the answer's SDP, and how long the session lives. Raises Problem."""
        ...

    async def seen(self, session: str, user: str) -> Mapping[str, object] | None:
        """What the server has seen of a user's session; None when he has no such one."""
        ...

    async def checks(self, *, masked: bool) -> Mapping[str, object]:
        """The server's checks of itself, a minute old at most. With `masked` no address is told in full."""
        ...

    def keep(self, report: bytes, user: str, *, masked: bool) -> tuple[str, UnixSeconds]:
        """The id of a report, and when it ends. Raises Problem when it is too large."""
        ...

    def report(self, name: str) -> bytes | None:
        """A report, None where there is none."""
        ...


class SessionOffer(Struct, kw_only=True):
    """An offer of one section, of data channels, with the relayed candidates in it."""

    type: Literal["offer"]
    sdp: str


class AnswerDescription(Struct, kw_only=True):
    """Goes into setRemoteDescription."""

    type: Literal["answer"]
    sdp: str


class SessionAnswer(Struct, kw_only=True, rename="camel"):
    """`address` is where the request came from; the session can be asked about for `expiresIn` seconds."""

    session: str
    description: AnswerDescription
    address: str
    expires_in: float


class ReportedCheck(Struct, kw_only=True, omit_defaults=True):
    """One row. `status` is `passed`, `warned`, `failed` or `skipped`; `side` who has looked: `browser` or `server`."""

    name: str
    status: Literal["passed", "warned", "failed", "skipped"]
    ms: float = 0.0
    detail: str = ""
    cause: str | UnsetType = UNSET
    mend: str | UnsetType = UNSET
    side: Literal["browser", "server"] | UnsetType = UNSET


class ReportedVerdict(Struct, kw_only=True, omit_defaults=True):
    """The one cause, and its mend."""

    cause: str
    sentence: str
    detail: str = ""
    mend: str = ""


class ReportRequest(Struct, kw_only=True, omit_defaults=True):
    """A report to share. Addresses in it are cut to networks unless `addresses` is true."""

    checks: tuple[ReportedCheck, ...]
    verdict: ReportedVerdict | UnsetType = UNSET
    client: str | UnsetType = UNSET
    addresses: bool = False


class ReportKept(Struct, kw_only=True, rename="camel"):
    """`GET /v1/diag/reports/{id}` has it until then."""

    id: str
    expires_at: str


class DiagnosisEndpoints:
    """Thin: who asks, how often, and the shapes."""

    def __init__(self, callers: Callers, diagnosis: Diagnosis) -> None:
        self._callers = callers
        self._diagnosis = diagnosis

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        return [
            Endpoint(
                method="POST", path=SESSIONS_PATH, handler=self._begin, status=201, caller="both", ticket=True,
                summary="A call with the server, which sends back what it gets over its own relay",
                request=SessionOffer, answer=SessionAnswer, tags=_TAGS,
            ),
            Endpoint(
                method="GET", path=SESSIONS_PATH + "/{session}", handler=self._seen, caller="both", ticket=True,
                summary="What the server has seen of such a call", tags=_TAGS,
            ),
            Endpoint(
                method="GET", path=CHECKS_PATH, handler=self._checks, caller="both", ticket=True,
                summary="What the server finds when it checks itself", tags=_TAGS,
            ),
            Endpoint(
                method="POST", path=REPORTS_PATH, handler=self._keep, status=201, caller="both", ticket=True,
                summary="Keep a report, to be shared by its id", request=ReportRequest, answer=ReportKept, tags=_TAGS,
            ),
            Endpoint(
                method="GET", path=REPORTS_PATH + "/{report}", handler=self._report, caller="both", ticket=True,
                summary="A report that was kept", answer=ReportRequest, tags=_TAGS,
            ),
        ]  # fmt: skip

    async def _begin(self, request: Request) -> Response:
        user = await self._user(request, counts=True)
        offer = await json_of(request, SessionOffer)
        session, sdp, lifetime = await self._diagnosis.begin_echo(offer.sdp, user)
        answer = SessionAnswer(
            session=session,
            description=AnswerDescription(type="answer", sdp=sdp),
            address=self._callers.address(request),
            expires_in=lifetime,
        )
        return json_response(answer, 201)

    async def _seen(self, request: Request) -> Response:
        user = await self._user(request)
        found = await self._diagnosis.seen(str(request.path_params["session"]), user)
        if found is None:
            raise not_found("no such session, or not any more")
        return json_response(found)

    async def _checks(self, request: Request) -> Response:
        caller = await identified(self._callers, request)
        self._count(_name_of(caller))
        return json_response(await self._diagnosis.checks(masked=not isinstance(caller, Operator)))

    async def _keep(self, request: Request) -> Response:
        user = await self._user(request, counts=True)
        report = await json_of(request, ReportRequest)
        if len(report.checks) > MAX_CHECKS:
            raise bad_request(f"a report has {MAX_CHECKS} checks at most")
        name, expires_at = self._diagnosis.keep(msgspec.json.encode(report), user, masked=not report.addresses)
        return json_response(ReportKept(id=name, expires_at=iso_time(expires_at)), 201)

    async def _report(self, request: Request) -> Response:
        await self._user(request)
        found = self._diagnosis.report(str(request.path_params["report"]))
        if found is None:
            raise not_found("no such report, or not any more")
        return Response(found, media_type="application/json")

    async def _user(self, request: Request, *, counts: bool = False) -> str:
        """A name for who asks. Raises Problem."""
        user = _name_of(await identified(self._callers, request))
        if counts:
            self._count(user)
        return user

    def _count(self, user: str) -> None:
        wait = self._diagnosis.wait(user)
        if wait is not None:
            raise Problem(status=429, code="rate_limited", title="rate limited", retryable=True, retry_after=wait)


def _name_of(caller: Caller) -> str:
    """No identity begins with a NUL, so none is called as an operator's key is."""
    return "\0" + caller.name if isinstance(caller, Operator) else caller.identity
