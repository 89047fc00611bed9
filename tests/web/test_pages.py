"""The pages that browsers load: what they compute, under node; their types, by TypeScript; and what stands in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from icelane import web
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.refusals import REASONS
from tests.interop.conftest import need_program

TIMEOUT: Final = 120.0
PROGRAMS: Final = tuple(Path(__file__).with_name(name) for name in ("pages.test.mjs", "call.test.mjs"))
PAGES: Final = sorted(web.PAGES.glob("*.html"))
MODULES: Final = sorted(web.PAGES.glob("*.js"))
OPTIONS: Final = ("--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022")
# What a client gets that breaks the protocol, which our page does not; the rest may be shown to people.
MISTAKES: Final = {
    "bad_frame", "bad_request", "bad_subprotocol", "hello_required", "hello_repeated", "hello_timeout",
    "identity_changed", "not_in_room", "room_required", "too_many_rooms", "peer_not_found", "bad_description",
    "token_in_query", "too_slow", "no_sign_of_life", "origin_not_allowed",
}  # fmt: skip


class _Reader(HTMLParser):
    """What a page has in it, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.referred: list[str] = []
        self.inline: list[str] = []
        self.roles: list[tuple[str, str]] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.roles += [(tag, given["role"])] if "role" in given else []
        self.ids += [given["id"]] if "id" in given else []
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        if tag in ("script", "img", "iframe") or (tag == "link" and given.get("rel") in ("stylesheet", "icon")):
            self.loaded.append(given.get("src") or given["href"])
        for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
            self.referred += given.get(name, "").split()
        if tag == "use":
            self.referred.append(given["href"].removeprefix("#"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_loads_only_what_is_in_the_package_and_has_nothing_inline(page: Path) -> None:
    read = _Reader(page)
    assert read.inline == [], "the policy of the pages forbids it"
    assert read.loaded
    for address in read.loaded:
        assert address.startswith("/pages/")
        assert (web.PAGES / address.removeprefix("/pages/")).is_file(), address


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_refers_to_is_there_once(page: Path) -> None:
    read = _Reader(page)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.referred) <= set(read.ids)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_role_promises_keys_that_a_page_does_not_have_or_takes_a_heading_away(page: Path) -> None:
    for tag, role in _Reader(page).roles:
        assert role not in ("toolbar", "menu", "tablist", "grid", "tree"), f"{role} is walked with arrow keys"
        assert re.fullmatch("h[1-6]", tag) is None, f"a {role} is no heading"


def test_what_the_call_page_looks_for_is_in_it() -> None:
    ids = set(_Reader(web.PAGES / "index.html").ids)
    loaded, waiting = set[Path](), [web.PAGES / "main.js"]
    while waiting:
        module = waiting.pop()
        loaded.add(module)
        text = module.read_text()
        found = [module.parent / name for name in re.findall(r'^import .* from "(.*)"$', text, re.MULTILINE)]
        waiting += [path for path in found if path.resolve() not in {one.resolve() for one in loaded}]
        assert set(re.findall(r'byId\("([\w-]+)"', text)) <= ids, module.name
    assert {path.name for path in loaded} >= {"conference.js", "icelane.js", "security_code.js"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_writes_markup_or_loads_from_elsewhere(module: Path) -> None:
    text = module.read_text()
    assert text.startswith("// @ts-check\n")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b|setAttribute\(\"style"
    )
    assert re.search(forbidden, code) is None
    assert re.search(r"from \"(?!\./|\.\./icelane\.js)", code) is None
    assert len(text.splitlines()) < 400


def test_the_panel_does_not_vouch_for_the_server_that_serves_it() -> None:
    assert "nobody is between you." in (panel := (web.PAGES / "panels.js").read_text())
    assert "not even the server" not in panel


@pytest.mark.interop
@pytest.mark.once
def test_what_the_pages_compute_is_right() -> None:
    node = need_program("node", "nodejs")
    codes = sorted(({code.value for code in ErrorCode} | REASONS | {"kicked", "room-closed"}) - MISTAKES)
    done = subprocess.run(
        [node, "--test", *map(str, PROGRAMS)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=os.environ | {"CODES": json.dumps(codes)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout


def check_types(folder: Path) -> subprocess.CompletedProcess[str]:
    """What TypeScript says of all modules in `folder`, as in the package."""
    tsc = need_program("tsc", "node-typescript")
    files = [str(path) for path in sorted((folder / "pages").glob("*.js"))]
    return subprocess.run(
        [tsc, *OPTIONS, "--lib", "es2022,dom,dom.iterable", *files],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.interop
@pytest.mark.once
def test_types_are_what_typescript_takes() -> None:
    done = check_types(web.FOLDER)
    assert done.returncode == 0, done.stdout


@pytest.mark.interop
@pytest.mark.once
def test_a_wrong_type_in_a_page_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(web.FOLDER, tmp_path / "web")
    module = tmp_path / "web" / "pages" / "stage.js"
    text = module.read_text()
    assert "tile.setName(call.name)" in text
    module.write_text(text.replace("tile.setName(call.name)", "tile.setName(call.nothing)"))
    done = check_types(tmp_path / "web")
    assert done.returncode != 0
    assert "nothing" in done.stdout
