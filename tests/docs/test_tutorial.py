"""The five minutes of docs/tutorial/first-five-minutes.md, typed as they stand there, on this machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.sources import ROOT
from tests.docs.test_documentation import blocks

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAGE = "docs/tutorial/first-five-minutes.md"
SECONDS = 120
MAIN = [sys.executable, "-c", "from icelane.cli.main import main; main()"]
LINES = [line for text in blocks(PAGE, "sh") for line in text.splitlines()]
# The link, and its parts, as the page writes them.
LINK = "https://192.168.1.20:8443/r/blue-otter#token=uWbJYfrkwvYTwbeOTB4iBQ"
SERVER, TOKEN = "https://192.168.1.20:8443", "uWbJYfrkwvYTwbeOTB4iBQ"


def typed(beginning: str) -> list[str]:
    """The one line of the page that begins so, as words."""
    (line,) = [line for line in LINES if line.startswith(beginning)]
    return shlex.split(line, comments=True)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, so that no authority of this machine's user is used or made."""
    home = tmp_path_factory.mktemp("home")
    left = {name: value for name, value in os.environ.items() if not name.startswith(("ICELANE_", "XDG_"))}
    kept = {name: value for name, value in os.environ.items() if name in ("ICELANE_PURE", "ICELANE_REQUIRE_COMPILED")}
    return left | kept | {"HOME": str(home), "INTERFACES": "lo", "COLUMNS": "100"}


@pytest.fixture(scope="module")
def said(environ: dict[str, str]) -> Iterator[list[str]]:
    """What `icelane dev` of the page prints, on loopback, until all is said."""
    command = [*MAIN, *typed("icelane dev")[1:], "--no-qr", "--listen", "127.0.0.1"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if "Ctrl-C ends it" in line:
                    break
            yield lines
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def link(said: list[str]) -> str:
    """The link of this run."""
    return next(word for line in said for word in line.split() if "/r/blue-otter#token=" in word)


def adapted(words: list[str], link: str) -> list[str]:
    """A command of the page for this run."""
    server, _, token = link.partition("/r/blue-otter#token=")
    return [word.replace(LINK, link).replace(SERVER, server).replace(TOKEN, token) for word in words]


def test_it_prints_what_the_page_shows(said: list[str]) -> None:
    """Line by line what stands at their beginning; numbers and addresses are the machine's."""
    (shown,) = blocks(PAGE, "text")

    def head(line: str) -> str:
        """A line up to what differs from machine to machine: an address or a number."""
        return re.split(r"https?://|wss://|turn:|\d|;", re.sub(r"\s+", " ", line.strip()))[0].strip()

    heads = {head(line) for line in said}
    for line in shown.splitlines():
        assert head(line) in heads, line


def test_the_doctor_finds_the_node_that_runs_and_nothing_is_broken(
    said: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    (shown,) = re.findall(r"`(icelane doctor[^`]*)`", (ROOT / PAGE).read_text())
    command = [*MAIN, *shlex.split(shown)[1:], "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    found = {row["name"]: row["status"] for row in document["checks"]}
    assert {"clock", "certificate", "HTTPS", "WSS", "TURN udp", "TURN tcp", "relay echo"} <= found.keys()
    assert "failed" not in found.values()


def test_a_test_card_joins_and_what_it_hears_is_recorded(link: str, environ: dict[str, str], tmp_path: Path) -> None:
    command = [*MAIN, *adapted(typed("icelane join"), link)[1:], "--for", "4", "--interface", "lo", "--json"]
    bot = adapted(typed("python examples/echo_bot.py"), link)
    authority = typed("export AUTHORITY")[1].partition("=")[2].replace("~", environ["HOME"])
    assert Path(authority).exists()
    with subprocess.Popen(
        [sys.executable, str(ROOT / bot[1]), *bot[2:]],
        env=environ | {"AUTHORITY": authority},
        stdout=subprocess.PIPE,
        text=True,
    ) as echo:
        try:
            assert echo.stdout is not None
            assert echo.stdout.readline().startswith("in blue-otter as ")
            done = subprocess.run(
                command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=SECONDS, check=True
            )
        finally:
            echo.terminate()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(event.get("event") == "peer" for event in events), done.stdout
    assert list(tmp_path.glob("call*.mp4"))


def test_a_file_goes_from_one_to_the_other(link: str, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(os.urandom(200_000))
    (tmp_path / "Downloads").mkdir()
    on_loopback = ["--interface", "lo"]
    send = [*MAIN, *adapted(typed("icelane send"), link)[1:], "--json", *on_loopback]
    with subprocess.Popen(
        send, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as sending:
        try:
            assert sending.stdout is not None
            code = json.loads(sending.stdout.readline())["code"]
            receive = [word.replace("7-blue-otter", code) for word in adapted(typed("icelane receive"), link)[1:]]
            subprocess.run(
                [*MAIN, *receive, *on_loopback],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
            assert sending.wait(SECONDS) == 0
        finally:
            sending.kill()
    assert (tmp_path / "Downloads/report.pdf").read_bytes() == (tmp_path / "report.pdf").read_bytes()


def test_a_server_of_ones_own_is_checked(environ: dict[str, str], tmp_path: Path) -> None:
    """With an address to relay on, which a machine without a network does not have by itself."""
    here = environ | {"ICELANE_TURN__RELAY_ADDRESSES": '["127.0.0.1"]'}
    for beginning in ("icelane init", "icelane config check"):
        command = [*MAIN, *typed(beginning)[1:]]
        subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, timeout=SECONDS, check=True)
