"""The same credentials in the shapes of others, so that programs written for them need another host name only.

    uberti       GET or POST /turn                                    draft-uberti-behave-turn-rest-00 section 2
    matrix       GET /_matrix/client/v3/voip/turnServer               Matrix client-server API, "Voice over IP"
    twilio       POST /2010-04-01/Accounts/{sid}/Tokens.json          Twilio, "Network Traversal Service Tokens"
    cloudflare   POST /v1/turn/keys/{key}/credentials/...             Cloudflare Realtime, "Generate Credentials"
    xirsys       PUT /_turn/{channel}                                 Xirsys API v3

Callers show what they show elsewhere: a join token or an API key, as Bearer, or as the password of Basic. An account,
key or channel in a path is only repeated. The draft's API key in the query is not taken: queries end in logs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from icelane.errors import ConfigurationError
from icelane.signaling.http.credential_endpoints import CredentialEndpoints, IceServersRequest
from icelane.signaling.http.endpoint import Endpoint, body_of, json_of, json_response
from icelane.signaling.http.problem import Problem, bad_request, forbidden, retry_milliseconds
from icelane.signaling.ice_servers import Issued

SHAPES: Final = ("uberti", "matrix", "twilio", "cloudflare", "xirsys")
MAX_FIELDS: Final = 32
TWILIO_TTL: Final = 86_400.0
"""What a caller gets there who asks for none; a program that makes a new token each day relies on it."""


class UbertiBody(Struct, kw_only=True):
    """Of the draft, and of Matrix."""

    username: str
    password: str
    ttl: int
    uris: tuple[str, ...]


class CloudflareRequest(Struct, kw_only=True, rename="camel"):
    """`customIdentifier` is for their statistics; here it is the user."""

    ttl: float | UnsetType = UNSET
    custom_identifier: str | UnsetType = UNSET


class XirsysRequest(Struct, kw_only=True):
    """`format` is `urls` for one entry with a list, else there is an entry for each URL. `expire` may be a text."""

    format: str = ""
    expire: float | str | UnsetType = UNSET


class Compatibility:
    """The endpoints of the chosen shapes. Raises ConfigurationError for one that is not known."""

    def __init__(self, credentials: CredentialEndpoints, shapes: Collection[str]) -> None:
        self._credentials = credentials
        for shape in shapes:
            if shape not in SHAPES:
                raise ConfigurationError(f"{shape} is none of {', '.join(SHAPES)}", key="server.compat")
        self._shapes = frozenset(shapes)

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        made: list[Endpoint] = []
        makers: dict[str, Callable[[], list[Endpoint]]] = {
            "uberti": self._uberti,
            "matrix": self._matrix,
            "twilio": self._twilio,
            "cloudflare": self._cloudflare,
            "xirsys": self._xirsys,
        }
        for shape in SHAPES:
            if shape in self._shapes:
                made += makers[shape]()
        return made

    # draft-uberti-behave-turn-rest-00 section 2

    def _uberti(self) -> list[Endpoint]:
        return [
            _endpoint(
                method, "/turn", self._answer_uberti, "TURN credentials as draft-uberti-behave-turn-rest has them"
            )
            for method in ("GET", "POST")
        ]

    async def _answer_uberti(self, request: Request) -> Response:
        fields = dict(request.query_params) | (await _form(request) if request.method == "POST" else {})
        if fields.get("service", "turn") != "turn":
            raise bad_request("service is turn")
        asked = IceServersRequest(user=fields.get("username") or UNSET, ttl=_number(fields.get("ttl")))
        return json_response(_uberti_body(await self._issue(request, asked, "uberti")))

    # Matrix

    def _matrix(self) -> list[Endpoint]:
        return [
            _endpoint(
                "GET",
                f"/_matrix/client/{version}/voip/turnServer",
                self._answer_matrix,
                "TURN credentials as Matrix has them",
                write_problem=_matrix_problem,
            )
            for version in ("v3", "r0")
        ]

    async def _answer_matrix(self, request: Request) -> Response:
        try:
            issued = await self._issue(request, IceServersRequest(), "matrix")
        except Problem as problem:
            if problem.status == 401 and set(request.headers).isdisjoint(("authorization", "cookie")):
                problem.code = _NOTHING_SHOWN
            raise
        return json_response(_uberti_body(issued))

    # Twilio

    def _twilio(self) -> list[Endpoint]:
        return [
            _endpoint(
                "POST",
                "/2010-04-01/Accounts/{sid}/Tokens.json",
                self._answer_twilio,
                "TURN credentials as Twilio has them",
                status=201,
                write_problem=_twilio_problem,
            )
        ]

    async def _answer_twilio(self, request: Request) -> Response:
        fields = await _form(request)
        ttl = _number(fields.get("Ttl"))
        issued = await self._issue(request, IceServersRequest(ttl=TWILIO_TTL if ttl is UNSET else ttl), "twilio")
        made_at = format_datetime(datetime.fromtimestamp(issued.expires_at - issued.ttl, UTC))
        body = {
            "account_sid": request.path_params["sid"],
            "date_created": made_at,
            "date_updated": made_at,
            "ice_servers": [{"url": entry["urls"], **entry} for entry in _single(issued)],
            "username": issued.username,
            "password": issued.password,
            "ttl": str(issued.ttl),
        }
        return json_response(body, 201)

    # Cloudflare

    def _cloudflare(self) -> list[Endpoint]:
        key = "/v1/turn/keys/{key}/credentials"
        return [
            _endpoint(
                "POST",
                f"{key}/generate-ice-servers",
                self._answer_cloudflare,
                "TURN credentials as Cloudflare has them",
                status=201,
            ),
            _endpoint(
                "POST",
                f"{key}/generate",
                self._answer_cloudflare_once,
                "The same in one entry, as Cloudflare had them before",
                status=201,
            ),
            _endpoint(
                "POST",
                f"{key}/{{username:path}}/revoke",
                self._revoke_cloudflare,
                "Take a credential back as with Cloudflare",
                status=204,
            ),
        ]

    async def _answer_cloudflare(self, request: Request) -> Response:
        issued = await self._issue_cloudflare(request)
        return json_response({"iceServers": issued.body.ice_servers}, 201)

    async def _answer_cloudflare_once(self, request: Request) -> Response:
        issued = await self._issue_cloudflare(request)
        urls = [url for server in issued.body.ice_servers for url in server.urls]
        entry = {"urls": urls, "username": issued.username, "credential": issued.password}
        return json_response({"iceServers": entry}, 201)

    async def _issue_cloudflare(self, request: Request) -> Issued:
        asked = await json_of(request, CloudflareRequest)
        return await self._issue(request, IceServersRequest(user=asked.custom_identifier, ttl=asked.ttl), "cloudflare")

    async def _revoke_cloudflare(self, request: Request) -> Response:
        await self._credentials.revoke(request, request.path_params["username"])
        return Response(status_code=204)

    # Xirsys

    def _xirsys(self) -> list[Endpoint]:
        return [
            _endpoint(
                "PUT",
                "/_turn/{channel:path}",
                self._answer_xirsys,
                "TURN credentials as Xirsys has them",
                write_problem=_xirsys_problem,
            )
        ]

    async def _answer_xirsys(self, request: Request) -> Response:
        asked = await json_of(request, XirsysRequest)
        expire = _number(asked.expire) if isinstance(asked.expire, str) else asked.expire
        issued = await self._issue(request, IceServersRequest(ttl=expire), "xirsys")
        if asked.format == "urls":
            urls = [url for server in issued.body.ice_servers for url in server.urls]
            servers: Any = {"username": issued.username, "urls": urls, "credential": issued.password}
        else:
            servers = [{"url": entry.pop("urls"), **entry} for entry in _single(issued)]
        return json_response({"v": {"iceServers": servers}, "s": "ok"})

    async def _issue(self, request: Request, asked: IceServersRequest, kind: str) -> Issued:
        issued = await self._credentials.issue(request, asked, kind)
        if issued.username is None:
            raise forbidden("ice_not_granted", "there is no TURN server to hand out")
        return issued


def _endpoint(method: str, path: str, handler: Any, summary: str, **more: Any) -> Endpoint:
    return Endpoint(
        method=method, path=path, handler=handler, summary=summary, caller="both", tags=("compatibility",), **more
    )


def _uberti_body(issued: Issued) -> UbertiBody:
    uris = tuple(url for server in issued.body.ice_servers for url in server.urls if url.startswith("turn"))
    assert issued.username is not None, "checked where it was issued"
    assert issued.password is not None, "comes with the name"
    return UbertiBody(username=issued.username, password=issued.password, ttl=issued.ttl, uris=uris)


def _single(issued: Issued) -> Iterable[dict[str, str]]:
    """An entry for each URL."""
    for server in issued.body.ice_servers:
        for url in server.urls:
            entry = {"urls": url}
            if isinstance(server.username, str) and isinstance(server.credential, str):
                entry |= {"username": server.username, "credential": server.credential}
            yield entry


async def _form(request: Request) -> dict[str, str]:
    try:
        pairs = parse_qsl((await body_of(request)).decode("ascii"), max_num_fields=MAX_FIELDS)
    except (UnicodeError, ValueError):
        pairs = None
    if pairs is None:
        raise bad_request("the form does not parse")
    return dict(pairs)


def _number(text: str | None) -> float | UnsetType:
    if not text:
        return UNSET
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise bad_request("a lifetime is a number of seconds")
    return float(text)


# Matrix tells who has shown nothing from who has shown what nobody knows; a caller knows that himself (CR-1).
_NOTHING_SHOWN: Final = "missing_token"
_MATRIX_CODES: Final = {401: "M_UNKNOWN_TOKEN", 403: "M_FORBIDDEN", 429: "M_LIMIT_EXCEEDED"}


def _matrix_problem(problem: Problem) -> Response:
    code = "M_MISSING_TOKEN" if problem.code == _NOTHING_SHOWN else _MATRIX_CODES.get(problem.status, "M_UNKNOWN")
    body: dict[str, Any] = {"errcode": code, "error": problem.title}
    if problem.status == 429 and problem.retry_after is not None:
        body["retry_after_ms"] = retry_milliseconds(problem.retry_after)
    return _json(body, problem)


_TWILIO_CODES: Final = {401: 20003, 403: 20403, 429: 20429}


def _twilio_problem(problem: Problem) -> Response:
    code = _TWILIO_CODES.get(problem.status, 20001)
    return _json({"code": code, "message": problem.title, "status": problem.status}, problem)


def _xirsys_problem(problem: Problem) -> Response:
    return _json({"v": problem.code, "s": "error"}, problem)


def _json(body: dict[str, Any], problem: Problem) -> Response:
    content = msgspec.json.encode(body)
    return Response(content, problem.status, headers=problem.all_headers(), media_type="application/json")
