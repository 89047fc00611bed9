"""OP-10 on one node, and on several that share an engine: what was promised about a resume, by many histories."""

from __future__ import annotations

from collections import Counter

import pytest

from icelane.signaling.push import Replay
from tests.signaling.history import History, Said, Violation


@pytest.mark.parametrize("seed", range(20))
def test_within_the_window_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    """OP-10: forced disconnects, restarts, slow readers; outside of the window an explicit resync. OP-2: and after."""
    history = History(seed)
    history.run()
    history.check()
    assert len(history.log) > 100
    assert sum(member.resumed for member in history.members) > 5
    assert sum(member.resyncs for member in history.members) > 0


@pytest.mark.parametrize("seed", range(20, 30))
def test_without_restarts_only_time_and_too_much_end_a_session(seed: int) -> None:
    """OP-10: nothing but the bounds."""
    history = History(seed, members=4, restarts=False)
    history.run(400)
    history.check()


@pytest.mark.parametrize("seed", range(30, 40))
def test_nodes_that_share_an_engine_keep_one_order(seed: int) -> None:
    """OP-10: per-sender order, and the same order for all readers, wherever they are."""
    history = History(seed, nodes=3)
    history.run(400)
    history.check()


@pytest.mark.parametrize("seed", range(40, 50))
def test_an_engine_that_takes_its_time_changes_nothing(seed: int) -> None:
    """OP-10: joins that are answered later, and what is said behind them."""
    history = History(seed, nodes=2, restarts=False, late=True)
    history.run(400)
    history.check()


def test_the_histories_have_in_them_what_they_are_about() -> None:
    """OP-10: slow readers, silent ones, restarts, absences, and more missed than is kept."""
    happened: Counter[str] = Counter()
    for seed in range(4):
        history = History(seed)
        history.run()
        happened += history.happened
    for what in ("server lost", "away too long", "missed too much", "closed with 4413", "closed with 4408"):
        assert happened[what], what


def test_the_same_seed_is_the_same_history() -> None:
    """OP-10: replayable."""
    one, two = History(7), History(7)
    one.run(300)
    two.run(300)
    assert one.log == two.log


def test_the_checker_notices_a_loss_a_repeat_and_another_order() -> None:
    """OP-10: a checker that never fails proves nothing."""
    for spoil in ("lose", "double", "swap"):
        history = History(3)
        history.run(100)
        history.check()
        heard = history.members[0].segments[-1].heard
        for number in range(4):
            heard.append(Said("member-1", 10_000 + number))
            history.log.append(Said("member-1", 10_000 + number))
        if spoil == "lose":
            del heard[-2]
        elif spoil == "double":
            heard.append(heard[-1])
        else:
            heard[-1], heard[-2] = heard[-2], heard[-1]
        with pytest.raises(Violation):
            history.check()


def test_the_checker_notices_a_resync_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """OP-10: always starting over would lose nothing that was promised, and be no resume."""
    monkeypatch.setattr(Replay, "since", lambda *_: None)
    with pytest.raises(Violation):
        History(1).run()
