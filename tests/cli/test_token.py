"""`icelane token`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Icelane

SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
BODY = f"""
turn.relay_addresses = ["127.0.0.1"]
[[auth.jwt]]
issuer = "example"
algorithm = "HS256"
secret = "{SECRET}"
"""


def test_what_is_created_is_verified(icelane: Icelane) -> None:
    """CR-1: and says who it is for, until when, and for which rooms."""
    made = icelane(
        "token", "create", "--identity", "ann", "--room", "demo", "--room", "team-*", "--valid-for", "5m",
        "--grant", "join", "--grant", "moderate", "--meta", '{"hat": "red"}', "--name", "Ann", "--relay-only",
        ICELANE_CONFIG_BODY=BODY,
    )  # fmt: skip
    assert made.code == 0
    assert made.out.count("\n") == 1
    found = icelane("token", "verify", made.out.strip(), "--json", ICELANE_CONFIG_BODY=BODY).document
    claims = found["claims"]
    assert found["ok"] is True
    assert claims["sub"] == "ann"
    assert claims["rooms"] == ["demo", "team-*"]
    assert claims["grants"] == ["join", "moderate"]
    assert claims["meta"] == {"hat": "red"}
    assert claims["ice"] == {"policy": "relay"}
    assert claims["exp"] - claims["iat"] == 300


def test_json_has_the_token_and_its_claims(icelane: Icelane) -> None:
    found = icelane("token", "create", "--identity", "ann", "--json", ICELANE_CONFIG_BODY=BODY).document
    assert found["ok"] is True
    assert found["token"].count(".") == 2
    assert found["claims"]["rooms"] == []


def test_a_token_without_a_room_is_remarked_upon(icelane: Icelane) -> None:
    assert "in no room" in icelane("token", "create", "--identity", "ann", ICELANE_CONFIG_BODY=BODY).err


def test_a_token_may_come_by_standard_input(icelane: Icelane) -> None:
    made = icelane("token", "create", "--identity", "ann", ICELANE_CONFIG_BODY=BODY)
    from typer.testing import CliRunner

    from icelane.cli.main import app

    result = CliRunner().invoke(app, ["token", "verify", "-"], input=made.out, env={"ICELANE_CONFIG_BODY": BODY})
    assert result.exit_code == 0
    assert "sub\tann" in result.stdout


def test_a_token_that_the_server_would_refuse_says_why(icelane: Icelane) -> None:
    good = icelane("token", "create", "--identity", "ann", ICELANE_CONFIG_BODY=BODY).out.strip()
    for text, body, fault in (
        ("nonsense", BODY, "token_malformed"),
        (good[:-8] + "AAAAAAAA", BODY, "token_bad_signature"),
        (good, BODY.replace("example", "other"), "token_unknown_issuer"),
        (good, BODY.replace("HS256", "HS512"), "token_wrong_algorithm"),
        (good, BODY + 'audience = "other"', "token_wrong_audience"),
        (good, BODY.replace(SECRET, SECRET[::-1]), "token_bad_signature"),
    ):
        result = icelane("token", "verify", text, "--json", ICELANE_CONFIG_BODY=body)
        assert result.code == 1
        assert result.document["fault"] == fault
        assert good not in result.out


def test_no_refusal_shows_a_token_or_a_secret(icelane: Icelane) -> None:
    """SG-7: neither on the terminal nor in JSON."""
    good = icelane("token", "create", "--identity", "ann", ICELANE_CONFIG_BODY=BODY).out.strip()
    result = icelane("token", "verify", good, ICELANE_CONFIG_BODY=BODY.replace(SECRET, SECRET[::-1]))
    assert "mend:" in result.err
    assert good not in result.out + result.err
    assert SECRET[::-1] not in result.out + result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--valid-for", "soon"),
        ("--grant", "root"),
        ("--meta", "[]"),
        ("--meta", "{"),
        ("--room", "a*b"),
        ("--issuer", "other"),
        ("--identity", ""),
    ],
)
def test_what_cannot_be_said_is_a_mistake_on_the_command_line(icelane: Icelane, arguments: tuple[str, str]) -> None:
    result = icelane("token", "create", "--identity", "ann", *arguments, ICELANE_CONFIG_BODY=BODY)
    assert result.code == 2
    assert result.out == ""


def test_without_a_key_the_command_that_makes_one_is_named(icelane: Icelane) -> None:
    body = "turn.relay_addresses = ['127.0.0.1']"
    result = icelane("token", "create", "--identity", "ann", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert "icelane keys new --for jwt" in result.err
    assert icelane("token", "verify", "x", ICELANE_CONFIG_BODY=body).code == 2


def test_keys_that_cannot_be_fetched_are_the_networks_fault(icelane: Icelane) -> None:
    from joserfc.jwk import ECKey

    from icelane.signaling.admission.join_token import TokenSigner

    pem = ECKey.generate_key("P-256").as_pem(private=True).decode()
    text = TokenSigner(issuer="example", algorithm="ES256", key=pem).sign({"iss": "example"})
    body = (
        "turn.relay_addresses = ['127.0.0.1']\n[[auth.jwt]]\nissuer = 'example'\nalgorithm = 'ES256'\n"
        "jwks_url = 'http://127.0.0.1:1/keys'"
    )
    result = icelane("token", "verify", text, "--json", ICELANE_CONFIG_BODY=body)
    assert result.code == 4
    assert json.loads(result.out)["fault"] == "keys_unavailable"


def test_a_pair_of_keys_makes_tokens(icelane: Icelane, tmp_path: Path) -> None:
    made = icelane("keys", "new", "--algorithm", "EdDSA", "--issuer", "example", "--out", "signing")
    assert made.code == 0
    (tmp_path / "icelane.toml").write_text(f"turn.relay_addresses = ['127.0.0.1']\n{made.out}")
    token = icelane("token", "create", "--identity", "ann")
    assert token.code == 0
    assert icelane("token", "verify", token.out.strip()).code == 0
