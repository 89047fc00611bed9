"""`icelane config import coturn`."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Icelane

SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
CONF = f"""
# ours
listening-ip=127.0.0.1
relay-ip=127.0.0.1
allow-loopback-peers
use-auth-secret
static-auth-secret={SECRET}
realm=example.org
mobility
no-cli
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A turnserver.conf."""
    file = tmp_path / "turnserver.conf"
    file.write_text(CONF)
    return file


def test_what_is_written_passes_the_check_and_keeps_the_secret(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    result = icelane("config", "import", "coturn", str(conf))
    assert (result.code, SECRET in result.out + result.err) == (0, False)
    file = tmp_path / "icelane.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    turn = tomllib.loads(file.read_text())["turn"]
    assert turn["secrets"] == [{"kid": "coturn1", "secret": SECRET}]
    assert turn["listen"] == ["udp://127.0.0.1:3478", "tcp://127.0.0.1:3478"]
    assert icelane("config", "check").code == 0


def test_every_line_is_answered_in_a_row_of_its_own(icelane: Icelane, conf: Path) -> None:
    rows = [line.split("\t") for line in icelane("config", "import", "coturn", str(conf)).out.splitlines()]
    told = {row[1]: row[2] for row in rows if len(row) == 4}
    assert told["realm"] == "taken over"
    assert told["no-cli"] == "needs no setting"
    assert told["mobility"] == "no counterpart"
    assert len(told) == 8


def test_the_document_has_settings_remarks_and_no_secret(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    result = icelane("config", "import", "coturn", str(conf), "--output", "etc/icelane.toml", "--json")
    assert (result.code, SECRET in result.out, result.err) == (0, False, "")
    document = result.document
    assert (document["ok"], document["file"], document["freshSecret"]) == (True, "etc/icelane.toml", False)
    assert {"key": "turn.realm", "lines": [8]} in document["settings"]
    assert [one["fate"] for one in document["remarks"] if one["option"] == "mobility"] == ["without"]
    assert (tmp_path / "etc/icelane.toml").exists()


def test_a_file_that_lets_nobody_in_gets_a_fresh_secret(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    conf.write_text("no-auth\nlistening-ip=127.0.0.1\n")
    result = icelane("config", "import", "coturn", str(conf))
    assert result.code == 0
    assert "fresh secret" in result.err
    assert len(tomllib.loads((tmp_path / "icelane.toml").read_text())["turn"]["secrets"]) == 1
    assert icelane("config", "check").code == 0


def test_unknown_lines_are_errors_and_nothing_is_written(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    conf.write_text("realm=x\nlistning-port=3\nwhat\n")
    result = icelane("config", "import", "coturn", str(conf))
    assert result.code == 2
    assert "line 2: listning-port is not an option of coturn's; did you mean listening-port?" in result.err
    assert "line 3: what is not an option of coturn's" in result.err
    assert not (tmp_path / "icelane.toml").exists()
    document = icelane("config", "import", "coturn", str(conf), "--json").document
    assert (document["ok"], document["exit"], len(document["problems"])) == (False, 2, 2)


def test_a_secret_that_is_too_short_is_named_by_its_line(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    conf.write_text("listening-ip=127.0.0.1\nstatic-auth-secret=north\n")
    result = icelane("config", "import", "coturn", str(conf))
    assert result.code == 2
    assert "static-auth-secret (line 2): a secret needs at least 128 bits" in result.err
    assert "openssl rand -base64 32" in result.err
    assert not (tmp_path / "icelane.toml").exists()


def test_a_file_that_is_there_stays_unless_force_is_given(icelane: Icelane, conf: Path, tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text("# mine")
    assert icelane("config", "import", "coturn", str(conf)).code == 2
    assert file.read_text() == "# mine"
    assert icelane("config", "import", "coturn", str(conf), "--force").code == 0
    assert "coturn1" in file.read_text()


def test_a_file_that_is_not_there_is_named(icelane: Icelane) -> None:
    result = icelane("config", "import", "coturn", "nowhere.conf")
    assert result.code == 2
    assert "nowhere.conf" in result.err


def test_its_help_has_an_example(icelane: Icelane) -> None:
    assert "icelane config import coturn /etc/turnserver.conf" in icelane("config", "import", "coturn", "--help").out
