"""A link that lets one person in, once: a command over the admin socket, so that only the server's user makes any.

{"command": "invite", "identity": "ann", "rooms": ["demo"], "validFor": 3600, "name": "Ann", "grants": ["join"],
 "meta": {}, "ice": {"policy": "relay"}}
{"ok": true, "url": "https://call.example.org/r/demo#ticket=...", "expiresIn": 60}

What it says is what a join token says, and means the same; `validFor` is how long the session may last, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from icelane.core.clock import Instant, WallClock
from icelane.errors import MalformedError
from icelane.server.admin import Answer, Request, RequestError
from icelane.signaling.admission.join_token import DEFAULT_LIFETIME, MAX_LIFETIME, MIN_LIFETIME, parse_join_claims
from icelane.signaling.admission.request import Allow
from icelane.signaling.admission.ticket import LIFETIME

INVITE: Final = "invite"

_CLAIMS: Final = ("rooms", "name", "grants", "meta", "ice")


class Invitations:
    """`invite` makes a ticket, and `page_url` says where the pages are, without a slash at its end."""

    def __init__(
        self, invite: Callable[[Allow], str | None], page_url: Callable[[], str], wall_clock: WallClock
    ) -> None:
        self._invite = invite
        self._page_url = page_url
        self._wall_clock = wall_clock

    def answer(self, request: Request, now: Instant) -> Answer:
        """What follows `"ok": true`. Raises RequestError."""
        claims = _claims(request)
        claims["exp"] = self._wall_clock.unix_time(now) + _lifetime(request.get("validFor", DEFAULT_LIFETIME))
        try:
            allow = parse_join_claims(claims)
        except MalformedError as error:
            raise RequestError(str(error)) from None
        ticket = self._invite(allow)
        if ticket is None:
            raise RequestError("too many tickets are out; try again in a minute")
        return {"url": invitation_url(self._page_url(), allow.rooms or (), ticket), "expiresIn": int(LIFETIME)}


def invitation_url(page_url: str, rooms: tuple[str, ...], ticket: str) -> str:
    """The page of the one room that is meant, or the one that asks which. No server and no log sees the fragment."""
    exact = [room for room in rooms if not room.endswith("*")]
    path = f"/r/{quote(exact[0], safe='')}" if len(exact) == 1 else "/"
    return f"{page_url}{path}#ticket={ticket}"


def _claims(request: Request) -> dict[str, Any]:
    found: Mapping[str, Any] = {name: request[name] for name in _CLAIMS if name in request}
    return {"sub": request.get("identity"), **found}


def _lifetime(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError("validFor is a number of seconds")
    return min(max(float(value), MIN_LIFETIME), MAX_LIFETIME)
