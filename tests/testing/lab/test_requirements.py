"""What keeps a lab from being built is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from icelane.testing import link_program
from icelane.testing.lab import Host, Nat, Network, Way, missing, requirements
from tests.testing.lab.sockets import need_lab


@pytest.fixture(autouse=True)
def _look_again() -> Iterator[None]:
    requirements._missing.cache_clear()
    yield
    requirements._missing.cache_clear()


def test_root_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == "needs root"


@pytest.mark.parametrize(
    ("program", "package"), [("nft", "nftables"), ("ip", "iproute2"), ("setpriv", "util-linux"), ("mount", "mount")]
)
def test_the_debian_package_of_a_program_is_named(monkeypatch: pytest.MonkeyPatch, program: str, package: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/usr/sbin/{name}")
    assert missing() == f"needs the Debian package {package}"


def test_without_a_nat_and_a_firewall_nft_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    need_lab(Host("alice"))
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else which(name))
    requirements._missing.cache_clear()
    assert missing(Host("alice"), Network("campus")) is None
    assert missing(Network("home", nat=Nat.SYMMETRIC)) == missing() == "needs the Debian package nftables"


def test_a_line_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    need_lab(Host("alice", up=Way()))
    monkeypatch.setattr(link_program, "missing", lambda: "needs the Debian package gcc")
    assert missing(Host("alice")) is None
    assert missing(Host("alice", up=Way())) == "needs the Debian package gcc"


def test_a_kernel_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    need_lab()
    monkeypatch.setattr(requirements, "ruleset", lambda _: "table inet lab { nonsense }")
    requirements._missing.cache_clear()
    said = missing()
    assert said is not None
    assert said.startswith("needs a kernel that takes its rules, and the right to make them (CAP_NET_ADMIN):")
