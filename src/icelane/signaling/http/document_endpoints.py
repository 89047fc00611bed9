"""What describes the interface, for programs: OpenAPI, AsyncAPI and JSON Schema, made of the types and the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from icelane.signaling.http.endpoint import Endpoint, Handler
from icelane.signaling.http.openapi import openapi
from icelane.signaling.schema import asyncapi, signal_schema


def document_endpoints(endpoints: Iterable[Endpoint], public_url: str | None = None) -> list[Endpoint]:
    """To be added to the table of `endpoints` that they describe, themselves included.

    `public_url` is where this server is reached, such as `https://call.example.org`.
    """
    host = None if public_url is None else urlsplit(public_url).netloc
    made = [
        _document("/v1/asyncapi.json", "The signaling protocol, as AsyncAPI", asyncapi(host)),
        _document("/v1/signal.schema.json", "Every frame of signaling, as JSON Schema", signal_schema()),
    ]
    itself = _document("/v1/openapi.json", "This interface, as OpenAPI", {})
    described = openapi([*endpoints, *made, itself], public_url)
    return [*made, _document(itself.path, itself.summary, described)]


def _document(path: str, summary: str, document: dict[str, Any]) -> Endpoint:
    return Endpoint(method="GET", path=path, handler=_answering(document), summary=summary, tags=("documents",))


def _answering(document: dict[str, Any]) -> Handler:
    body = msgspec.json.encode(document)

    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return answer
