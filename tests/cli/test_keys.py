"""`icelane keys`."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from icelane.crypto.api_key import hash_of
from icelane.server.config import load_config
from icelane.server.machine import Machine
from tests.cli.conftest import Icelane

MACHINE = Machine(addresses=("127.0.0.1",), preferred=("192.0.2.1",))
OLD = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
FILE = f"""# ours
[turn]
hostname = "turn.example.org"   # the name

# what credentials are signed with
[[turn.secrets]]
kid = "old"
secret = "{OLD}"

# whom clients may reach
[turn.peers]
allow = []

[[ auth.jwt ]]  # the shop
issuer = "shop"
algorithm = "HS256"
secret = "{SECRET}"

[[auth.jwt]]
issuer = "desk"
algorithm = "HS256"
kid = "d1"
audience = "icelane"
secret = "{SECRET[::-1]}"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "icelane.toml"
    found.write_text(FILE)
    found.chmod(0o640)
    return found


@pytest.mark.parametrize("purpose", ["jwt", "turn", "hooks", "api-key"])
def test_what_is_printed_goes_into_the_configuration_as_it_is(icelane: Icelane, tmp_path: Path, purpose: str) -> None:
    result = icelane("keys", "new", "--for", purpose)
    assert result.code == 0
    (tmp_path / "new.toml").write_text(result.out.partition("\n# the key itself")[0])
    load_config(tmp_path / "new.toml", environ={}, machine=MACHINE)
    assert icelane("keys", "new", "--for", purpose).out != result.out


def test_an_api_key_is_shown_once_and_its_hash_is_configured(icelane: Icelane) -> None:
    """CR-6: what the configuration has opens nothing."""
    found = icelane("keys", "new", "--for", "api-key", "--name", "shop", "--json").document
    assert found["hash"] == hash_of(found["key"])
    assert found["name"] == "shop"
    text = icelane("keys", "new", "--for", "api-key").out
    key = text.strip().splitlines()[-1]
    assert hash_of(key) in text
    assert text.count(key) == 1


def test_a_pair_is_written_for_the_owner_alone_and_over_nothing(icelane: Icelane, tmp_path: Path) -> None:
    """CR-6: a private key is in a file that nobody else reads, and never printed."""
    assert icelane("keys", "new", "--algorithm", "ES256").code == 2
    result = icelane("keys", "new", "--algorithm", "ES256", "--out", "a", "--kid", "k7", "--json")
    assert result.document["kid"] == "k7"
    assert "PRIVATE" not in result.out
    assert stat.S_IMODE((tmp_path / "a-private.pem").stat().st_mode) == 0o600
    assert "PUBLIC KEY" in (tmp_path / "a.pem").read_text()
    again = icelane("keys", "new", "--algorithm", "RS256", "--out", "a")
    assert again.code == 2
    assert "is there already" in again.err
    assert icelane("keys", "new", "--algorithm", "ES256", "--out", "missing/a").code == 3
    assert icelane("keys", "new", "--kid", "a:b").code == 2


def test_nothing_is_written_unless_asked(icelane: Icelane, file: Path) -> None:
    result = icelane("keys", "rotate", "--for", "turn", "--kid", "new")
    assert result.code == 0
    assert file.read_text() == FILE
    assert result.out.startswith('[[turn.secrets]]\nkid = "new"\nsecret = "')
    assert "--write" in result.err


def test_a_secret_is_put_before_the_old_one_and_taken_out_later(icelane: Icelane, file: Path) -> None:
    """TA-11: both are accepted in between; every other line stays, and so do the rights of the file."""
    result = icelane("keys", "rotate", "--for", "turn", "--kid", "new", "--write", "--json")
    assert result.document == {"ok": True, "file": "icelane.toml", "written": True, "added": "new", "dropped": None}
    first, second = tomllib.loads(file.read_text())["turn"]["secrets"]
    assert (first["kid"], second["kid"], second["secret"]) == ("new", "old", OLD)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert set(FILE.splitlines()) <= set(file.read_text().splitlines())
    config = load_config(file, environ={}, machine=MACHINE)
    assert [entry.kid for entry in config.turn.secrets] == ["new", "old"]
    dropped = icelane("keys", "rotate", "--for", "turn", "--drop", "old", "--write")
    assert dropped.code == 0
    assert "# whom clients may reach" in file.read_text()
    assert OLD not in file.read_text()
    assert OLD not in dropped.out
    last = icelane("keys", "rotate", "--for", "turn", "--drop", "new", "--write")
    assert last.code == 2
    assert "only one" in last.err


def test_a_key_of_tokens_is_rotated_for_its_issuer(icelane: Icelane, file: Path) -> None:
    assert icelane("keys", "rotate", "--for", "jwt", "--issuer", "desk", "--kid", "d2", "--write").code == 0
    entries = tomllib.loads(file.read_text())["auth"]["jwt"]
    assert [(entry["issuer"], entry.get("kid")) for entry in entries] == [
        ("shop", None),
        ("desk", "d2"),
        ("desk", "d1"),
    ]
    assert entries[1]["audience"] == "icelane"
    old = icelane(
        "token", "create", "--identity", "ann", "--issuer", "shop", ICELANE_TURN__RELAY_ADDRESSES='["127.0.0.1"]'
    )
    assert icelane("keys", "rotate", "--for", "jwt", "--kid", "s2", "--write").code == 0
    environ = {"ICELANE_TURN__RELAY_ADDRESSES": '["127.0.0.1"]'}
    assert icelane("token", "verify", old.out.strip(), **environ).code == 0
    fresh = icelane("token", "create", "--identity", "ann", **environ)
    assert icelane("token", "verify", fresh.out.strip(), **environ).code == 0
    assert icelane("keys", "rotate", "--for", "jwt", "--drop", "d1", "--write").code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--for", "turn", "--kid", "old"), "there already"),
        (("--for", "jwt", "--issuer", "nobody"), "no entry has the issuer"),
        (("--for", "turn", "--drop", "nobody"), "no entry"),
        (("--for", "turn", "-c", "missing.toml"), "cannot be read"),
    ],
)
def test_what_cannot_be_rotated_says_why(icelane: Icelane, file: Path, arguments: tuple[str, ...], text: str) -> None:
    result = icelane("keys", "rotate", *arguments, "--write")
    assert result.code == 2
    assert text in result.err
    assert file.read_text() == FILE


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"turn.secrets = [{{ kid = 'old', secret = '{OLD}' }}]", "by hand"),
        (f'[turn]\nrealm = """\n[[turn.secrets]]\n"""\n[[turn.secrets]]\nkid = "a"\nsecret = "{OLD}"', "by hand"),
        ("[turn]\n", "icelane keys new"),
        ("this is not TOML", "not TOML"),
        ("turn = 7", "icelane keys new"),
        ("turn.secrets = 'x'", "not a list"),
    ],
)
def test_a_file_that_is_written_in_another_way_is_not_spoilt(
    icelane: Icelane, file: Path, content: str, text: str
) -> None:
    file.write_text(content)
    result = icelane("keys", "rotate", "--for", "turn", "--write")
    assert result.code == 2
    assert text in result.err
    assert file.read_text() == content
    assert OLD not in result.err


def test_keys_in_files_are_rotated_with_files(icelane: Icelane, file: Path) -> None:
    file.write_text("[[auth.jwt]]\nissuer = 'x'\nalgorithm = 'ES256'\npublic_key = 'a.pem'\n")
    result = icelane("keys", "rotate", "--for", "jwt", "--write")
    assert result.code == 2
    assert "--algorithm ES256" in result.err


def test_without_a_file_there_is_nothing_to_rotate(icelane: Icelane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.server.config.load.SEARCHED", ())
    assert icelane("keys", "rotate", "--for", "turn").code == 2
