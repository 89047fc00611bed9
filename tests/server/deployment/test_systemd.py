"""The unit for systemd, judged by systemd's own tools where they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from icelane.server.config import parse_config
from icelane.server.deployment.systemd import FILE_NAME, GROUP, unit
from icelane.server.machine import Machine

ETC = PurePosixPath("/etc/icelane/icelane.toml")
ICELANE = Path(sys.executable).absolute().with_name("icelane")
# Of ten, in tenths: below it systemd says "OK". What is left is the network, and which ports it may bind.
EXPOSURE = 20

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: apt-get install systemd"
)


def settings_of(text: str) -> dict[str, list[str]]:
    """The assignments of a unit."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A unit on disk, for a program that exists."""
    written = tmp_path / FILE_NAME
    written.write_text(unit(ICELANE, ETC))
    return written


@with_systemd
def test_systemd_understands_every_line(file: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@with_systemd
def test_systemd_finds_it_hardened(file: Path) -> None:
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_what_the_manager_needs_to_know() -> None:
    found = settings_of(unit(ICELANE, ETC))
    assert found["Type"] == ["notify"]
    assert found["ExecStart"] == [f"{ICELANE} serve -c {ETC}"]
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert found["WatchdogSec"] == ["30"]
    assert found["SupplementaryGroups"] == [GROUP]
    assert found["AmbientCapabilities"] == found["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]


def test_it_waits_longer_than_the_server_drains() -> None:
    machine = Machine(addresses=("127.0.0.1",), preferred=("127.0.0.1",))
    deadline = parse_config({"turn": {"users": {"a": "b"}}}, machine=machine).turn.drain_deadline
    assert float(settings_of(unit(ICELANE, ETC))["TimeoutStopSec"][0]) > deadline


def test_what_means_something_else_in_a_unit_is_escaped_or_refused() -> None:
    assert "ExecStart=/opt/50%%/$$x/icelane serve" in unit(PurePosixPath("/opt/50%/$x/icelane"), ETC)
    for path in ("relative/icelane", "/opt/a b/icelane", "/opt/\nUser=root\n/icelane", '/opt/"/icelane', "/opt/a;b"):
        with pytest.raises(ValueError, match="cannot stand in a unit"):
            unit(PurePosixPath(path), ETC)
