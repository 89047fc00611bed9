"""Of many things that look broken, the one is named that breaks the others."""

from __future__ import annotations

import itertools

import pytest

from icelane.diagnostics import Cause, CheckResult, CheckStatus, Report, join
from icelane.diagnostics.report import mark, sentence_of
from icelane.diagnostics.result import failed, passed, skipped, warned


def bad(name: str, cause: Cause) -> CheckResult:
    return failed(name, f"{name} is broken", cause, f"mend {cause.value}")


def named(*results: CheckResult) -> Cause | None:
    """The cause, which does not depend on the order of the results."""
    causes = {verdict.cause if (verdict := join(order)) else None for order in itertools.permutations(results[:5])}
    assert len(causes) == 1
    verdict = join(results)
    return verdict.cause if verdict is not None else None


def test_nothing_is_named_where_all_is_well() -> None:
    assert named(passed("HTTPS", ""), skipped("TURN", "")) is None


def test_a_wrong_clock_explains_certificates_and_credentials_even_as_a_warning() -> None:
    clock = warned("clock", "two minutes", Cause.CLOCK_WRONG, "timedatectl")
    assert named(bad("TURN udp", Cause.CREDENTIAL_EXPIRED), clock, bad("certificate", Cause.CERTIFICATE_EXPIRED)) is (
        Cause.CLOCK_WRONG
    )


def test_failures_go_before_warnings() -> None:
    soon = warned("certificate", "3 days", Cause.CERTIFICATE_ENDS_SOON, "renew")
    assert named(soon) is Cause.CERTIFICATE_ENDS_SOON
    assert named(soon, bad("relay echo", Cause.RELAY_LOSES)) is Cause.RELAY_LOSES


def test_udp_is_blocked_where_turn_answers_over_streams() -> None:
    silent = [bad("STUN udp", Cause.UDP_BLOCKED), bad("TURN udp", Cause.UDP_BLOCKED)]
    assert named(*silent, passed("HTTPS", ""), passed("TURN tls", "")) is Cause.UDP_BLOCKED
    assert named(*silent, bad("TURN tcp", Cause.SECRET_WRONG)) is Cause.UDP_BLOCKED


def test_the_turn_server_is_silent_where_https_answers_alone() -> None:
    silent = [
        bad("STUN udp", Cause.UDP_BLOCKED),
        bad("TURN udp", Cause.UDP_BLOCKED),
        bad("TURN tcp", Cause.TURN_SILENT),
    ]
    assert named(*silent, passed("HTTPS", "")) is Cause.TURN_SILENT


def test_a_server_that_answers_nothing_is_silent_as_a_whole() -> None:
    silent = [bad("STUN udp", Cause.UDP_BLOCKED), bad("HTTPS", Cause.HTTPS_SILENT), bad("TURN tcp", Cause.TURN_SILENT)]
    assert named(passed("DNS", ""), *silent) is Cause.SERVER_SILENT


def test_a_port_of_turn_that_is_closed_beside_good_ones_is_not_udp() -> None:
    assert named(passed("TURN udp", ""), bad("TURN tcp", Cause.TURN_SILENT)) is Cause.TURN_SILENT


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence(cause: Cause) -> None:
    assert sentence_of(cause)


@pytest.mark.parametrize("status", CheckStatus)
def test_every_status_has_a_mark(status: CheckStatus) -> None:
    assert len(mark(status)) == 1


def test_the_document_says_what_the_table_does_and_nothing_empty() -> None:
    report = Report(results=(passed("HTTPS", "answers"), bad("TURN udp", Cause.SECRET_WRONG)))
    document = report.document()
    assert document["ok"] is False
    assert document["checks"][0] == {"name": "HTTPS", "status": "passed", "ms": 0.0, "detail": "answers"}
    assert document["verdict"]["cause"] == "secret-wrong"
    assert document["verdict"]["mend"] == "mend secret-wrong"
