"""The interface described for programs: OpenAPI of the endpoints, AsyncAPI and JSON Schema of the frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from icelane.signaling.http.endpoint import Endpoint, Handler, json_response
from icelane.signaling.http.openapi import openapi
from icelane.signaling.schema import asyncapi, signal_schema


class DescriptionEndpoints:
    """Of `table`, made when they are first asked for. `url` says where this server is, `https://call.example.org`."""

    def __init__(self, table: Sequence[Endpoint], url: Callable[[], str | None]) -> None:
        self._made: dict[str, dict[str, Any]] = {}
        self._makers: dict[str, Callable[[], dict[str, Any]]] = {
            "openapi": lambda: openapi(table, url()),
            "asyncapi": lambda: asyncapi((url() or "").partition("://")[2] or None),
            "signal.schema": signal_schema,
        }

    def endpoints(self) -> list[Endpoint]:
        """For the router; they describe themselves no further."""
        return [
            Endpoint(
                method="GET",
                path=f"/v1/{name}.json",
                handler=self._handler(name),
                summary=f"This interface as {name}",
                tags=("description",),
            )
            for name in self._makers
        ]

    def _handler(self, name: str) -> Handler:
        async def answer(request: Request) -> Response:
            del request
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return json_response(self._made[name])

        return answer
