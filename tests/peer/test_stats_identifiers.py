from __future__ import annotations

from icelane.peer.stats_identifiers import StatsIdentifiers


def test_a_thing_keeps_its_identifier_whatever_comes_and_goes_beside_it() -> None:
    identifiers = StatsIdentifiers()
    reports = []
    for things in (["a", "b"], ["b"], ["c", "b"], ["b", "a"]):
        identifiers.begin()
        reports.append([identifiers.of("I", thing) for thing in things])
    assert reports == [["I1", "I2"], ["I2"], ["I3", "I2"], ["I2", "I4"]]


def test_kinds_are_numbered_apart_and_asking_twice_is_harmless() -> None:
    identifiers = StatsIdentifiers()
    identifiers.begin()
    assert [identifiers.of(kind, "a") for kind in ("I", "R", "I", "CP")] == ["I1", "R1", "I1", "CP1"]


def test_nothing_is_remembered_of_what_is_gone() -> None:
    identifiers = StatsIdentifiers()
    for number in range(100):
        identifiers.begin()
        identifiers.of("I", number)
    identifiers.begin()
    identifiers.begin()
    assert not identifiers._before
    assert not identifiers._now
