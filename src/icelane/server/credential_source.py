"""Users whom a program knows and the configuration does not: `turn.auth = "package.module:function"`.

    async def function(query: CredentialQuery) -> Password | LongTermKey | None: ...

It is asked about a name that is neither a static user nor an ephemeral one, after its sender has shown that it receives
at its address. None means that nobody has that name. What takes longer than a second, raises, or answers something else
lets nobody in, and is reported as `turn.lookup_failed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from icelane.aio.named_function import load_function
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant, later
from icelane.core.net import SocketAddress, Transport
from icelane.core.raised import frames_of
from icelane.errors import IcelaneError
from icelane.server.events import RepeatGate, report
from icelane.turn.credential_lookup import LOOKUP_TIMEOUT, MAX_LOOKUPS
from icelane.turn.credentials import Credential, key_credential, password_credential
from icelane.turn.routes import LookUpCredential

# So long a changed password is still good, and a user who was just made may be unknown.
CACHE_TIME: Final[Duration] = 60.0
# Names are made up by strangers; at the bound the answer that was not used for longest is forgotten.
MAX_CACHED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialQuery:
    """Who is asked about. `username` is what the client sent: not believed, and of up to 508 bytes of any text."""

    username: str
    realm: str
    client: SocketAddress
    transport: Transport


@dataclass(frozen=True, slots=True)
class Password:
    """The password of a user, in plain text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LongTermKey:
    """The keys of a user (RFC 8489 section 18.5.1), for those who do not keep passwords.

    `md5` is MD5(username:realm:password), 16 bytes, which browsers need; `sha256` the same with SHA-256, 32 bytes. A
    client that chooses the one that is missing is refused.
    """

    md5: bytes | None = field(default=None, repr=False)
    sha256: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if any(key is not None and len(key) != size for key, size in ((self.md5, 16), (self.sha256, 32))):
            raise ValueError("an MD5 key has 16 bytes, a SHA-256 key 32")


CredentialSource = Callable[[CredentialQuery], Awaitable[Password | LongTermKey | None]]


class LookupFailedError(IcelaneError):
    """Whether anybody has that name is not known."""


def load_source(name: str) -> CredentialSource:
    """The function behind `package.module:function`. Raises ConfigurationError for `turn.auth`."""
    return cast("CredentialSource", load_function(name, "turn.auth"))


class _Asked(NamedTuple):
    username: str
    host: str


class CredentialAnswers:
    """Asks the source, each question once at a time, and remembers the answers for a minute.

    Answers are remembered for a user and client address, since a source may look at both. At most MAX_LOOKUPS questions
    are open.
    """

    def __init__(self, source: CredentialSource, *, timeout: Duration = LOOKUP_TIMEOUT) -> None:
        self._source = source
        self._timeout = timeout
        self._cache: OrderedDict[_Asked, tuple[Credential | None, Instant]] = OrderedDict()
        self._running: dict[_Asked, asyncio.Task[Credential | None]] = {}
        self._gate: RepeatGate[str] = RepeatGate()

    def __len__(self) -> int:
        """How many questions are open."""
        return len(self._running)

    async def find(self, command: LookUpCredential) -> Credential | None:
        """The credential of a name, None when nobody has it. Raises LookupFailedError."""
        asked = _Asked(command.username, command.client.remote.host)
        cached = self._cache.get(asked)
        if cached is not None and monotonic() < cached[1]:
            self._cache.move_to_end(asked)
            return cached[0]
        running = self._running.get(asked)
        if running is None:
            if len(self._running) >= MAX_LOOKUPS:
                raise self._failed("too-many")
            running = asyncio.create_task(self._ask(asked, command), name="credential look-up")
            self._running[asked] = running
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Cancel what is open."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, asked: _Asked, command: LookUpCredential) -> Credential | None:
        query = CredentialQuery(
            username=command.username,
            realm=command.realm,
            client=command.client.remote,
            transport=command.client.transport,
        )
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._source(query)
            credential = _credential(query, answer)
        except TimeoutError:
            raise self._failed("timeout") from None
        except Exception as error:
            raise self._failed("exception", type(error).__name__, frames_of(error)) from None
        finally:
            del self._running[asked]
        self._remember(asked, credential)
        return credential

    def _remember(self, asked: _Asked, credential: Credential | None) -> None:
        self._cache[asked] = (credential, later(monotonic(), CACHE_TIME))
        self._cache.move_to_end(asked)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)

    def _failed(self, reason: str, error: str = "", frames: Sequence[str] = ()) -> LookupFailedError:
        now = monotonic()
        repeats = sum(count for key, count in self._gate.ended(now) if key == reason)
        if repeats or self._gate.admit(reason, now):
            details = {"error": error, "frames": frames, "repeats": repeats}
            report(
                "turn.lookup_failed",
                logging.ERROR,
                reason=reason,
                **{name: value for name, value in details.items() if value},
            )
        return LookupFailedError(reason)


def _credential(query: CredentialQuery, answer: object) -> Credential | None:
    match answer:
        case None:
            return None
        case Password(text):
            if not text:
                raise ValueError("an empty password lets everybody in")
            return password_credential(query.username, query.realm, text)
        case LongTermKey(md5, sha256):
            return key_credential(query.username, md5, sha256)
        case _:
            raise TypeError("the answer is neither Password, LongTermKey nor None")
