"""Tokens that others signed: JSON Web Tokens (RFC 7519) as compact JWS (RFC 7515), verified by joserfc.

What is ours is everything before and after the signature, in this order:

    1 length, three parts, canonical base64url, headers and claims each one JSON object with no name twice
    2 `iss` names the issuers of the configuration that come into question, and nothing else
    3 headers that would bring a key, an address or an extension along are refused (RFC 8725 section 3.10)
    4 `alg` is the one that stands beside that issuer's key
    5 the signature; up to here nothing is fetched that the token speaks of
    6 `aud` is one text and ours, `exp` is there and ahead, `nbf` is not
"""

from __future__ import annotations

import base64
import binascii
import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant, UnixSeconds
from icelane.errors import ConfigurationError, MalformedError, RemoteProtocolError
from icelane.signaling.admission.json_text import parse_json_object
from icelane.signaling.admission.key_set import Fetch, KeySetUnavailableError, PublishedKeys
from icelane.signaling.admission.request import MAX_TOKEN
from icelane.signaling.admission.signing_key import (
    Algorithm,
    PinnedAlgorithm,
    is_symmetric,
    key_of_pem,
    shared_secret,
    wire_names,
)

AUDIENCE: Final = "icelane"
# Clocks of issuers differ from ours by less, or they are wrong.
LEEWAY: Final[Duration] = 5.0
# Entries of the configuration; a tenth of it is plenty, and a token without a `kid` may try those of one issuer.
MAX_ISSUERS: Final = 256

# base64url without padding and in the one spelling that each text has: no part can be changed and mean the same.
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
# x5t is the hash of a certificate, another name for a key that we know already or do not.
_HEADERS: Final = frozenset({"alg", "typ", "kid", "cty", "x5t", "x5t#S256"})
_TYPES: Final = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
_MAX_KID: Final = 256


class TokenFault(enum.Enum):
    """Why a token is refused, for logs and metrics, and as the word that the client is told."""

    MALFORMED = "token_malformed"
    UNKNOWN_ISSUER = "token_unknown_issuer"
    WRONG_ALGORITHM = "token_wrong_algorithm"
    UNKNOWN_KEY = "token_unknown_key"
    BAD_SIGNATURE = "token_bad_signature"
    EXPIRED = "token_expired"
    NOT_YET_VALID = "token_not_yet_valid"
    WRONG_AUDIENCE = "token_wrong_audience"
    BAD_CLAIMS = "token_bad_claims"
    KEYS_UNAVAILABLE = "keys_unavailable"
    """The one fault that is not the token's."""


class TokenRefusedError(RemoteProtocolError):
    """A token is not good. Neither the text nor anything else of this error holds a part of it."""

    def __init__(self, fault: TokenFault, detail: str = "") -> None:
        self.fault = fault
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)


@dataclass(frozen=True, kw_only=True)
class TrustedIssuer:
    """Whose tokens count, and by which key. Exactly one of `secret`, `public_key` (PEM) and `jwks_url` is given.

    Several entries may name one issuer, with different `kid`: so keys are rotated. `where` is what a
    ConfigurationError calls the entry.
    """

    issuer: str
    algorithm: Algorithm
    secret: str | None = field(default=None, repr=False)
    public_key: str | None = None
    jwks_url: str | None = None
    kid: str | None = None
    audience: str = AUDIENCE
    where: str = "auth.jwt"


class UnverifiedToken(NamedTuple):
    """A token that parses. Nothing in it may be believed."""

    header: Mapping[str, object]
    claims: Mapping[str, object]

    def __repr__(self) -> str:
        return "UnverifiedToken()"

    @property
    def issuer(self) -> str | None:
        """Who it says has signed it."""
        found = self.claims.get("iss")
        return found if isinstance(found, str) else None


def parse_token(text: str) -> UnverifiedToken:
    """Take a token apart. Raises MalformedError, whose text repeats nothing of it."""
    if len(text) > MAX_TOKEN:
        raise MalformedError("a token is too long")
    parts = text.split(".")
    if len(parts) != 3:
        raise MalformedError("a token has three parts")
    header, payload, _signature = (_decode(part) for part in parts)
    return UnverifiedToken(parse_json_object(header), parse_json_object(payload))


def _decode(part: str) -> bytes:
    if _PART.fullmatch(part):
        try:
            found = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            found = b""
        if found and base64.urlsafe_b64encode(found).rstrip(b"=") == part.encode():
            return found
    raise MalformedError("a part of a token is not canonical base64url")


class _Entry:
    """One issuer's one key, or set of keys."""

    def __init__(self, trusted: TrustedIssuer, fetch: Fetch | None, clock: Callable[[], Instant]) -> None:
        _check(trusted, fetch)
        self.trusted = trusted
        self._key: Key | None = None
        self.published: PublishedKeys | None = None
        if trusted.secret is not None:
            self._key = shared_secret(trusted.secret, key=f"{trusted.where}.secret")
        elif trusted.public_key is not None:
            self._key = key_of_pem(trusted.public_key, trusted.algorithm, key=f"{trusted.where}.public_key")
        elif trusted.jwks_url is not None and fetch is not None:
            self.published = PublishedKeys(trusted.jwks_url, trusted.algorithm, fetch, clock=clock)

    async def keys(self, kid: str | None) -> Sequence[Key]:
        """Those that may have signed."""
        if self.published is not None:
            return await self.published.find(kid)
        assert self._key is not None
        return (self._key,) if self.trusted.kid is None or kid in (None, self.trusted.kid) else ()


def _check(trusted: TrustedIssuer, fetch: Fetch | None) -> None:
    """Raises ConfigurationError for an entry that says too much or too little."""
    given = [
        name
        for name, value in (
            ("secret", trusted.secret),
            ("public_key", trusted.public_key),
            ("jwks_url", trusted.jwks_url),
        )
        if value is not None
    ]
    if len(given) != 1:
        text = f"give one of secret, public_key and jwks_url, not {' and '.join(given) or 'none'}"
        raise ConfigurationError(text, key=trusted.where)
    if is_symmetric(trusted.algorithm) != (trusted.secret is not None):
        wanted = "a secret" if is_symmetric(trusted.algorithm) else "public_key or jwks_url"
        raise ConfigurationError(f"{trusted.algorithm} goes with {wanted}", key=f"{trusted.where}.{given[0]}")
    if trusted.jwks_url is not None and fetch is None:
        raise ConfigurationError("nothing is there to fetch keys with", key=f"{trusted.where}.jwks_url")
    if not trusted.issuer:
        raise ConfigurationError("the issuer has no name", key=f"{trusted.where}.issuer")


class TokenVerifier:
    """Verifies the tokens of the issuers that are trusted. Raises ConfigurationError for one that cannot be."""

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        fetch: Fetch | None = None,
        *,
        clock: Callable[[], Instant] = monotonic,
    ) -> None:
        if len(issuers) > MAX_ISSUERS:
            raise ConfigurationError(f"more than {MAX_ISSUERS} entries", key="auth.jwt")
        self._entries_by_issuer: dict[str, list[_Entry]] = {}
        for trusted in issuers:
            entries = self._entries_by_issuer.setdefault(trusted.issuer, [])
            if any(entry.trusted.kid == trusted.kid for entry in entries):
                raise ConfigurationError("this issuer has an entry with this kid already", key=f"{trusted.where}.kid")
            entries.append(_Entry(trusted, fetch, clock))

    def __repr__(self) -> str:
        return f"TokenVerifier({sorted(self._entries_by_issuer)})"

    def knows(self, token: UnverifiedToken) -> bool:
        """Whether the issuer that a token names is one of ours."""
        return token.issuer in self._entries_by_issuer

    async def verify(self, text: str, unix_time: UnixSeconds) -> Mapping[str, object]:
        """The claims of a token whose signature, audience and times are good. Raises TokenRefusedError."""
        try:
            token = parse_token(text)
        except MalformedError as error:
            raise TokenRefusedError(TokenFault.MALFORMED, str(error)) from None
        entries = self._entries_by_issuer.get(token.issuer or "")
        if not entries:
            raise TokenRefusedError(TokenFault.UNKNOWN_ISSUER)
        algorithm, kid = _checked_header(token.header)
        matching = [entry for entry in entries if algorithm in wire_names(entry.trusted.algorithm)]
        if not matching:
            raise TokenRefusedError(TokenFault.WRONG_ALGORITHM)
        trusted = await self._signed_by(text, matching, algorithm, kid)
        check_claims(token.claims, trusted.audience, unix_time)
        return token.claims

    async def close(self) -> None:
        """Give up what is being fetched."""
        for entries in self._entries_by_issuer.values():
            for entry in entries:
                if entry.published is not None:
                    await entry.published.close()

    async def _signed_by(self, text: str, entries: Sequence[_Entry], algorithm: str, kid: str | None) -> TrustedIssuer:
        tried = False
        for entry in entries:
            try:
                keys = await entry.keys(kid)
            except KeySetUnavailableError:
                raise TokenRefusedError(TokenFault.KEYS_UNAVAILABLE) from None
            for key in keys:
                tried = True
                if _is_signed(text, key, algorithm):
                    return entry.trusted
        raise TokenRefusedError(TokenFault.BAD_SIGNATURE if tried else TokenFault.UNKNOWN_KEY)


def _is_signed(text: str, key: Key, algorithm: str) -> bool:
    """Whether joserfc says so; its exceptions carry the token."""
    try:
        jws.deserialize_compact(text, key, registry=PinnedAlgorithm(algorithm))
    except (JoseError, ValueError):
        return False
    return True


def _checked_header(header: Mapping[str, object]) -> tuple[str, str | None]:
    """`alg` and `kid` of a header that has nothing else of weight. Raises TokenRefusedError."""
    if not header.keys() <= _HEADERS:
        # crit, b64, jku, jwk, x5u, x5c...: what they ask for is not done, so the token is not understood.
        raise TokenRefusedError(TokenFault.MALFORMED, "its header has what we do not take")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefusedError(TokenFault.MALFORMED, "its type is another")
    if not isinstance(algorithm, str):
        raise TokenRefusedError(TokenFault.WRONG_ALGORITHM)
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID):
        raise TokenRefusedError(TokenFault.UNKNOWN_KEY)
    return algorithm, kid


def check_claims(claims: Mapping[str, object], audience: str, unix_time: UnixSeconds) -> None:
    """Whether a token whose signature is good is meant for us and now. Raises TokenRefusedError."""
    if claims.get("aud") != audience:  # a list is another audience: who shares a token with others is not told apart
        raise TokenRefusedError(TokenFault.WRONG_AUDIENCE)
    expires = _instant(claims, "exp")
    if expires is None:
        raise TokenRefusedError(TokenFault.BAD_CLAIMS, "exp is missing")
    if unix_time >= expires + LEEWAY:
        raise TokenRefusedError(TokenFault.EXPIRED)
    begins = _instant(claims, "nbf")
    if begins is not None and unix_time < begins - LEEWAY:
        raise TokenRefusedError(TokenFault.NOT_YET_VALID)


def _instant(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2). Raises TokenRefusedError for one that is no number."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TokenRefusedError(TokenFault.BAD_CLAIMS, f"{name} is not a date")
    return float(value)
