from __future__ import annotations

import socket

import pytest

from icelane.aio import link_state
from icelane.aio.link_state import has_link


def test_loopback_is_connected() -> None:
    assert has_link("lo")


@pytest.mark.parametrize("name", ["", "nobody0", "a-name-that-is-too-long-for-an-interface", "ümläüt0"])
def test_what_the_machine_does_not_know_counts_as_connected(name: str) -> None:
    assert has_link(name)


def test_elsewhere_every_interface_counts_as_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_state, "IS_LINUX", False)
    monkeypatch.delattr(socket, "socket")  # nobody is asked
    assert has_link("lo")
