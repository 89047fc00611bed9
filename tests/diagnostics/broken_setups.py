"""Servers that are broken each in one way, in a lab of their own, and what `icelane doctor` says is wrong with them.

    python -m tests.diagnostics.broken_setups        prints cause made and cause named; needs root

The servers are `icelane serve`, the doctor is the command, on another machine of the lab. A clock that is wrong is a
process whose `time.time` is; all else is configuration, certificates and rules of nftables.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import UnixSeconds
from icelane.diagnostics import Cause
from icelane.diagnostics.relay_check import ephemeral
from icelane.testing.lab import Firewall, Host, Lab, Machine, Nat, Network, build
from icelane.testing.lab.addresses import PUBLIC_IPV4
from icelane.testing.lab.description import Member
from tests import certificates
from tests.certificates import Pair
from tests.interop.running import ICELANE, answers_binding

SECRET: Final = "a secret of more than thirty-two bytes, for the lab"
OTHER_SECRET: Final = "another secret of more than thirty-two bytes, for the lab"
HOUR: Final = 3600
NOBODY: Final = "198.18.0.250"
"""An address of the lab's internet that no machine has."""

START_PATIENCE: Final = 90.0
DOCTOR_PATIENCE: Final = 120.0
ABREAST: Final = 3
"""Doctors at a time, so that they do not wait for each other's processor and call that silence."""

_AHEAD: Final = f"import time; real = time.time; time.time = lambda: real() + {HOUR}; "
_RUN: Final = "from icelane.cli.main import main; main()"
_RELAY_PORTS_CLOSED: Final = """\
table inet closed {
  chain input { type filter hook input priority 0; policy accept; iif != "lo" udp dport 49152-65535 drop; }
}
"""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One way to be broken. `named` is what the doctor must say, None where nothing is wrong.

    The server's configuration has the keys of `turn` in `[turn]`; `doctor_turn` are those of the one that the doctor
    is given instead.
    """

    slug: str
    made: str
    named: Cause | None
    turn: dict[str, Any] = field(default_factory=dict)
    doctor_turn: dict[str, Any] = field(default_factory=dict)
    external: str | None = None
    certificate: Callable[[Path, str], Pair] | None = None
    clock_ahead: bool = False
    rules: str = ""
    client: str = "client"
    expired: bool = False
    """The doctor is given a body of `iceServers` whose credential is over, and no configuration."""
    silent: bool = False
    """No server runs at all."""

    @property
    def host(self) -> str:
        return f"{self.slug}.example.org"


def _secrets(secret: str) -> dict[str, Any]:
    return {"secrets": [{"kid": "k1", "secret": secret}]}


SETUPS: Final = (
    Setup(slug="well", made="nothing", named=None),
    Setup(slug="advertised", made="wrong advertised address", named=Cause.EXTERNAL_ADDRESS_WRONG, external=NOBODY),
    Setup(slug="udp", made="UDP blocked around the client", named=Cause.UDP_BLOCKED, client="worker"),
    Setup(slug="range", made="relay range closed", named=Cause.RELAY_RANGE_CLOSED, rules=_RELAY_PORTS_CLOSED),
    Setup(
        slug="realm",
        made="wrong realm (and its secret)",
        named=Cause.REALM_WRONG,
        turn={"realm": "old.example.org", **_secrets(OTHER_SECRET)},
        doctor_turn={"realm": "example.org", **_secrets(SECRET)},
    ),
    Setup(slug="secret", made="wrong secret", named=Cause.SECRET_WRONG, doctor_turn=_secrets(OTHER_SECRET)),
    Setup(slug="expired", made="expired credential", named=Cause.CREDENTIAL_EXPIRED, expired=True),
    Setup(slug="clock", made="clock an hour off", named=Cause.CLOCK_WRONG, clock_ahead=True),
    Setup(
        slug="over",
        made="certificate expired",
        named=Cause.CERTIFICATE_EXPIRED,
        certificate=lambda folder, name: certificates.expired(folder, name),
    ),
    Setup(
        slug="name",
        made="certificate for another name",
        named=Cause.CERTIFICATE_WRONG_NAME,
        certificate=lambda folder, _: certificates.misnamed(folder),
    ),
    Setup(
        slug="authority",
        made="certificate of an unknown authority",
        named=Cause.CERTIFICATE_UNKNOWN_AUTHORITY,
        certificate=lambda folder, name: certificates.unknown(folder, name),
    ),
    Setup(slug="silent", made="no server runs", named=Cause.SERVER_SILENT, silent=True),
)


@dataclass(frozen=True, kw_only=True)
class Diagnosed:
    """What the doctor said."""

    setup: Setup
    code: int
    document: dict[str, Any]
    seconds: float

    @property
    def named(self) -> str | None:
        """The cause; None where all is well."""
        verdict = self.document.get("verdict")
        return None if verdict is None else str(verdict["cause"])

    @property
    def mend(self) -> str:
        return str(self.document.get("verdict", {}).get("mend", ""))


def members(setups: Sequence[Setup] = SETUPS) -> list[Member]:
    """What the lab is built from."""
    servers = [Host(f"{setup.slug}-server", names=(setup.host,)) for setup in setups]
    office = Network("office", Host("worker"), nat=Nat.PORT_PRESERVING, firewall=Firewall.UDP_BLOCKED)
    return [*servers, Host("client"), office]


def diagnose_all(folder: Path, setups: Sequence[Setup] = SETUPS) -> list[Diagnosed]:
    """Start every server, ask the doctor about each, and end them. Raises LabError where that cannot be."""
    found: list[Diagnosed] = []
    with build(*members(setups)) as lab:
        servers: list[subprocess.Popen[bytes]] = []
        try:
            for start in range(0, len(setups), ABREAST):
                group = setups[start : start + ABREAST]
                servers += [_serve(lab, setup, folder) for setup in group if not setup.silent]
                for setup in group:
                    _await_server(lab, setup, folder)
                found += _ask_doctors(lab, group, folder)
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(10)
    return found


def table(found: Sequence[Diagnosed]) -> str:
    """Cause made and cause named, for people."""
    rows = [("cause made", "cause named", "exit", "seconds")]
    for one in found:
        right = one.named == (one.setup.named.value if one.setup.named is not None else None)
        named = (one.named or "nothing") + ("" if right else "   <-- WRONG")
        rows.append((one.setup.made, named, str(one.code), f"{one.seconds:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((lines[0], "-" * len(lines[0]), *lines[1:]))


def _serve(lab: Lab, setup: Setup, folder: Path) -> subprocess.Popen[bytes]:
    machine = lab[f"{setup.slug}-server"]
    own = folder / setup.slug
    own.mkdir()
    pair = (setup.certificate or (lambda where, name: certificates.good(where, name)))(own, setup.host)
    certificates.authority_file(own)
    (own / "icelane.toml").write_text(_configuration(machine, setup, pair, setup.turn))
    if setup.rules:
        (own / "rules").write_text(setup.rules)
        finished = machine.run("nft", "-f", str(own / "rules"))
        assert finished.returncode == 0, finished.stderr
    program = (sys.executable, "-c", (_AHEAD if setup.clock_ahead else "") + _RUN)
    command = machine.command(*program, "serve", "-c", str(own / "icelane.toml"))
    with (own / "serve.log").open("wb") as log:
        return subprocess.Popen(command, cwd=own, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _await_server(lab: Lab, setup: Setup, folder: Path) -> None:
    if setup.silent:
        return
    machine = lab[f"{setup.slug}-server"]
    assert machine.ipv4 is not None
    deadline = time.monotonic() + START_PATIENCE
    while True:
        with machine.inside():
            if answers_binding(machine.ipv4, 3478):
                return
        said = (folder / setup.slug / "serve.log").read_text(errors="replace")
        assert time.monotonic() < deadline, f"{setup.slug} is not ready: {said}"
        time.sleep(0.05)


def _ask_doctors(lab: Lab, setups: Sequence[Setup], folder: Path) -> list[Diagnosed]:
    began = time.monotonic()
    asked = []
    for setup in setups:
        own = folder / setup.slug
        own.mkdir(exist_ok=True)
        command = lab[setup.client].command(*ICELANE, *_doctor(lab, setup, own))
        process = subprocess.Popen(
            command, cwd=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        asked.append((setup, process))
    found = []
    for setup, process in asked:
        out, err = process.communicate(timeout=DOCTOR_PATIENCE)
        assert out, f"the doctor said nothing of {setup.slug}: {err}"
        seconds = time.monotonic() - began
        found.append(Diagnosed(setup=setup, code=process.returncode, document=json.loads(out), seconds=seconds))
    return found


def _doctor(lab: Lab, setup: Setup, own: Path) -> list[str]:
    """The arguments."""
    machine = lab[f"{setup.slug}-server"]
    authority = certificates.authority_file(own)
    common = ["--authority", str(authority), "--json"]
    if setup.expired:
        now = SystemWallClock().unix_time(monotonic())
        login = ephemeral("alice", SECRET, 600, UnixSeconds(now - HOUR))
        urls = [f"turn:{setup.host}:3478?transport={transport}" for transport in ("udp", "tcp")]
        server = {"urls": [*urls, f"turns:{setup.host}:443"], "username": login.username, "credential": login.password}
        (own / "ice.json").write_text(json.dumps({"iceServers": [server]}))
        return ["doctor", "--url", f"https://{setup.host}", "--ice", str(own / "ice.json"), *common]
    pair = certificates.good(own, setup.host, file="doctor")
    (own / "doctor.toml").write_text(_configuration(machine, setup, pair, setup.doctor_turn or setup.turn))
    return ["doctor", "-c", str(own / "doctor.toml"), *common]


def _configuration(machine: Machine, setup: Setup, pair: Pair, turn: dict[str, Any]) -> str:
    assert machine.ipv4 is not None
    said = {"realm": "example.org", **_secrets(SECRET)} | turn
    (secret,) = said["secrets"]
    external = "" if setup.external is None else f'external_addresses = {{ "{machine.ipv4}" = "{setup.external}" }}\n'
    return f"""\
[turn]
realm = "{said["realm"]}"
hostname = "{setup.host}"
listen = ["udp://{machine.ipv4}:3478", "tcp://{machine.ipv4}:3478"]
relay_addresses = ["{machine.ipv4}"]
{external}secrets = [{{ kid = "{secret["kid"]}", secret = "{secret["secret"]}" }}]
[turn.peers]
allow = ["{PUBLIC_IPV4}"]  # what a lab takes for the internet
[server]
listen = ["https://{machine.ipv4}:443"]
{pair.toml()}"""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        diagnosed = diagnose_all(Path(name))
        print(table(diagnosed))
        for one in diagnosed:
            if "--verbose" in sys.argv:
                print(json.dumps(one.document, indent=1))
        sys.exit(any(one.named != (one.setup.named and one.setup.named.value) for one in diagnosed))
