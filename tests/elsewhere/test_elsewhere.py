"""The pure library where there is no Linux, as far as that can be shown on one; `systems` says how far that is."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from icelane import RTCPeerConnection
from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import UdpSocket
from icelane.core.net import SocketAddress
from icelane.errors import ConfigurationError, NotSupportedError
from icelane.server.admin_socket import AdminSocket
from icelane.server.external_address import AddressNotFoundError, CommandFinder
from tests.elsewhere.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0


def try_on(system: str, trial: str) -> str:
    """What `python -m tests.elsewhere` printed; fails the test when it did not succeed."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.elsewhere", system, trial],
        cwd=ROOT,
        env={**os.environ, "ICELANE_PURE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert finished.stderr == ""
    return finished.stdout


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_module_that_has_a_python_form_can_be_imported_elsewhere(system: str) -> None:
    assert int(try_on(system, "imports")) > 250


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_peers_elsewhere_call_each_other_and_ask_nothing_of_the_kernel_that_is_linux_s(system: str) -> None:
    try_on(system, "call")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_server_elsewhere_relays_over_udp_and_tcp(system: str) -> None:
    try_on(system, "relay")


def test_a_number_of_linux_s_does_not_pass_unseen() -> None:
    """The trial itself: IP_MTU_DISCOVER, for which Python has no name."""
    program = """
import socket
from tests.elsewhere.systems import become, strayed
become("darwin")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        udp.setsockopt(socket.IPPROTO_IP, 10, 0)
    except AssertionError:
        pass
try:
    open("/proc/self/status")
except FileNotFoundError:
    print(strayed, hasattr(socket, "AF_NETLINK"))
"""
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout == "['option 10 at level 0'] False\n"


class LoopThatWatchesNothing(asyncio.SelectorEventLoop):
    """As the one that Windows has by default; its own wake-ups come otherwise."""

    add_reader = asyncio.AbstractEventLoop.add_reader


def test_a_loop_that_cannot_watch_sockets_is_refused_at_once_and_in_words() -> None:
    async def scenario() -> None:
        with pytest.raises(NotSupportedError, match=r"LoopThatWatchesNothing .* asyncio\.SelectorEventLoop"):
            RTCPeerConnection()
        with pytest.raises(NotSupportedError, match="cannot watch sockets"):
            UdpSocket.bind(SocketAddress("127.0.0.1", 0), lambda *_: None)

    with asyncio.Runner(loop_factory=LoopThatWatchesNothing) as runner:
        runner.run(scenario())


def answer_nobody(line: bytes) -> NoReturn:
    raise AssertionError(line)


def test_without_unix_sockets_the_admin_socket_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def scenario() -> None:
        monkeypatch.delattr(socket, "AF_UNIX")
        with pytest.raises(ConfigurationError, match="no Unix sockets"):
            await AdminSocket(tmp_path / "admin.sock", answer_nobody).start()

    asyncio.run(scenario())


def test_without_process_groups_no_program_is_asked_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "killpg")
    with pytest.raises(AddressNotFoundError, match="ended with what it has started"):
        asyncio.run(CommandFinder(["echo", "192.0.2.1"]).find(("127.0.0.1",)))


def test_where_ports_cannot_be_shared_a_second_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind_tcp(SocketAddress("127.0.0.1", 0), shared=True) as first:
        first.listen()
        taken = SocketAddress(*first.getsockname())
        bind_tcp(taken, shared=True).close()
        monkeypatch.delattr(socket, "SO_REUSEPORT")
        with pytest.raises(OSError, match="in use"):
            bind_tcp(taken, shared=True)
