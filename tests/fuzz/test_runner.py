"""The fuzzer finds what is planted, repeats itself, and every target passes its own corpus."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable
from pathlib import Path

import pytest

import fuzz.runner
from fuzz.__main__ import main
from fuzz.mutator import MAX_INPUT, Mutator
from fuzz.runner import FindingKind, Target, all_targets, check, fuzz_target, kept_inputs, load
from icelane.errors import MalformedError
from tests.vectors import stun as vectors

TARGETS = sorted(all_targets())


def target(run: object, seeds: list[bytes] | None = None) -> Target:
    """A target of the test's own."""
    assert callable(run)
    return Target("planted", seeds or [vectors.SAMPLE_REQUEST], run, [b"token"])


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_passes_its_seeds_and_corpus(name: str) -> None:
    """FZ-1: what was once found stays fixed."""
    loaded = load(name)
    assert loaded.seeds
    for data in loaded.seeds:
        _, finding = check(loaded, data)
        assert finding is None or finding.kind is FindingKind.SLOW, finding.what


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_survives_a_short_run(name: str) -> None:
    """FZ-1: a smoke run with a fixed seed; `make fuzz` and `make test-long` look for more."""
    report = fuzz_target(load(name), 0.1, seed=1)
    assert [finding.what for finding in report.findings if finding.kind is not FindingKind.SLOW] == []
    assert report.inputs >= len(load(name).seeds)


def test_an_exception_that_escapes_is_found() -> None:
    """FZ-1: whatever its traceback says, such as the name of a function or a number of milliseconds."""

    def run(data: bytes) -> Hashable:
        params = 1 if b"token" in data else 0
        if params:
            raise IndexError("planted, after 11 ms")
        return len(data) // 16

    report = fuzz_target(target(run), 1.0, seed=3)
    assert report.findings
    assert "IndexError: planted" in report.findings[0].what
    assert {finding.kind for finding in report.findings} == {FindingKind.ESCAPED}
    assert b"token" in report.findings[0].data


def test_a_refusal_is_no_finding_and_its_text_is_the_behaviour() -> None:
    def run(data: bytes) -> Hashable:
        raise MalformedError(f"{len(data)} bytes, kind {data[0]:#06x}")

    result, finding = check(target(run), b"abc")
    assert finding is None
    assert result == "N bytes, kind N"


def test_a_slow_input_is_found_and_a_single_hiccup_is_not() -> None:
    """FZ-1: 10 ms for each input."""
    hiccups = iter([0.02])

    def work(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    def always(data: bytes) -> Hashable:
        work(0.012)
        return None

    def once(data: bytes) -> Hashable:
        work(next(hiccups, 0.0))
        return None

    _, finding = check(target(always), b"x")
    assert finding is not None
    assert finding.kind is FindingKind.SLOW
    assert " ms" in finding.what
    assert check(target(once), b"x") == (None, None)


def test_an_input_that_takes_too_much_memory_is_found() -> None:
    """FZ-1: bounded memory."""

    def run(data: bytes) -> Hashable:
        return len(bytearray(fuzz.runner.MAX_PEAK + 1))

    _, finding = check(target(run), b"x", measure_peak=True)
    assert finding is not None
    assert finding.kind is FindingKind.MEMORY
    assert "allocated" in finding.what


def test_the_same_seed_mutates_in_the_same_way() -> None:
    seed = vectors.SAMPLE_REQUEST
    runs = []
    for _ in range(2):
        mutator = Mutator(random.Random(7))
        data = [seed]
        for _ in range(300):
            data.append(mutator.mutate(data[-1], seed))
        runs.append(data)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 150
    assert max(map(len, runs[0])) <= MAX_INPUT


def test_mutations_of_a_message_often_stay_messages() -> None:
    """Structure-aware: a good part gets past the header, or the attributes behind it would never be reached."""
    from icelane.stun.message import parse_message

    mutator = Mutator(random.Random(1))
    parsed = 0
    for _ in range(1000):
        try:
            parse_message(mutator.mutate(vectors.SAMPLE_REQUEST, vectors.B1_REQUEST))
        except MalformedError:
            continue
        parsed += 1
    assert parsed > 150


def test_a_finding_is_saved_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(data: bytes) -> Hashable:
        assert data != b"\1\2"
        return None

    planted = Target("planted", [b"\1\2"], run, [b"token"])
    monkeypatch.setattr(fuzz.runner, "FINDINGS", tmp_path)
    monkeypatch.setattr("fuzz.__main__.all_targets", lambda: {"planted": planted})
    assert main(["--seconds", "0", "--seed", "1"]) == 1
    (saved,) = tmp_path.iterdir()
    assert saved.read_bytes() == b"\1\2"
    assert str(saved) in capsys.readouterr().out
    assert main(["--target", "planted", "--replay", str(saved)]) == 1
    saved.write_bytes(b"\1\3")
    assert main(["--target", "planted", "--replay", str(saved)]) == 0


def test_an_unknown_target_is_an_error_of_usage() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--target", "nothing_of_the_kind"])
    assert caught.value.code == 2


def test_a_corpus_file_is_one_input_a_line() -> None:
    assert bytes.fromhex("400000ff") in [data[2:] for data in kept_inputs("channeldata_stream")]
    assert kept_inputs("no_such_target") == []


def test_every_corpus_file_belongs_to_a_target() -> None:
    assert {path.stem for path in fuzz.runner.CORPUS.glob("*.hex")} <= set(TARGETS)
