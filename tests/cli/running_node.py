"""A node of `icelane serve` on loopback, and programs of ours that enter it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.node.nodes import free_port

ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
TIMEOUT = 60.0  # seconds for a program; it takes two or three
SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
CONFIGURATION = """
[turn]
realm = "localhost"
hostname = "localhost"
listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
secrets = [{{ kid = "k1", secret = "{secret}" }}]
[server]
listen = ["https://127.0.0.1:{port}"]
public_url = "https://localhost:{port}"
[tls]
certificate = "{certificate}"
key = "{key}"
[[auth.jwt]]
issuer = "icelane"
algorithm = "HS256"
secret = "{secret}"
"""


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    """Where it is, and the files that say so to a command."""

    url: str
    authority: Path
    configuration: Path
    programs: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def options(self) -> tuple[str, ...]:
        """How a command on this machine enters it."""
        return ("-c", str(self.configuration), "--ca", str(self.authority))

    def token(self, *rooms: str, grants: tuple[str, ...] = (), identity: str = "ann") -> str:
        """A join token."""
        named = [word for room in rooms for word in ("--room", room)]
        granted = [word for grant in grants for word in ("--grant", grant)]
        command = [*ICELANE, "token", "create", "--identity", identity, *named, *granted, "-c", str(self.configuration)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def start(self, *arguments: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
        """A command as a process of its own."""
        program = subprocess.Popen(
            [*ICELANE, *arguments],
            cwd=cwd,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.programs.append(program)
        return program

    def end_programs(self) -> None:
        """Whatever still runs."""
        while self.programs:
            program = self.programs.pop()
            program.kill()
            program.communicate()


@contextmanager
def running_node(folder: Path) -> Iterator[RunningNode]:
    """Started, and ended."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    signer = trustme.CA()
    leaf = signer.issue_cert("localhost")
    paths = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key")}
    signer.cert_pem.write_to_path(str(paths["authority"]))
    paths["certificate"].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(paths["key"]))
    paths["key"].chmod(0o600)
    file = folder / "icelane.toml"
    file.write_text(CONFIGURATION.format(port=port, secret=SECRET, certificate=paths["certificate"], key=paths["key"]))
    command = [*ICELANE, "serve", "--json", "-c", str(file)]
    log = folder / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline(), log.read_text()
        node = RunningNode(url=f"https://localhost:{port}", authority=paths["authority"], configuration=file)
        try:
            yield node
        finally:
            node.end_programs()
            server.kill()  # otherwise it waits for allocations of programs that were killed


def next_document(program: subprocess.Popen[str]) -> dict[str, object]:
    """The next line of JSON of a program."""
    assert program.stdout is not None
    ready, _, _ = select.select([program.stdout], [], [], TIMEOUT)
    line = program.stdout.readline() if ready else ""
    assert line, (program.poll(), program.stderr.read() if program.stderr and program.poll() is not None else "")
    found: dict[str, object] = json.loads(line)
    return found


def last_document(program: subprocess.Popen[str]) -> dict[str, object]:
    """The last line of JSON, and as `code` what the program ended with."""
    out, err = program.communicate(timeout=TIMEOUT)
    assert out, err
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    return found | {"exitCode": program.returncode}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another program does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
