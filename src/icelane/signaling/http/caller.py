"""Who asks: a program of the operator, who shows an API key, or a user, who was admitted."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from starlette.requests import Request

from icelane.signaling.admitted import Admission, IcePolicy, Refusal
from icelane.signaling.http.problem import forbidden, problem_of


class Operator(NamedTuple):
    """Somebody with an API key; `name` is the key's."""

    name: str


Caller: TypeAlias = Operator | Admission


class Callers(Protocol):
    """Finds out who sent a request. Cookies count only beside what a foreign page cannot send."""

    def passes(self, request: Request) -> Refusal | None:
        """Lists, rate limits and Origin: what is judged before it is known who it is. None lets the request through."""
        ...

    async def identify(self, request: Request) -> Caller | Refusal:
        """Who it is, of a request that passes."""
        ...

    def address(self, request: Request) -> str:
        """The canonical address of the client, behind trusted proxies."""
        ...

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may read the answers, and send cookies."""
        ...

    def refuses(self, identity: str) -> Refusal | None:
        """Why nothing is made for this user, whoever asks for him (CR-8)."""
        ...

    async def before_ice(self, admission: Admission, address: str) -> IcePolicy | Refusal:
        """The policy that somebody's credentials are made by, or why he gets none: the program's last word, and how
        often one may ask (CR-4)."""
        ...


async def identified(callers: Callers, request: Request) -> Caller:
    """Who it is. Raises Problem."""
    found = await callers.identify(request)
    if isinstance(found, Refusal):
        raise problem_of(found)
    return found


async def operator_of(callers: Callers, request: Request) -> Operator:
    """The operator who asks. Raises Problem: 403 for a user."""
    found = await identified(callers, request)
    if not isinstance(found, Operator):
        raise forbidden(detail="an API key is needed for this")
    return found


def check_user(callers: Callers, identity: str) -> None:
    """Raises Problem when nothing is made for this user."""
    refusal = callers.refuses(identity)
    if refusal is not None:
        raise problem_of(refusal)


async def user_of(callers: Callers, request: Request) -> Admission:
    """The user who asks. Raises Problem: 403 for an operator, who is nobody in a room."""
    found = await identified(callers, request)
    if isinstance(found, Operator):
        raise forbidden(detail="this is for users; an API key makes tokens for them with POST /v1/tokens")
    return found
