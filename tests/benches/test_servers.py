from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benches import links
from benches.certificates import write_certificate
from benches.links import Link
from benches.measure import Processors
from benches.servers import CREDENTIALS, Icelane, Listening, ServerFailedError, default_servers, running


class BrokenServer:
    """Says why and ends."""

    name = "broken"
    is_reference = False

    def missing(self) -> str | None:
        return None

    def command(self, link: Link, listening: Listening, directory: Path) -> Sequence[str]:
        return [sys.executable, "-c", "print('no such realm'); raise SystemExit(3)"]

    def environment(self) -> Mapping[str, str]:
        return {}


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    cpu = Processors.available().server
    with (
        pytest.raises(ServerFailedError, match=r"(?s)broken ended with status 3.*no such realm"),
        running(BrokenServer(), links.loopback(), cpu, tmp_path / "broken"),
    ):
        pytest.fail("it never answered")


def test_our_configuration_raises_what_a_load_from_one_user_would_meet(tmp_path: Path) -> None:
    listening = Listening(
        plain=("127.0.0.1", 3478), tls=("127.0.0.1", 5349), certificate=write_certificate("127.0.0.1", tmp_path)
    )
    Icelane(name="ours").command(links.loopback(), listening, tmp_path)
    turn = tomllib.loads((tmp_path / "icelane.toml").read_text())["turn"]
    assert turn["listen"] == ["udp://127.0.0.1:3478", "tcp://127.0.0.1:3478", "tls://127.0.0.1:5349"]
    assert turn["users"] == {CREDENTIALS.username: CREDENTIALS.password}
    assert turn["unauthenticated_replies_per_second"] == 0
    assert turn["quota"]["allocations_per_user"] >= 12_500  # what `benches.allocate --full` holds at once


def test_another_coturn_adds_rows_and_is_no_reference() -> None:
    added = default_servers(["/opt/turnserver"])[len(default_servers()) :]
    assert [server.name for server in added] == ["/opt/turnserver, default", "/opt/turnserver, best"]
    assert not any(server.is_reference for server in added)
