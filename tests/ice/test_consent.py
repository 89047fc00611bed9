"""The clockwork of consent, against a path that answers or not. Times are seconds since the pair became valid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from icelane.core.clock import Duration, Instant, later
from icelane.ice.consent import CHECKS_BEFORE_LOST, HURRY_INTERVAL, LITE_SILENCE, Consent
from icelane.ice.options import IceOptions
from icelane.testing.entropy import SeededEntropy

START = Instant(1000.0)
FOR_EVER = 1e9


@dataclass
class Watch:
    """Runs the clockwork; the path answers checks that are sent before `dies` or from `returns` on."""

    dies: Duration = FOR_EVER
    returns: Duration = FOR_EVER
    round_trip: Duration = 0.02
    data_until: Duration = 0.0
    options: IceOptions = field(default_factory=IceOptions)
    seed: int = 1
    checks: list[Duration] = field(default_factory=list)
    lost: list[Duration] = field(default_factory=list)
    found: list[Duration] = field(default_factory=list)
    expired: Duration | None = None

    def run(self, duration: Duration) -> Watch:
        consent = Consent(self.options, SeededEntropy(self.seed), START, START)
        answers: list[Instant] = []
        data = [later(START, 0.05 * number) for number in range(int(self.data_until * 20))]
        now = START
        while True:
            now = min([consent.next_timeout(), *answers[:1], *data[:1]])
            since = now - START
            if since > duration:
                return self
            if answers and answers[0] <= now:
                was_lost = consent.lost
                consent.handle_response(answers.pop(0))
                if was_lost:
                    self.found.append(since)
            if data and data[0] <= now:
                data.pop(0)
                consent.handle_data(now)
            if consent.has_expired(now):
                self.expired = since
                return self
            was_lost = consent.lost
            consent.handle_timeout(now)
            if consent.lost and not was_lost:
                self.lost.append(since)
            if consent.wants_check(now):
                self.checks.append(since)
                consent.handle_sent(now, self.round_trip)
                if since < self.dies or since >= self.returns:
                    answers.append(later(now, self.round_trip))
                    answers.sort()

    @property
    def gaps(self) -> list[Duration]:
        return [after - before for before, after in zip([0.0, *self.checks], self.checks, strict=False)]


def test_checks_are_four_to_six_seconds_apart_with_jitter() -> None:
    """IC-5: the spacing of RFC 7675 section 5.1, one request each while they are answered."""
    watch = Watch().run(3600.0)
    assert min(watch.gaps) >= 4.0
    assert max(watch.gaps) <= 6.0
    assert min(watch.gaps) < 4.2
    assert max(watch.gaps) > 5.8
    assert not watch.lost
    assert watch.expired is None


@pytest.mark.parametrize("dies", [0.0, 3.0, 17.3, 40.0, 55.5])
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_dead_path_is_lost_within_7_seconds_and_expires_30_after_the_last_answer(dies: Duration, seed: int) -> None:
    """IC-5: not before 30 s without a valid answer, and at most 1 s later."""
    watch = Watch(dies=dies, seed=seed).run(200.0)
    last_answer = max([check + watch.round_trip for check in watch.checks if check < dies], default=0.0)
    assert watch.lost[0] - dies <= 7.0
    assert len(watch.lost) == 1
    assert watch.expired == pytest.approx(last_answer + 30.0)


def test_a_lost_path_is_checked_every_second_and_found_again() -> None:
    watch = Watch(dies=20.0, returns=35.0).run(120.0)
    assert len(watch.lost) == len(watch.found) == 1
    assert watch.found[0] - 35.0 <= 1.1
    assert watch.expired is None
    # Back to the ordinary pace.
    after = [check for check in watch.checks if check > watch.found[0]]
    assert all(4.0 <= second - first <= 6.0 for first, second in itertools.pairwise(after))


def test_an_unanswered_check_is_repeated_before_the_path_is_lost() -> None:
    watch = Watch(dies=0.0).run(8.0)
    first = watch.checks[0]
    before = [check - first for check in watch.checks if check < watch.lost[0]]
    assert before == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert len(before) == CHECKS_BEFORE_LOST
    assert watch.lost[0] - first == pytest.approx(1.0)


def test_one_lost_datagram_is_no_disconnection() -> None:
    watch = Watch(dies=20.0, returns=20.0 + 6.0).run(60.0)
    first = next(check for check in watch.checks if check >= 20.0)
    again = Watch(dies=20.0, returns=first + 0.2).run(60.0)
    assert not again.lost


def test_when_data_stops_the_next_check_comes_early() -> None:
    """Data stops with the path: 2.5 s later a check, 1 s after that the path is lost, wherever the regular one was."""
    for seed in range(1, 10):
        watch = Watch(dies=20.0, data_until=20.0, seed=seed).run(40.0)
        assert watch.lost[0] - 20.0 <= 3.6


def test_while_data_flows_checks_keep_their_pace() -> None:
    watch = Watch(data_until=100.0).run(100.0)
    assert min(watch.gaps) >= 4.0
    assert max(watch.gaps) <= 6.0


def test_a_long_round_trip_is_waited_for() -> None:
    watch = Watch(round_trip=1.5).run(60.0)
    assert not watch.lost


def test_a_lite_agent_sends_nothing_and_counts_requests() -> None:
    consent = Consent(IceOptions(lite=True), SeededEntropy(1), START, START)
    assert consent.next_timeout() == later(START, LITE_SILENCE)
    consent.handle_response(later(START, 5.0))
    assert consent.next_timeout() == later(START, 5.0 + LITE_SILENCE)
    now = consent.next_timeout()
    consent.handle_timeout(now)
    assert consent.lost
    assert not consent.wants_check(now)
    assert consent.next_timeout() == later(START, 35.0)
    assert consent.has_expired(later(START, 35.0))
    assert not consent.has_expired(later(START, 34.99))


def test_a_doubt_is_asked_about_at_once_and_answered_or_lost_within_a_second() -> None:
    consent = Consent(IceOptions(), SeededEntropy(1), START, START)
    now = later(START, 1.0)
    assert not consent.wants_check(now)
    consent.hurry(now)
    assert consent.next_timeout() <= now
    assert consent.wants_check(now)
    consent.handle_sent(now, None)
    assert not consent.wants_check(now)
    consent.handle_timeout(later(now, 1.0))
    assert consent.lost


@pytest.mark.parametrize("every", [0.05, 0.3, 0.9, 1.5])
def test_doubts_without_end_do_not_hide_that_a_path_is_dead(every: Duration) -> None:
    consent, now, sent = Consent(IceOptions(), SeededEntropy(1), START, START), START, 0
    while not consent.lost:
        now = later(now, every)
        assert now - START < 4.0
        consent.hurry(now)
        consent.handle_timeout(now)
        if consent.wants_check(now):
            consent.handle_sent(now, None)
            sent += 1
    assert sent <= CHECKS_BEFORE_LOST + 1, "the last one as it is lost"
    for _ in range(100):
        now = later(now, 0.1)
        consent.hurry(now)
        if consent.wants_check(now):
            consent.handle_sent(now, None)
            sent += 1
    assert sent <= CHECKS_BEFORE_LOST + 11, "one a second"


def test_doubts_without_end_are_asked_about_once_a_second_while_they_are_answered() -> None:
    consent, sent = Consent(IceOptions(), SeededEntropy(1), START, START), []
    for number in range(1000):
        now = later(START, number / 100)
        consent.hurry(now)
        if consent.wants_check(now):
            consent.handle_sent(now, None)
            sent.append(now)
            consent.handle_response(now)
        assert not consent.lost
    assert len(sent) == 10
    assert min(after - before for before, after in itertools.pairwise(sent)) >= HURRY_INTERVAL - 1e-6


def test_a_lite_agent_has_nothing_to_ask_in_doubt() -> None:
    consent = Consent(IceOptions(lite=True), SeededEntropy(1), START, START)
    consent.hurry(START)
    assert not consent.wants_check(START)
