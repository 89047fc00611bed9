"""The pages, as a browser gets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from icelane import web
from icelane.signaling.admitted import Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.page_endpoints import PAGES, PageEndpoints
from tests.signaling.http.asgi import World

PRESENT = [path for path, (name, _) in PAGES.items() if (web.PAGES / name).exists()]


@pytest.fixture
def world() -> World:
    return World(pages=True)


@pytest.mark.parametrize("path", PRESENT)
def test_a_page_is_answered_with_headers_that_let_nothing_foreign_in(world: World, path: str) -> None:
    answer = world.ask("GET", path.replace("{room:path}", "blue-otter"))
    assert answer.status == 200
    assert answer.body == (web.PAGES / PAGES[path][0]).read_bytes()
    headers = answer.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"
    assert "set-cookie" not in headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    for device in ("camera", "microphone", "display-capture"):
        assert f"{device}=(self)" in headers["permissions-policy"]
    assert "geolocation=()" in headers["permissions-policy"]


@pytest.mark.parametrize("room", ["demo", "a/b", "ü ?", "."])
def test_every_room_has_the_same_page(world: World, room: str) -> None:
    assert world.ask("GET", f"/r/{room}").body == (web.PAGES / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_the_type_that_browsers_ask_for_and_are_kept(world: World, name: str, media_type: str) -> None:
    answer = world.ask("GET", f"/pages/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.body == (web.PAGES / name).read_bytes()
    again = world.ask("GET", f"/pages/{name}", {"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert world.ask("GET", f"/pages/{name}", {"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "../icelane.js", "..", "", "main.js\x00", "/etc/passwd", "MAIN.JS", "main.js/"]
)
def test_nothing_but_the_files_of_the_package_is_there(world: World, name: str) -> None:
    assert world.ask("GET", f"/pages/{name}").status == 404


def test_what_lies_beside_the_pages_and_is_no_file_of_theirs_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "secret.pem").write_text("a key")
    served = PageEndpoints(tmp_path)
    assert served._files.keys() == {"index.html"}
    assert "/diag" not in {endpoint.path for endpoint in served.endpoints()}


def test_a_page_of_many_files_is_not_held_against_whoever_loads_it(world: World) -> None:
    world.callers.refusal = Refusal(code=CloseCode.RATE_LIMITED, error="rate_limited", status=429)
    assert world.ask("GET", "/pages/main.js").status == 200
    assert world.ask("GET", "/").status == 200
    assert world.ask("POST", "/").status == 429


def test_without_the_switch_there_are_no_pages() -> None:
    world = World()
    for path in ("/", "/r/demo", "/pages/style.css"):
        assert world.ask("GET", path).status == 404
    assert world.ask("GET", "/icelane.js").status == 200, "which pages of others load"
