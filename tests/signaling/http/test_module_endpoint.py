"""The client for browsers, as a page loads it."""

from __future__ import annotations

import pytest

from icelane import web
from tests.signaling.http.asgi import APP_ORIGIN, World

PATH = "/icelane.js"


def test_a_page_gets_the_module_by_a_type_that_browsers_run() -> None:
    answer = World().ask("GET", PATH)
    assert answer.status == 200
    assert answer.body == web.MODULE.read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("asked", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_who_has_it_gets_it_once(asked: str) -> None:
    world = World()
    first = world.ask("GET", PATH)
    again = world.ask("GET", PATH, {"if-none-match": asked.format(tag=first.headers["etag"])})
    assert (again.status, again.body) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name], "RFC 9110 section 15.4.5"
    assert world.ask("GET", PATH, {"if-none-match": '"other"'}).status == 200


def test_a_module_of_another_origin_is_for_the_pages_that_may_use_signaling() -> None:
    """SG-1, CR-2: a browser sends Origin for it, and runs it when it is answered by name."""
    answer = World().ask("GET", PATH, {"origin": APP_ORIGIN})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == APP_ORIGIN
    assert "origin" in answer.headers["vary"].lower()
    assert World().ask("GET", PATH, {"origin": "https://evil.example"}).status == 403
