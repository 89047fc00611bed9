"""RFC 5780 with coturn: its `turnutils_natdiscovery` against our server, our client against its `turnserver`.

Every pair of client and server is put behind NATs of the kernel's, and all say the same: what the NAT is.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from icelane.testing.namespace import inside
from tests.interop.conftest import need_program
from tests.interop.nat_namespaces import KINDS, NAT, SERVERS, Homes, Kind, behind_nat, block_udp, translate
from tests.interop.relay_server import PASSWORD, USER
from tests.interop.running import ICELANE, answers_binding, running

pytestmark = pytest.mark.interop

PORTS = (3478, 3479)
TIMEOUT = 60.0
URL = f"stun:{SERVERS[0]}:{PORTS[0]}"


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    with behind_nat() as made:
        translate(made, KINDS["masquerade"])
        yield made


@pytest.fixture
def fresh_homes() -> Iterator[Homes]:
    """For tests with a server of their own."""
    with behind_nat() as made:
        translate(made, KINDS["masquerade"])
        yield made


@contextmanager
def our_server(directory: Path, homes: Homes, *, second_address: bool = True) -> Iterator[None]:
    stun = f"[stun]\nbehavior_addresses = {json.dumps(SERVERS)}\nbehavior_ports = {json.dumps(PORTS)}\n"
    configuration = directory / "icelane.toml"
    configuration.write_text(f"""\
[turn]
listen = ["udp://{SERVERS[0]}:{PORTS[0]}", "tcp://{SERVERS[0]}:{PORTS[0]}"]
relay_addresses = ["{SERVERS[0]}"]
users = {{ {USER} = "{PASSWORD}" }}
{stun if second_address else ""}""")
    with serving([*ICELANE, "serve", "-c", str(configuration)], directory, homes):
        yield


@contextmanager
def coturn_server(directory: Path, homes: Homes) -> Iterator[None]:
    command = [
        need_program("turnserver", "coturn"),
        "-n",
        *(f"--listening-ip={host}" for host in SERVERS),
        f"--listening-port={PORTS[0]}",
        f"--alt-listening-port={PORTS[1]}",
        f"--relay-ip={SERVERS[0]}",
        "--realm=example.org",
        "--lt-cred-mech",
        f"--user={USER}:{PASSWORD}",
        "--no-cli",
        "--no-tls",
        "--no-dtls",
        "--log-file=stdout",
        f"--pidfile={directory / 'turnserver.pid'}",
        f"--userdb={directory / 'turnserver.db'}",
    ]
    with serving(command, directory, homes):
        yield


SERVER_PROGRAMS = {"icelane serve": our_server, "turnserver": coturn_server}


@contextmanager
def serving(command: list[str], directory: Path, homes: Homes) -> Iterator[None]:
    """The server, outside, once it answers; the block runs inside, behind the NAT."""
    with inside(homes.outside):
        assert not answers_binding(SERVERS[0], PORTS[0]), "another server is there"
    with (
        inside(homes.outside),
        running(command, ready=lambda: answers_binding(SERVERS[0], PORTS[0]), directory=directory),
        inside(homes.inside),
    ):
        yield


@pytest.fixture(scope="module", params=SERVER_PROGRAMS)
def server(request: pytest.FixtureRequest, homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each server after the other. The test runs inside, behind the NAT."""
    with SERVER_PROGRAMS[request.param](tmp_path_factory.mktemp("server"), homes):
        yield


def our_client(*options: str) -> tuple[int, Any]:
    """The exit code of `icelane stun --behavior` and what it printed."""
    command = [*ICELANE, "stun", URL, "--behavior", "--json", *options]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    assert run.stdout.strip(), f"nothing on standard output, exit code {run.returncode}:\n{run.stderr}"
    return run.returncode, json.loads(run.stdout)


def natdiscovery(*options: str) -> str:
    """What coturn's client says."""
    program = need_program("turnutils_natdiscovery", "coturn")
    command = [program, *options, "-p", str(PORTS[0]), SERVERS[0]]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    return run.stdout + run.stderr


def as_rfc_4787(said: str) -> dict[str, str]:
    """`NAT with Address and Port Dependent Mapping!` in our words."""
    found = re.findall(r"NAT with ([A-Z][A-Za-z ]*?) (Mapping|Filtering)!", said)
    return {what.lower(): "-".join(words.lower().split()) for words, what in found}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_our_client_finds_out_what_the_kernel_s_nat_is(homes: Homes, kind: Kind) -> None:
    translate(homes, kind)
    code, found = our_client()
    assert (code, found["mapping"], found["filtering"]) == (0, kind.mapping, kind.filtering), found
    assert (found["nat"], found["address"]) == (True, NAT)
    assert found["hairpinning"] is False


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_coturn_s_client_finds_out_the_same(homes: Homes, kind: Kind) -> None:
    translate(homes, kind)
    said = natdiscovery("-m", "-f")
    assert as_rfc_4787(said) == {"mapping": kind.mapping, "filtering": kind.filtering}, said


def test_coturn_s_client_sees_that_a_mapping_still_lives(fresh_homes: Homes, tmp_path: Path) -> None:
    """RESPONSE-PORT: what is asked for from one port comes to the other, through its mapping."""
    with our_server(tmp_path, fresh_homes):
        said = natdiscovery("-t", "-T", "1")
    assert "RFC 5780 response 2" in said, said
    assert "timeout" not in said, said


def test_a_server_with_one_address_is_said_to_have_one(fresh_homes: Homes, tmp_path: Path) -> None:
    with our_server(tmp_path, fresh_homes, second_address=False):
        code, found = our_client()
        assert code == 1
        assert (found["ok"], found["address"], found["mapping"], found["filtering"]) == (False, NAT, None, None)
        assert "no second address" in found["problems"][0]["message"]
        assert as_rfc_4787(natdiscovery("-f")) == {}


def test_udp_that_is_blocked_is_said_to_be(fresh_homes: Homes, tmp_path: Path) -> None:
    with our_server(tmp_path, fresh_homes):
        block_udp(fresh_homes)
        code, found = our_client("--timeout", "4")
    assert code == 4
    assert found["udp"] == "blocked"
    assert "UDP is blocked" in found["problems"][0]["message"]
    assert "turns:" in found["problems"][0]["mend"]
