"""Answers of functions, held to what a webhook's are: a function that knows nothing of types may answer anything.

What comes out has the types that it promises, so that nothing behind admission meets a text where a number belongs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from math import isfinite
from typing import Any

from icelane.errors import MalformedError
from icelane.signaling.admission.request import Allow, Deny
from icelane.signaling.admission.webhook_reply import parse_allow
from icelane.signaling.admitted import AdmissionLimits, Grant, IcePolicy, IceTransportPolicy


def checked_answer(answer: object) -> Allow | Deny:
    """The answer, when it is one. Raises MalformedError."""
    if isinstance(answer, Allow):
        return checked_allow(answer)
    if isinstance(answer, Deny):
        return _checked_deny(answer)
    raise MalformedError("an answer is an Allow or a Deny")


def checked_allow(allow: Allow) -> Allow:
    """The same, with members in place of words that mean them. Raises MalformedError."""
    body: dict[str, Any] = {field.name: getattr(allow, field.name) for field in fields(Allow)}
    grants: object = allow.grants
    if grants is not None:
        if not isinstance(grants, Iterable) or isinstance(grants, str):
            raise MalformedError("grants are a set")
        body["grants"] = [one.value if isinstance(one, Grant) else one for one in grants]
    limits: object = allow.limits
    if limits is not None:
        body["limits"] = _of(limits, AdmissionLimits)
    ice: object = allow.ice
    if ice is not None:
        found = _of(ice, IcePolicy)
        policy = found.pop("transport_policy")
        body["ice"] = {**found, "policy": policy.value if isinstance(policy, IceTransportPolicy) else policy}
    checked = parse_allow(body)
    return allow if checked == allow else checked


def _of(value: object, kind: type[AdmissionLimits | IcePolicy]) -> dict[str, Any]:
    if not isinstance(value, kind):
        raise MalformedError(f"not {kind.__name__}")
    found = {field.name: getattr(value, field.name) for field in fields(kind)}
    return {name: one for name, one in found.items() if one is not None}


def _checked_deny(deny: Deny) -> Deny:
    code, reason, reconnect, wait = (getattr(deny, field.name) for field in fields(Deny))
    if not isinstance(code, str) or not isinstance(reason, str) or not isinstance(reconnect, bool):
        raise MalformedError("a Deny has two texts, and whether to come again")
    is_number = isinstance(wait, int | float) and not isinstance(wait, bool)
    if wait is not None and not (is_number and isfinite(wait) and wait >= 0):
        raise MalformedError("retry_after is a number of seconds")
    return deny
