"""What people see: the call page (`/`, `/r/ROOM`), the page of diagnosis (`/diag`), and the files that these load.

A page holds nothing of anybody's: who may do what is in the invitation behind `#` of its address, which no browser
sends. So nobody is asked who he is here, and as a page loads many files, none of them counts against a rate limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from icelane import web
from icelane.crypto.provider import sha256
from icelane.signaling.http.endpoint import Endpoint, Handler
from icelane.signaling.http.module_endpoint import matches
from icelane.signaling.http.problem import not_found

PAGES: Final = {
    "/": ("index.html", "The call page: which room?"),
    "/r/{room:path}": ("index.html", "The call page in a room"),
    "/diag": ("diag.html", "The page of diagnosis"),
}
"""Where a file of `web.PAGES` is served under another name than its own."""

FILES: Final = "/pages/{file}"

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_TAG_BYTES: Final = 16

_HEADERS: Final = {
    # Kept, and asked about each time: the next version of the server has other pages.
    "cache-control": "no-cache",
    # Nothing of another origin, and nothing that stands in the page itself: what is smuggled in does not run.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self),"
    " autoplay=(self), fullscreen=(self), screen-wake-lock=(self), clipboard-write=(self), geolocation=(), payment=(),"
    " usb=(), serial=(), hid=(), midi=()",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        body = path.read_bytes()
        return cls(body, _MEDIA_TYPES[path.suffix], f'"{sha256(body)[:_TAG_BYTES].hex()}"')

    def answer(self, request: Request) -> Response:
        headers = {**_HEADERS, "etag": self.tag}
        if matches(request.headers.getlist("if-none-match"), self.tag):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.media_type)


class PageEndpoints:
    """Holds the files, which do not change while the server runs: no path of a request ever reaches the disk."""

    def __init__(self, folder: Path = web.PAGES) -> None:
        self._files = {path.name: _File.read(path) for path in sorted(folder.iterdir()) if path.suffix in _MEDIA_TYPES}

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        pages = [
            _endpoint(path, _answering(self._files[name]), summary)
            for path, (name, summary) in PAGES.items()
            if name in self._files
        ]
        return [*pages, _endpoint(FILES, self._file, "What the pages load")]

    async def _file(self, request: Request) -> Response:
        name = str(request.path_params["file"])
        if name not in self._files:
            raise not_found("no page has a file of this name")
        return self._files[name].answer(request)


def _endpoint(path: str, handler: Handler, summary: str) -> Endpoint:
    return Endpoint(method="GET", path=path, handler=handler, summary=summary, screened=False, tags=("pages",))


def _answering(file: _File) -> Handler:
    async def answer(request: Request) -> Response:
        return file.answer(request)

    return answer
