"""What describes the interface, for programs: OpenAPI, AsyncAPI and JSON Schema, made of the types and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from icelane.signaling.http.endpoint import Endpoint, Handler
from icelane.signaling.http.openapi import openapi
from icelane.signaling.schema import Document, asyncapi, signal_schema

PublicUrl = Callable[[], str | None]
"""Where a server is reached, such as `https://call.example.org`, as its configuration has it now."""


def document_endpoints(endpoints: Iterable[Endpoint], public_url: PublicUrl = lambda: None) -> list[Endpoint]:
    """To be added to the table of `endpoints` that they describe, themselves included.

    Each is made when somebody first asks for it, and again when `public_url` says something else.
    """
    table = list(endpoints)
    made = [
        _document("/v1/asyncapi.json", "The signaling protocol, as AsyncAPI", _asyncapi, public_url),
        _document("/v1/signal.schema.json", "Every frame of signaling, as JSON Schema", _schema, _nowhere),
        _document("/v1/openapi.json", "This interface, as OpenAPI", lambda url: openapi(table, url), public_url),
    ]
    table += made
    return made


def _asyncapi(url: str | None) -> Document:
    return asyncapi(None if url is None else urlsplit(url).netloc)


def _schema(url: str | None) -> Document:
    del url  # it is the same everywhere
    return signal_schema()


def _nowhere() -> None:
    return None


def _document(path: str, summary: str, make: Callable[[str | None], Document], public_url: PublicUrl) -> Endpoint:
    return Endpoint(method="GET", path=path, handler=_answering(make, public_url), summary=summary, tags=("documents",))


def _answering(make: Callable[[str | None], Document], public_url: PublicUrl) -> Handler:
    made: tuple[str | None, bytes] | None = None

    async def answer(_: Request) -> Response:
        nonlocal made
        url = public_url()
        if made is None or made[0] != url:
            made = url, msgspec.json.encode(make(url))
        return Response(made[1], media_type="application/json")

    return answer
