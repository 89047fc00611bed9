"""What a webhook answers, in our words or in those of a Centrifugo connect proxy.

    ours                                          Centrifugo's
    {"allow": {"identity", "name", "rooms",       {"result": {"user", "channels", "info", "meta", "expire_at"}}
      "grants", "meta", "labels", "limits",       {"error": {"code", "message", "temporary"}}
      "expires_at", "ice"}}                       {"disconnect": {"code", "reason"}}
    {"deny": {"code", "reason", "reconnect", "retry_after"}}

Of Centrifugo's, `user` is the identity, `channels` are rooms, `info` is what others see, `meta` becomes labels where it
is text; an empty `user` means nobody, and here everybody is somebody: it is refused, unless a token says who it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from icelane.core.clock import UnixSeconds
from icelane.errors import MalformedError
from icelane.signaling.admission.join_token import (
    parse_grants,
    parse_ice,
    parse_identity,
    parse_meta,
    parse_rooms,
)
from icelane.signaling.admission.request import Allow, Deny
from icelane.signaling.admitted import AdmissionLimits
from icelane.signaling.limits import MAX_IDENTITY, MAX_REASON

MAX_LABELS: Final = 32
_MAX_LABEL: Final = 1024
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}")
# Dates beyond are a mistake of units, milliseconds for seconds.
_MAX_UNIX_TIME: Final = 1e11

_ALLOW: Final = frozenset(
    {"identity", "name", "rooms", "grants", "meta", "labels", "limits", "expires_at", "ice"}
)  # fmt: skip
_LIMITS: Final = ("frames_per_second", "frame_burst", "rooms", "sessions")


def parse_webhook_reply(reply: Mapping[str, object]) -> Allow | Deny:
    """The answer in a body. Raises MalformedError for one that is neither form, both, or has a word we do not know."""
    kinds = [name for name in ("allow", "deny", "result", "error", "disconnect") if name in reply]
    if len(kinds) != 1:
        raise MalformedError("an answer is one of allow, deny, result, error and disconnect")
    body = reply[kinds[0]]
    if not isinstance(body, Mapping):
        raise MalformedError(f"{kinds[0]} is an object")
    match kinds[0]:
        case "allow":
            return parse_allow(body)
        case "deny":
            return parse_deny(body)
        case "result":
            return _centrifugo_result(body)
        case "error":
            return _centrifugo_error(body)
        case _:
            return _centrifugo_disconnect(body)


def parse_allow(body: Mapping[str, object]) -> Allow:
    """An `allow`. Raises MalformedError: a misspelt `grants` must not become the default ones."""
    if not body.keys() <= _ALLOW:
        raise MalformedError("an allow has a word that we do not know")
    given = {name: value for name, value in body.items() if value is not None}
    return Allow(
        identity=parse_identity(given["identity"]) if "identity" in given else None,
        name=_text(given, "name", MAX_IDENTITY),
        rooms=parse_rooms(given["rooms"]) if "rooms" in given else None,
        grants=parse_grants(given["grants"]) if "grants" in given else None,
        meta=parse_meta(given["meta"]) if "meta" in given else None,
        labels=_labels(given["labels"]) if "labels" in given else None,
        limits=_limits(given["limits"]) if "limits" in given else None,
        expires_at=_unix_time(given["expires_at"]) if "expires_at" in given else None,
        ice=parse_ice(given["ice"]) if "ice" in given else None,
    )


def parse_deny(body: Mapping[str, object]) -> Deny:
    """A `deny`. Raises MalformedError."""
    code = body.get("code", "denied")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise MalformedError("a code is a word")
    reconnect, wait = body.get("reconnect", False), body.get("retry_after")
    if not isinstance(reconnect, bool):
        raise MalformedError("reconnect is true or false")
    return Deny(code, _text(body, "reason", None) or "", reconnect, None if wait is None else _positive(wait))


def _centrifugo_result(body: Mapping[str, object]) -> Allow:
    user, expires = body.get("user", ""), body.get("expire_at")
    info, meta = body.get("info"), body.get("meta")
    rooms = body.get("channels")
    return Allow(
        identity=parse_identity(user) if user != "" else None,
        rooms=parse_rooms(rooms) if rooms is not None else None,
        # Theirs may be anything; only an object can be shown beside what the client says itself.
        meta=parse_meta(info) if isinstance(info, Mapping) else None,
        labels=_labels({name: value for name, value in meta.items() if isinstance(value, str)})
        if isinstance(meta, Mapping)
        else None,
        expires_at=_unix_time(expires) if expires not in (None, 0) else None,
    )


def _centrifugo_error(body: Mapping[str, object]) -> Deny:
    code, temporary = body.get("code", 0), body.get("temporary", False)
    if isinstance(code, bool) or not isinstance(code, int):
        raise MalformedError("the code of an error is a number")
    return Deny(f"error_{code}", _text(body, "message", None) or "", reconnect=temporary is True)


def _centrifugo_disconnect(body: Mapping[str, object]) -> Deny:
    code = body.get("code", 0)
    if isinstance(code, bool) or not isinstance(code, int):
        raise MalformedError("the code of a disconnect is a number")
    # Theirs: 3500-3999 and 4500-4999 are for good.
    for_good = 3500 <= code < 4000 or 4500 <= code < 5000
    return Deny(f"disconnect_{code}", _text(body, "reason", None) or "", reconnect=not for_good)


def _text(body: Mapping[str, object], name: str, limit: int | None) -> str | None:
    """A text; without a `limit` it is for people, and cut."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or (limit is not None and not (len(value) <= limit and value.isprintable())):
        raise MalformedError(f"{name} is a short text")
    return value[:MAX_REASON]


def _labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_LABELS:
        raise MalformedError(f"labels are an object of at most {MAX_LABELS} texts")
    if not all(isinstance(text, str) and len(text) <= _MAX_LABEL for item in value.items() for text in item):
        raise MalformedError(f"a label is a text of at most {_MAX_LABEL} characters")
    return {str(name): str(text) for name, text in value.items()}


def _limits(value: object) -> AdmissionLimits:
    if not isinstance(value, Mapping) or not value.keys() <= set(_LIMITS):
        raise MalformedError(f"limits are an object of {', '.join(_LIMITS)}")
    numbers = {name: _positive(number) for name, number in value.items()}
    whole = {name: int(number) for name, number in numbers.items() if name != "frames_per_second"}
    return AdmissionLimits(
        frames_per_second=numbers.get("frames_per_second"),
        frame_burst=whole.get("frame_burst"),
        rooms=whole.get("rooms"),
        sessions=whole.get("sessions"),
    )


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_UNIX_TIME:
        raise MalformedError("not a number that makes sense here")
    return float(value)


def _unix_time(value: object) -> UnixSeconds:
    return UnixSeconds(_positive(value))
