"""What several workers answer, as one server would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from icelane.server.admin import MAX_ROWS, Answer
from icelane.server.health import Check, Readiness

# What is not a sum: the worst or the first of all stands for all.
_LEAST: Final = frozenset({
    "icelane_ready",
    "icelane_tls_cert_expiry_timestamp_seconds",
    "process_start_time_seconds",
    "process_max_fds",
})  # fmt: skip
_SAME: Final = frozenset({"icelane_build"})
# OpenMetrics: when a counter began.
_BIRTH: Final = "_created"
# What goes on counting when the process that counted it is gone.
_LASTING: Final = frozenset({"counter", "histogram"})

SampleKey = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Counted:
    """What workers that are gone had counted, as far as it was asked for, so that no counter goes back."""

    values: dict[SampleKey, float] = field(default_factory=dict)

    def add(self, families: Iterable[Metric]) -> None:
        """Remember the counters of a worker that is gone."""
        for family in families:
            if family.type in _LASTING and not family.name.startswith("process_"):
                for sample in family.samples:
                    if sample.name.endswith(_BIRTH):
                        continue
                    key = _key(sample)
                    self.values[key] = self.values.get(key, 0.0) + sample.value


def merge_families(answers: Sequence[Iterable[Metric]], gone: Counted) -> list[Metric]:
    """The families of all workers as one server's."""
    merged: dict[str, Metric] = {}
    values: dict[str, dict[SampleKey, Sample]] = {}
    for families in answers:
        for family in families:
            if family.name not in merged:
                merged[family.name] = Metric(family.name, family.documentation, family.type)
                values[family.name] = {}
            samples = values[family.name]
            for sample in family.samples:
                key = _key(sample)
                known = samples.get(key)
                samples[key] = sample if known is None else sample._replace(value=_joined(family.name, known, sample))
    for name, family in merged.items():
        family.samples = [
            sample._replace(value=sample.value + gone.values.get(key, 0.0)) for key, sample in values[name].items()
        ]
    return list(merged.values())


def merge_readiness(answers: Sequence[Readiness], wanted: int) -> Readiness:
    """Well when every check of every worker is, and none is missing."""
    checks = {"workers": Check(len(answers) == wanted, {"running": len(answers), "wanted": wanted})}
    for answer in answers:
        for name, check in answer.checks.items():
            known = checks.get(name)
            checks[name] = check if known is None else _worse(known, check)
    return Readiness(checks)


def merge_sessions(command: str, answers: Sequence[Answer]) -> Answer:
    """The answers of all workers to one of the SESSION_COMMANDS."""
    if command == "sessions":
        rows = [row for answer in answers for row in answer["sessions"]]
        return _cut("sessions", rows, answers)
    if command == "users":
        by_user: dict[str, dict[str, Any]] = {}
        for answer in answers:
            for row in answer["users"]:
                known = by_user.setdefault(row["user"], dict.fromkeys(row, 0) | {"user": row["user"]})
                known.update({name: known[name] + count for name, count in row.items() if name != "user"})
        return _cut("users", list(by_user.values()), answers)
    return {"ended": sum(answer["ended"] for answer in answers)}


def _cut(name: str, rows: list[Mapping[str, Any]], answers: Sequence[Answer]) -> Answer:
    omitted = sum(answer["omitted"] for answer in answers) + max(0, len(rows) - MAX_ROWS)
    return {"at": answers[0]["at"], name: rows[:MAX_ROWS], "omitted": omitted}


def _worse(one: Check, other: Check) -> Check:
    details = dict(one.details)
    for name, value in other.details.items():
        known = details.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            details[name] = {key: max(known.get(key, 0), value.get(key, 0)) for key in known | value}
    return Check(one.ok and other.ok, details)


def _joined(family: str, known: Sample, sample: Sample) -> float:
    if family in _SAME:
        return float(known.value)
    least = family in _LEAST or sample.name.endswith(_BIRTH)
    return float(min(known.value, sample.value) if least else known.value + sample.value)


def _key(sample: Sample) -> SampleKey:
    return sample.name, tuple(sorted(sample.labels.items()))
