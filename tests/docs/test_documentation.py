"""What the documentation tells people to type works as it stands there."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import PATHS
from docs import api_reference
from docs.command_reference import commands, page
from icelane.server.config import parse_config
from icelane.server.machine import Machine
from icelane.turn.credentials import parse_rest_username
from tests.audit.sources import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s`/'])(icelane (?:[a-z]+)[^`\n|]*)")
# What the pages speak of: a server with addresses. The machine that runs the tests may have none besides loopback.
PREFERRED = ("10.0.0.5", "2001:db8::5")
SERVER = Machine(addresses=("127.0.0.1", "::1", *PREFERRED), preferred=PREFERRED)
SECONDS = 60  # for a program that the documentation starts; a busy machine takes a few

every_page = pytest.mark.parametrize("name", NAMES)


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [textwrap.dedent(body) for _, kind, body in BLOCK.findall(text) if kind == language]


def anchors(text: str) -> set[str]:
    """What a hosting platform calls the headings of a page."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("name", ["docs/tutorial/first-five-minutes.md", "docs/howto/join-and-send.md"])
def test_the_bots_have_as_many_statements_as_is_said(name: str) -> None:
    """Without imports and docstrings."""
    told = re.search(r"(\d+) statements.*?voice_bot\.py\) (?:with|has) (\d+)", flat(name))
    assert told is not None
    assert tuple(map(int, told.groups())) == (statements("echo_bot.py"), statements("voice_bot.py"))


def flat(name: str) -> str:
    """A page in one line."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def statements(example: str) -> int:
    """Of an example of ours, without imports and docstrings."""
    found = [
        node for node in ast.walk(ast.parse((ROOT / "examples" / example).read_text())) if isinstance(node, ast.stmt)
    ]
    docstrings = [node for node in found if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    imports = [node for node in found if isinstance(node, ast.Import | ast.ImportFrom)]
    return len(found) - len(docstrings) - len(imports)


@every_page
def test_every_anchor_is_a_heading(name: str) -> None:
    for link in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        target, hash_sign, anchor = link.partition("#")
        if not hash_sign or re.match(r"[a-z]+:", link):
            continue
        file = (ROOT / name).parent / target if target else ROOT / name
        assert anchor in anchors(file.read_text(encoding="utf-8")), link


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = {((ROOT / "docs") / link).resolve() for link in LINK.findall(index)}
    below = {path for path in PAGES if path.parts[-2] != "decisions" and path.name != "index.md"}
    assert below - linked == set()


def test_the_index_of_decisions_lists_all_of_them() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    names = sorted(path.name for path in folder.glob("0*.md"))
    assert [name for name in names if name not in listed] == []
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_the_command_reference_is_that_of_the_program() -> None:
    """After changing a command: `python docs/command_reference.py > docs/reference/commands.md`."""
    assert (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8") == page()


def test_the_api_reference_is_that_of_the_package() -> None:
    """After changing what `icelane` exports: `python docs/api_reference.py > docs/reference/python-api.md`."""
    written = (ROOT / "docs/reference/python-api.md").read_text(encoding="utf-8")
    assert written == f"{api_reference.page()}\n"


@every_page
def test_every_command_that_a_page_shows_exists(name: str) -> None:
    sections = dict(re.findall(r"^## `(icelane [a-z ]*[a-z]).*?`\n(.*?)(?=^## |\Z)", page(), re.MULTILINE | re.DOTALL))
    known = [command.name for command in commands()]
    assert set(known) == sections.keys()
    for shown in COMMAND.findall((ROOT / name).read_text(encoding="utf-8")):
        found = max((k for k in known if shown == k or shown.startswith(f"{k} ")), key=len, default=None)
        if found is None:
            assert not re.match(r"icelane (serve|stun|ice|turn|config) [a-z]*check|icelane [a-z]+ -", shown), shown
            continue
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", shown):
            assert re.search(rf"[`\s]{option}[`,\s]", sections[found]), f"{shown}: {option}"


@every_page
def test_every_command_that_a_page_tells_to_type_is_one(name: str) -> None:
    """Beyond the test above, which passes over words that may be prose."""
    known = [command.name for command in commands()]
    for line in "\n".join(blocks(name, "sh")).splitlines():
        typed = re.search(r"(?:^|[ /])(icelane [a-z].*)", line.partition("  #")[0])
        if typed is not None and not re.search(r"(systemctl|docker|podman) [a-z]", line):
            assert any(f"{typed[1]} ".startswith(f"{one} ") for one in known), line


@every_page
def test_every_python_block_compiles(name: str) -> None:
    for code in blocks(name, "python"):
        compile(code, name, "exec")


@every_page
def test_every_configuration_is_accepted(name: str) -> None:
    for text in blocks(name, "toml"):
        parse_config(tomllib.loads(text), machine=SERVER)


def test_the_credential_of_the_how_to_is_what_the_server_expects() -> None:
    scope: dict[str, object] = {}
    exec(blocks("docs/howto/run-a-relay.md", "python")[0], scope)
    function = scope["turn_credential"]
    assert callable(function)
    username, password = function("at-least-128-bits-of-randomness", "alice", 60)
    parsed = parse_rest_username(username)
    assert (parsed.kid, parsed.user) == (None, "alice")
    mac = hmac.new(b"at-least-128-bits-of-randomness", username.encode(), hashlib.sha1).digest()
    assert password == base64.b64encode(mac).decode()


# -- README, from the first command to the last


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """README's server, on ports that the system chose: what README says to what is to be said instead."""
    file = tmp_path_factory.mktemp("readme") / "icelane.toml"
    file.write_text(blocks("README.md", "toml")[0].replace(":3478", ":0"))
    process = subprocess.Popen(
        [sys.executable, "-c", "from icelane.cli.main import main; main()", "serve", "--json", "-c", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        udp, tcp = json.loads(process.stdout.readline())["listening"]
        yield {
            "127.0.0.1:3478?transport=udp": f"{udp.removeprefix('udp://')}?transport=udp",
            "127.0.0.1:3478?transport=tcp": f"{tcp.removeprefix('tcp://')}?transport=tcp",
        }
    finally:
        process.terminate()
        process.wait(SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def adapted(text: str, served: dict[str, str]) -> str:
    """`text` with the ports that are really served."""
    for said, instead in served.items():
        text = text.replace(said, instead)
    return text


def test_the_program_of_the_readme_prints_what_the_readme_says() -> None:
    (code,) = blocks("README.md", "python")
    said = run_python(code)
    (shown,) = [text for text in blocks("README.md", "text") if text.startswith("hello\n")]
    assert shape(said) == shape(shown)


def test_the_client_of_the_how_to_prints_what_it_relayed(served: dict[str, str]) -> None:
    (code,) = [text for text in blocks("docs/howto/run-a-relay.md", "python") if "connect_turn" in text]
    assert re.fullmatch(r"hello from 127\.0\.0\.1:\d+\n", run_python(adapted(code, served)))


def run_python(code: str) -> str:
    """What a program prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout


def shape(text: str) -> list[str]:
    """The lines of a text without what differs from run to run: fingerprints, addresses and ports."""
    text = re.sub(r"(\b[0-9A-F]{2}:)+([0-9A-F]{2}\b|\.\.\.)", "FINGERPRINT", text)
    return re.sub(r"(\[::1\]|127\.0\.0\.1):\d+", "ADDRESS", text).splitlines()


def test_the_check_of_the_readme_succeeds(served: dict[str, str]) -> None:
    lines = [line for text in blocks("README.md", "sh") for line in text.splitlines()]
    (line,) = [line for line in lines if line.startswith("icelane turn check")]
    assert icelane(adapted(line, served)).returncode == 0


def test_the_readme_shows_every_path_that_the_demo_tries() -> None:
    """As text and as a picture. `docs/picture.py` draws it anew, and what it recorded belongs into the table."""
    (table,) = [text for text in blocks("README.md", "text") if text.lstrip().startswith("Path")]
    assert re.findall(r"^  (\S.*?)   +carried", table, re.MULTILINE) == list(PATHS)
    picture = (ROOT / "docs/images/demo.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    shown = [name for name in re.findall(r"> (\S[^<]*?) +</text>", picture) if name in PATHS]
    assert shown == list(PATHS)


def test_the_ice_servers_of_the_how_to_are_those_that_are_printed(tmp_path: Path) -> None:
    (tmp_path / "icelane.toml").write_text(blocks("README.md", "toml")[0])
    done = icelane("icelane ice --format browser -c icelane.toml", folder=tmp_path)
    assert done.stdout == blocks("docs/howto/run-a-relay.md", "json")[0]


@pytest.mark.skipif(shutil.which("pidof") is None, reason="pidof is not installed: apt-get install sysvinit-utils")
def test_the_how_to_finds_the_process_that_it_sends_a_signal(tmp_path: Path) -> None:
    """The program is a script, which pidof passes over unless it is told to look at scripts."""
    (line,) = [
        line
        for text in blocks("docs/howto/run-for-years.md", "sh")
        for line in text.splitlines()
        if line.startswith("kill -HUP ")
    ]
    file = tmp_path / "icelane.toml"
    file.write_text(blocks("README.md", "toml")[0].replace(":3478", ":0"))
    command = [str(Path(sys.executable).with_name("icelane")), "serve", "--json", "-c", str(file)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        assert server.stdout.readline()
        # Only said, since another server of this machine may be found as well.
        said = subprocess.run(
            ["sh", "-c", line.replace("kill -HUP", "echo")], capture_output=True, text=True, check=True
        )
        assert str(server.pid) in said.stdout.split()
    finally:
        server.terminate()
        server.wait(SECONDS)
        if server.stdout is not None:
            server.stdout.close()


def icelane(line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command line as a person would."""
    code = "from icelane.cli.main import main; main()"
    command = [sys.executable, "-c", code, *shlex.split(line)[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
