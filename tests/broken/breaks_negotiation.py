"""Weaknesses of offers and answers."""

from __future__ import annotations

from dataclasses import replace

from icelane.peer import candidate_text, transport_agreement
from icelane.peer.transport_command import RemoteTransport
from tests.broken.registry import breaks, swap

RESTART = "tests/peer/test_negotiation_restart.py"


@breaks("SD-4", test=(f"{RESTART}::test_another_fingerprint_in_an_offer_without_a_restart_is_refused",
                      f"{RESTART}::test_another_fingerprint_in_an_answer_without_a_restart_is_refused",
                      f"{RESTART}::test_another_fingerprint_with_a_restart_makes_a_new_dtls_association"))  # fmt: skip
def another_fingerprint_is_not_noticed() -> None:
    swap(transport_agreement, "is_same_certificate", lambda *_: True)


@breaks("SD-4", test=(f"{RESTART}::test_another_tls_id_is_refused_without_a_restart_and_a_new_association_with_one",
                      f"{RESTART}::test_a_tls_id_that_an_answer_leaves_out_is_remembered"))  # fmt: skip
def the_tls_id_is_not_looked_at() -> None:
    same = transport_agreement.is_same_certificate

    def without_tls_id(before: RemoteTransport, now: RemoteTransport) -> bool:
        return same(replace(before, tls_id=None), now)

    swap(transport_agreement, "is_same_certificate", without_tls_id)


@breaks("IC-8", test="tests/peer/test_negotiation.py::test_relay_only_shows_no_address_of_this_machine")
def any_candidate_is_shown_with_relay_only() -> None:
    swap(candidate_text, "check_is_relayed", lambda _: None)
