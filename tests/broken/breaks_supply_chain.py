"""Dependencies that are older than is safe, and an audit that nobody has to fear."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from tests.audit import requirements, vulnerabilities
from tests.broken.registry import breaks, swap

FLOORS = "tests/audit/test_requirements.py::test_every_dependency_has_a_floor_above_its_known_holes"


def also_require(line: str) -> None:
    """Let pyproject.toml name one requirement more."""
    genuine = requirements.project_requirements
    swap(requirements, "project_requirements", lambda: [*genuine(), line])


@breaks("FZ-4", test=FLOORS)
def a_dependency_has_no_floor() -> None:
    also_require("aioquic<2")


@breaks("FZ-4", test=FLOORS)
def an_old_pyopenssl_will_do() -> None:
    also_require("pyOpenSSL>=25.3")


@breaks("FZ-4", test="tests/audit/test_vulnerabilities.py::test_a_known_vulnerability_fails_and_is_named")
def the_audit_never_fails() -> None:
    swap(vulnerabilities.Verdict, "exit_code", property(lambda self: 0))


@breaks(
    "FZ-4",
    test="tests/audit/test_vulnerabilities.py::"
    "test_a_service_that_answers_for_nothing_is_not_taken_for_a_clean_environment",
)
def who_was_not_asked_found_nothing() -> None:
    swap(vulnerabilities.Verdict, "__str__", lambda self: f"{len(self.vulnerabilities)} known vulnerabilities")
