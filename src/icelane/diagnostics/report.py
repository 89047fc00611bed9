"""Many results, one named cause and one mend: what explains the most of what is wrong comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from icelane.diagnostics.result import Cause, CheckResult, CheckStatus

_SENTENCES: Final = {
    # In the order in which they explain: each makes what stands below it look broken as well.
    Cause.NAME_UNKNOWN: "the server's name leads nowhere",
    Cause.SERVER_SILENT: "the server does not answer at all, over any transport",
    Cause.CLOCK_WRONG: "the clocks of this machine and of the server do not agree",
    Cause.CERTIFICATE_EXPIRED: "the server's certificate has expired",
    Cause.CERTIFICATE_NOT_YET_VALID: "the server's certificate is not valid yet",
    Cause.CERTIFICATE_WRONG_NAME: "the server's certificate is for another name",
    Cause.CERTIFICATE_CHAIN_INCOMPLETE: "the server does not send the intermediates of its certificate",
    Cause.CERTIFICATE_UNKNOWN_AUTHORITY: "the server's certificate is from an authority that nobody here trusts",
    Cause.CERTIFICATE_REFUSED: "the server's certificate is refused",
    Cause.NOT_TLS: "the port that should speak TLS speaks something else",
    Cause.HTTPS_SILENT: "nothing answers at the HTTPS address",
    Cause.HTTPS_WRONG: "what answers over HTTPS is not this server",
    Cause.WEBSOCKET_BLOCKED: "HTTPS passes and WebSocket does not: a proxy on the way does not forward the upgrade",
    Cause.UDP_BLOCKED: "UDP is blocked between here and the server",
    Cause.TOKEN_REFUSED: "the server does not take the token",
    Cause.CREDENTIAL_EXPIRED: "the TURN credential has expired",
    Cause.REALM_WRONG: "the server has another realm than the configuration says",
    Cause.SECRET_WRONG: "the credential is not signed with the server's secret",
    Cause.TURN_SILENT: "the TURN server does not answer",
    Cause.TURN_REFUSED: "the TURN server refuses",
    Cause.EXTERNAL_ADDRESS_WRONG: "the server hands out a relay address that does not lead to it",
    Cause.RELAY_RANGE_CLOSED: "the relay ports are closed",
    Cause.RELAY_LOSES: "the relay loses packets",
    Cause.CREDENTIAL_SHORT: "the TURN credential ends very soon",
    Cause.CERTIFICATE_ENDS_SOON: "the server's certificate ends soon",
    Cause.CHECK_BROKEN: "a check could not be carried out",
}
_RANKS: Final = {cause: rank for rank, cause in enumerate(_SENTENCES)}
_SILENT: Final = frozenset({Cause.SERVER_SILENT, Cause.HTTPS_SILENT, Cause.UDP_BLOCKED, Cause.TURN_SILENT})
# These ask nobody.
_LOCAL: Final = frozenset({"DNS", "credential"})
_MARKS: Final = {
    CheckStatus.PASSED: "✔",
    CheckStatus.WARNED: "!",
    CheckStatus.FAILED: "✘",
    CheckStatus.SKIPPED: "-",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is behind it all. `sentence` says it in plain words, `detail` what showed it, `mend` what to do."""

    cause: Cause
    sentence: str
    detail: str
    mend: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All results of a run."""

    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(result.ok for result in self.results)

    @property
    def verdict(self) -> Verdict | None:
        """The one cause and its mend; None where all is well."""
        return join(self.results)

    def document(self) -> dict[str, Any]:
        """The same for JSON: what has no value is left out."""
        verdict = self.verdict
        document: dict[str, Any] = {"ok": self.ok, "checks": [_row(result) for result in self.results]}
        if verdict is not None:
            document["verdict"] = {
                "cause": verdict.cause.value,
                "sentence": verdict.sentence,
                "detail": verdict.detail,
                "mend": verdict.mend,
            }
        return document


def join(results: Sequence[CheckResult]) -> Verdict | None:
    """The cause that explains the most of what went wrong; failures before warnings. None where all is well.

    What is wrong with the clock goes before failures: it makes credentials and certificates look bad.
    """
    blamed = [result for result in results if result.cause is not None]
    failures = [one for one in blamed if one.status is CheckStatus.FAILED or one.cause is Cause.CLOCK_WRONG]
    if not (failures or blamed):
        return None
    first = min(failures or blamed, key=lambda result: _RANKS[_named(result)])
    cause = _named(first)
    silence = _silence(results)
    if cause in _SILENT and silence is not None:
        cause = silence
        first = next((result for result in failures if result.cause is cause), first)
    return Verdict(cause=cause, sentence=_SENTENCES[cause], detail=first.detail, mend=first.mend or "")


def mark(status: CheckStatus) -> str:
    """One character for a table."""
    return _MARKS[status]


def sentence_of(cause: Cause) -> str:
    """The cause in plain words."""
    return _SENTENCES[cause]


def _silence(results: Sequence[CheckResult]) -> Cause | None:
    """What the silent ones mean together: one check alone cannot know that nothing answers. None: nobody is silent.

    Names of checks begin with what they ask.
    """
    tried = [result for result in results if result.status is not CheckStatus.SKIPPED and result.name not in _LOCAL]
    silent = {result.cause for result in tried if result.cause in _SILENT}
    answered = [result for result in tried if result.cause not in _SILENT]
    if not silent:
        return None
    if not answered:
        return Cause.SERVER_SILENT
    if Cause.HTTPS_SILENT in silent:
        return Cause.HTTPS_SILENT
    streams = [result for result in answered if result.name.startswith(("TURN tcp", "TURN tls"))]
    if Cause.UDP_BLOCKED in silent and (streams or Cause.TURN_SILENT not in silent):
        return Cause.UDP_BLOCKED
    return Cause.TURN_SILENT


def _named(result: CheckResult) -> Cause:
    assert result.cause is not None
    return result.cause


def _row(result: CheckResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": result.name,
        "status": result.status.value,
        "ms": round(result.duration * 1000, 3),
        "detail": result.detail,
    }
    if result.cause is not None:
        row["cause"] = result.cause.value
    if result.mend is not None:
        row["mend"] = result.mend
    return row
