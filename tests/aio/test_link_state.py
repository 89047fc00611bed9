from __future__ import annotations

import socket

import pytest

from icelane.aio import link_state
from icelane.aio.kernel import IS_LINUX
from icelane.aio.link_state import has_link, leads_out


def test_loopback_is_connected() -> None:
    assert has_link("lo")


@pytest.mark.parametrize("name", ["", "nobody0", "a-name-that-is-too-long-for-an-interface", "ümläüt0"])
def test_what_the_machine_does_not_know_counts_as_connected(name: str) -> None:
    assert has_link(name)


def test_elsewhere_every_interface_counts_as_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_state, "IS_LINUX", False)
    monkeypatch.delattr(socket, "socket")  # nobody is asked
    assert has_link("lo")


def test_nothing_leaves_the_machine_by_loopback() -> None:
    assert leads_out("lo") is not IS_LINUX
    assert leads_out("nobody0")


@pytest.mark.parametrize(
    ("flags", "leads"),
    [(0x1043, True), (0x10D1, True), (0x49, False), (0x8083, False), (0xC3, False)],
    ids=["ethernet", "tunnel", "loopback", "dummy", "dummy with a link"],
)
def test_nor_by_what_asks_for_no_neighbours_and_has_none(
    monkeypatch: pytest.MonkeyPatch, flags: int, *, leads: bool
) -> None:
    monkeypatch.setattr(link_state, "IS_LINUX", True)
    monkeypatch.setattr(link_state, "_flags", lambda *_: flags)
    assert leads_out("some0") is leads
