"""coturn's test client against `icelane serve`, in every mode that it has for UDP relays."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.interop.conftest import need_program
from tests.interop.relay_server import PASSWORD, SECRET, USER, RelayServer
from tests.interop.running import PROBE_TIMEOUT, free_port, running
from tests.interop.uclient import PACKAGE, Totals, parse_totals, run_uclient

pytestmark = pytest.mark.interop

BASE = ("-n", "10", "-m", "1", "-l", "100", "-X", "-g")
TO_IPV4_PEER = ("-e", "127.0.0.1")
TO_IPV6_PEER = ("-e", "::1")

MODES = {
    "channels over UDP": (*BASE, *TO_IPV4_PEER),
    "TCP": (*BASE, *TO_IPV4_PEER, "-t"),
    "TLS": (*BASE, *TO_IPV4_PEER, "-t", "-S"),
    "client to client over TLS": (*BASE, "-y", "-t", "-S"),
    "Send indications": (*BASE, *TO_IPV4_PEER, "-s"),
    "dual allocation": (*BASE, *TO_IPV4_PEER, "-Z"),
    "client to client": (*BASE, "-y"),
    "extra requests": (*BASE, *TO_IPV4_PEER, "-G"),
    "padded ChannelData": (*BASE, *TO_IPV4_PEER, "-D"),
    "random disconnects": (*BASE, *TO_IPV4_PEER, "-B"),
    "IPv6 relay": (*BASE, "-x", *TO_IPV6_PEER),
}
# With -B it sometimes leaves before the answer to a ChannelBind, and then asks for another channel to the same peer,
# which RFC 8656 section 12.2 forbids: 400, and it ends. It is started again then, and for no other reason.
BOUND_TWICE = "channel bind: error 400"
ATTEMPTS = 3
# The client spends its time waiting: runs beside each other take a fifth of the time, and the server has more to tell
# apart.
RUNS_AT_ONCE = 6
CREDENTIALS = {
    "static user": ("-u", USER, "-w", PASSWORD),
    "REST secret": ("-u", USER, "-W", SECRET),
}


@pytest.fixture(scope="module")
def echo_peer_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `turnutils_peer`, which sends back what it gets on this port and the next, on 127.0.0.1 and ::1."""
    executable = need_program("turnutils_peer", PACKAGE)
    port = free_port(consecutive=2)
    command = [executable, "-L", "127.0.0.1", "-L", "::1", "-p", str(port)]
    with running(command, ready=lambda: _echoes(port), directory=tmp_path_factory.mktemp("peer")):
        yield port


Runs = Mapping[tuple[str, str], "Future[Totals]"]


@pytest.fixture(scope="module")
def runs(icelane_servers: RelayServer, echo_peer_port: int) -> Iterator[Runs]:
    """One run of each mode with each kind of credentials, some at once."""
    executable = need_program("turnutils_uclient", PACKAGE)
    server = icelane_servers

    def run(mode: tuple[str, ...], credentials: tuple[str, ...]) -> Totals:
        port = server.tls_port if "-S" in mode else server.port
        flags = [*mode, "-r", str(echo_peer_port), *credentials]
        for _ in range(ATTEMPTS if "-B" in mode else 1):
            totals = run_uclient(executable, server.host, port, flags)
            if totals.passed or BOUND_TWICE not in totals.output:
                break
        return totals

    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        yield {
            (mode, kind): pool.submit(run, flags, credentials)
            for mode, flags in MODES.items()
            for kind, credentials in CREDENTIALS.items()
        }


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("mode", MODES)
def test_everything_that_uclient_sends_comes_back(
    icelane_servers: RelayServer, runs: Runs, mode: str, kind: str
) -> None:
    totals = runs[mode, kind].result()
    assert totals.passed, f"{totals.output}\n--- the server said:\n{icelane_servers.program.said()}"


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
def test_wrong_passwords_and_secrets_relay_nothing_and_lock_nobody_out(
    icelane_servers: RelayServer, echo_peer_port: int, credentials: tuple[str, ...]
) -> None:
    executable = need_program("turnutils_uclient", PACKAGE)
    server = icelane_servers
    flags = [*BASE, *TO_IPV4_PEER, "-r", str(echo_peer_port)]
    wrong = [*credentials[:-1], "not-the-one"]
    # The client goes on guessing for half a minute; a few seconds of it are enough.
    refused = run_uclient(executable, server.host, server.port, [*flags, *wrong], timeout=5)
    assert (refused.received, refused.passed) == (0, False), refused.output
    right = run_uclient(executable, server.host, server.port, [*flags, *credentials])
    assert right.passed, f"{right.output}\n--- the server said:\n{server.program.said()}"


def test_a_run_without_totals_has_not_passed() -> None:
    assert not parse_totals("0: : error 401 (Unauthorized)\n").passed


def test_only_the_last_totals_count() -> None:
    totals = parse_totals(
        "1: : start_mclient: msz=2, tot_send_msgs=5, tot_recv_msgs=5, tot_send_bytes ~ 500\n"
        "4: : start_mclient: tot_send_msgs=20, tot_recv_msgs=19\n"
        "4: : Total lost packets 1 (5.000000%), total send dropped 0 (0.000000%)\n"
    )
    assert (totals.sent, totals.received, totals.lost) == (20, 19, 1)
    assert not totals.passed


def _echoes(port: int) -> bool:
    # The peer answers on both families or the IPv6 mode would fail for a reason that is not the server's.
    return _echoes_on("127.0.0.1", port) and _echoes_on("::1", port)


def _echoes_on(host: str, port: int) -> bool:
    question = struct.pack("!Q", port)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        probe.connect((host, port))
        try:
            probe.send(question)
            return probe.recv(2048) == question
        except OSError:
            return False
