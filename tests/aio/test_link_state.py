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
    ("flags", "driver", "leads"),
    [
        (0x1043, b"virtio_net", True),
        (0x10D1, b"tun", True),
        (0x49, b"", False),
        (0x8083, b"dummy", False),
        (0xC3, b"dummy", False),
        (0xC1, b"gre", True),
        (0xC1, b"", True),
        (0x10C3, b"ipvlan", True),
    ],
    ids=["ethernet", "tunnel", "loopback", "dummy", "dummy with a link", "GRE", "nobody tells", "no neighbours"],
)
def test_nor_by_a_dummy_but_by_tunnels_that_have_its_flags(
    monkeypatch: pytest.MonkeyPatch, flags: int, driver: bytes, *, leads: bool
) -> None:
    monkeypatch.setattr(link_state, "IS_LINUX", True)
    monkeypatch.setattr(link_state, "_flags", lambda *_: flags)
    monkeypatch.setattr(link_state, "_driver", lambda *_: driver)
    assert leads_out("some0") is leads
