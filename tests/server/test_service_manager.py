"""What a service manager is told, by a socket like systemd's."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from icelane.server.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A bound datagram socket, and what NOTIFY_SOCKET calls it."""
    place = str(tmp_path / "notify") if request.param == "path" else f"@icelane-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(place.replace("@", "\0"))
        listening.settimeout(10)
        yield listening, place


def heard(listening: socket.socket) -> dict[str, str]:
    """The assignments of the next datagram."""
    lines = listening.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def test_everything_that_a_manager_wants_to_know_is_said(manager_socket: tuple[socket.socket, str]) -> None:
    async def main() -> None:
        listening, place = manager_socket
        manager = ServiceManager(place)
        manager.ready(lambda: "two\nlines")
        assert heard(listening) == {"READY": "1", "STATUS": "two lines"}
        manager.reloading()
        said = heard(listening)
        assert said["RELOADING"] == "1"
        assert int(said["MONOTONIC_USEC"]) > 0
        manager.reloaded("turn.relm: unknown key")
        assert heard(listening) == {"READY": "1", "STATUS": "the configuration was refused: turn.relm: unknown key"}
        manager.reloaded()
        assert heard(listening) == {"READY": "1", "STATUS": "two lines"}
        manager.stopping(600.0)
        assert heard(listening) == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "660000000"}
        manager.close()

    asyncio.run(main())


def test_the_loop_gives_a_sign_of_life_and_tells_what_has_changed(
    manager_socket: tuple[socket.socket, str],
) -> None:
    async def main() -> None:
        listening, place = manager_socket
        statuses = ["idle", "busy"]
        manager = ServiceManager(place, watchdog=0.02)
        manager.ready(lambda: statuses[0])
        assert heard(listening)["STATUS"] == "idle"
        assert await asyncio.to_thread(heard, listening) == {"WATCHDOG": "1"}
        statuses.pop(0)
        while (said := await asyncio.to_thread(heard, listening)) == {"WATCHDOG": "1"}:
            pass
        assert said == {"WATCHDOG": "1", "STATUS": "busy"}
        manager.close()

    asyncio.run(main())


def test_the_environment_is_taken_out_of_the_environment() -> None:
    """No worker and no program that the server starts may say that it is ready, or alive, in its place."""
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    manager = ServiceManager.of(environ)
    assert (manager.watchdog, manager.listens, environ) == (30.0, True, {"A": "b"})


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "30000000"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "-5"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "9" * 5000},
        {"NOTIFY_SOCKET": "/run/x"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(environ: dict[str, str]) -> None:
    assert ServiceManager.of(environ).watchdog is None


@pytest.mark.parametrize("place", [None, "", "@", "/", "vsock:2:1234", "relative/path"])
def test_without_a_unix_socket_nothing_happens(place: str | None) -> None:
    async def main() -> None:
        manager = ServiceManager(place, watchdog=1.0)
        assert (manager.listens, manager.watchdog) == (False, None)
        manager.ready(lambda: "x")
        manager.stopping(1.0)
        manager.close()

    asyncio.run(main())


def test_a_status_that_is_no_text_is_said_as_far_as_it_is(manager_socket: tuple[socket.socket, str]) -> None:
    async def main() -> None:
        listening, place = manager_socket
        ServiceManager(place).ready(lambda: "file \udcff")
        assert heard(listening) == {"READY": "1", "STATUS": "file ?"}

    asyncio.run(main())


@pytest.mark.parametrize("place", ["/nowhere/notify", "/" + "x" * 300])
def test_a_manager_that_does_not_listen_stops_nothing(place: str) -> None:
    async def main() -> None:
        manager = ServiceManager(place, watchdog=1.0)
        manager.ready(lambda: "x")
        manager.reloading()
        manager.close()

    asyncio.run(main())
