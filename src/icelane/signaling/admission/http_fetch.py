"""HTTP from here to elsewhere, by httpx: one client, no redirects, no proxy of the environment, bodies of bounded size.

Only addresses that the configuration names are asked, never one that came with a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx

from icelane.core.clock import Duration
from icelane.errors import OperationError

# Fetching keys is nobody's hurry; a hook has a deadline of its own.
_TIMEOUT: Final[Duration] = 5.0
_MAX_CONNECTIONS: Final = 64


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpFetcher:
    """Sends requests. `close` it in the loop that used it."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._client = client

    def __repr__(self) -> str:
        return "HttpFetcher()"

    async def get(self, url: str, limit: int) -> bytes:
        """The body behind a URL that answers 200, of at most `limit` bytes. Raises OperationError."""
        reply = await self._send("GET", url, {"accept": "application/json"}, b"", limit)
        if reply.status != httpx.codes.OK:
            raise OperationError(f"answered {reply.status}")
        return reply.body

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> Reply:
        """Whatever the answer is, with a body of at most `limit` bytes. Raises OperationError."""
        return await self._send("POST", url, headers, body, limit)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> Reply:
        problem = ""
        try:
            async with self._opened().stream(method, url, headers=dict(headers), content=body) as response:
                chunks, size = [], 0
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > limit:
                        raise OperationError(f"answered more than {limit} bytes")
                    chunks.append(chunk)
                return Reply(response.status_code, response.headers, b"".join(chunks))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            problem = type(error).__name__
        # Raised out here: the exception carries the request, and that the secrets in it.
        raise OperationError(f"no answer: {problem}")

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT,
                follow_redirects=False,
                trust_env=False,
                limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
                # A body that unpacks to a gigabyte would do so before it is counted.
                headers={"accept-encoding": "identity", "user-agent": "icelane"},
            )
        return self._client
