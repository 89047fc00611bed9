"""What is made before a development node starts."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import ConfigurationError
from icelane.node.development.addresses import NotPrivateError
from icelane.node.development.authority import authority_of
from icelane.node.development.places import Places
from icelane.node.development.preparation import Prepared, Wishes, prepare, prepared_folder
from icelane.server.machine import Machine
from icelane.testing.entropy import SeededEntropy

LONELY = Machine(addresses=("127.0.0.1", "::1"), preferred=(), networks=("127.0.0.1/8", "::1/128"))
NOW = UnixSeconds(time.time())


def places(folder: Path) -> Places:
    """Those of a user who lives in `folder`."""
    return Places.of({}, folder)


def prepared(folder: Path, wishes: Wishes, *, trusted: bool = False) -> Prepared:
    """A node on loopback; with `trusted` this machine trusts its authority."""
    here = places(folder)
    authority = authority_of(here.authority, NOW, host_name="laptop")
    with prepared_folder(here) as run:
        return asyncio.run(
            prepare(
                wishes,
                run,
                places=here,
                entropy=SeededEntropy(),
                machine=LONELY,
                unix_time=NOW,
                trusted=authority.file if trusted else None,
            )
        )


def test_links_name_the_room_and_carry_the_key_behind_the_hash(tmp_path: Path) -> None:
    found = prepared(tmp_path, Wishes(room="team room/ä", listen=["127.0.0.1"]))
    call = found.urls()["call"]
    address, _, fragment = call.partition("#")
    assert address.endswith("/r/team%20room%2F%C3%A4")
    assert fragment == f"token={found.guests.key}"
    assert found.guests.key not in found.urls()["signal"]
    assert found.guests.key not in repr(found)


def test_a_room_without_a_name_gets_one(tmp_path: Path) -> None:
    assert "-" in prepared(tmp_path, Wishes(listen=["127.0.0.1"])).room


def test_pages_get_turns_where_the_name_leads_here_and_the_authority_is_trusted(tmp_path: Path) -> None:
    found = prepared(tmp_path, Wishes(listen=["127.0.0.1"], hostname="localhost"), trusted=True)
    assert found.reach.pages_get_turns
    assert any(url.startswith("turns:localhost:") for url in found.turn_urls())


@pytest.mark.parametrize(("hostname", "trusted"), [("localhost", False), ("nowhere-at-all.local", True)])
def test_pages_get_no_turns_otherwise(tmp_path: Path, hostname: str, trusted: bool) -> None:
    found = prepared(tmp_path, Wishes(listen=["127.0.0.1"], hostname=hostname), trusted=trusted)
    assert not found.reach.pages_get_turns
    assert found.turn_urls()
    assert not any(url.startswith("turns:") for url in found.turn_urls())


@pytest.mark.parametrize("hostname", ["call.example.org", "192.168.1.20", "a b.local", "notlocal"])
def test_a_name_of_the_world_is_refused(tmp_path: Path, hostname: str) -> None:
    with pytest.raises(ConfigurationError, match="--hostname"):
        prepared(tmp_path, Wishes(listen=["127.0.0.1"], hostname=hostname))


def test_a_public_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotPrivateError):
        prepared(tmp_path, Wishes(listen=["8.8.8.8"]))


def test_a_run_leaves_nothing_but_the_authority(tmp_path: Path) -> None:
    prepared(tmp_path, Wishes(listen=["127.0.0.1"]))
    here = places(tmp_path)
    assert list(here.running.iterdir()) == []
    names = {path.name for path in here.authority.iterdir()}
    assert names == {"authority.pem", "icelane-development.crt", "running"}


def test_a_key_of_a_run_is_its_users_alone(tmp_path: Path) -> None:
    here = places(tmp_path)
    with prepared_folder(here) as run:
        asyncio.run(
            prepare(
                Wishes(listen=["127.0.0.1"]),
                run,
                places=here,
                entropy=SeededEntropy(),
                machine=LONELY,
                unix_time=NOW,
            )
        )
        assert run.name == str(os.getpid())
        assert (run / "leaf.key").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / ".local").touch()
    with pytest.raises(ConfigurationError, match="XDG_RUNTIME_DIR"), prepared_folder(places(tmp_path)):
        pass
