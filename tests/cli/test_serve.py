"""`icelane serve`, and the commands that try it, as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from icelane.cli import entry
from tests.cli.conftest import Icelane

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
CONFIGURATION = f"""
[turn]
listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
relay_addresses = ["127.0.0.1"]
dangerously_allow_loopback_peers = true
users = {{ alice = "wonderland", crowd = "x" }}
[[turn.secrets]]
kid = "k1"
secret = "{SECRET}"
[turn.quota]
allocations_per_user = 2
[log]
format = "json"
"""


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of a running server, by transport."""
    file = tmp_path_factory.mktemp("serve") / "icelane.toml"
    file.write_text(CONFIGURATION)
    server = subprocess.Popen(
        [*ICELANE, "serve", "--json", "-c", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    document = json.loads(server.stdout.readline())
    yield {url.partition(":")[0]: int(url.rpartition(":")[2]) for url in document["listening"]}
    server.send_signal(signal.SIGTERM)
    _, records = server.communicate(timeout=30)
    assert server.returncode == 0
    assert SECRET not in records
    assert "wonderland" not in records
    assert all(json.loads(line)["event"] for line in records.splitlines())


def test_our_own_address_is_found(icelane: Icelane, listening: dict[str, int]) -> None:
    for arguments, transport in (([], "udp"), (["--tcp"], "tcp")):
        result = icelane("stun", f"stun:127.0.0.1:{listening[transport]}", *arguments, "--json")
        assert result.code == 0
        assert result.document["address"] == "127.0.0.1"
        assert result.document["transport"] == transport
        assert result.document["nat"] is False


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("how", [("--password", "wonderland"), ("--secret", SECRET)], ids=["password", "secret"])
def test_a_packet_goes_through_the_relay_and_back(
    icelane: Icelane, listening: dict[str, int], transport: str, how: tuple[str, str]
) -> None:
    url = f"turn:127.0.0.1:{listening[transport]}?transport={transport}"
    result = icelane("turn", "check", url, "--user", "alice", *how, "--json")
    assert result.code == 0
    assert result.document["ok"] is True
    assert result.document["transport"] == transport
    assert [step["name"] for step in result.document["steps"]] == [
        "allocate",
        "allocate again",
        "permissions",
        "relay a packet",
        "channels",
        "relay by channel",
    ]


@pytest.mark.parametrize(
    ("flag", "key"), [("--realm", "turn.realm"), ("--log-format", "log.format"), ("--listen", "turn.listen")]
)
def test_an_empty_flag_is_a_mistake_like_any_other(tmp_path: Path, flag: str, key: str) -> None:
    """It is the highest source, so what the file says does not stand in for it."""
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION)
    command = [*ICELANE, "serve", "-c", str(file), flag, ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert key in done.stderr


def test_the_password_may_come_from_the_environment(icelane: Icelane, listening: dict[str, int]) -> None:
    """CR-6: arguments stand in the list of processes."""
    url = f"turn:127.0.0.1:{listening['udp']}"
    assert icelane("turn", "check", url, "--user", "alice", ICELANE_CHECK_PASSWORD="wonderland").code == 0


def test_a_wrong_password_fails_the_check_in_plain_words(icelane: Icelane, listening: dict[str, int]) -> None:
    url = f"turn:127.0.0.1:{listening['udp']}"
    result = icelane("turn", "check", url, "--user", "alice", "--password", "wrong")
    assert result.code == 1
    assert "the user name or the password is wrong" in result.out
    assert "mend:" in result.err
    document = icelane("turn", "check", url, "--user", "alice", "--password", "wrong", "--json").document
    assert document["ok"] is False
    assert "timedatectl" in document["steps"][-1]["mend"]


def test_a_url_of_the_wrong_kind_is_a_usage_error(icelane: Icelane) -> None:
    for url in ("stun:127.0.0.1", "http://127.0.0.1", "turn:", "127.0.0.1:3478"):
        assert icelane("turn", "check", url, "--user", "a", "--password", "b").code == 2
    assert icelane("stun", "127.0.0.1").code == 2


@pytest.mark.parametrize("how", [(), ("--password", "a", "--secret", "b")])
def test_one_way_to_authenticate_is_needed(icelane: Icelane, how: tuple[str, ...]) -> None:
    assert icelane("turn", "check", "turn:127.0.0.1", "--user", "a", *how).code == 2


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_server_that_is_not_there_is_a_network_error(icelane: Icelane, transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        if transport == "udp":
            taken.close()  # a bound socket would be silent, a closed one is refused at once
        url = f"turn:127.0.0.1:{port}?transport={transport}"
        result = icelane("turn", "check", url, "--user", "a", "--password", "b", "--timeout", "2")
        assert result.code == 4
        assert "error:" in result.err
        flags = ["--tcp"] if transport == "tcp" else []
        assert icelane("stun", f"stun:127.0.0.1:{port}", "--timeout", "2", *flags).code == 4


def test_serve_refuses_to_start_on_a_misspelt_key(icelane: Icelane, tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION.replace("realm", "relm").replace("users =", "usrs ="))
    result = icelane("serve", "-c", str(file))
    assert result.code == 2
    assert f"turn.usrs in {file}: unknown key; did you mean users?" in result.err


def test_serve_refuses_to_start_when_nobody_could_authenticate(icelane: Icelane) -> None:
    result = icelane("serve", ICELANE_CONFIG_BODY="turn.relay_addresses = ['127.0.0.1']")
    assert result.code == 2
    assert "turn.secrets" in result.err


def test_serve_names_the_function_whose_module_fails_and_repeats_nothing_of_it(tmp_path: Path) -> None:
    """CR-6: what a module of somebody else says when it is imported may hold the password of its database."""
    (tmp_path / "accounts.py").write_text("raise RuntimeError('the password is swordfish')")
    body = CONFIGURATION.replace("[turn]", '[turn]\nauth = "accounts:find"', 1)
    environ = os.environ | {"ICELANE_CONFIG_BODY": body, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run([*ICELANE, "serve"], capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert result.returncode == 2
    assert "turn.auth" in result.stderr
    assert "RuntimeError" in result.stderr
    assert "swordfish" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_serve_names_the_listener_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{taken.getsockname()[1]}"
        command = [*ICELANE, "serve", "--listen", url]
        environ = os.environ | {"ICELANE_CONFIG_BODY": CONFIGURATION}
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert result.returncode == 2
    assert url in result.stderr


def test_a_hang_up_while_the_server_starts_does_not_end_it(tmp_path: Path) -> None:
    """OP-12: whoever starts it and reloads it at once, as a supervisor may, has a server."""
    starting, go_on = tmp_path / "starting", tmp_path / "go-on"
    script = tmp_path / "address"
    script.write_text(f"#!/bin/sh\ntouch {starting}\nwhile ! test -e {go_on}; do sleep 0.05; done\necho 203.0.113.7\n")
    script.chmod(0o755)
    body = CONFIGURATION.replace("[turn]", f'[turn]\nexternal_address_from = "command:{script}"', 1)
    environ = os.environ | {"ICELANE_CONFIG_BODY": body}
    with subprocess.Popen(
        [*ICELANE, "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as server:
        deadline = time.monotonic() + 30
        while not starting.exists():  # everything else is bound by now
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.send_signal(signal.SIGHUP)
        time.sleep(0.05)
        go_on.touch()
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on")
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "config.reloaded" in [json.loads(line)["event"] for line in err.splitlines()]


def test_a_hang_up_while_the_commands_are_imported_does_not_end_the_server(tmp_path: Path) -> None:
    """OP-12: that takes half a second, in which a supervisor may reload what it has just started."""
    module, _, function = PYPROJECT["project"]["scripts"]["icelane"].partition(":")
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"
    os.mkfifo(reached)
    os.mkfifo(go_on)
    # What main.py imports first stands still until the signal has been sent, and is then what it always was.
    (tmp_path / "typer.py").write_text(
        f"import sys\nopen({str(reached)!r}, 'w').close()\nopen({str(go_on)!r}).read()\n"
        f"sys.path.remove({str(tmp_path)!r})\ndel sys.modules['typer']\nimport typer\n"
    )
    environ = os.environ | {"ICELANE_CONFIG_BODY": CONFIGURATION, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", f"from {module} import {function}; {function}()", "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as server:
        reached.read_text()  # ends when the server is there
        server.send_signal(signal.SIGHUP)
        time.sleep(0.05)
        assert server.poll() is None
        go_on.write_text("")
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on")
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "ignored"),
    [
        (["serve"], True),
        (["--help", "serve"], True),
        (["turn", "check", "turn:127.0.0.1", "--user", "serve"], False),
        (["stun", "serve"], False),
        ([], False),
    ],
)
def test_only_the_server_ignores_hang_ups(arguments: list[str], ignored: bool) -> None:
    """Every other command ends with its terminal."""
    assert entry.serves(arguments) is ignored


def test_the_first_thing_that_serve_does_is_to_ignore_hang_ups(tmp_path: Path) -> None:
    """OP-12: before it reads anything, which may take a second; here the configuration keeps it waiting."""
    file = tmp_path / "icelane.toml"
    os.mkfifo(file)
    with subprocess.Popen(
        [*ICELANE, "serve", "-c", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        with file.open("w") as writer:  # opens when the server does
            server.send_signal(signal.SIGHUP)
            time.sleep(0.05)
            writer.write(CONFIGURATION)
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on")
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    environ = os.environ | {"ICELANE_CONFIG_BODY": CONFIGURATION}
    with subprocess.Popen(
        [*ICELANE, "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on udp://127.0.0.1:")
        server.send_signal(number)
        out, err = server.communicate(timeout=30)
    assert server.returncode == 0
    assert out.endswith("stopping\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_signal_that_comes_while_the_process_ends_changes_its_code(tmp_path: Path, number: signal.Signals) -> None:
    """OP-1: a supervisor that insists is told that all went well, since it did."""
    environ = os.environ | {"ICELANE_CONFIG_BODY": CONFIGURATION}
    log = tmp_path / "log"  # not a pipe: every SIGHUP but the last ones writes a record
    with (
        log.open("w") as err,
        subprocess.Popen([*ICELANE, "serve"], stdout=subprocess.PIPE, stderr=err, text=True, env=environ) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline().startswith("listening on")
        server.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while server.poll() is None:
            assert time.monotonic() < deadline
            server.send_signal(number)
            time.sleep(0.001)
    assert server.returncode == 0
    assert "Traceback" not in log.read_text()
