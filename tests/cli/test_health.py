"""`icelane health`, as the health check of a container runs it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Icelane
from tests.cli.test_serve import CONFIGURATION, ICELANE


def free_port() -> int:
    """A port that nobody listens on, and most likely nobody will in a moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running server that is always too full to be ready once anybody is there."""
    file = tmp_path_factory.mktemp("health") / "icelane.toml"
    file.write_text(f'{CONFIGURATION}\n[metrics]\nlisten = "127.0.0.1:{free_port()}"\n')
    with subprocess.Popen(
        [*ICELANE, "serve", "--json", "-c", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["ok"] is True
        yield file
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 0, err


def test_a_server_that_is_well_gives_zero(icelane: Icelane, served: Path) -> None:
    assert icelane("health", "-c", str(served)).code == 0
    result = icelane("health", "--ready", "-c", str(served), "--json")
    assert result.code == 0
    assert result.document["checks"]["turn"] == {"ok": True}


def test_another_page_of_the_server_is_not_well(icelane: Icelane, served: Path) -> None:
    url = "http://" + served.read_text().rpartition('listen = "')[2].partition('"')[0]
    assert icelane("health", "--url", url).code == 0
    assert icelane("health", "--url", f"{url}/readyz").code == 0
    assert icelane("health", "--url", f"{url}/nonsense").code == 1


def test_nobody_there_gives_four(icelane: Icelane) -> None:
    result = icelane("health", "--url", f"http://127.0.0.1:{free_port()}")
    assert result.code == 4
    assert "metrics.listen" in result.err


def test_something_that_is_no_web_server_gives_four(icelane: Icelane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert icelane("health", "--url", url, "--timeout", "0.2").code == 4


@pytest.mark.parametrize("url", ["127.0.0.1:9641", "ftp://127.0.0.1", "https://127.0.0.1", "http://"])
def test_a_url_of_another_kind_is_a_usage_error(icelane: Icelane, url: str) -> None:
    assert icelane("health", "--url", url).code == 2


def test_a_configuration_without_a_monitoring_port_is_a_usage_error(icelane: Icelane) -> None:
    result = icelane("health", ICELANE_CONFIG_BODY=CONFIGURATION)
    assert result.code == 2
    assert "metrics.listen" in result.err
