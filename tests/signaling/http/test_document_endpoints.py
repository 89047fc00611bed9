"""OpenAPI, AsyncAPI and JSON Schema, served."""

from __future__ import annotations

from tests.signaling.http.asgi import World


def test_the_interface_is_described_where_it_is() -> None:
    world = World(compat=("matrix",))
    described = world.ask("GET", "/v1/openapi.json").json
    assert described["servers"] == [{"url": "https://call.example.org"}]
    assert set(described["paths"]["/v1/ice-servers"]) == {"post", "get"}
    assert "/_matrix/client/v3/voip/turnServer" in described["paths"]
    assert world.ask("GET", "/v1/asyncapi.json").json["channels"]["signal"]["address"] == "/v1/signal"
    assert "$defs" in world.ask("GET", "/v1/signal.schema.json").json
