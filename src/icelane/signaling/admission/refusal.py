"""Refusals in the words of the protocol: a close code, and a stable word for programs."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration
from icelane.signaling.admission.json_web_token import TokenFault
from icelane.signaling.admission.request import Deny
from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.limits import MAX_REASON

# What a hook's word means beyond "no". Any other word closes with 4403.
_CODES: Final = {
    "unauthorized": CloseCode.TOKEN_EXPIRED,
    "token_expired": CloseCode.TOKEN_EXPIRED,
    "not_found": CloseCode.NO_ROOM,
    "locked": CloseCode.ROOM_CLOSED_TO_YOU,
    "rate_limited": CloseCode.RATE_LIMITED,
    "internal": CloseCode.INTERNAL,
    "draining": CloseCode.DRAINING,
}
# Refused while the hook cannot be asked: it may be back at once.
_HOOK_RETRY: Final[Duration] = 2.0


def denied(error: str, reason: str = "", *, status: int | None = None) -> Refusal:
    """Not this one, whatever he does."""
    return Refusal(code=CloseCode.DENIED, error=error, reason=reason, status=status)


def limited(error: str, wait: Duration, *, status: int | None = None) -> Refusal:
    """Not so often, or not so many."""
    return Refusal(code=CloseCode.RATE_LIMITED, error=error, reason="too often", retry_after=wait, status=status)


def unauthorized() -> Refusal:
    """Nobody. The same for whoever shows nothing and whoever shows something that nobody knows (CR-1)."""
    return Refusal(code=CloseCode.TOKEN_EXPIRED, error="unauthorized", reason="a valid token is needed")


def bad_token(fault: TokenFault) -> Refusal:
    """A token that is not good. That it is over is said, so that its owner gets another; why else it is not, is not."""
    if fault is TokenFault.EXPIRED:
        return Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_expired", reason="the token has expired")
    if fault is TokenFault.KEYS_UNAVAILABLE:
        return Refusal(code=CloseCode.INTERNAL, error="keys_unavailable", retry_after=_HOOK_RETRY)
    return unauthorized()


def hook_failed() -> Refusal:
    """Whether he may is not known, so he may not."""
    return Refusal(
        code=CloseCode.INTERNAL, error="hook_failed", reason="admission cannot be decided now", retry_after=_HOOK_RETRY
    )


def refusal_of(deny: Deny) -> Refusal:
    """What a hook has said."""
    code = _CODES.get(deny.code, CloseCode.DENIED)
    wait = deny.retry_after
    if deny.reconnect and code is CloseCode.DENIED:
        # 4403 never comes back; the one code that comes back after a while that we name is this.
        code, wait = CloseCode.RATE_LIMITED, wait if wait is not None else _HOOK_RETRY
    return Refusal(code=code, error=deny.code, reason=deny.reason[:MAX_REASON], retry_after=wait)
