"""Programs of any kind run on a machine of a lab, and know where they are."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from icelane.testing.lab import Host, Lab, LabError, Nat, Network, build
from tests.testing.lab.sockets import need_lab

need_lab()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with build(
        Host("server", names=("turn.example.org",)),
        Network("home", Host("alice"), Host("anna"), nat=Nat.PORT_PRESERVING),
        Network("flat", Host("bob"), nat=Nat.PORT_PRESERVING),
    ) as built:
        yield built


def addresses(lab: Lab, on: str, name: str) -> set[str]:
    """What a name means there, by the C library."""
    said = lab[on].run("getent", "ahosts", name).stdout
    return {line.split()[0] for line in said.splitlines()}


def test_a_program_runs_there_and_says_how_it_ended(lab: Lab) -> None:
    finished = lab["alice"].run("sh", "-c", "ip -brief address show ethernet; echo oh >&2; exit 3")
    assert f"{lab['alice'].ipv4}/24" in finished.stdout
    assert (finished.stderr, finished.returncode) == ("oh\n", 3)


def test_a_program_that_is_not_there_and_one_that_takes_too_long_are_errors(lab: Lab) -> None:
    with pytest.raises(FileNotFoundError, match="no program no-such-program"):
        lab["alice"].run("no-such-program")
    with pytest.raises(subprocess.TimeoutExpired):
        lab["alice"].run("sleep", "10", timeout=0.2)


def test_nothing_runs_where_a_lab_was(lab: Lab) -> None:
    """Its descriptor is another file's by then: that of the next lab, say."""
    with build(Host("alice")) as ended:
        alice = ended["alice"]
    with build(Host("bob")):
        for use in (lambda: alice.run("true"), lambda: alice.command("true"), alice.inside, alice.capture):
            with pytest.raises(LabError, match="the lab of alice has ended"):
                use()
    assert "alice" in repr(alice)


def test_names_are_looked_up_as_seen_from_there(lab: Lab) -> None:
    server, home = {lab["server"].ipv4, lab["server"].ipv6}, lab["home"]
    assert addresses(lab, "alice", "turn.example.org") == addresses(lab, "bob", "server") == server
    assert addresses(lab, "alice", "anna") == {lab["anna"].ipv4}
    assert addresses(lab, "bob", "anna") == set()
    assert addresses(lab, "alice", "home") == {home.lan_ipv4}
    assert addresses(lab, "bob", "home") == {home.ipv4, home.ipv6}
    assert addresses(lab, "bob", "elsewhere.example.org") == set()
    assert addresses(lab, "bob", "localhost") <= {"127.0.0.1", "::1"}


def test_files_of_the_machine_around_are_there_and_its_names_stay(lab: Lab, tmp_path: object) -> None:
    with open("/etc/hosts") as file:
        before = file.read()
    assert lab["alice"].run("ls", str(tmp_path)).returncode == 0
    with open("/etc/hosts") as file:
        assert file.read() == before


def test_asyncio_starts_a_program_there(lab: Lab) -> None:
    async def start() -> bytes:
        command = lab["bob"].command("hostname", "-I")
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    assert asyncio.run(start()).decode().split() == [lab["bob"].ipv4]


def test_a_socket_that_is_made_inside_stays_there_and_other_threads_are_elsewhere(lab: Lab) -> None:
    found: list[list[str]] = []

    def look() -> None:
        found.append(sorted(name for _, name in socket.if_nameindex()))

    with lab["alice"].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        look()
        thread = threading.Thread(target=look)  # a thread begins where the one that starts it is
        thread.start()
        thread.join()
        assert lab["alice"].ipv4 is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, pytest.raises(OSError):
        outside.bind((lab["alice"].ipv4, 0))
    look()
    assert found[0] == found[1] == ["ethernet", "lo"]
    assert found[2] != found[0]
    with lab["alice"].inside():
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with opened:
        opened.bind((lab["alice"].ipv4, 0))
