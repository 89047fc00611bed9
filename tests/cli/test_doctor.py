"""`icelane doctor` at a real server on loopback, and where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import certificates
from tests.cli.conftest import Icelane
from tests.interop.running import ICELANE, answers_binding, free_port, running

NAME = "localhost"
SECRET = "a secret of more than thirty-two bytes, for this test"


def configuration(folder: Path, port: int, web: int, secret: str = SECRET) -> str:
    return f"""\
[turn]
realm = "example.org"
hostname = "{NAME}"
listen = ["udp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
secrets = [{{ kid = "k1", secret = "{secret}" }}]
[server]
listen = ["https://127.0.0.1:{web}"]
{certificates.good(folder, NAME).toml()}"""


class Served:
    """A server that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.web = free_port(), free_port()
        self.file = folder / "icelane.toml"
        self.file.write_text(configuration(folder, self.port, self.web))
        self.authority = str(certificates.authority_file(folder))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("served"))
    command = [*ICELANE, "serve", "-c", str(found.file)]
    with running(command, ready=lambda: answers_binding("127.0.0.1", found.port), directory=found.folder):
        yield found


def test_a_server_that_is_well_ends_with_0_and_says_so(icelane: Icelane, served: Served) -> None:
    result = icelane("doctor", "-c", str(served.file), "--authority", served.authority)
    assert result.code == 0, result
    assert "all is well" in result.out
    lines = [line.split("\t") for line in result.out.splitlines() if "\t" in line]
    assert {line[0] for line in lines} == {"✔"}
    assert {"HTTPS", "WSS", "TURN udp", "TURN tcp", "TURN tls", "relay echo"} <= {line[1] for line in lines}
    assert SECRET not in result.out + result.err


def test_a_wrong_secret_ends_with_1_and_is_named_with_a_mend(icelane: Icelane, served: Served, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(configuration(tmp_path, served.port, served.web, "another secret of more than thirty-two bytes"))
    result = icelane("doctor", "-c", str(other), "--authority", served.authority)
    assert result.code == 1
    assert "cause: the credential is not signed with the server's secret: 401" in result.out
    assert "mend: " in result.out
    document = icelane("doctor", "-c", str(other), "--authority", served.authority, "--json").document
    assert document["verdict"]["cause"] == "secret-wrong"


def test_a_body_of_a_backend_is_checked_as_it_is(icelane: Icelane, served: Served, tmp_path: Path) -> None:
    body = icelane("ice", "-c", str(served.file), "--user", "ann", "--json").document
    (tmp_path / "ice.json").write_text(json.dumps(body))
    result = icelane("doctor", "--ice", str(tmp_path / "ice.json"), "--authority", served.authority, "--json")
    assert result.code == 0, result
    names = [row["name"] for row in result.document["checks"]]
    assert "TURN tls" in names
    assert "HTTPS" not in names


def test_without_a_credential_turn_is_left_out_and_the_rest_is_checked(icelane: Icelane, served: Served) -> None:
    url = f"https://{NAME}:{served.web}"
    result = icelane("doctor", "--url", url, "--authority", served.authority, "--json")
    assert result.code == 0, result
    rows = {row["name"]: row for row in result.document["checks"]}
    assert rows["HTTPS"]["status"] == "passed"
    assert "--token" in rows["credential"]["detail"]


def test_a_token_that_is_refused_is_named(icelane: Icelane, served: Served) -> None:
    url = f"https://{NAME}:{served.web}"
    result = icelane(
        "doctor", "--url", url, "--authority", served.authority, "--json", ICELANE_DOCTOR_TOKEN="hidden.hidden.hidden"
    )
    assert result.code == 1
    assert result.document["verdict"]["cause"] == "token-refused"
    assert "hidden" not in result.out


def test_a_name_can_be_told_before_dns_knows_it(icelane: Icelane, served: Served) -> None:
    result = icelane(
        "doctor", "--url", f"https://call.example.org:{served.web}", "--resolve", "call.example.org=127.0.0.1",
        "--authority", served.authority, "--json",
    )  # fmt: skip
    assert result.document["verdict"]["cause"] == "certificate-wrong-name"


def test_where_nothing_answers_it_ends_with_4(icelane: Icelane) -> None:
    result = icelane("doctor", "--url", f"https://127.0.0.1:{free_port()}", "--json", "--timeout", "1")
    assert result.code == 4
    assert result.document["verdict"]["cause"] == "server-silent"
    result = icelane("doctor", "--domain", "nobody.invalid", "--json")
    assert result.code == 4
    assert result.document["verdict"]["cause"] == "name-unknown"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--url", "call.example.org"),
        ("--url", "https://a", "--domain", "b"),
        ("--url", "https://a", "--resolve", "a"),
        ("--ice", "nowhere.json"),
        ("-c", "nowhere.toml"),
        ("--url", "https://a", "--proxy", "socks5://b"),
    ],
)
def test_a_wrong_command_line_ends_with_2(icelane: Icelane, arguments: tuple[str, ...]) -> None:
    result = icelane("doctor", *arguments, "--json")
    assert result.code == 2, result
    assert result.document["problems"]


def test_help_has_an_example(icelane: Icelane) -> None:
    assert "Example: icelane doctor --url" in icelane("doctor", "--help").out
