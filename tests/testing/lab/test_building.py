"""A lab is there when it is built, and gone however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from icelane.testing.lab import Firewall, Host, LabError, Nat, Network, Way, build
from icelane.testing.lab.description import Member
from icelane.testing.lab.processes import other_processes
from tests.testing.lab.sockets import datagrams, need_lab, source_seen

OWNER = """
import subprocess, sys, time
from icelane.testing.lab import Firewall, Host, Nat, Network, Way, build

with build(
    Host("alice", up=Way(delay=0.01)),
    Network("bank", Host("bob"), firewall=Firewall.ONLY_PROXY),
    Network("office", Host("carol"), firewall=Firewall.ONLY_TLS),
) as lab:
    sleeper = subprocess.Popen(lab["alice"].command("sleep", "1000"))
    # Its children have no signal that comes with the end of whoever started it; one is in a session of its own.
    parent = lab["alice"].command("sh", "-c", "sleep 1000 & setsid sleep 1000 & echo started; sleep 1000")
    parent = subprocess.Popen(parent, stdout=subprocess.PIPE)
    parent.stdout.readline()
    import os
    print(" ".join(str(os.fstat(machine.namespace).st_ino) for machine in lab.values()), flush=True)
    time.sleep(1000)
"""


def namespaces_in_use() -> set[int]:
    """Of processes, by inode."""
    found = set()
    for process in other_processes():
        try:
            found.add(os.stat(f"/proc/{process}/ns/net").st_ino)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_program_that_built_it_is_killed(end: signal.Signals) -> None:
    need_lab(Host("alice", up=Way()))
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert owner.stdout is not None
    namespaces = set(map(int, owner.stdout.readline().split()))
    assert len(namespaces) == 6
    # The sleeper, the proxy and the gate; the line is a process outside.
    assert len(namespaces & namespaces_in_use()) == 3
    owner.send_signal(end)
    owner.wait(10)
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while namespaces & namespaces_in_use():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_still_runs_at_the_end_is_killed_with_its_children() -> None:
    need_lab()
    with build(Host("alice")) as lab:
        command = lab["alice"].command("sh", "-c", "sleep 1000 & echo started; wait")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
    assert process.wait(5) == -signal.SIGKILL
    assert process.stdout.read() == ""  # the child held it, too
    process.stdout.close()


def test_the_network_of_the_machine_around_does_not_change() -> None:
    need_lab()
    commands = (["ip", "address"], ["ip", "route", "show", "table", "all"], ["nft", "list", "ruleset"])
    before = [subprocess.check_output(command) for command in commands]
    forwarding = "/proc/sys/net/ipv4/ip_forward"
    with open(forwarding) as file:
        was = file.read()
    with build(Network("home", Host("alice"), nat=Nat.SYMMETRIC)):
        assert [subprocess.check_output(command) for command in commands] == before
    with open(forwarding) as file:
        assert file.read() == was


def test_a_line_delays_loses_and_counts() -> None:
    members: tuple[Member, ...] = (
        Host("server"),
        Network("home", Host("alice"), nat=Nat.PORT_PRESERVING, up=Way(delay=0.02), down=Way(loss=1.0)),
        Host("bob", up=Way(delay=0.01)),
    )
    need_lab(*members)
    with build(*members) as lab:
        for family in ("ipv4", "ipv6"):
            near, far = getattr(lab["bob"], family), getattr(lab["server"], family)
            with datagrams(lab["bob"], host=near) as bob, datagrams(lab["server"], host=far) as server:
                for sender, receiver in ((bob, server), (server, bob)):
                    began = time.monotonic()
                    assert source_seen(sender, receiver) == sender.getsockname()[:2]
                    assert 0.01 <= time.monotonic() - began < 0.1
        with datagrams(lab["alice"]) as alice, datagrams(lab["server"]) as server:
            mapped = source_seen(alice, server)
            assert mapped is not None
            server.sendto(b"lost", mapped)
            with pytest.raises(TimeoutError):
                alice.recv(10)
        line = lab["home"].link
    assert line is not None
    assert (line.counters.there.delivered, line.counters.back.lost) == (1, 1)


def test_members_of_one_network_reach_each_other_over_lines_and_by_multicast() -> None:
    members = Network("home", Host("alice"), Host("anna"), Host("far", up=Way()), nat=Nat.SYMMETRIC)
    need_lab(members)
    with build(members) as lab:
        for name in ("anna", "far"):
            with datagrams(lab["alice"]) as alice, datagrams(lab[name]) as other:
                assert source_seen(alice, other) == alice.getsockname()
                assert source_seen(other, alice) == other.getsockname()
        with datagrams(lab["anna"], 5353, host="224.0.0.251") as listener, datagrams(lab["alice"]) as alice:
            with lab["anna"].inside():
                membership = bytes([224, 0, 0, 251, *map(int, (lab["anna"].ipv4 or "").split("."))])
            listener.setsockopt(0, 35, membership)  # IP_ADD_MEMBERSHIP
            alice.sendto(b"who has alice.local?", ("224.0.0.251", 5353))
            assert listener.recv(100) == b"who has alice.local?"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.testing.lab.building.missing", lambda *_: "needs the Debian package nftables")
    with pytest.raises(LabError, match="the lab needs the Debian package nftables"), build(Host("alice")):
        pass


def test_a_description_that_makes_no_sense_builds_nothing() -> None:
    with pytest.raises(ValueError, match="two called"), build(Host("alice"), Host("alice")):
        pass


def test_every_firewall_works_behind_every_nat() -> None:
    need_lab()
    networks = [
        Network(f"n{row}{column}", Host(f"h{row}{column}"), nat=nat, firewall=firewall)
        for row, nat in enumerate((None, *Nat))
        for column, firewall in enumerate((None, *Firewall))
    ]
    with build(*networks) as lab:
        assert len(lab) == 1 + 2 * len(networks)
