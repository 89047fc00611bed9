"""HTTP from here to elsewhere, by httpx: no redirects, no proxy of the environment, bodies of bounded size.

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
# Connections that are kept for the next request; a burst closes what is above.
_MAX_IDLE: Final = 64

MAX_GET_CONNECTIONS: Final = 16
"""For keys, which no hook that hangs may keep from being fetched. At the bound a fetch waits, and then fails."""

MAX_POST_CONNECTIONS: Final = 1088
"""For webhooks: as many as the calls of four hooks that may run at once, and 64 for those who are told."""


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpFetcher:
    """Sends requests. `close` it in the loop that used it."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._getting = client
        self._posting = client

    def __repr__(self) -> str:
        return "HttpFetcher()"

    async def get(self, url: str, limit: int) -> bytes:
        """The body behind a URL that answers 200, of at most `limit` bytes. Raises OperationError."""
        self._getting = client = self._getting or _client(MAX_GET_CONNECTIONS)
        reply = await _send(client, "GET", url, {"accept": "application/json"}, b"", limit)
        if reply.status != httpx.codes.OK:
            raise OperationError(f"answered {reply.status}")
        return reply.body

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> Reply:
        """Whatever the answer is, with a body of at most `limit` bytes. Raises OperationError."""
        self._posting = client = self._posting or _client(MAX_POST_CONNECTIONS)
        return await _send(client, "POST", url, headers, body, limit)

    async def close(self) -> None:
        """Close its connections."""
        clients, self._getting, self._posting = (self._getting, self._posting), None, None
        for client in clients:
            if client is not None:
                await client.aclose()


async def _send(
    client: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int
) -> Reply:
    problem = ""
    try:
        async with client.stream(method, url, headers=dict(headers), content=body) as response:
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


def _client(connections: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=_TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=_MAX_IDLE),
        # A body that unpacks to a gigabyte would do so before it is counted.
        headers={"accept-encoding": "identity", "user-agent": "icelane"},
    )
