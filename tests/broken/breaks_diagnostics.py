"""A diagnosis that contacts what callers name, tells strangers, or keeps whatever it is given."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.diagnostics import echo, shared_report
from icelane.node import diagnosis
from icelane.signaling.http import admission_callers, diagnosis_endpoints
from icelane.signaling.http.caller import Operator
from tests.broken.registry import breaks, swap

NODE = "tests/node/test_diagnosis.py"
REPORTS = "tests/diagnostics/test_shared_report.py"


@breaks(
    "TR-1",
    test=f"{NODE}::test_candidates_in_an_offer_are_never_contacted_unless_our_own_relay_relays_there",
)
def the_echo_peer_sends_to_whatever_an_offer_names() -> None:
    class Everywhere(frozenset[str]):
        def __contains__(self, host: object) -> bool:
            return True

        def __bool__(self) -> bool:
            return True

    swap(echo, "_relayed_hosts", lambda sdp: Everywhere())


@breaks("CR-1", test=f"{NODE}::test_nothing_is_begun_or_told_for_somebody_unknown")
def diagnosis_is_for_everybody() -> None:
    async def identified(callers: object, request: object) -> Operator:
        return Operator("anybody")

    swap(diagnosis_endpoints, "identified", identified)


@breaks("CR-4", test=f"{NODE}::test_one_user_is_held_back_and_told_how_long")
def diagnosis_is_not_counted() -> None:
    swap(diagnosis.NodeDiagnosis, "wait", lambda self, user: None)


@breaks("CR-1", test=f"{NODE}::test_a_ticket_is_good_for_one_request_and_no_other_endpoint_takes_it")
def every_endpoint_takes_a_ticket() -> None:
    swap(admission_callers, "replace", lambda asked, **changes: asked)


@breaks("CR-6", test=f"{NODE}::test_a_report_is_kept_with_addresses_cut_to_networks")
def reports_tell_whole_addresses() -> None:
    swap(diagnosis, "masked", lambda text: text)


@breaks("SG-15", test=f"{REPORTS}::test_one_user_drives_out_his_own_reports_and_nobody_elses")
def one_user_may_keep_all_reports() -> None:
    swap(shared_report, "MAX_REPORTS_PER_USER", 1 << 30)
