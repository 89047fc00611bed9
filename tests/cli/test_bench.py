"""`icelane turn bench`, against servers whose limits are known."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from icelane.cli.relay_bench import Limit, Plan, Result, Stage
from tests.cli.conftest import Icelane
from tests.cli.test_serve import CONFIGURATION, ICELANE, SECRET

BRIEF = ("--seconds", "0.3", "--kbits", "100", "--json")


@contextmanager
def serving(tmp_path: Path, more: str = "") -> Iterator[dict[str, str]]:
    """The URLs of a running server, by transport."""
    file = tmp_path / "icelane.toml"
    file.write_text(CONFIGURATION.replace("[turn.quota]", f"[turn.quota]\n{more}"))
    with subprocess.Popen(
        [*ICELANE, "serve", "--json", "-c", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        document = json.loads(server.stdout.readline())
        listening = {url.partition(":")[0]: url.partition("//")[2] for url in document["listening"]}
        yield {transport: f"turn:{at}?transport={transport}" for transport, at in listening.items()}
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 0, err


def stage(
    users: int = 2,
    sent: int = 1000,
    received: int = 1000,
    p99: float = 0.01,
    processor: float = 0.1,
    lateness: float = 0.001,
) -> Stage:
    return Stage(
        users=users,
        kbits=300,
        sent=sent,
        received=received,
        p50=0.001,
        p99=p99,
        processor=processor,
        lateness=lateness,
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_all_users_that_were_asked_for_fit_on_an_idle_server(icelane: Icelane, tmp_path: Path, transport: str) -> None:
    with serving(tmp_path) as urls:
        result = icelane("turn", "bench", urls[transport], "--user", "x", "--secret", SECRET, "--users", "4", *BRIEF)
    assert result.code == 0
    assert (result.document["fit"], result.document["limit"]) == (4, "asked")
    assert [row["users"] for row in result.document["stages"]] == [2, 4]
    for row in result.document["stages"]:
        assert row["received"] == row["sent"] > 0
        assert 0 < row["rttMs"]["p50"] <= row["rttMs"]["p99"]


def test_a_quota_is_named_as_the_limit(icelane: Icelane, tmp_path: Path) -> None:
    """A static user is one user, and the configuration gives one two allocations."""
    with serving(tmp_path) as urls:
        arguments = ("turn", "bench", urls["udp"], "--user", "alice", "--password", "wonderland")
        result = icelane(*arguments, *BRIEF)
        assert result.code == 0
        assert (result.document["fit"], result.document["limit"]) == (2, "refused")
        assert "486" in result.document["conclusion"]
        assert "allocations_per_user" in result.document["conclusion"]
        assert "2 users with 100 kbit/s" in icelane(*arguments, *BRIEF[:-1]).out


def test_a_bandwidth_limit_shows_as_loss(icelane: Icelane, tmp_path: Path) -> None:
    with serving(tmp_path, "bytes_per_second_total = 20000") as urls:
        result = icelane("turn", "bench", urls["udp"], "--user", "x", "--secret", SECRET, "--seconds", "3", "--json")
    assert result.document["limit"] == "loss"
    assert result.document["stages"][-1]["loss"] > 0.01
    assert result.document["fit"] < 64


def test_wrong_credentials_end_with_one_and_say_so(icelane: Icelane, tmp_path: Path) -> None:
    with serving(tmp_path) as urls:
        result = icelane("turn", "bench", urls["udp"], "--user", "alice", "--password", "wrong")
    assert result.code == 1
    assert "401" in result.out
    assert "not even the first users fit" in result.out


def test_a_server_that_is_not_there_is_a_network_error(icelane: Icelane) -> None:
    assert icelane("turn", "bench", "turn:127.0.0.1:9?transport=tcp", "--user", "a", "--password", "b").code == 4


@pytest.mark.parametrize("arguments", [("--users", "100000"), ("--kbits", "1000000"), ("--seconds", "3600")])
def test_a_bench_is_bounded(icelane: Icelane, arguments: tuple[str, str]) -> None:
    """It is for a server of one's own, and even there not a weapon."""
    assert icelane("turn", "bench", "turn:127.0.0.1", "--user", "a", "--password", "b", *arguments).code == 2


@pytest.mark.parametrize(
    ("seen", "limit"),
    [
        (stage(), None),
        (stage(received=991), None),
        (stage(received=989), Limit.LOSS),
        (stage(p99=0.3), Limit.DELAY),
        (stage(p99=0.3, processor=0.97), Limit.THIS_COMPUTER),
        (stage(p99=0.3, lateness=0.1), Limit.THIS_COMPUTER),
        (stage(received=0, p99=float("inf")), Limit.LOSS),
        (stage(processor=0.97), None),
    ],
)
def test_a_stage_is_judged_as_a_call_would_be(seen: Stage, limit: Limit | None) -> None:
    assert seen.limit is limit


def test_the_conclusion_names_what_fitted_and_what_did_not() -> None:
    result = Result(stages=[stage(32), stage(64, received=900)], limit=Limit.LOSS)
    assert result.fit == 32
    assert result.conclusion.startswith(
        "32 users with 300 kbit/s each way fit; the limit was loss: 64 users lost 10.0%"
    )


@pytest.mark.parametrize(("users", "expected"), [(2, [2]), (4, [2, 4]), (10, [2, 4, 8, 10])])
def test_users_double_up_to_what_was_asked_for(users: int, expected: list[int]) -> None:
    assert list(Plan(users=users).stages()) == expected
