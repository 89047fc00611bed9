"""Asks pip-audit for known vulnerabilities of what is installed: `make audit`.

pip-audit alone says that it found none when it could ask nobody: a package that the service does not answer for is
skipped with success. Here both are said. Exits 1 for a known vulnerability and for nothing else, so that a machine
without a way to the service can still run everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit", "--local", "--skip-editable"),
    *("--format", "json", "--progress-spinner", "off"),
)
TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came out: the known vulnerabilities, how many packages were looked up and how many could not be."""

    vulnerabilities: tuple[str, ...]
    answered: int
    unanswered: int

    @property
    def exit_code(self) -> int:
        """1 if anything is known to be vulnerable."""
        return 1 if self.vulnerabilities else 0

    def __str__(self) -> str:
        if self.answered == 0:
            return "NOT AUDITED: the vulnerability service could not be reached, or knows none of the packages"
        skipped = f"; {self.unanswered} could not be looked up" if self.unanswered else ""
        head = f"audited {self.answered} packages, {len(self.vulnerabilities)} known vulnerabilities{skipped}"
        return "\n  ".join([head, *self.vulnerabilities])


def read_report(report: str) -> Verdict:
    """The verdict of pip-audit's JSON. Anything else, such as the nothing that it prints without a network, answers
    for no package."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, TypeError, KeyError):
        return Verdict(vulnerabilities=(), answered=0, unanswered=0)
    known = [package for package in packages if "vulns" in package]
    return Verdict(
        vulnerabilities=tuple(
            f"{package['name']} {package['version']}: {hole['id']}, fixed in {' or '.join(hole['fix_versions']) or '-'}"
            for package in known
            for hole in package["vulns"]
        ),
        answered=len(known),
        unanswered=len(packages) - len(known),
    )


def main() -> int:
    """Run pip-audit, print the verdict, return the exit code."""
    try:
        finished = subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT)
        verdict, failed, said = read_report(finished.stdout), finished.returncode != 0, finished.stderr
    except subprocess.TimeoutExpired:
        verdict, failed, said = read_report(""), True, f"no answer within {TIMEOUT:g} s"
    if verdict.answered == 0 and failed and said.strip():
        print(said.strip().splitlines()[-1], file=sys.stderr)
    print(verdict)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
