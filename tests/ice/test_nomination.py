"""When the controlling side nominates (decision 0008)."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType, compute_priority
from icelane.ice.nomination import choose_nominee
from icelane.ice.options import IceOptions
from icelane.ice.pair import CandidatePair

START = Instant(1000.0)
OPTIONS = IceOptions(nomination_wait=0.2, relayed_nomination_wait=1.0)
HOST, RELAYED = CandidateType.HOST, CandidateType.RELAYED


def pair(kind: CandidateType, preference: int = 100) -> CandidatePair:
    mine, yours = (
        Candidate(type=one, host=f"192.0.2.{number}", port=preference, priority=compute_priority(one, preference),
                  foundation="1") for number, one in enumerate((kind, HOST))
    )  # fmt: skip
    return CandidatePair(mine, yours, Path(SocketAddress(mine.host, 1), yours.address, Transport.UDP))


@pytest.mark.parametrize(
    ("valid", "live", "complete", "after"),
    [
        ([HOST], [], False, 0.0),
        ([HOST], [RELAYED], False, 0.0),
        ([RELAYED], [], True, 0.0),
        ([RELAYED], [], False, 1.0),
        ([RELAYED], [HOST], True, 1.0),
        ([RELAYED, HOST], [], False, 0.0),
    ],
)
def test_the_wait_depends_on_what_may_still_come(
    valid: list[CandidateType], live: list[CandidateType], complete: bool, after: float
) -> None:
    nominee = choose_nominee(
        [pair(kind) for kind in valid],
        [pair(kind, 50) for kind in live],
        options=OPTIONS,
        first_valid=START,
        complete=complete,
    )
    assert nominee is not None
    assert nominee.pair.local.type is valid[-1]
    assert nominee.at - START == pytest.approx(after)


def test_a_better_direct_pair_is_waited_for_briefly() -> None:
    nominee = choose_nominee([pair(HOST, 1)], [pair(HOST, 2)], options=OPTIONS, first_valid=START, complete=True)
    assert nominee is not None
    assert nominee.at - START == pytest.approx(0.2)


def test_without_a_valid_pair_there_is_nobody_to_nominate() -> None:
    assert choose_nominee([], [pair(HOST)], options=OPTIONS, first_valid=START, complete=True) is None
