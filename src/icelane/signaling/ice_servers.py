"""The `iceServers` body: what a page puts into `new RTCPeerConnection(body)`, with credentials that end soon.

Browsers are unforgiving about it: one URL that they do not parse, an empty `urls`, a null or a user name above 512
bytes makes the constructor throw. So the URLs are parsed and written again when the settings are made, and what is made
of them keeps these rules:

    1 it goes into the constructor as it is         6 user names have 508 bytes at most
    2 no null: what has no value is left out        7 host names are ASCII (xn--...)
    3 no transport on stun:                         8 two TURN hosts at most, three URLs of each
    4 no empty urls                                 9 TLS on 443 comes last; port 53, which browsers refuse, never
    5 IPv6 in brackets, no turn://, no user@       10 times both as seconds and as ISO 8601
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import UNSET

from icelane.aio.system import SystemWallClock
from icelane.core.clock import Instant, UnixSeconds, WallClock
from icelane.core.net import Transport
from icelane.errors import ConfigurationError, MalformedError
from icelane.signaling.admitted import Admission, IceTransportPolicy
from icelane.signaling.messages import IceServer, IceServersBody, iso_time
from icelane.stun.uri import StunUri, TurnUri, parse_uri
from icelane.turn.credentials import DEFAULT_TTL, MAX_TTL, MIN_TTL, Secret
from icelane.turn.ephemeral_user import ephemeral_user

# Every URL costs gathering time, and Firefox warns above four servers.
MAX_HOSTS: Final = 2
MAX_URLS_PER_HOST: Final = 3
# Binding needs one server; a second is for when the first is down.
MAX_STUN_URLS: Final = 2

_HTTPS_PORT: Final = 443
_DNS_PORT: Final = 53
_KEY: Final = "turn.hostname"


@dataclass(frozen=True, kw_only=True)
class IceSettings:
    """What there is to hand out. Raises ConfigurationError for a URL that no browser takes.

    `urls` are `stun:`, `turn:` and `turns:` URLs in any order; the first of `secrets` signs. `ttl` is the life of a
    credential in seconds where nobody asks for another, `node` the name of the server for whoever reads the body.
    """

    urls: tuple[str, ...]
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    ttl: int = DEFAULT_TTL
    node: str | None = None
    stun_urls: tuple[str, ...] = field(init=False)
    turn_urls: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        stun, turn = _parsed(self.urls)
        object.__setattr__(self, "stun_urls", stun)
        object.__setattr__(self, "turn_urls", turn)
        if turn and not self.secrets:
            raise ConfigurationError("there is no secret to sign credentials with", key="turn.secrets")


class Issued(NamedTuple):
    """One credential and the body that has it. `password` is None where no TURN server is handed out."""

    body: IceServersBody
    username: str | None
    password: str | None
    ttl: int
    expires_at: UnixSeconds

    def __repr__(self) -> str:
        return f"Issued(username={self.username!r})"


class IceServers:
    """Makes bodies. `issued` counts them by kind: `http`, `signal`, or a shape of `compat`."""

    def __init__(self, settings: IceSettings, *, wall_clock: WallClock | None = None) -> None:
        self.settings = settings
        self.issued: Counter[str] = Counter()
        self._wall_clock = wall_clock or SystemWallClock()

    def __repr__(self) -> str:
        return f"IceServers({', '.join(self.settings.urls)})"

    def ice_servers(self, admission: Admission, now: Instant) -> IceServersBody:
        """What a session is told, at its beginning and when most of the life of what it has is over."""
        return self.for_admission(admission, now, kind="signal").body

    def for_admission(self, admission: Admission, now: Instant, *, kind: str, ttl: int | None = None) -> Issued:
        """A body for somebody who was admitted. He may ask for a shorter life than his policy has, not for a longer
        one, and nothing that he gets outlives his admission."""
        policy = admission.ice
        longest = policy.ttl if policy.ttl is not None else MAX_TTL
        asked = ttl if ttl is not None else (policy.ttl if policy.ttl is not None else self.settings.ttl)
        return self.issue(
            admission.identity,
            now,
            kind=kind,
            ttl=min(clamped(asked), longest),
            policy=policy.transport_policy,
            turn=policy.servers,
            not_after=admission.expires_at,
        )

    def issue(
        self,
        user: str,
        now: Instant,
        *,
        kind: str,
        ttl: int | None = None,
        policy: IceTransportPolicy = IceTransportPolicy.ALL,
        turn: bool = True,
        not_after: UnixSeconds | None = None,
    ) -> Issued:
        """A body for `user`, whose credential lives `ttl` seconds, 1 to 86400, and not after `not_after`."""
        settings, unix_time = self.settings, self._wall_clock.unix_time(now)
        seconds = clamped(ttl if ttl is not None else settings.ttl)
        if not_after is not None:
            seconds = max(MIN_TTL, min(seconds, int(not_after - unix_time)))
        expires_at = UnixSeconds(float(int(unix_time) + seconds))
        servers: list[IceServer] = []
        # Whoever may be seen at a relay only has no use for a server that tells his address.
        if settings.stun_urls and policy is IceTransportPolicy.ALL:
            servers.append(IceServer(urls=settings.stun_urls))
        username = password = None
        if turn and settings.turn_urls:
            username, password = _minted(settings.secrets[0], user, seconds, unix_time)
            servers.append(IceServer(urls=settings.turn_urls, username=username, credential=password))
            self.issued[kind] += 1
        body = IceServersBody(
            ice_servers=tuple(servers),
            ice_transport_policy=policy.value,
            ttl=seconds,
            expires_at=iso_time(expires_at),
            nodes=(settings.node,) if settings.node is not None else UNSET,
        )
        return Issued(body, username, password, seconds, expires_at)


def clamped(ttl: float) -> int:
    """A life of 1 second to one day, whatever was asked for (CR-3)."""
    return int(min(max(ttl, MIN_TTL), MAX_TTL))


def _minted(secret: Secret, user: str, ttl: int, unix_time: UnixSeconds) -> tuple[str, str]:
    name = f"{int(unix_time) + ttl}:{secret.kid}:{ephemeral_user(user)}"
    return name, secret.password(name)


def _parsed(urls: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stun: list[StunUri] = []
    turn: list[TurnUri] = []
    for text in urls:
        try:
            uri = parse_uri(_in_ascii(text))
        except (MalformedError, UnicodeError) as error:
            raise ConfigurationError(str(error), key=_KEY) from None
        if uri.port_or_default == _DNS_PORT:
            continue
        if isinstance(uri, StunUri):
            stun.append(uri)
        else:
            turn.append(uri)
    return _texts(stun[:MAX_STUN_URLS]), _texts(_chosen(turn))


def _in_ascii(url: str) -> str:
    """The host name as an A-label (RFC 5891)."""
    if url.isascii():
        return url
    scheme, colon, rest = url.partition(":")
    host, rest_begins, tail = rest.partition(":") if ":" in rest else rest.partition("?")
    return f"{scheme}{colon}{host.encode('idna').decode()}{rest_begins}{tail}"


def _chosen(turn: list[TurnUri]) -> list[TurnUri]:
    """UDP first, TLS last, and of TLS port 443 last of all: it passes where nothing else does."""
    hosts = list(dict.fromkeys(uri.host for uri in turn))[:MAX_HOSTS]
    found: list[TurnUri] = []
    for host in hosts:
        mine = sorted(dict.fromkeys(uri for uri in turn if uri.host == host), key=_rank)
        # The last one is the one that must not be left out.
        found += mine if len(mine) <= MAX_URLS_PER_HOST else [*mine[: MAX_URLS_PER_HOST - 1], mine[-1]]
    return sorted(found, key=_rank)


def _rank(uri: TurnUri) -> tuple[bool, bool, bool]:
    return uri.secure, uri.secure and uri.port_or_default == _HTTPS_PORT, uri.transport is Transport.TCP


def _texts(uris: Iterable[StunUri | TurnUri]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(uri) for uri in uris))
