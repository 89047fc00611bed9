"""`icelane init`: a configuration that works as it is, and never somebody else's secret."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from icelane.cli.init import _steps
from icelane.server.config import load_config
from icelane.server.machine import Machine
from icelane.testing.entropy import SeededEntropy
from tests.cli.conftest import Icelane

MACHINE = Machine(addresses=("192.0.2.1",), preferred=("192.0.2.1",))
# A key or the head of a table behind a #, and no sentence.
KEY = re.compile(r"# (?:\[|\w+ = )")
# The machine of the test may have nothing but loopback.
HERE = {"ICELANE_TURN__RELAY_ADDRESSES": '["127.0.0.1"]'}


def secret_of(file: Path) -> str:
    """The one secret of a written file."""
    (entry,) = tomllib.loads(file.read_text())["turn"]["secrets"]
    return str(entry["secret"])


def test_what_init_writes_passes_the_check(icelane: Icelane, tmp_path: Path) -> None:
    result = icelane("init", "--hostname", "turn.example.org")
    assert result.code == 0
    assert icelane("config", "check", "-c", "icelane.toml", **HERE).code == 0
    config = load_config(tmp_path / "icelane.toml", environ={}, machine=MACHINE, serving=True)
    assert config.turn.hostname == config.turn.realm == "turn.example.org"


def test_without_a_host_name_it_passes_too(icelane: Icelane, tmp_path: Path) -> None:
    assert icelane("init", "--directory", "etc/icelane", "--json").document == {
        "ok": True,
        "file": "etc/icelane/icelane.toml",
        "files": ["etc/icelane/icelane.toml"],
        "kept": False,
        "next": ["icelane config check -c etc/icelane/icelane.toml", "icelane serve -c etc/icelane/icelane.toml"],
    }
    assert icelane("config", "check", "-c", "etc/icelane/icelane.toml", **HERE).code == 0
    assert load_config(tmp_path / "etc/icelane/icelane.toml", environ={}, machine=MACHINE).turn.hostname is None


def test_every_key_of_the_comments_is_accepted(icelane: Icelane, tmp_path: Path) -> None:
    """A comment that is made a line by taking the # away must not stop the start."""
    icelane("init", "--hostname", "turn.example.org")
    text = (tmp_path / "icelane.toml").read_text()
    lines = [line.removeprefix("# ") if KEY.match(line) else line for line in text.splitlines()]
    opened = tmp_path / "opened.toml"
    opened.write_text("\n".join(lines))
    machine = Machine(addresses=("10.0.0.5",), preferred=("10.0.0.5",))
    config = load_config(opened, environ={}, machine=machine)
    assert config.turn.external_addresses == {"10.0.0.5": "203.0.113.7"}
    assert config.log.addresses is True
    assert [str(listener) for listener in config.server.listen] == ["https://10.0.0.5:443", "http://10.0.0.5:80"]
    assert config.server.public_url == "https://turn.example.org"
    assert [entry.issuer for entry in config.auth.jwt] == ["icelane"]
    secrets = [config.turn.secrets[0].secret, config.auth.jwt[0].secret, config.hooks.secret]
    assert len({secret.get_secret_value() for secret in secrets if secret is not None}) == 3, "none serves two purposes"
    for written in (config.auth.api_keys, config.hooks.before_connect, config.lists.deny, config.lists.allow):
        assert written


def test_only_its_owner_may_read_it_and_nothing_shows_the_secret(icelane: Icelane, tmp_path: Path) -> None:
    """CR-6: not even in the moment when it is made."""
    result = icelane("init")
    file = tmp_path / "icelane.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_of(file) not in result.out + result.err
    assert [path.name for path in tmp_path.iterdir()] == ["icelane.toml"], "no draft is left behind"


def test_every_file_has_a_secret_of_its_own(icelane: Icelane, tmp_path: Path) -> None:
    for name in ("one", "two"):
        icelane("init", "--directory", name)
    assert secret_of(tmp_path / "one/icelane.toml") != secret_of(tmp_path / "two/icelane.toml")


def test_a_file_that_is_there_stays_unless_force_is_given(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text("# mine")
    file.chmod(0o644)
    refused = icelane("init")
    assert refused.code == 2
    assert "--force" in refused.err
    assert file.read_text() == "# mine"
    assert icelane("init", "--force").code == 0
    assert secret_of(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "the old file's mode does not count"


@pytest.mark.parametrize("name", ["turn example", "https://turn.example.org", "x" * 300, 'a"b', "x\ny"])
def test_a_host_name_that_cannot_be_one_is_refused(icelane: Icelane, tmp_path: Path, name: str) -> None:
    assert icelane("init", "--hostname", name).code == 2
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_named(icelane: Icelane, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = icelane("init", "--directory", "file/below")
    assert result.code == 3
    assert "file/below/icelane.toml" in result.err


def test_the_template_is_a_function_of_its_randomness() -> None:
    from icelane.server.config.template import starting_configuration

    assert starting_configuration(SeededEntropy(1)) == starting_configuration(SeededEntropy(1))
    assert starting_configuration(SeededEntropy(1)) != starting_configuration(SeededEntropy(2))


def test_a_unit_is_written_beside_the_configuration_that_it_names(icelane: Icelane, tmp_path: Path) -> None:
    result = icelane("init", "--systemd", "--directory", "etc")
    assert result.code == 0
    unit = (tmp_path / "etc/icelane.service").read_text()
    assert f"serve -c {tmp_path}/etc/icelane.toml" in unit
    assert "systemctl enable --now" in result.out
    assert "groupadd --system icelane-config" in result.out
    (allowing,) = [line.strip() for line in result.out.splitlines() if "chgrp" in line]
    assert allowing.startswith(f"chgrp icelane-config {tmp_path}/etc {tmp_path}/etc/icelane.toml && ")
    assert "-R" not in allowing
    assert stat.S_IMODE((tmp_path / "etc/icelane.toml").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("directory", "told"),
    [("/root", True), ("/tmp/relay", True), ("/var/tmp", True), ("/etc/icelane", False)],
)
def test_a_directory_that_the_unit_does_not_see_is_said(directory: str, told: bool) -> None:
    lines = [line for _, line in _steps(Path(directory, "icelane.toml"), systemd=True, container=False)]
    assert any(f"sees nothing in {directory}" in line for line in lines) is told


def test_the_files_of_a_container_come_with_few_relay_ports(icelane: Icelane, tmp_path: Path) -> None:
    document = icelane("init", "--container", "--json").document
    assert document["files"] == ["icelane.toml", "Dockerfile", "compose.yaml", ".dockerignore"]
    assert all((tmp_path / name).exists() for name in document["files"])
    assert tomllib.loads((tmp_path / "icelane.toml").read_text())["turn"]["relay_ports"] == "49160-49199"
    assert any(line.startswith("docker compose") for line in document["next"])


@pytest.mark.parametrize("option", ["--systemd", "--container"])
def test_a_configuration_that_is_there_is_kept_with_its_secret(icelane: Icelane, tmp_path: Path, option: str) -> None:
    icelane("init")
    before = secret_of(tmp_path / "icelane.toml")
    result = icelane("init", option)
    assert result.code == 0
    assert "stays as it is" in result.err
    assert secret_of(tmp_path / "icelane.toml") == before
    again = icelane("init", option)
    assert (again.code, "--force" in again.err) == (2, True), "what is beside it is not replaced unasked"
    assert icelane("init", option, "--force").code == 0
    assert secret_of(tmp_path / "icelane.toml") != before


def test_a_directory_that_no_unit_could_name_is_refused(icelane: Icelane, tmp_path: Path) -> None:
    result = icelane("init", "--systemd", "--directory", "a b")
    assert result.code == 2
    assert "cannot stand in a unit" in result.err
    assert not list(tmp_path.iterdir())
