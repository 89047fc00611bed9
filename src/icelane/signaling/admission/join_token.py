"""What a join token says, and making one.

    {"iss": "example", "aud": "icelane", "sub": "alice", "exp": 1800000000, "nbf": 1799990000, "jti": "...",
     "name": "Alice", "rooms": ["lobby", "team-*"], "grants": ["join", "message"], "meta": {"hat": "red"},
     "ice": {"policy": "relay"}}

`sub` and `exp` must be there. Without `rooms` somebody may connect and be in no room; without `grants` he may join,
publish, subscribe and message.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from joserfc import jws
from joserfc.jwk import Key

from icelane.core.clock import Duration, UnixSeconds
from icelane.core.entropy import Entropy
from icelane.errors import ConfigurationError, LocalProtocolError, MalformedError
from icelane.signaling.admission.json_web_token import AUDIENCE
from icelane.signaling.admission.request import MAX_TOKEN, Allow
from icelane.signaling.admission.signing_key import (
    Algorithm,
    PinnedAlgorithm,
    is_symmetric,
    key_of_pem,
    shared_secret,
)
from icelane.signaling.admitted import DEFAULT_GRANTS, Grant, IcePolicy, IceTransportPolicy
from icelane.signaling.limits import MAX_IDENTITY, MAX_META, MAX_ROOM_NAME

# Rooms, or patterns of them, that one token names. More are better said with a pattern.
MAX_ROOMS: Final = 100
MIN_LIFETIME: Final[Duration] = 1.0
# A token cannot be taken back but by a list; a day is as long as a credential of the relay lives at most.
MAX_LIFETIME: Final[Duration] = 86_400.0
DEFAULT_LIFETIME: Final[Duration] = 600.0

_ROOM: Final = re.compile(r"[^\x00-\x1f\x7f*]*\*?")
_GRANTS: Final = {grant.value: grant for grant in Grant}
_POLICIES: Final = {policy.value: policy for policy in IceTransportPolicy}
_TOKEN_ID_BYTES: Final = 12


def parse_join_claims(claims: Mapping[str, object]) -> Allow:
    """What verified claims admit. Raises MalformedError when one of ours is of another shape; the others are passed
    over."""
    return Allow(
        identity=parse_identity(claims.get("sub")),
        name=_name(claims.get("name")),
        rooms=parse_rooms(claims.get("rooms", ())),
        grants=parse_grants(claims["grants"]) if "grants" in claims else DEFAULT_GRANTS,
        meta=parse_meta(claims.get("meta", {})),
        expires_at=_expiry(claims.get("exp")),
        ice=parse_ice(claims["ice"]) if "ice" in claims else None,
    )


def parse_identity(value: object) -> str:
    """Who somebody is: 1 to 256 printable characters. Raises MalformedError."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTITY or not value.isprintable():
        raise MalformedError(f"an identity has 1 to {MAX_IDENTITY} printable characters")
    return value


def parse_rooms(value: object) -> tuple[str, ...]:
    """Names of rooms, exact or ending in `*`. Raises MalformedError."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MAX_ROOMS:
        raise MalformedError(f"rooms are a list of at most {MAX_ROOMS} names")
    for room in value:
        if not isinstance(room, str) or not 0 < len(room) <= MAX_ROOM_NAME or not _ROOM.fullmatch(room):
            raise MalformedError("a room is a name, or the beginning of one and then `*`")
    return tuple(value)


def parse_grants(value: object) -> frozenset[Grant]:
    """What somebody may do. Raises MalformedError for a word that we do not know: it may be a misspelt `moderate`."""
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise MalformedError("grants are a list")
    found = set()
    for word in value:
        grant = _GRANTS.get(word) if isinstance(word, str) else None
        if grant is None:
            raise MalformedError(f"a grant is one of {', '.join(_GRANTS)}")
        found.add(grant)
    return frozenset(found)


def parse_meta(value: object) -> Mapping[str, object]:
    """What is shown of somebody: an object of at most 4 KiB of JSON. Raises MalformedError."""
    if not isinstance(value, Mapping):
        raise MalformedError("meta is an object")
    try:
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        size = MAX_META + 1
    if size > MAX_META:
        raise MalformedError(f"meta is JSON of at most {MAX_META} bytes")
    return value


def parse_ice(value: object) -> IcePolicy:
    """`{"policy": "all" or "relay", "ttl": seconds, "servers": bool}`, each may be missing. Raises MalformedError."""
    if not isinstance(value, Mapping):
        raise MalformedError("ice is an object")
    policy, ttl, servers = value.get("policy", "all"), value.get("ttl"), value.get("servers", True)
    if not isinstance(policy, str) or policy not in _POLICIES:
        raise MalformedError(f"ice.policy is one of {', '.join(_POLICIES)}")
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int) or ttl <= 0):
        raise MalformedError("ice.ttl is a number of seconds")
    if not isinstance(servers, bool):
        raise MalformedError("ice.servers is true or false")
    return IcePolicy(transport_policy=_POLICIES[policy], ttl=ttl, servers=servers)


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_IDENTITY or not value.isprintable():
        raise MalformedError(f"a name has at most {MAX_IDENTITY} printable characters")
    return value or None


def _expiry(value: object) -> UnixSeconds | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError("an expiry is a number")
    return UnixSeconds(float(value))


@dataclass(frozen=True, kw_only=True)
class TokenSigner:
    """With what our own tokens are signed. Raises ConfigurationError when the key does not suit the algorithm."""

    issuer: str
    algorithm: Algorithm = "HS256"
    key: str = field(repr=False)
    kid: str | None = None
    audience: str = AUDIENCE

    def __post_init__(self) -> None:
        if not self.issuer:
            raise ConfigurationError("the issuer has no name", key="auth.jwt.issuer")
        _ = self._key

    def sign(self, claims: Mapping[str, object]) -> str:
        """A compact JWS over `claims` as they are."""
        header: dict[str, object] = {"alg": self.algorithm, "typ": "JWT"}
        if self.kid is not None:
            header["kid"] = self.kid
        payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return jws.serialize_compact(header, payload, self._key, registry=PinnedAlgorithm(self.algorithm))

    @cached_property
    def _key(self) -> Key:
        """Read once: to check a private key of RSA takes the time of many signatures."""
        if is_symmetric(self.algorithm):
            return shared_secret(self.key, key="auth.jwt.secret")
        return key_of_pem(self.key, self.algorithm, key="auth.jwt.private_key", private=True)


def create_token(
    signer: TokenSigner,
    *,
    identity: str,
    rooms: Sequence[str] = (),
    valid_for: Duration = DEFAULT_LIFETIME,
    unix_time: UnixSeconds,
    entropy: Entropy,
    name: str | None = None,
    grants: Iterable[Grant] | None = None,
    meta: Mapping[str, object] | None = None,
    ice: IceTransportPolicy | None = None,
) -> str:
    """A join token, good for `valid_for` seconds, which is clamped to 1 second to one day.

    Raises LocalProtocolError for what no token could say.
    """
    lifetime = min(max(valid_for, MIN_LIFETIME), MAX_LIFETIME)
    claims: dict[str, object] = {
        "iss": signer.issuer,
        "aud": signer.audience,
        "sub": identity,
        "iat": int(unix_time),
        "nbf": int(unix_time),
        "exp": int(unix_time + lifetime),
        "jti": base64.urlsafe_b64encode(entropy.token(_TOKEN_ID_BYTES)).decode(),
        "rooms": list(rooms),
    }
    if name is not None:
        claims["name"] = name
    if grants is not None:
        claims["grants"] = sorted(grant.value for grant in grants)
    if meta:
        claims["meta"] = dict(meta)
    if ice is not None:
        claims["ice"] = {"policy": ice.value}
    try:
        parse_join_claims(claims)
    except MalformedError as error:
        raise LocalProtocolError(str(error)) from None
    token = signer.sign(claims)
    if len(token) > MAX_TOKEN:
        raise LocalProtocolError(f"a token of more than {MAX_TOKEN} bytes; say less in it")
    return token
