"""`icelane certs`: the authority, and how it is trusted."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from icelane.cli import certs
from icelane.cli.output import CommandError
from icelane.node.development.authority import Authority, load_authority
from icelane.node.development.places import Places
from icelane.node.development.trust_steps import TITLES, System
from tests.cli.conftest import Icelane
from tests.cli.development import home


@pytest.fixture
def user() -> Iterator[dict[str, str]]:
    """Somebody who has nothing yet."""
    with home() as environment:
        yield environment


@pytest.fixture
def authority(icelane: Icelane, user: dict[str, str]) -> Authority:
    """The authority of `user`."""
    assert icelane("certs", "show", **user).code == 0
    found = load_authority(Places.of(user, Path(user["HOME"])).authority)
    assert found is not None
    return found


class Programs:
    """What was run, in place of running it."""

    def __init__(self, code: int = 0) -> None:
        self.commands: list[list[str]] = []
        self._code = code

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        return self._code


def test_it_is_made_by_the_first_who_asks_and_stays(icelane: Icelane, user: dict[str, str]) -> None:
    first = icelane("certs", "show", "--json", **user).document
    assert first == icelane("certs", "show", "--json", **user).document
    assert first["sha256"].count(":") == 31
    assert Path(first["file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_with_sudo_none_is_made_that_would_be_roots(
    icelane: Icelane, user: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_dir=str(tmp_path / name)))
    for command in (("certs", "show"), ("certs", "trust", "--install", "--system=debian")):
        result = icelane(*command, SUDO_USER="ann", **user)
        assert result.code == 2
        assert "without sudo" in result.err
    assert not (tmp_path / "ann").exists()


def test_trust_names_the_file_and_a_command_for_each_system(
    icelane: Icelane, authority: Authority, user: dict[str, str]
) -> None:
    document = icelane("certs", "trust", "--json", *(f"--system={one}" for one in System), **user).document
    assert document["systems"].keys() == {one.value for one in System}
    for system in ("debian", "fedora", "macos", "windows", "chromium"):
        commands = [command for step in document["systems"][system] for command in step["commands"]]
        assert any(str(authority.file) in command for command in commands), system


def test_without_a_choice_this_machine_and_browsers_and_phones_are_explained(
    icelane: Icelane, authority: Authority, user: dict[str, str]
) -> None:
    text = icelane("certs", "trust", **user).out
    assert authority.fingerprint in text
    for system in (System.FIREFOX, System.IOS, System.ANDROID):
        assert TITLES[system] in text


def test_a_system_that_nobody_knows_is_a_mistake(icelane: Icelane, user: dict[str, str]) -> None:
    result = icelane("certs", "trust", "--system", "beos", "--json", **user)
    assert result.code == 2
    assert "beos" in result.document["problems"][0]["message"]


def test_untrust_explains_the_way_back(icelane: Icelane, authority: Authority, user: dict[str, str]) -> None:
    result = icelane("certs", "untrust", "--system", "chromium", **user)
    assert result.code == 0
    assert "certutil" in result.out
    assert authority.name in result.out


def test_what_was_never_made_cannot_be_forgotten(icelane: Icelane, user: dict[str, str]) -> None:
    result = icelane("certs", "untrust", **user)
    assert result.code == 2
    assert "never run" in result.err


@pytest.mark.parametrize(
    ("system", "refresh"),
    [(System.DEBIAN, ["update-ca-certificates"]), (System.FEDORA, ["update-ca-trust", "extract"])],
)
def test_install_puts_the_certificate_where_the_system_looks(
    authority: Authority, tmp_path: Path, system: System, refresh: list[str]
) -> None:
    programs = Programs()
    file = certs.install_authority(authority, system, tmp_path, programs)
    assert file.is_relative_to(tmp_path)
    assert file.suffix == ".crt"
    assert file.read_bytes() == authority.pem
    assert programs.commands == [refresh]
    certs.remove_authority(system, tmp_path, programs)
    assert not file.exists()
    assert programs.commands[1][0] == refresh[0]


def test_an_install_that_fails_says_which_program(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="update-ca-certificates failed with 127"):
        certs.install_authority(authority, System.DEBIAN, tmp_path, Programs(127))


@pytest.mark.parametrize("system", ["firefox", "macos"])
def test_install_is_for_the_systems_that_have_a_directory(icelane: Icelane, user: dict[str, str], system: str) -> None:
    result = icelane("certs", "trust", "--install", "--system", system, **user)
    assert result.code == 2


def test_only_root_installs(icelane: Icelane, user: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = icelane("certs", "trust", "--install", "--system", "debian", **user)
    assert result.code == 3
    assert "sudo icelane certs trust --install" in result.err


@pytest.mark.parametrize("command", ["show", "trust", "untrust"])
def test_help_has_an_example(icelane: Icelane, command: str) -> None:
    assert f"icelane certs {command}" in icelane("certs", command, "--help").out
