"""`icelane serve` under a service manager: what it is told, from the start to the end."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 60
CONFIGURATION = """
[turn]
listen = ["udp://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
users = {{ alice = "wonderland" }}
workers = {workers}
drain_deadline = "5s"
"""


class Manager:
    """A socket like systemd's, and what has come to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(place))
        self.socket.settimeout(SECONDS)

    def hear(self, name: str) -> dict[str, str]:
        """The next datagram that says `name`; signs of life before it are passed over."""
        while True:
            said = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
            if name in said:
                return said
            assert set(said) <= {"WATCHDOG", "STATUS"}, said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_manager_hears_the_whole_life_of_the_server(tmp_path: Path, workers: int) -> None:
    """With several processes it is the supervisor that speaks, and no worker knows where."""
    manager = Manager(tmp_path / "notify")
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION.format(workers=workers))
    environ = os.environ | {"NOTIFY_SOCKET": str(manager.place), "WATCHDOG_USEC": "500000"}
    code = "from icelane.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--json", "-c", str(file)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["workers"] == workers
            assert manager.hear("READY")["STATUS"] == "relaying for 0 allocations"
            assert manager.hear("WATCHDOG")
            server.send_signal(signal.SIGHUP)
            assert int(manager.hear("RELOADING")["MONOTONIC_USEC"]) > 0
            assert manager.hear("READY")["STATUS"] == "relaying for 0 allocations"
            file.write_text("[turn]\nrelm = 'x'\nusers = { alice = 'wonderland' }\n")
            server.send_signal(signal.SIGHUP)
            manager.hear("RELOADING")
            assert "turn.relm" in manager.hear("READY")["STATUS"]
            assert not any(b"NOTIFY_SOCKET" in environ for environ in environs_of_children(server.pid))
            server.send_signal(signal.SIGTERM)
            assert manager.hear("STOPPING")["EXTEND_TIMEOUT_USEC"] == "65000000"
            assert server.wait(SECONDS) == 0
        finally:
            server.kill()
    manager.socket.close()


def environs_of_children(pid: int) -> list[bytes]:
    """What the children of a process were started with; none where nobody can say."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    children = listed.read_text().split() if listed.exists() else []
    return [Path(f"/proc/{child}/environ").read_bytes() for child in children]


# prctl(2): since Linux 6.3, what MemoryDenyWriteExecute= of systemd has done by a filter before.
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_it_serves_where_no_memory_may_be_written_and_executed(tmp_path: Path) -> None:
    """As the unit of `icelane init --systemd` has it."""
    library = ctypes.CDLL(None, use_errno=True)
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION.format(workers=1))

    def deny() -> None:
        if library.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
            os._exit(77)  # an older kernel

    code = "from icelane.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", "--json", "-c", str(file)]
    with subprocess.Popen(
        command, preexec_fn=deny, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line and server.wait(SECONDS) == 77:
                pytest.skip("this kernel has no PR_SET_MDWE")
            assert json.loads(line)["ok"] is True
            server.send_signal(signal.SIGTERM)
            assert server.wait(SECONDS) == 0
        finally:
            server.kill()
