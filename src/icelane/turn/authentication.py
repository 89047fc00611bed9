"""The server's half of the long-term credential mechanism (RFC 8489 section 9.2.4).

The checks, in their order; the first that fails answers:

    1. no MESSAGE-INTEGRITY of either kind                      401 with REALM, NONCE, PASSWORD-ALGORITHMS
    2. integrity of an impossible size                          400
    3. USERNAME (or USERHASH), REALM or NONCE missing           400
    4. password algorithms altered, half present, not offered   400
    5. nonce issued to another address or by another server     438
    6. wrong realm, unknown user, expired, wrong password       401
    7. nonce stale                                              438

RFC 8489 looks at the nonce last. Here a nonce that was never ours for this source ends it earlier: otherwise 401 or 438
would tell a guesser with a made-up nonce whether a password is right, without his source ever being counted (TA-12).

Before 6 the source is asked whether it has guessed too often, and a name that nobody has counts as a wrong password
does: silence that depended on the name would tell which names exist.

Nothing is remembered of whoever fails: nonces are computed, not stored (`icelane.stun.nonce`).
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration, Instant, UnixSeconds, WallClock, later
from icelane.core.net import Path
from icelane.errors import IntegrityError, MalformedError
from icelane.stun.attributes import (
    MAX_TEXT,
    MAX_USERNAME,
    AttributeType,
    PasswordAlgorithm,
    encode_password_algorithms,
    encode_text,
    parse_password_algorithm,
    parse_text,
)
from icelane.stun.integrity import has_well_formed_integrity, userhash, verify_integrity, verify_integrity_sha256
from icelane.stun.message import Message, MessageBuilder
from icelane.stun.nonce import NonceFactory, NonceVerdict, SecurityFeature
from icelane.turn.credentials import Credential, CredentialStore, RefusalReason
from icelane.turn.refusal import Refusal
from icelane.turn.revocation import Revocations
from icelane.turn.throttle import FailureThrottle

# SHA-256 first: RFC 8489 section 9.2.5 lets the client take the first it knows.
_ALGORITHMS: Final = encode_password_algorithms([(PasswordAlgorithm.SHA256, b""), (PasswordAlgorithm.MD5, b"")])

# A name that the configuration knows nothing of; an expired one it does know.
_NOT_OURS: Final = frozenset({RefusalReason.UNKNOWN_USER, RefusalReason.MALFORMED_USERNAME})


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_MD5: Final = PasswordAlgorithm.MD5
_NONCE: Final = AttributeType.NONCE
_NONCE_FOREIGN: Final = NonceVerdict.FOREIGN
_NONCE_STALE: Final = NonceVerdict.STALE
_NONCE_VALID: Final = NonceVerdict.VALID
_PASSWORD_ALGORITHM: Final = AttributeType.PASSWORD_ALGORITHM
_PASSWORD_ALGORITHMS: Final = AttributeType.PASSWORD_ALGORITHMS
_REALM: Final = AttributeType.REALM
_USERHASH: Final = AttributeType.USERHASH
_USERNAME: Final = AttributeType.USERNAME


class Identity:
    """Who a request proved to come from, and how its answer is protected.

    `credential` holds no keys but those that stay right for this user whatever becomes of the configuration; an
    allocation keeps it. `kid` names the secret that was used, "" for a static user.
    """

    __slots__ = ("credential", "key", "kid", "sha256")

    def __init__(self, credential: Credential, kid: str, key: bytes, sha256: bool) -> None:
        self.credential = credential
        self.kid = kid
        self.key = key
        self.sha256 = sha256

    @property
    def username(self) -> str:
        return self.credential.username

    @property
    def user_key(self) -> str:
        return self.credential.user_key

    def protect(self, response: MessageBuilder) -> None:
        """Append the integrity that the request asked for by its own."""
        if self.sha256:
            response.add_integrity_sha256(self.key)
        else:
            response.add_integrity_sha1(self.key)


class _StrangerRefusal(Refusal):
    """Nobody has that name."""


class CredentialUnknown(Exception):
    """The store does not know `username`, whose sender receives at its address; somebody outside may know it."""

    def __init__(self, username: str) -> None:
        super().__init__("somebody outside has to be asked")
        self.username = username


class Authenticator:
    """Says who sent a request, or raises the Refusal that it deserves.

    `strict_expiry` refuses an ephemeral credential after its time on every request, not only on those that begin
    something. With `credential_lookup` a name that is not in the store raises CredentialUnknown where it would raise a
    Refusal. What `revocations` cover is refused, however right it is.
    """

    def __init__(
        self,
        *,
        realm: str,
        credentials: CredentialStore,
        wall_clock: WallClock,
        nonce_key: bytes,
        nonce_lifetime: Duration,
        strict_expiry: bool,
        throttle: FailureThrottle,
        revocations: Revocations | None = None,
        credential_lookup: bool = False,
    ) -> None:
        self._realm = realm
        self._own_realm = realm.encode()
        self._wall_clock = wall_clock
        self._nonce_key = nonce_key
        self._nonce_lifetime = nonce_lifetime
        self._strict_expiry = strict_expiry
        self._throttle = throttle
        self._revocations = revocations if revocations is not None else Revocations()
        self._credential_lookup = credential_lookup
        self.set_credentials(credentials)

    def set_credentials(self, credentials: CredentialStore) -> None:
        """Let those in from now on who are in `credentials`, and nobody else."""
        self._credentials = credentials
        # TA-7: nobody outside is asked by a hash.
        self._anonymity = credentials.supports_userhash and not self._credential_lookup
        self._nonces = NonceFactory(self._nonce_key, _features(self._anonymity), self._nonce_lifetime)

    def set_strict_expiry(self, strict_expiry: bool) -> None:
        """Judge by it from now on."""
        self._strict_expiry = strict_expiry

    @property
    def credentials(self) -> CredentialStore:
        """Who is let in."""
        return self._credentials

    def authenticate(
        self,
        message: Message,
        path: Path,
        known: Credential | None,
        now: Instant,
        *,
        provided: Credential | None = None,
    ) -> Identity:
        """The sender's identity; raises Refusal, or CredentialUnknown.

        `known` is the credential of the allocation that the request is about: a request of the same user is judged by
        it, so that neither the expiry of a credential nor the rotation of its secret breaks a Refresh. `provided` is
        what a look-up found.
        """
        claim = self._claim(message)
        unix_time = self._wall_clock.unix_time(now)
        nonce_verdict = self._nonces.verify(claim.nonce, path.remote, unix_time)
        if nonce_verdict is _NONCE_FOREIGN:
            raise Refusal(438, "nonce-foreign", challenge=True)
        if claim.realm != self._realm:
            raise Refusal(401, "wrong-realm", challenge=True)
        host = path.remote.host
        # Whoever is in is not asked again, even beside a guesser.
        of_allocation = known is not None and known.username == claim.username
        if not of_allocation and not self._throttle.admits_source(host, now):
            raise Refusal(401, "throttled", silent=True)
        try:
            credential = self._credential(claim, known, provided, unix_time)
        except _StrangerRefusal as refusal:
            raise self._refuse_stranger(refusal, claim, host, now) from None
        if credential is None:
            # A name that nobody has asked about yet costs a look-up, so its source has to be right now, and in bounds.
            if nonce_verdict is _NONCE_STALE:
                raise Refusal(438, "nonce-stale", challenge=True)
            assert claim.username is not None, "a name without a credential is a name"
            if not self._throttle.admits(host, claim.username, now):
                raise Refusal(401, "throttled", silent=True)
            raise CredentialUnknown(claim.username)
        if not of_allocation and not self._throttle.admits(host, credential.user_key, now):
            raise Refusal(401, "throttled", silent=True)
        identity = _prove(message, credential, claim)
        if identity is None:
            # The nonce has shown that the sender receives at its address, so a forged source locks nobody out.
            self._throttle.failed(host, credential.user_key, now)
            raise Refusal(401, "wrong-password", challenge=True)
        if nonce_verdict is _NONCE_STALE:
            raise Refusal(438, "nonce-stale", challenge=True)
        if self._revocations.covers(identity.credential, identity.kid, unix_time):
            raise Refusal(401, "revoked", challenge=True)
        return identity

    def count_unknown(self, path: Path, username: str, now: Instant) -> None:
        """A look-up found nobody: whoever makes up names is slowed as whoever makes up passwords."""
        self._throttle.failed(path.remote.host, username, now)

    def add_challenge(self, response: MessageBuilder, path: Path, now: Instant) -> None:
        """Append what a client needs to try again."""
        response.add(_REALM, encode_text(self._realm))
        nonce = self._nonces.issue(path.remote, self._wall_clock.unix_time(now))
        response.add(_NONCE, encode_text(nonce))
        response.add(_PASSWORD_ALGORITHMS, _ALGORITHMS)

    def holds_valid_nonce(self, message: Message, path: Path, now: Instant) -> bool:
        """Whether the request proves by its nonce that its sender receives at its address."""
        nonce = message.get(_NONCE)
        if nonce is None:
            return False
        unix_time = self._wall_clock.unix_time(now)
        return self._nonces.verify(nonce.decode("utf-8", "replace"), path.remote, unix_time) is _NONCE_VALID

    def claimed_username(self, message: Message) -> str:
        """Who the request says it comes from, by name or by hash, for logs; "" when it says nothing readable."""
        try:
            return self._username(message) or ""
        except Refusal:
            return ""

    def strict_end(self, credential: Credential, now: Instant) -> Instant | None:
        """When the end of `credential` ends what was made with it; None for never."""
        if credential.valid_until is None or not self._strict_expiry:
            return None
        return later(now, max(0.0, credential.valid_until - self._wall_clock.unix_time(now)))

    def _claim(self, message: Message) -> _Claim:
        if message.integrity_offset is None and message.integrity_sha256_offset is None:
            raise Refusal(401, "no-credentials", challenge=True)
        if not has_well_formed_integrity(message):
            raise Refusal(400, "integrity-malformed")
        username = self._username(message)
        realm = self._realm if message.get(_REALM) == self._own_realm else _text(message, _REALM)
        nonce = _text(message, _NONCE)
        if realm is None or nonce is None:
            raise Refusal(400, "credentials-incomplete")
        algorithm = _algorithm(message)
        sha256 = algorithm is not None or message.integrity_offset is None
        if sha256 and message.integrity_sha256_offset is None:
            raise Refusal(400, "integrity-too-weak")
        hashed = message.get(_USERHASH) or b""
        return _Claim(username, hashed, realm, nonce, algorithm or _MD5, sha256)

    def _username(self, message: Message) -> str | None:
        """The name in USERNAME, or the one behind USERHASH; None when nobody has that hash."""
        username = _text(message, _USERNAME, MAX_USERNAME)
        if username is not None:
            return username
        hashed = message.get(_USERHASH)
        if hashed is None:
            raise Refusal(400, "credentials-incomplete")
        # One look-up, or none at all: a hash of an ephemeral name cannot be turned back, so no scan is ever made.
        return self._credentials.name_of(hashed, self._realm) if self._anonymity else None

    def _credential(
        self, claim: _Claim, known: Credential | None, provided: Credential | None, unix_time: UnixSeconds
    ) -> Credential | None:
        """The keys to try; None when a look-up has to find them. Raises Refusal when there are none."""
        if claim.username is None:
            raise _StrangerRefusal(401, "unknown-userhash", challenge=True)
        if known is not None and known.username == claim.username:
            if self._strict_expiry and known.expired(unix_time):
                raise Refusal(401, "expired", challenge=True)
            return known
        if provided is not None and provided.username == claim.username:
            return provided
        found = self._credentials.find(claim.username, self._realm, unix_time)
        if isinstance(found, Credential):
            return found
        if found.reason not in _NOT_OURS:
            raise Refusal(401, found.reason.value, challenge=True)
        if self._credential_lookup:
            return None
        raise _StrangerRefusal(401, found.reason.value, challenge=True)

    def _refuse_stranger(self, refusal: Refusal, claim: _Claim, host: str, now: Instant) -> Refusal:
        """What a wrong password of a name that exists would be answered, and it is counted alike (TA-12)."""
        # By its hash, so that a name is the same whether it is sent or hashed, as those are that exist.
        name = (claim.hashed if claim.username is None else userhash(claim.username, self._realm)).hex()
        if not self._throttle.admits(host, name, now):
            return Refusal(401, "throttled", silent=True)
        self._throttle.failed(host, name, now)
        return refusal


def _features(anonymity: bool) -> SecurityFeature:
    features = SecurityFeature.PASSWORD_ALGORITHMS
    return features | SecurityFeature.USERNAME_ANONYMITY if anonymity else features


class _Claim:
    """What a request says about its sender, before it is believed. `username` is None where nobody has `hashed`."""

    __slots__ = ("algorithm", "hashed", "nonce", "realm", "sha256", "username")

    def __init__(
        self, username: str | None, hashed: bytes, realm: str, nonce: str, algorithm: PasswordAlgorithm, sha256: bool
    ) -> None:
        self.username = username
        self.hashed = hashed
        self.realm = realm
        self.nonce = nonce
        self.algorithm = algorithm
        self.sha256 = sha256


def _algorithm(message: Message) -> PasswordAlgorithm | None:
    """The algorithm that the client chose from our list; None for a client that knows nothing of the choice."""
    offered = message.get(_PASSWORD_ALGORITHMS)
    chosen = message.get(_PASSWORD_ALGORITHM)
    if offered is None and chosen is None:
        return None
    # RFC 8489 section 9.2.4: the client repeats our list, so that nobody on the way can have shortened it.
    if offered != _ALGORITHMS or chosen is None:
        raise Refusal(400, "algorithms-altered")
    try:
        number, parameters = parse_password_algorithm(chosen)
        algorithm = PasswordAlgorithm(number)
    except ValueError:
        raise Refusal(400, "algorithm-not-offered") from None
    if parameters:
        raise Refusal(400, "algorithm-not-offered")
    return algorithm


def _prove(message: Message, credential: Credential, claim: _Claim) -> Identity | None:
    """The identity whose key the request was made with; several are tried while secrets are being rotated."""
    verify = verify_integrity_sha256 if claim.sha256 else verify_integrity
    for candidate in credential.keys(claim.algorithm):
        try:
            verify(message, candidate.key)
        except IntegrityError:
            continue
        return Identity(credential.narrowed_to(candidate.kid), candidate.kid or "", candidate.key, claim.sha256)
    return None


def _text(message: Message, attribute_type: AttributeType, limit: int = MAX_TEXT) -> str | None:
    value = message.get(attribute_type)
    if value is None:
        return None
    try:
        return parse_text(value, limit)
    except MalformedError:
        raise Refusal(400, "attribute-malformed") from None
