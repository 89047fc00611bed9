"""`/v1/ice-servers`: TURN credentials for whoever was admitted, and taking them back."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Final, Protocol

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from icelane.aio.system import monotonic
from icelane.core.entropy import Entropy
from icelane.crypto.provider import SystemEntropy
from icelane.errors import LocalProtocolError
from icelane.signaling.admitted import Admission, IceTransportPolicy, Refusal
from icelane.signaling.http.caller import Callers, Operator, check_user, identified, operator_of
from icelane.signaling.http.endpoint import Endpoint, json_of, json_response
from icelane.signaling.http.problem import Problem, bad_request, forbidden, problem_of
from icelane.signaling.ice_servers import IceServers, Issued
from icelane.signaling.messages import IceServersBody
from icelane.turn.credentials import MAX_USERNAME_BYTES
from icelane.turn.ephemeral_user import ephemeral_user

MAX_USER: Final = 256
_RANDOM_BYTES: Final = 9
# `expiry:kid:user`: seconds since 1970 have nine digits at least. Whoever is called like this is named as encoded.
_ONE_CREDENTIAL: Final = re.compile(r"[0-9]{9,12}:.+", re.DOTALL)


class Revoker(Protocol):
    """Takes credentials back."""

    async def revoke(self, username: str) -> int:
        """Refuse `username`, a whole one or a user's, until it has expired, and end its allocations; how many.

        Raises LocalProtocolError when too many revocations are remembered.
        """
        ...


class IceServersRequest(Struct, kw_only=True, rename="camel"):
    """`user`, `policy` and `ttl` are the operator's to choose. A user may ask for less than he has: a shorter life, or
    `relay`; `room` asks whether he may be there at all."""

    user: str | UnsetType = UNSET
    ttl: float | UnsetType = UNSET
    policy: str | UnsetType = UNSET
    room: str | UnsetType = UNSET


class CredentialEndpoints:
    """Made with what it hands out from, and who takes back."""

    def __init__(
        self,
        ice: IceServers,
        callers: Callers,
        revoker: Revoker | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._ice = ice
        self._callers = callers
        self._revoker = revoker
        self._entropy = entropy or SystemEntropy()

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        path = "/v1/ice-servers"
        tags = ("credentials",)
        made = [
            Endpoint(
                method="POST",
                path=path,
                handler=self._create,
                summary="TURN credentials, ready for RTCPeerConnection",
                caller="both",
                request=IceServersRequest,
                answer=IceServersBody,
                status=201,
                tags=tags,
            ),
            Endpoint(
                method="GET",
                path=path,
                handler=self._get,
                summary="The same, for callers that can only GET",
                caller="both",
                answer=IceServersBody,
                tags=tags,
            ),
        ]
        if self._revoker is not None:
            made.append(
                Endpoint(
                    method="DELETE",
                    path=path + "/{username:path}",
                    handler=self._revoke,
                    summary="Take a credential back, and end what was allocated with it",
                    caller="operator",
                    status=204,
                    tags=tags,
                )
            )
        return made

    async def issue(self, request: Request, asked: IceServersRequest, kind: str) -> Issued:
        """What the caller gets. Raises Problem."""
        caller = await identified(self._callers, request)
        ttl = None if asked.ttl is UNSET else asked.ttl
        policy = _policy(asked.policy)
        if isinstance(caller, Operator):
            user = self._user(caller, asked.user)
            check_user(self._callers, user)
            return self._ice.issue(
                user,
                monotonic(),
                kind=kind,
                ttl=None if ttl is None else _whole(ttl),
                policy=policy or IceTransportPolicy.ALL,
            )
        if asked.user is not UNSET and asked.user != caller.identity:
            raise forbidden("not_yourself", "a user gets credentials for himself")
        admission = await self._decided(caller, request)
        if not admission.rooms or (asked.room is not UNSET and not admission.covers(asked.room)):
            raise forbidden("room_not_granted", "the token is for no such room")
        if not admission.ice.servers:
            raise forbidden("ice_not_granted", "the token grants no TURN server")
        if policy is IceTransportPolicy.RELAY:
            admission = _relay_only(admission)
        return self._ice.for_admission(admission, monotonic(), kind=kind, ttl=None if ttl is None else _whole(ttl))

    async def revoke(self, request: Request, username: str) -> None:
        """Take `username` back for an operator. Raises Problem."""
        await operator_of(self._callers, request)
        names = _names(username)
        if not names:
            raise bad_request(f"a user name has 1 to {MAX_USERNAME_BYTES} bytes, a user 1 to {MAX_USER} characters")
        if self._revoker is None:
            raise Problem(status=501, code="not_implemented", title="nothing is revoked here")
        try:
            for name in names:
                await self._revoker.revoke(name)
        except LocalProtocolError as error:
            problem = Problem(
                status=503,
                code="too_many_revocations",
                title="too many revocations",
                detail=str(error),
                hint="rotate the secret: that takes back everything that it signed",
            )
            raise problem from None

    async def _create(self, request: Request) -> Response:
        issued = await self.issue(request, await json_of(request, IceServersRequest), "http")
        return json_response(issued.body, 201)

    async def _get(self, request: Request) -> Response:
        return json_response((await self.issue(request, IceServersRequest(), "http")).body)

    async def _revoke(self, request: Request) -> Response:
        await self.revoke(request, request.path_params["username"])
        return Response(status_code=204)

    async def _decided(self, admission: Admission, request: Request) -> Admission:
        decided = await self._callers.before_ice(admission, self._callers.address(request))
        if isinstance(decided, Refusal):
            raise problem_of(decided)
        return replace(admission, ice=decided)

    def _user(self, operator: Operator, user: str | UnsetType) -> str:
        """Whom the operator names; else somebody new each time, so that quotas by user do not meet all of them."""
        if user is UNSET:
            return f"{operator.name}-{base64.urlsafe_b64encode(self._entropy.token(_RANDOM_BYTES)).decode()}"
        if not 0 < len(user) <= MAX_USER or not user.isprintable():
            raise bad_request(f"a user has 1 to {MAX_USER} printable characters", "bad_user")
        return user


def _names(text: str) -> list[str]:
    """What the relay knows him by, whom `text` names: one credential by its user name, or a user by what he is called.

    A user of the configuration has his name as it is; whoever was admitted has it encoded.
    """
    try:
        size, user = len(text.encode()), ephemeral_user(text)
    except UnicodeEncodeError:
        return []
    names = [text] if 0 < size <= MAX_USERNAME_BYTES else []
    if 0 < len(text) <= MAX_USER and user != text and not _ONE_CREDENTIAL.fullmatch(text):
        names.append(user)
    return names


def _policy(policy: str | UnsetType) -> IceTransportPolicy | None:
    if policy is UNSET:
        return None
    try:
        return IceTransportPolicy(policy)
    except ValueError:
        raise bad_request("policy is `all` or `relay`", "bad_policy") from None


def _whole(ttl: float) -> int:
    """Any number at all: what is too large for a life is clamped later."""
    return int(min(max(ttl, 0.0), 1e9))


def _relay_only(admission: Admission) -> Admission:
    return replace(admission, ice=replace(admission.ice, transport_policy=IceTransportPolicy.RELAY))
