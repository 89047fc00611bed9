"""Hooks over HTTP: the event as JSON in snake_case, signed, and the answer as ours or as a Centrifugo connect proxy's.

    POST /hook
    Content-Type: application/json
    Icelane-Event: before_connect
    Icelane-Signature: t=1795389600,v1=HEX        HMAC-SHA256(hooks.secret, "1795389600." + body)

    200  {"allow": {"identity": "alice", "rooms": ["lobby"], "grants": ["join"], "ice": {"policy": "relay"}}}
    200  {"deny": {"code": "banned", "reason": "ask the office"}}
    200  {"result": {"user": "alice", ...}} or {"error": {...}} or {"disconnect": {...}}    as Centrifugo has it
    401, 403, 404, 423, 429 and other 4xx are a denial; everything else is a failure

Headers of the client travel only when the configuration lists them, inside of `headers` in the body: nothing that a
client says becomes a header of our request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import UnixSeconds
from icelane.crypto.provider import equal, hmac_sha256
from icelane.errors import MalformedError, OperationError
from icelane.signaling.admission.event_document import document_of
from icelane.signaling.admission.hook import HookFailedError, Notice, Question
from icelane.signaling.admission.http_fetch import Reply
from icelane.signaling.admission.json_text import parse_json_object
from icelane.signaling.admission.request import Allow, Deny
from icelane.signaling.admission.webhook_reply import parse_webhook_reply

SIGNATURE_HEADER: Final = "Icelane-Signature"
EVENT_HEADER: Final = "Icelane-Event"

# Of an answer; what a hook has to say fits into a fraction.
MAX_REPLY: Final = 64 * 1024
# A receiver that checks the signature refuses what is older, so that a recorded request cannot be sent again later.
SIGNATURE_AGE: Final = 300

_DENIALS: Final = {401: "unauthorized", 403: "denied", 404: "not_found", 423: "locked", 429: "rate_limited"}


class Post(Protocol):
    """Sends one request; `HttpFetcher.post` does."""

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> Reply:
        """Raises OperationError without an answer."""
        ...


def sign(body: bytes, secret: str, unix_time: UnixSeconds) -> str:
    """The value of Icelane-Signature."""
    stamp = str(int(unix_time))
    return f"t={stamp},v1={hmac_sha256(secret.encode(), stamp.encode() + b'.' + body).hex()}"


def is_signed(header: str, body: bytes, secret: str, unix_time: UnixSeconds | None = None) -> bool:
    """Whether a request is ours and fresh: for receivers that are written in Python.

    `header` is the value of `Icelane-Signature`, empty where there is none; `secret` is `hooks.secret`; `unix_time` is
    now, unless it is given.
    """
    if unix_time is None:
        unix_time = SystemWallClock().unix_time(monotonic())
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return False
    expected = hmac_sha256(secret.encode(), stamp.encode() + b"." + body).hex()
    return equal(expected.encode(), parts.get("v1", "").encode()) and abs(unix_time - int(stamp)) <= SIGNATURE_AGE


class Webhook:
    """Asks a URL. A hook for every event."""

    def __init__(
        self,
        event: str,
        url: str,
        post: Post,
        *,
        secret: str | None,
        headers: Iterable[str] = (),
        answers: bool = True,
        unix_time: Callable[[], UnixSeconds] | None = None,
    ) -> None:
        """`headers` are the names of those of the client that travel, in any case. Without `answers` it is only told,
        and whatever it says with a status of 2xx is well."""
        self._event = event
        self._url = url
        self._post = post
        self._secret = secret
        self._headers = tuple(name.lower() for name in headers)
        self._answers = answers
        self._unix_time = unix_time or (lambda: SystemWallClock().unix_time(monotonic()))

    def __repr__(self) -> str:
        return f"Webhook({self._event!r}, {self._url!r})"

    async def __call__(self, event: Question | Notice, /) -> Allow | Deny:
        """The answer. Raises HookFailedError."""
        body = msgspec.json.encode({"event": self._event, **document_of(event, self._headers)})
        headers = {"Content-Type": "application/json", EVENT_HEADER: self._event}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = sign(body, self._secret, self._unix_time())
        try:
            reply = await self._post(self._url, headers, body, MAX_REPLY)
        except OperationError:
            reply = None
        if reply is None:
            raise HookFailedError("unreachable")
        if not self._answers and 200 <= reply.status < 300:
            return Allow()
        return answer_of(reply)


def answer_of(reply: Reply) -> Allow | Deny:
    """What an HTTP answer means. Raises HookFailedError for one that says nothing."""
    if 400 <= reply.status < 500:
        return _denial(reply)
    if reply.status == 204:
        # Whoever is only told needs no words; a question that is answered so is not answered.
        raise HookFailedError("no-answer")
    if reply.status != 200:
        raise HookFailedError(f"status-{reply.status}")
    try:
        return parse_webhook_reply(parse_json_object(reply.body))
    except MalformedError:
        pass
    raise HookFailedError("malformed-answer")


def _denial(reply: Reply) -> Deny:
    code = _DENIALS.get(reply.status, "denied")
    if reply.status != 429:
        return Deny(code)
    text = reply.headers.get("retry-after", "")
    wait = float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1.0
    return Deny(code, reconnect=True, retry_after=wait)
