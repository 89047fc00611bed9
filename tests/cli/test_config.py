"""`icelane config`."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from icelane.server.config.reference import markdown
from tests import certificates
from tests.cli.conftest import Icelane

SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"

SOUND = f"""
[turn]
listen = ["udp://127.0.0.1:3478"]
relay_addresses = ["127.0.0.1"]
users = {{ alice = "wonderland" }}
[[turn.secrets]]
kid = "k1"
secret = "{SECRET}"
"""


@pytest.fixture
def sound(tmp_path: Path) -> str:
    """The path of a valid configuration."""
    file = tmp_path / "sound.toml"
    file.write_text(SOUND)
    return str(file)


def test_a_valid_configuration_passes(icelane: Icelane, sound: str) -> None:
    result = icelane("config", "check", "-c", sound)
    assert (result.code, result.out) == (0, "the configuration is valid\n")


def test_the_file_in_the_working_directory_is_found(icelane: Icelane, tmp_path: Path) -> None:
    (tmp_path / "icelane.toml").write_text(SOUND)
    assert icelane("config", "check").code == 0


def test_a_certificate_is_tried_and_compared_with_the_host_name(icelane: Icelane, tmp_path: Path) -> None:
    """OP-4: what cannot be used is found before the server is told to read it."""
    file = tmp_path / "tls.toml"
    pair = certificates.good(tmp_path)
    named = SOUND.replace("[turn]", '[turn]\nhostname = "turn.example.org"')
    file.write_text(named + pair.toml())
    result = icelane("config", "check", "-c", str(file), "--json")
    assert (result.code, result.document["advice"]) == (0, [])

    file.write_text(named + certificates.misnamed(tmp_path).toml())
    result = icelane("config", "check", "-c", str(file), "--json")
    assert [piece["key"] for piece in result.document["advice"]] == ["tls.certificate"]
    assert "elsewhere.example.org" in result.document["advice"][0]["message"]

    file.write_text(SOUND + certificates.expired(tmp_path).toml())
    result = icelane("config", "check", "-c", str(file), "--json")
    assert [piece["key"] for piece in result.document["advice"]] == ["tls.certificate", "turn.hostname"]

    pair.key.write_text("nothing")
    file.write_text(named + pair.toml())
    result = icelane("config", "check", "-c", str(file))
    assert result.code == 2
    assert f"tls.key in {pair.key}" in result.err


def test_every_mistake_is_named_and_the_code_is_two(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('turn.relm = "x"\nturn.listen = ["dtls://127.0.0.1"]')
    result = icelane("config", "check", "-c", str(file), ICELANE_LOG__FORMAT="xml")
    assert result.code == 2
    for name in (
        f"turn.relm in {file}",
        "turn.listen[0]",
        "ICELANE_LOG__FORMAT",
        "did you mean realm",
        "mend:",
        "turn.secrets",
    ):
        assert name in result.err


def test_a_file_that_is_not_there_is_named_by_its_name_alone(icelane: Icelane) -> None:
    result = icelane("config", "check", "-c", "nofile")
    assert result.code == 2
    assert "nofile: cannot be read" in result.err
    assert "file in" not in result.err
    (problem,) = icelane("config", "check", "-c", "nofile", "--json").document["problems"]
    assert problem["file"] == "nofile"
    assert "key" not in problem


def test_every_mistake_is_in_the_json(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('turn.relm = "x"')
    result = icelane("config", "check", "-c", str(file), "--json", ICELANE_TURN__X="1")
    assert result.code == 2
    assert result.document["ok"] is False
    assert {(one["key"], one.get("file")) for one in result.document["problems"]} == {
        ("ICELANE_TURN__X", None),
        ("turn.relm", str(file)),
    }
    assert result.err == ""


def test_a_server_without_credentials_fails_the_check(icelane: Icelane) -> None:
    body = "turn = { realm = 'x', relay_addresses = ['127.0.0.1'] }"  # named: a machine without a network has none
    result = icelane("config", "check", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert "nobody could authenticate" in result.err


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The file of a module that can be imported once it is written."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "icelane_test_accounts.py"
    sys.modules.pop("icelane_test_accounts", None)


AUTH = {
    "no module": ("", "there is no module icelane_test_accounts"),
    "no function": ("def other(): ...", "it has no find"),
    "not async": ("def find(query): return None", "is not an `async def` function"),
    "raises": ("raise RuntimeError('the password is swordfish')", "its import raised RuntimeError"),
    "exits": ("raise SystemExit('the password is swordfish')", "its import raised SystemExit"),
    "imports what is missing": ("import icelane_test_nothing", "there is no module icelane_test_nothing"),
    "imports wrongly": ("raise ImportError('the password is swordfish')", "its import raised ImportError"),
    "does not parse": ("password = 'swordfish", "its import raised SyntaxError"),
}


@pytest.mark.parametrize("kind", AUTH)
def test_a_function_that_cannot_be_used_is_found_by_the_check(icelane: Icelane, accounts: Path, kind: str) -> None:
    """CR-6: and what a module of somebody else says of itself is not repeated, for it may hold what it looks up."""
    source, message = AUTH[kind]
    if source:
        accounts.write_text(source)
    body = SOUND.replace("[turn]", '[turn]\nauth = "icelane_test_accounts:find"')
    result = icelane("config", "check", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert "turn.auth" in result.err
    assert message in result.err
    assert "swordfish" not in result.out + result.err


def test_a_function_that_can_be_used_passes(icelane: Icelane, accounts: Path) -> None:
    accounts.write_text("async def find(query): return None")
    body = SOUND.replace("[turn]", '[turn]\nauth = "icelane_test_accounts:find"')
    assert icelane("config", "check", ICELANE_CONFIG_BODY=body).code == 0


def test_a_relay_plane_that_was_not_built_is_found_by_the_check(
    icelane: Icelane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icelane.server.batched.available", lambda: False)
    check = ("config", "check")
    assert icelane(*check, ICELANE_CONFIG_BODY=SOUND.replace("[turn]", '[turn]\nplane = "auto"')).code == 0
    result = icelane(*check, ICELANE_CONFIG_BODY=SOUND.replace("[turn]", '[turn]\nplane = "compiled"'))
    assert result.code == 2
    assert "turn.plane" in result.err


def test_a_list_of_revocations_is_read_by_the_check_and_named_beside_other_mistakes(
    icelane: Icelane, tmp_path: Path
) -> None:
    revoked = tmp_path / "revoked"
    settings = f'[turn]\nrevoked_file = "{revoked}"\nauth = "icelane_test_nothing:find"'
    body = SOUND.replace("[turn]", settings)
    result = icelane("config", "check", "--json", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert {one["key"] for one in result.document["problems"]} == {"turn.revoked_file", "turn.auth"}
    body = SOUND.replace("[turn]", f'[turn]\nrevoked_file = "{revoked}"')
    revoked.write_text("--kid not a kid\n")
    result = icelane("config", "check", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert "line 1" in result.err
    revoked.write_text("carol\n")
    assert icelane("config", "check", ICELANE_CONFIG_BODY=body).code == 0


def test_advice_does_not_fail_the_check(icelane: Icelane, sound: str) -> None:
    switch = {"ICELANE_TURN__DANGEROUSLY_ALLOW_LOOPBACK_PEERS": "true"}
    result = icelane("config", "check", "-c", sound, **switch)
    assert result.code == 0
    assert "note: turn.dangerously_allow_loopback_peers" in result.err
    document = icelane("config", "check", "-c", sound, "--json", **switch).document
    assert [one["key"] for one in document["advice"]] == ["turn.dangerously_allow_loopback_peers"]


def test_show_prints_what_counts_as_toml_without_secrets(icelane: Icelane, sound: str) -> None:
    """CR-6: secrets are masked."""
    result = icelane("config", "show", "-c", sound, ICELANE_TURN__REALM="from-env")
    assert result.code == 0
    assert "wonderland" not in result.out
    assert SECRET not in result.out
    turn = tomllib.loads(result.out)["turn"]
    assert turn["realm"] == "from-env"
    assert turn["listen"] == ["udp://127.0.0.1:3478"]
    assert turn["users"] == {"alice": "********"}
    assert turn["secrets"] == [{"kid": "k1", "secret": "********"}]
    assert turn["quota"]["allocations_per_user"] == 12


def test_show_as_json_says_the_same(icelane: Icelane, sound: str) -> None:
    text = icelane("config", "show", "-c", sound).out
    assert icelane("config", "show", "-c", sound, "--json").document == tomllib.loads(text)


def test_docs_in_a_pipe_are_the_reference_page(icelane: Icelane) -> None:
    assert icelane("config", "docs").out == markdown()


def test_docs_as_json_list_every_setting(icelane: Icelane) -> None:
    settings = icelane("config", "docs", "--json").document["settings"]
    assert {"turn.realm", "turn.secrets[].kid", "log.format"} <= {one["key"] for one in settings}


def test_docs_as_json_have_values_and_no_markdown(icelane: Icelane) -> None:
    printed = icelane("config", "docs", "--json")
    assert "`" not in printed.out
    settings = {one["key"]: one for one in printed.document["settings"]}
    defaults = {
        "turn.relay_ports": "49152-65535",
        "turn.drain_deadline": "10m",
        "turn.strict_expiry": False,
        "turn.quota.allocations_per_user": 12,
        "turn.users": {},
        "turn.peers.allow": [],
        "log.format": "human",
        "turn.realm": None,
    }
    assert {key: settings[key]["default"] for key in defaults} == defaults
    assert settings["turn.realm"]["defaultText"].startswith("turn.hostname where")
    names = [settings["turn.users"][name] for name in ("variable", "fileVariable")]
    assert names == ["ICELANE_TURN__USERS", "ICELANE_TURN__USERS_FILE"]
    assert settings["turn.realm"]["fileVariable"] is None


@pytest.mark.parametrize(
    "words", [("config", "check"), ("config", "show"), ("config", "docs"), ("serve",), ("ice",)], ids=" ".join
)
def test_a_missing_extra_ends_with_three_and_says_what_installs_it(
    icelane: Icelane, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "pydantic" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    result = icelane(*words)
    assert result.code == 3
    assert "pip install 'icelane[server]'" in result.err
    assert icelane(*words, "--json").document["problems"][0]["mend"] == "pip install 'icelane[server]'"
