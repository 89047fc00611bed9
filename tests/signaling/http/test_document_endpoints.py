"""OpenAPI, AsyncAPI and JSON Schema, served."""

from __future__ import annotations

import pytest

from icelane.signaling.http import document_endpoints
from tests.signaling.http.asgi import World


def test_the_interface_is_described_where_it_is() -> None:
    world = World(compat=("matrix",))
    described = world.ask("GET", "/v1/openapi.json").json
    assert described["servers"] == [{"url": "https://call.example.org"}]
    assert set(described["paths"]["/v1/ice-servers"]) == {"post", "get"}
    assert "/_matrix/client/v3/voip/turnServer" in described["paths"]
    assert world.ask("GET", "/v1/asyncapi.json").json["channels"]["signal"]["address"] == "/v1/signal"
    assert world.ask("GET", "/v1/asyncapi.json").json["servers"]["this"]["host"] == "call.example.org"
    assert "/v1/openapi.json" in described["paths"]
    assert "$defs" in world.ask("GET", "/v1/signal.schema.json").json


def test_a_reload_of_the_public_url_counts_for_what_describes_the_interface() -> None:
    world = World()
    for url, host in (("https://call.example.org", "call.example.org"), ("https://new.example.org", "new.example.org")):
        world.public_url = url
        assert world.ask("GET", "/v1/asyncapi.json").json["servers"]["this"]["host"] == host
        assert world.ask("GET", "/v1/openapi.json").json["servers"] == [{"url": url}]


def test_a_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str | None] = []

    def make(_: object, url: str | None) -> dict[str, str]:
        made.append(url)
        return {}

    monkeypatch.setattr(document_endpoints, "openapi", make)
    world = World()
    assert made == []
    for _ in range(3):
        world.ask("GET", "/v1/openapi.json")
    assert made == ["https://call.example.org"]
