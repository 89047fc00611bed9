"""`GET /icelane.js`: the client for browsers, from the server that it talks to, so that the two fit together.

A page of ours imports it without a word about origins. A page of another origin imports by CORS, as every module is,
and needs to be in `server.allowed_origins`, which it needs for signaling anyway. There is nothing secret in it.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from icelane import web
from icelane.crypto.provider import sha256
from icelane.signaling.http.endpoint import Endpoint

PATH: Final = "/icelane.js"

# Browsers take a module for one by this type alone (HTML, "fetch a single module script").
_MEDIA_TYPE: Final = "text/javascript"
_TAG_BYTES: Final = 16


class ModuleEndpoint:
    """Holds the file, which does not change while the server runs."""

    def __init__(self) -> None:
        self._body = web.MODULE.read_bytes()
        self.tag = f'"{sha256(self._body)[:_TAG_BYTES].hex()}"'

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        return [
            Endpoint(
                method="GET",
                path=PATH,
                handler=self._answer,
                summary="The client for browsers, an ES module",
                tags=("pages",),
            )
        ]

    async def _answer(self, request: Request) -> Response:
        headers = {
            "etag": self.tag,
            # Kept, and asked about each time: the next version of the server has another client.
            "cache-control": "no-cache",
            "cross-origin-resource-policy": "cross-origin",
        }
        if matches(request.headers.getlist("if-none-match"), self.tag):
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers=headers, media_type=_MEDIA_TYPE)


def matches(lines: list[str], tag: str) -> bool:
    """Whether the lines of If-None-Match name `tag`: RFC 9110 section 13.1.2, compared weakly.

    Our tags have no comma in them.
    """
    asked = [one.strip().removeprefix("W/") for line in lines for one in line.split(",")]
    return "*" in asked or tag in asked
