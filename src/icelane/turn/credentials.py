"""Who may use the relay: static users, and ephemeral users whose password is a MAC over their name.

An ephemeral name is `expiry:kid:user` or, as coturn and most programs write it, `expiry:user`; its password is
base64(HMAC-SHA1(secret, name)), so any program that knows a secret lets users in without a database
(draft-uberti-behave-turn-rest-00). The second field is a kid only if a configured secret has that kid; otherwise it
belongs to the user, and every secret is tried. To rotate a secret, configure the new one beside the old one, let the
issuers move over, wait for the longest expiry, and take the old one out.

Nothing here says whether a password was right: `CredentialStore.find` returns the keys that are right for a name, and
the one request that proves one of them is verified with `icelane.stun.integrity`.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote

from icelane.core.clock import Duration, UnixSeconds
from icelane.crypto.provider import hmac_sha1
from icelane.errors import ConfigurationError, LocalProtocolError, MalformedError
from icelane.stun.attributes import PasswordAlgorithm
from icelane.stun.integrity import long_term_key_md5, long_term_key_sha256, userhash
from icelane.stun.preparation import opaque_string, saslprep

# RFC 8489 section 14.3: a USERNAME has fewer than 509 bytes.
MAX_USERNAME_BYTES: Final = 508
# RFC 8489 section 9.2: 128 bits of randomness, which no shorter text can hold.
MIN_SECRET_BYTES: Final = 16
# A name without a kid costs one MAC per secret before anything is known about its sender; more is a start-up error.
MAX_SECRETS: Final = 16

DEFAULT_TTL: Final = 600
MIN_TTL: Final = 1
MAX_TTL: Final = 86_400

MAX_LEEWAY: Final[Duration] = 3600.0
"""How long after its expiry an ephemeral credential may be good at most. Above this it would no longer be clocks that
differ, and what was taken back is remembered for so long."""

# ASCII digits only, unlike str.isdigit and int(), which take other scripts, signs, spaces and underscores. Twelve of
# them reach the year 33658, and no number is large enough to slow anything down.
_REST_USERNAME = re.compile(r"([0-9]{1,12}):(.+)", re.DOTALL)
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Secrets printed in manuals and sample files, without case and punctuation; shorter ones are refused for their length.
_PUBLISHED_SECRETS: Final = frozenset({
    "replacethissecret", "replacethiswithasecret", "replacemewithasecret", "pleasechangethissecret",
    "changethissecret", "changemechangeme", "changemechangemechangeme", "changemeinproduction", "changemeplease",
    "yoursecrethere", "yoursecretkeyhere", "yourauthsecret", "yourstaticauthsecret", "yoursharedsecret",
    "yoursharedsecrethere", "yoursupersecretkey", "supersecretpassword", "mysupersecretkey", "verysecretpassword",
    "thisisasecretkey", "thisisnotasecret", "asecretofatleast32charactersthatiskept", "staticauthsecret",
    "openrelayprojectsecret", "openrelayproject",
})  # fmt: skip


_SHA256: Final = PasswordAlgorithm.SHA256


class CandidateKey(NamedTuple):
    """A long-term key that would be right, and the kid of the secret it comes from (None: a static password)."""

    kid: str | None
    key: bytes

    def __repr__(self) -> str:
        return f"CandidateKey(kid={self.kid!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The keys of one user. Keep it for the life of an allocation: then neither expiry nor rotation breaks a Refresh.

    `user_key` is who it is, for quotas and logs: a static name, or the user field of an ephemeral one. `valid_until`
    holds the leeway already; None is for ever.
    """

    username: str
    user_key: str
    valid_until: UnixSeconds | None = None
    md5_keys: tuple[CandidateKey, ...] = field(repr=False)
    sha256_keys: tuple[CandidateKey, ...] = field(repr=False)

    def keys(self, algorithm: PasswordAlgorithm) -> tuple[CandidateKey, ...]:
        """The keys to try, by the PASSWORD-ALGORITHM of the request; MD5 for a request that has none."""
        return self.sha256_keys if algorithm is _SHA256 else self.md5_keys

    def narrowed_to(self, kid: str | None) -> Credential:
        """The same without the keys of other secrets, once one of them has been proved right."""
        for candidate in self.md5_keys:
            if candidate.kid != kid:
                break
        else:
            return self
        return Credential(
            username=self.username,
            user_key=self.user_key,
            valid_until=self.valid_until,
            md5_keys=tuple(candidate for candidate in self.md5_keys if candidate.kid == kid),
            sha256_keys=tuple(candidate for candidate in self.sha256_keys if candidate.kid == kid),
        )

    def expired(self, unix_time: UnixSeconds) -> bool:
        """Whether it was good once and is not any more."""
        return self.valid_until is not None and unix_time > self.valid_until


class RefusalReason(enum.Enum):
    """Why a name has no credential, for logs and metrics; the client is told 401 for each."""

    UNKNOWN_USER = "unknown-user"
    """Neither a static user nor of the form of an ephemeral one, or there are no secrets."""
    MALFORMED_USERNAME = "malformed-username"
    """It has a colon and secrets are configured, but what stands before is not an expiry."""
    EXPIRED = "expired"
    """The expiry has passed. Many of these with a short `detail` mean that the issuer's clock is wrong."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """There is no credential for a name. `detail` is for logs: it holds no part of a secret."""

    reason: RefusalReason
    detail: str = ""
    kid: str | None = None


class RestUsername(NamedTuple):
    """The parts of an ephemeral name; `kid` is None where the name has none that is known."""

    expiry: int
    kid: str | None
    user: str


def parse_rest_username(text: str, kids: Iterable[str] = ()) -> RestUsername:
    """Take `expiry:kid:user` or `expiry:user` apart. Raises MalformedError for any other form."""
    match = _REST_USERNAME.fullmatch(text)
    if match is None:
        raise MalformedError("not of the form expiry:user with an expiry of 1 to 12 digits")
    expiry, rest = int(match[1]), match[2]
    kid, colon, user = rest.partition(":")
    if colon and user and kid in kids:
        return RestUsername(expiry, kid, user)
    return RestUsername(expiry, None, rest)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret shared with those who issue credentials. Raises ConfigurationError when weak or its kid is illegal."""

    kid: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _KID.fullmatch(self.kid):
            raise ConfigurationError("a kid is 1 to 64 letters, digits, '.', '_' or '-'", key="turn.secrets.kid")
        if len(self.secret.encode()) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"the secret of {self.kid!r} has less than {MIN_SECRET_BYTES * 8} bits", key="turn.secrets.secret"
            )
        if re.sub(r"[\W_]", "", self.secret).lower() in _PUBLISHED_SECRETS:
            raise ConfigurationError(f"the secret of {self.kid!r} stands in manuals", key="turn.secrets.secret")

    def password(self, username: str) -> str:
        """The password of an ephemeral name."""
        return base64.b64encode(hmac_sha1(self.secret.encode(), username.encode())).decode()


class Minted(NamedTuple):
    """A name and its password, as a client is given them."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Minted(username={self.username!r})"


def mint(secret: Secret, user: str, ttl: Duration, unix_time: UnixSeconds) -> Minted:
    """An ephemeral credential for `user`, good for `ttl` seconds, which is clamped to 1 second to one day.

    What is not a letter, a digit or one of `-._~@+` in `user` is percent-encoded, so that no user can make a name that
    reads as another's. Raises LocalProtocolError when the name is empty or would not fit into a USERNAME.
    """
    if not user:
        raise LocalProtocolError("the user has no name")
    expiry = int(unix_time) + int(min(max(ttl, MIN_TTL), MAX_TTL))
    username = f"{expiry}:{secret.kid}:{quote(user, safe='@+')}"
    if len(username) > MAX_USERNAME_BYTES:
        raise LocalProtocolError(f"the user's name is too long: {len(username)} of {MAX_USERNAME_BYTES} bytes")
    return Minted(username, secret.password(username))


class StaticUsers:
    """Users with a password that stands in the configuration.

    Raises ConfigurationError for a name or password that cannot be used. A name is found as it is written and as
    either preparation spells it; a password is tried in every spelling that a client may have hashed, because browsers
    hash what they are given (RFC 5389 asks for SASLprep, RFC 8489 for OpaqueString).
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._passwords_by_name: dict[str, _Passwords] = {}
        self._names_by_hash: dict[str, dict[bytes, str]] = {}
        self._credentials_by_name: dict[str, dict[str, Credential]] = {}
        spelled: dict[str, _Passwords] = {}
        for name, password in users.items():
            if not 0 < len(name.encode()) <= MAX_USERNAME_BYTES:
                raise ConfigurationError(f"a name has 1 to {MAX_USERNAME_BYTES} bytes", key="turn.users")
            if not password:
                raise ConfigurationError("an empty password lets everybody in", key=f"turn.users.{name}")
            passwords = _Passwords(name, _spellings(password))
            self._passwords_by_name[name] = passwords
            spelled.update(dict.fromkeys(_spellings(name), passwords))
        self._passwords_by_name = spelled | self._passwords_by_name

    def __len__(self) -> int:
        return len({passwords.user for passwords in self._passwords_by_name.values()})

    def __repr__(self) -> str:
        return f"StaticUsers({len(self)} users)"

    def find(self, username: str, realm: str) -> Credential | None:
        """The credential of a name as it stood in USERNAME, or None."""
        passwords = self._passwords_by_name.get(username)
        if passwords is None:
            return None
        credentials = self._credentials_by_name.get(realm)
        if credentials is None:
            # A server has one realm, so one table is kept; names that are not configured never get into it.
            credentials = {}
            self._credentials_by_name = {realm: credentials}
        found = credentials.get(username)
        if found is None:
            spellings = [(None, spelling) for spelling in passwords.spellings]
            found = credentials[username] = _credential(username, realm, passwords.user, spellings)
        return found

    def name_of(self, hashed: bytes, realm: str) -> str | None:
        """The name behind a USERHASH (RFC 8489 section 14.4), or None."""
        names = self._names_by_hash.get(realm)
        if names is None:
            # A server has one realm, so one table is kept.
            names = {userhash(name, realm): name for name in self._passwords_by_name}
            self._names_by_hash = {realm: names}
        return names.get(hashed)


class _Passwords(NamedTuple):
    user: str
    spellings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"_Passwords({self.user!r})"


class RestCredentials:
    """Ephemeral users: whoever knows a secret made them up. The first secret is the one to mint with.

    Raises ConfigurationError when a kid is given twice, there are too many secrets or the leeway is above MAX_LEEWAY.
    """

    def __init__(self, secrets: Sequence[Secret], leeway: Duration = 0.0) -> None:
        """`leeway` is how many seconds an expiry may be past, for issuers whose clock is behind."""
        self._secrets_by_kid = {secret.kid: secret for secret in secrets}
        self._leeway = leeway
        if len(self._secrets_by_kid) < len(secrets):
            raise ConfigurationError("two secrets have the same kid", key="turn.secrets.kid")
        if len(secrets) > MAX_SECRETS:
            raise ConfigurationError(f"there are more than {MAX_SECRETS} secrets", key="turn.secrets")
        if leeway > MAX_LEEWAY:
            raise ConfigurationError(f"a leeway of more than {MAX_LEEWAY:.0f} s", key="turn.expiry_leeway")

    def __len__(self) -> int:
        return len(self._secrets_by_kid)

    def __repr__(self) -> str:
        return f"RestCredentials({list(self._secrets_by_kid)})"

    def find(self, username: str, realm: str, unix_time: UnixSeconds) -> Credential | Refusal:
        """The credential of a name as it stood in USERNAME, with one candidate key per secret that may be meant."""
        try:
            parsed = parse_rest_username(username, self._secrets_by_kid)
        except MalformedError as error:
            return Refusal(RefusalReason.MALFORMED_USERNAME, str(error))
        valid_until = UnixSeconds(parsed.expiry + self._leeway)
        if unix_time > valid_until:
            return Refusal(RefusalReason.EXPIRED, f"{unix_time - parsed.expiry:.0f} s ago", parsed.kid)
        live = [self._secrets_by_kid[parsed.kid]] if parsed.kid else self._secrets_by_kid.values()
        passwords = [(secret.kid, secret.password(username)) for secret in live]
        return _credential(username, realm, parsed.user, passwords, valid_until)


class CredentialStore:
    """Everybody who may use the server: static users first, then ephemeral ones. A reload makes a new one."""

    def __init__(self, users: StaticUsers | None = None, rest: RestCredentials | None = None) -> None:
        self._users = users if users is not None else StaticUsers({})
        self._rest = rest if rest is not None else RestCredentials(())

    def __repr__(self) -> str:
        return f"CredentialStore({self._users}, {self._rest})"

    def find(self, username: str, realm: str, unix_time: UnixSeconds) -> Credential | Refusal:
        """The credential of a name as it stood in USERNAME, or why there is none."""
        found = self._users.find(username, realm)
        if found is not None:
            return found
        if not self._rest or ":" not in username:
            return Refusal(RefusalReason.UNKNOWN_USER)
        return self._rest.find(username, realm, unix_time)

    @property
    def supports_userhash(self) -> bool:
        """Whether to offer username anonymity: a hash of an ephemeral name cannot be turned back (TA-7)."""
        return not self._rest and bool(self._users)

    def name_of(self, hashed: bytes, realm: str) -> str | None:
        """The name behind a USERHASH, or None; always None while `supports_userhash` is False."""
        return self._users.name_of(hashed, realm) if self.supports_userhash else None


def password_credential(username: str, realm: str, password: str) -> Credential:
    """The credential of somebody whose password is known, in every spelling that a client may have hashed."""
    return _credential(username, realm, username, [(None, spelling) for spelling in _spellings(password)])


def key_credential(username: str, md5: bytes | None, sha256: bytes | None) -> Credential:
    """The credential of somebody of whom only long-term keys are known; a missing one lets nobody in."""
    return Credential(
        username=username,
        user_key=username,
        valid_until=None,
        md5_keys=(CandidateKey(None, md5),) if md5 else (),
        sha256_keys=(CandidateKey(None, sha256),) if sha256 else (),
    )


def _credential(
    username: str,
    realm: str,
    user_key: str,
    passwords: Sequence[tuple[str | None, str]],
    valid_until: UnixSeconds | None = None,
) -> Credential:
    return Credential(
        username=username,
        user_key=user_key,
        valid_until=valid_until,
        md5_keys=tuple(CandidateKey(kid, long_term_key_md5(username, realm, word)) for kid, word in passwords),
        sha256_keys=tuple(CandidateKey(kid, long_term_key_sha256(username, realm, word)) for kid, word in passwords),
    )


def _spellings(text: str) -> tuple[str, ...]:
    """`text` prepared by each rule that allows it and as it is, without repetition."""
    found: dict[str, None] = {}
    for prepare in (opaque_string, saslprep, str):
        try:
            found[prepare(text)] = None
        except MalformedError:
            continue
    return tuple(found)
