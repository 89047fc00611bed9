"""The module for browsers: its own tests under node, its types by TypeScript, and what is in the package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from icelane import web
from tests.interop.conftest import need_program

TESTS = Path(__file__).with_suffix("").with_name("icelane.test.mjs")
TIMEOUT = 120.0

TEN_LINES = """
// @ts-check
import { SignalClient } from "./icelane.js"

const signal = await SignalClient.connect("https://call.example.org", { token: async () => "token", room: "demo" })
for await (const peer of signal) {
  const pc = signal.connectPeer(peer, { bundlePolicy: "max-bundle" })
  pc.ontrack = ({ streams }) => console.log(streams[0].id, peer.identity.length)
}
"""


def test_the_module_is_where_the_package_says() -> None:
    text = web.MODULE.read_text()
    assert web.MODULE.parent == web.FOLDER
    assert "export class SignalClient" in text
    assert "import " not in text.replace(" *     import { SignalClient }", ""), "it depends on nothing"


@pytest.mark.interop
@pytest.mark.once
def test_its_own_tests_pass_under_node() -> None:
    node = need_program("node", "nodejs")
    done = subprocess.run([node, "--test", str(TESTS)], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout


def check_types(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """What TypeScript says of the module and a program that uses it."""
    tsc = need_program("tsc", "node-typescript")
    (folder / "icelane.js").write_text(web.MODULE.read_text())
    (folder / "program.js").write_text(program)
    options = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022"]
    return subprocess.run(
        [tsc, *options, "--lib", "es2022,dom,dom.iterable", "program.js"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.interop
@pytest.mark.once
def test_its_types_are_what_typescript_takes(tmp_path: Path) -> None:
    done = check_types(tmp_path, TEN_LINES)
    assert done.returncode == 0, done.stdout


@pytest.mark.interop
@pytest.mark.once
@pytest.mark.parametrize(
    ("right", "wrong"),
    [('room: "demo"', "room: 7"), ("peer.identity.length", "peer.nothing"), ("connectPeer(peer,", "connectPeer(7,")],
)
def test_a_wrong_use_is_an_error_of_its_types(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in TEN_LINES
    assert check_types(tmp_path, TEN_LINES.replace(right, wrong)).returncode != 0
