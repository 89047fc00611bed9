"""Every security check of STUN, TURN and the peer connection is carried by a test that cites its id."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.audit.sources import ROOT

CHECKS: Final = {
    *(f"ST-{number}" for number in range(1, 14)),
    *(f"TA-{number}" for number in range(1, 16)),
    *(f"TR-{number}" for number in range(1, 15)),
    *(f"TQ-{number}" for number in range(1, 12)),
    *(f"TL-{number}" for number in range(1, 10)),
    *(f"IC-{number}" for number in range(1, 13)),
    *(f"DT-{number}" for number in range(1, 14)),
    *(f"SC-{number}" for number in range(1, 10)),
    *(f"SD-{number}" for number in range(1, 6)),
    *(f"SR-{number}" for number in range(1, 6)),
    "SG-1", "SG-2", "SG-5", "SG-6", "SG-15",
    "SG-3", "SG-4", "SG-7", "SG-8", "SG-9", "SG-10", "SG-11", "SG-12", "SG-13", "SG-14", "SG-16", "OP-2", "OP-10",
    "CR-1", "CR-2", "CR-3", "CR-4", "CR-5", "CR-6", "CR-7", "CR-8", "CR-9", "SG-17",
    "FZ-1", "FZ-2", "FZ-4",
    "OP-1", "OP-3", "OP-4", "OP-5", "OP-7", "OP-8", "OP-9", "OP-12", "OP-14", "OP-15",
}  # fmt: skip

LEFT_OUT: Final = {
    "DT-10": "we ask for no cookie: DTLS is spoken only with an address that has answered an ICE check (DT-2)",
    "TL-9": "tlsfuzzer would test OpenSSL, whose TLS it is; what is ours around it carries TL-4, TL-6 and TL-7",
}
"""Checks that no test carries, with the reason."""

IDENTIFIER: Final = re.compile(r"\b[A-Z]{2}-\d+\b")


def cited() -> dict[str, set[str]]:
    """The ids in the docstrings of tests, with the tests that cite them."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for identifier in IDENTIFIER.findall(ast.get_docstring(node) or ""):
                    found.setdefault(identifier, set()).add(f"{path.name}::{node.name}")
    return found


def test_every_check_is_cited_by_a_test_or_left_out_for_a_reason() -> None:
    assert CHECKS - cited().keys() == LEFT_OUT.keys()


def test_what_is_left_out_says_why() -> None:
    assert LEFT_OUT.keys() <= CHECKS
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())
