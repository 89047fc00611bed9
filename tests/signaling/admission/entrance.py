"""An entrance to knock at: admission on a clock that stands still, and tokens of an issuer that it trusts."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from icelane.core.clock import Instant, UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
from icelane.signaling.admission.headers import Headers
from icelane.signaling.admission.join_token import TokenSigner
from icelane.signaling.admission.json_web_token import TrustedIssuer
from icelane.signaling.admission.request import ConnectRequest
from icelane.signaling.admitted import Admission, Refusal
from icelane.turn.access_list import AccessLists

SECRET: Final = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
API_KEY: Final = "ik_5a0c2f6e8b7d4c1393e2f1a0b9d8c7e6"
NOW: Final = UnixSeconds(1_800_000_000.0)
ORIGIN: Final = "https://app.example.org"
IP: Final = "203.0.113.7"


class StandingClock:
    """Monotonic time and calendar time that move when they are told to."""

    def __init__(self) -> None:
        self.now = Instant(1000.0)

    def __call__(self) -> Instant:
        return self.now

    def unix_time(self, now: Instant) -> UnixSeconds:
        return UnixSeconds(NOW + now - 1000.0)

    def pass_by(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)


ISSUER: Final = TrustedIssuer(issuer="example", algorithm="HS256", secret=SECRET)
SIGNER: Final = TokenSigner(issuer="example", key=SECRET)
SETTINGS: Final = AdmissionSettings(
    issuers=(ISSUER,),
    api_keys={"backend": API_KEY},
    cookies=frozenset({"session"}),
    allowed_origins=(ORIGIN,),
    trusted_proxies=("10.0.0.0/8",),
    node="n1",
)


def claims(**changes: object) -> dict[str, object]:
    """The claims of a good token, with changes; a change to None takes one out."""
    found: dict[str, object] = {
        "iss": "example",
        "aud": "icelane",
        "sub": "alice",
        "exp": int(NOW) + 600,
        "rooms": ["lobby", "team-*"],
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(**changes: object) -> str:
    """A good token, or one whose claims are changed."""
    return SIGNER.sign(claims(**changes))


def raw_token(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, signature: bytes = b"x") -> str:
    """Three parts, whatever is in them."""
    parts = (
        header if isinstance(header, bytes) else json.dumps(header).encode(),
        payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
        signature,
    )
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def entrance(
    clock: StandingClock | None = None,
    *,
    hooks: AdmissionHooks | None = None,
    lists: AccessLists | None = None,
    **changes: Any,
) -> AdmissionControl:
    """Admission by SETTINGS, with changes."""
    clock = clock or StandingClock()
    settings = replace(SETTINGS, hooks=hooks or AdmissionHooks(), **changes)
    return AdmissionControl(settings, entropy=SystemEntropy(), lists=lists, clock=clock, wall_clock=clock)


def knock(*headers: tuple[str, str], ip: str = IP, **fields: Any) -> ConnectRequest:
    """A request with these headers."""
    return ConnectRequest(ip=ip, headers=Headers(headers), **fields)


def bearing(text: str, **fields: Any) -> ConnectRequest:
    """A request with a token in the header for it."""
    return knock(("Authorization", f"Bearer {text}"), **fields)


def admitted(outcome: Admission | Refusal) -> Admission:
    """The admission; it is a failure of the test when there is none."""
    if isinstance(outcome, Refusal):
        raise AssertionError(f"refused: {outcome}")
    return outcome


def refused(outcome: Admission | Refusal | None) -> Refusal:
    """The refusal; it is a failure of the test when there is none."""
    if not isinstance(outcome, Refusal):
        raise AssertionError(f"not refused: {outcome}")
    return outcome
