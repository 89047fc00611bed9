"""docs/reference/logs.md says neither less nor more than the product does."""

from __future__ import annotations

import re

from icelane.turn import access_list, peer_policy
from icelane.turn.allocation import EndReason
from icelane.turn.credentials import RefusalReason
from icelane.turn.peer_policy import ADDRESS_FAMILY_MISMATCH, EMBEDDED_IPV4, FORBIDDEN, HARD, SPECIAL_PURPOSE
from icelane.turn.quota import QuotaRefusal
from tests.audit.sources import PACKAGE, ROOT, tracked_files

PAGE = (ROOT / "docs/reference/logs.md").read_text(encoding="utf-8")
MODULES = [path for path in tracked_files() if path.is_relative_to(PACKAGE) and path.suffix == ".py"]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)


def documented_refusals() -> set[tuple[int, str]]:
    """Code and reason of every row about refusals."""
    rows = re.findall(r"^\| ([0-9]{3}) \| (`[^|]+`) \|", PAGE, re.MULTILINE)
    return {(int(code), reason) for code, cell in rows for reason in re.findall(r"`([^`]+)`", cell)}


def possible_refusals() -> set[tuple[int, str]]:
    """Code and reason of everything that the product can refuse with."""
    written = {(int(code), reason) for code, reason in re.findall(r'Refusal\(\s*([0-9]{3}),\s*"([^"]+)"', SOURCE)}
    ranges = {(FORBIDDEN, rule.reason) for rule in (*EMBEDDED_IPV4, *HARD, *SPECIAL_PURPOSE)}
    words = {value for name, value in vars(peer_policy).items() if name.startswith("REASON_")}
    policy = {(FORBIDDEN, word) for word in words - {peer_policy.REASON_ALLOWED, peer_policy.REASON_FAMILY}}
    family = {(ADDRESS_FAMILY_MISMATCH, peer_policy.REASON_FAMILY)}
    names = {(401, reason.value) for reason in RefusalReason}
    quotas = {(refusal.code, refusal.value) for refusal in QuotaRefusal}
    lists = {(FORBIDDEN, reason) for reason in access_list.REASONS}
    return written | ranges | policy | family | names | quotas | lists


def test_every_refusal_is_documented_with_its_code_and_no_other_is() -> None:
    assert documented_refusals() == possible_refusals()


def test_every_end_of_an_allocation_is_documented_and_no_other_is() -> None:
    section = PAGE.partition("## Why an allocation ended")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == {reason.value for reason in EndReason}


def test_every_event_is_documented_and_no_other_is() -> None:
    calls = r"report|_write|_log|LOGGER\.(?:info|warning|error|exception)"
    written = set(re.findall(rf'(?:{calls})\(\s*"([a-z]+\.[a-z_]+)"', SOURCE))
    table = PAGE.partition("| Event |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == written


def test_every_event_has_one_row() -> None:
    table = PAGE.partition("| Event |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert [event for event in set(rows) if rows.count(event) > 1] == []
