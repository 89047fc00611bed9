"""The client's side of the long-term credential mechanism (RFC 8489 sections 9.2.3 and 9.2.5).

    1. client -> server   request without credentials
    2. client <- server   401 with REALM, NONCE and, from RFC 8489 servers, PASSWORD-ALGORITHMS
    3. client -> server   the request again, signed
    4. client <- server   the answer, signed with the same key; or 438 with a new NONCE, and step 3 once more

    authentication = ClientAuthentication("alice", "secret")
    key = authentication.sign(builder)                            # None before the first challenge
    ...
    reply = authentication.handle_response(message, key, attempt)  # attempts of one request count from 1

The challenge of step 2 is not signed, so whoever can answer first may try to weaken the rest. What the nonce cookie
announces must therefore be there, what was negotiated once never gets weaker, and the realm never changes.

Public implementations disagree about which end of the cookie's 24 bits is bit 0 (RFC 8489 section 9.2 says the most
significant). A bit in either place counts here: at worst a server that uses a bit still unassigned is refused, while
the other choice would let a stripped PASSWORD-ALGORITHMS pass unseen.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from icelane.errors import DowngradeError, IntegrityError, LocalProtocolError, MalformedError, RemoteProtocolError
from icelane.stun.attributes import (
    MAX_USERNAME,
    AttributeType,
    PasswordAlgorithm,
    encode_password_algorithms,
    encode_text,
    parse_error_code,
    parse_password_algorithms,
    parse_text,
)
from icelane.stun.integrity import (
    long_term_key_md5,
    long_term_key_sha256,
    userhash,
    verify_integrity,
    verify_integrity_sha256,
)
from icelane.stun.message import Message, MessageBuilder, MessageClass
from icelane.stun.nonce import SecurityFeature, parse_security_features
from icelane.stun.preparation import opaque_string, saslprep

# One attempt without credentials, one with, one more for a nonce that went stale meanwhile. A server that is still not
# content never will be.
MAX_ATTEMPTS: Final = 3

_PASSWORD_ALGORITHMS: Final = SecurityFeature.PASSWORD_ALGORITHMS | 1
_USERNAME_ANONYMITY: Final = SecurityFeature.USERNAME_ANONYMITY | 2
CHALLENGES: Final = (401, 438)


class Reply(enum.Enum):
    """What to do with a response."""

    DELIVER = "deliver"
    """It answers the request: success, or an error that no retry helps against."""
    RETRY = "retry"
    """It is a challenge: send the request again with a new transaction id, signed anew."""
    IGNORE = "ignore"
    """As if it had never been received; the transaction goes on."""


class RequestKey:
    """What one request was signed with. Its response must be signed likewise."""

    __slots__ = ("_key", "sha256")

    def __init__(self, key: bytes, sha256: bool) -> None:
        self._key = key
        self.sha256 = sha256

    def __repr__(self) -> str:
        return f"RequestKey({'MESSAGE-INTEGRITY-SHA256' if self.sha256 else 'MESSAGE-INTEGRITY'})"

    def sign(self, builder: MessageBuilder) -> None:
        """Append the integrity attribute."""
        if self.sha256:
            builder.add_integrity_sha256(self._key)
        else:
            builder.add_integrity_sha1(self._key)

    def verify(self, response: Message) -> None:
        """Raises IntegrityError when `response` is not signed with this key and with the same hash.

        A right MESSAGE-INTEGRITY does not make up for a missing MESSAGE-INTEGRITY-SHA256.
        """
        if self.sha256:
            verify_integrity_sha256(response, self._key)
        else:
            verify_integrity(response, self._key)


class ClientAuthentication:
    """One user at one server: the credentials, and what the server's last challenge said.

    Raises LocalProtocolError for a user name that is empty or too long.
    """

    def __init__(self, username: str, password: str) -> None:
        if not username or len(username.encode("utf-8", "surrogatepass")) > MAX_USERNAME:
            raise LocalProtocolError(f"a user name has 1 to {MAX_USERNAME} bytes")
        self.username = username
        self._password = password
        self._realm: str | None = None
        self._nonce = b""
        self._algorithms: bytes | None = None
        self._algorithm = PasswordAlgorithm.MD5
        self._anonymous = False
        self._identity = b""
        self._key: RequestKey | None = None

    def __repr__(self) -> str:
        return f"ClientAuthentication({self.username!r}, realm={self._realm!r}, algorithm={self._algorithm.name})"

    def handle_response(self, response: Message, key: RequestKey | None, attempt: int) -> Reply:
        """Judge the response to a request; `key` is what `sign` returned for it, `attempt` counts its sendings from 1.

        Raises IntegrityError or MalformedError when the response cannot be believed: hand that to
        `ClientTransactions.reject`. Raises DowngradeError, or RemoteProtocolError for a realm that changed, when the
        server must not be tried again; LocalProtocolError when the credentials cannot be prepared for it.
        """
        code = _error_code(response)
        if code in CHALLENGES:
            return self._handle_challenge(response, code, key, attempt)
        # RFC 8489 section 9.2.5: whatever else the response is, its nonce may not promise what it does not hold.
        self._check_promises(response)
        if key is None:
            return Reply.DELIVER
        if code == 400 and response.integrity_offset is None and response.integrity_sha256_offset is None:
            return Reply.IGNORE
        key.verify(response)
        return Reply.DELIVER

    def sign(self, builder: MessageBuilder) -> RequestKey | None:
        """Append the credentials and the integrity attribute; only FINGERPRINT may follow.

        Appends nothing and returns None while no challenge has said which realm and nonce to use.
        """
        if self._key is None or self._realm is None:
            return None
        builder.add(AttributeType.USERHASH if self._anonymous else AttributeType.USERNAME, self._identity)
        builder.add(AttributeType.REALM, encode_text(self._realm))
        builder.add(AttributeType.NONCE, self._nonce)
        if self._algorithms is not None:
            builder.add(AttributeType.PASSWORD_ALGORITHMS, self._algorithms)
            builder.add(AttributeType.PASSWORD_ALGORITHM, encode_password_algorithms([(self._algorithm, b"")]))
        self._key.sign(builder)
        return self._key

    @property
    def realm(self) -> str | None:
        """The server's realm, None before the first challenge."""
        return self._realm

    @property
    def algorithm(self) -> PasswordAlgorithm | None:
        """How the key is derived, None before the first challenge."""
        return None if self._key is None else self._algorithm

    def _handle_challenge(self, response: Message, code: int, key: RequestKey | None, attempt: int) -> Reply:
        realm = self._challenged_realm(response)
        nonce = response.get(AttributeType.NONCE)
        # A second 401 means that the credentials are wrong: the same ones must not be tried again (section 9.2.5).
        if attempt >= MAX_ATTEMPTS or (code == 401 and key is not None) or realm is None or nonce is None:
            return Reply.DELIVER
        try:
            features = _features(nonce)
        except MalformedError as error:
            raise DowngradeError(f"the features in the nonce cannot be read: {error}") from None
        algorithms = response.get(AttributeType.PASSWORD_ALGORITHMS)
        algorithm = self._choose(features, algorithms)
        self._derive(realm, algorithm, algorithms is not None, anonymous=bool(features & _USERNAME_ANONYMITY))
        self._nonce = nonce
        self._algorithms = algorithms
        return Reply.RETRY

    def _challenged_realm(self, response: Message) -> str | None:
        value = response.get(AttributeType.REALM)
        if value is None:
            return self._realm
        realm = parse_text(value)
        if self._realm is not None and realm != self._realm:
            raise RemoteProtocolError(f"the server's realm changed from {self._realm!r} to {realm!r}")
        return realm

    def _choose(self, features: SecurityFeature, algorithms: bytes | None) -> PasswordAlgorithm:
        if algorithms is None:
            if features & _PASSWORD_ALGORITHMS:
                raise DowngradeError("the nonce announces password algorithms, but PASSWORD-ALGORITHMS is missing")
            if self._algorithms is not None:
                raise DowngradeError("the server offered PASSWORD-ALGORITHMS before and does not any more")
            return PasswordAlgorithm.MD5
        algorithm = _first_supported(algorithms)
        if self._key is not None and algorithm < self._algorithm:
            raise DowngradeError(f"the server went back from {self._algorithm.name} to {algorithm.name}")
        return algorithm

    def _derive(self, realm: str, algorithm: PasswordAlgorithm, sha256: bool, *, anonymous: bool) -> None:
        # An RFC 5389 server knows SASLprep and MD5; one that lists algorithms is of RFC 8489 and knows OpaqueString.
        prepare = opaque_string if sha256 else saslprep
        username = _prepare(prepare, self.username, "user name")
        password = _prepare(prepare, self._password, "password")
        key_realm = opaque_string(realm) if sha256 else realm
        derive = long_term_key_sha256 if algorithm is PasswordAlgorithm.SHA256 else long_term_key_md5
        self._key = RequestKey(derive(username, key_realm, password), sha256)
        self._identity = userhash(username, key_realm) if anonymous else username.encode()
        self._anonymous = anonymous
        self._algorithm = algorithm
        self._realm = realm

    def _check_promises(self, response: Message) -> None:
        nonce = response.get(AttributeType.NONCE)
        if nonce is None or response.has(AttributeType.PASSWORD_ALGORITHMS):
            return
        if _features(nonce) & _PASSWORD_ALGORITHMS:
            raise IntegrityError("the nonce announces password algorithms, but PASSWORD-ALGORITHMS is missing")


def _error_code(response: Message) -> int:
    """The error code, 0 for a success."""
    if response.message_class is not MessageClass.ERROR:
        return 0
    value = response.get(AttributeType.ERROR_CODE)
    if value is None:
        raise MalformedError("an error response without ERROR-CODE")
    return parse_error_code(value).code


def _features(nonce: bytes) -> SecurityFeature:
    """What the nonce announces; nothing for an RFC 5389 server."""
    features = parse_security_features(parse_text(nonce))
    return SecurityFeature.NONE if features is None else features


def _first_supported(value: bytes) -> PasswordAlgorithm:
    # Neither of our algorithms has parameters (section 18.5.1); an entry with some is one that we do not know.
    for algorithm, parameters in parse_password_algorithms(value):
        if algorithm in (PasswordAlgorithm.MD5, PasswordAlgorithm.SHA256) and not parameters:
            return PasswordAlgorithm(algorithm)
    raise DowngradeError("the server offers no password algorithm that is known here")


def _prepare(prepare: Callable[[str], str], text: str, name: str) -> str:
    try:
        return prepare(text)
    except MalformedError as error:
        raise LocalProtocolError(f"the {name} cannot be used: {error}") from None
