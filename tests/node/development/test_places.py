"""Where things are kept, and how other commands find a node."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from icelane.node.development.places import SOCKET, Places


def places(folder: Path) -> Places:
    """Those of a user who lives in `folder`."""
    return Places.of({"XDG_RUNTIME_DIR": str(folder / "run")}, folder)


def listening(folder: Path) -> socket.socket:
    """An admin socket."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(folder / SOCKET))
    return made


def ended_process() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_directories_go_by_the_environment_and_by_home_without_it(tmp_path: Path) -> None:
    here = Places.of({"XDG_STATE_HOME": "/state", "XDG_RUNTIME_DIR": "/run/user/7"}, tmp_path)
    assert here.authority == Path("/state/icelane/development")
    assert here.running == Path("/run/user/7/icelane")
    without = Places.of({"XDG_STATE_HOME": "relative"}, tmp_path)
    assert without.authority == tmp_path / ".local/state/icelane/development"
    assert without.running == without.authority / "running"


def test_who_calls_sudo_lends_his_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_dir=str(tmp_path / name)))
    monkeypatch.setenv("SUDO_USER", "ann")
    lent = Places.here()
    assert lent.borrowed
    assert lent.authority.is_relative_to(tmp_path / "ann")
    monkeypatch.delenv("SUDO_USER")
    assert not Places.here().borrowed


def test_a_run_has_a_directory_that_nobody_else_enters(tmp_path: Path) -> None:
    folder = places(tmp_path).begin_run(os.getpid())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_node_that_runs_is_found_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    here = places(tmp_path)
    with listening(here.begin_run(ended_process())):
        assert here.sockets() == []
    folder = here.begin_run(os.getpid())
    assert here.sockets() == []
    with listening(folder):
        assert here.sockets() == [folder / SOCKET]


def test_what_a_dead_node_has_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    here = places(tmp_path)
    gone = here.begin_run(ended_process())
    (gone / "leaf.key").touch()
    here.begin_run(os.getpid())
    assert not gone.exists()


def test_nothing_is_found_where_nothing_was(tmp_path: Path) -> None:
    assert places(tmp_path).sockets() == []
