"""What admission decides, as the hub takes it: who somebody is, what he may do, and for how long."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from icelane.core.clock import Duration, UnixSeconds
from icelane.signaling.close_code import CloseCode


class Grant(enum.Enum):
    """What somebody may do in his rooms."""

    JOIN = "join"
    PUBLISH = "publish"
    """Describe media that one sends. Without it a description is not passed on unless it sends nothing."""
    SUBSCRIBE = "subscribe"
    """Describe media that one receives."""
    MESSAGE = "message"
    """Send `message`. `signal` needs JOIN only: without it there is no call."""
    MODERATE = "moderate"
    """Remove others, lock and close rooms, enter locked ones."""


DEFAULT_GRANTS: Final = frozenset({Grant.JOIN, Grant.PUBLISH, Grant.SUBSCRIBE, Grant.MESSAGE})


class IceTransportPolicy(enum.Enum):
    """W3C `RTCIceTransportPolicy`."""

    ALL = "all"
    RELAY = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class IcePolicy:
    """What somebody's ICE may do. With RELAY the hub also conceals his addresses, and from him everybody else's.

    `ttl` is the life of his TURN credentials in seconds, None for the configured one; `servers` whether he gets any.
    """

    transport_policy: IceTransportPolicy = IceTransportPolicy.ALL
    ttl: int | None = None
    servers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Bounds of one user; None means the configured ones."""

    frames_per_second: float | None = None
    frame_burst: int | None = None
    rooms: int | None = None
    sessions: int | None = None


def is_meant(room: str, pattern: str) -> bool:
    """Whether a pattern is the name of a room, or ends in `*` and is the beginning of it."""
    return room.startswith(pattern[:-1]) if pattern.endswith("*") else room == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Somebody may enter.

    `rooms` are names, exact or ending in `*`, which stands for whatever follows; nobody is in a room that none of them
    covers. `meta` is shown to others beside what the client says itself, and wins. `labels` are the program's own and
    never leave the server. `expires_at` is calendar time: the session ends then, unless refreshed. `api_key` is the
    name of the API key that a program of the operator showed; only that rules the server, and never a user's token.
    """

    identity: str
    name: str | None = None
    rooms: tuple[str, ...] = ()
    grants: frozenset[Grant] = DEFAULT_GRANTS
    meta: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    limits: AdmissionLimits = AdmissionLimits()
    expires_at: UnixSeconds | None = None
    ice: IcePolicy = IcePolicy()
    api_key: str | None = None

    @property
    def relay_only(self) -> bool:
        """Whether only relays may be told of him, and to him."""
        return self.ice.transport_policy is IceTransportPolicy.RELAY

    def covers(self, room: str) -> bool:
        """Whether `rooms` has this one."""
        return any(is_meant(room, pattern) for pattern in self.rooms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody may not enter, or not do what he asked for.

    `code` is how his connection is closed; `error` the stable word for programs, such as `token_expired` or `banned`;
    `reason` is for people and shown to the client, so it holds nothing that he should not know. `retry_after` is in
    seconds. With `status`, the refusal came before the upgrade and is an HTTP answer.
    """

    code: CloseCode
    error: str
    reason: str = ""
    retry_after: Duration | None = None
    status: int | None = None

    @property
    def http_status(self) -> int:
        """`status`, or the one that says the same as `code`."""
        return self.code.status if self.status is None else self.status
