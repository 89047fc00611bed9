"""What a check says: one word of four, what was found, and where it fails the cause and the mend."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.core.clock import Duration


class CheckStatus(enum.StrEnum):
    """`skipped`: what it needs is missing, or an earlier check says it all. `warned`: calls work, with a catch."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"


class Cause(enum.StrEnum):
    """What is wrong, in words that programs may depend on. `report` has them in the order in which they explain."""

    NAME_UNKNOWN = "name-unknown"
    SERVER_SILENT = "server-silent"
    CLOCK_WRONG = "clock-wrong"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_WRONG_NAME = "certificate-wrong-name"
    CERTIFICATE_UNKNOWN_AUTHORITY = "certificate-unknown-authority"
    CERTIFICATE_CHAIN_INCOMPLETE = "certificate-chain-incomplete"
    CERTIFICATE_REFUSED = "certificate-refused"
    NOT_TLS = "not-tls"
    HTTPS_SILENT = "https-silent"
    HTTPS_WRONG = "https-wrong"
    WEBSOCKET_BLOCKED = "websocket-blocked"
    UDP_BLOCKED = "udp-blocked"
    TOKEN_REFUSED = "token-refused"  # noqa: S105
    CREDENTIAL_EXPIRED = "credential-expired"
    REALM_WRONG = "realm-wrong"
    SECRET_WRONG = "secret-wrong"  # noqa: S105  (a cause, and no secret)
    TURN_REFUSED = "turn-refused"
    TURN_SILENT = "turn-silent"
    EXTERNAL_ADDRESS_WRONG = "external-address-wrong"
    RELAY_RANGE_CLOSED = "relay-range-closed"
    RELAY_LOSES = "relay-loses"
    CREDENTIAL_SHORT = "credential-short"
    CERTIFICATE_ENDS_SOON = "certificate-ends-soon"
    CHECK_BROKEN = "check-broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """`duration` is in seconds. `detail` says what was found, `cause` and `mend` what is behind it and what to do."""

    name: str
    status: CheckStatus
    duration: Duration = 0.0
    detail: str = ""
    cause: Cause | None = None
    mend: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of a call."""
        return self.status is not CheckStatus.FAILED


def passed(name: str, detail: str) -> CheckResult:
    """It works."""
    return CheckResult(name=name, status=CheckStatus.PASSED, detail=detail)


def warned(name: str, detail: str, cause: Cause, mend: str) -> CheckResult:
    """It works, and something should be done."""
    return CheckResult(name=name, status=CheckStatus.WARNED, detail=detail, cause=cause, mend=mend)


def failed(name: str, detail: str, cause: Cause, mend: str) -> CheckResult:
    """It does not work."""
    return CheckResult(name=name, status=CheckStatus.FAILED, detail=detail, cause=cause, mend=mend)


def skipped(name: str, why: str) -> CheckResult:
    """Nothing was tried."""
    return CheckResult(name=name, status=CheckStatus.SKIPPED, detail=why)
