"""The keys that an issuer publishes (RFC 7517), fetched from the one address that the configuration names.

No token says where keys come from, and none makes us ask more than once in RETRY_INTERVAL: a `kid` that we do not know
may be a key that was just made, or a stranger's invention. What was fetched once is good while the issuer is down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import Key

from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant
from icelane.errors import IcelaneError, MalformedError
from icelane.signaling.admission.json_text import parse_json_object
from icelane.signaling.admission.signing_key import Algorithm, key_of_jwk

LOGGER: Final = logging.getLogger("icelane.signaling")

# So long a set is used without asking again; a key that was taken back opens nothing after that.
FRESH_FOR: Final[Duration] = 300.0
# After a `kid` that is not in the set, and after a failure.
RETRY_INTERVAL: Final[Duration] = 30.0
# A set is not used for longer than this when the issuer cannot be reached.
STALE_FOR: Final[Duration] = 86_400.0
# Issuers publish two to five keys. Further ones are not looked at.
MAX_KEYS: Final = 32
# Of the body; a longer one counts as a failure.
MAX_BODY: Final = 128 * 1024

Fetch = Callable[[str, int], Awaitable[bytes]]
"""Gets the body behind a URL, of at most so many bytes. Raises IcelaneError, whatever goes wrong."""


class KeySetUnavailableError(IcelaneError):
    """The keys have never been fetched, or too long ago."""


def parse_key_set(body: bytes, algorithm: Algorithm) -> dict[str | None, Key]:
    """The keys of a JWK set that can verify `algorithm`, by `kid`. Raises MalformedError when it is no such set.

    A key that we cannot use is passed over (RFC 7517 section 5); of two with one `kid` the first counts.
    """
    entries = parse_json_object(body).get("keys")
    if not isinstance(entries, list):
        raise MalformedError("a JWK set has no list of keys")
    found: dict[str | None, Key] = {}
    for entry in entries[:MAX_KEYS]:
        if not isinstance(entry, dict):
            continue
        kid = entry.get("kid")
        if kid is not None and not isinstance(kid, str):
            continue
        try:
            found.setdefault(kid, key_of_jwk(entry, algorithm))
        except (JoseError, MalformedError):
            continue
    return found


class PublishedKeys:
    """The keys behind one URL for one algorithm."""

    def __init__(
        self, url: str, algorithm: Algorithm, fetch: Fetch, *, clock: Callable[[], Instant] = monotonic
    ) -> None:
        self._url = url
        self._algorithm = algorithm
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str | None, Key] = {}
        self._fetched_at = Instant(float("-inf"))
        self._asked_at = Instant(float("-inf"))
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"PublishedKeys({self._url!r}, {len(self._keys)} keys)"

    async def find(self, kid: str | None) -> Sequence[Key]:
        """The keys that may have signed; without a `kid` the only one there is. Raises KeySetUnavailableError."""
        usable = self._age <= STALE_FOR and bool(self._suiting(kid))
        if not usable or self._age > FRESH_FOR:
            fetching = self._refresh()
            if fetching is not None and not usable:
                await asyncio.shield(fetching)  # else nobody waits for an issuer that is slow or down
        if self._age > STALE_FOR:
            raise KeySetUnavailableError("the issuer's keys cannot be fetched")
        return self._suiting(kid)

    async def close(self) -> None:
        """Give up what is being fetched."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _suiting(self, kid: str | None) -> Sequence[Key]:
        if kid is None:
            return tuple(self._keys.values()) if len(self._keys) == 1 else ()
        key = self._keys.get(kid)
        return () if key is None else (key,)

    def _refresh(self) -> asyncio.Task[None] | None:
        """What fetches, once at a time for all who wait; None when that was within RETRY_INTERVAL."""
        if self._running is None and self._clock() - self._asked_at >= RETRY_INTERVAL:
            self._asked_at = self._clock()
            self._running = asyncio.create_task(self._load(), name="fetch of a key set")
        return self._running

    @property
    def _age(self) -> Duration:
        return self._clock() - self._fetched_at

    async def _load(self) -> None:
        try:
            keys = parse_key_set(await self._fetch(self._url, MAX_BODY), self._algorithm)
            self._keys, self._fetched_at = keys, self._clock()
        except IcelaneError as error:
            LOGGER.warning("signaling.keys_unavailable", extra={"url": self._url, "error": type(error).__name__})
        finally:
            self._running = None
