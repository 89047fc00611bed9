"""Keys that sign tokens: which kind an algorithm needs, and from what they are made (RFC 7518, RFC 8037).

An algorithm is pinned with its key, and a key is made for one algorithm, so that a public key can never be taken for a
shared secret.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias, cast, get_args

from joserfc.errors import JoseError, SecurityWarning, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from icelane.errors import ConfigurationError, MalformedError

Algorithm: TypeAlias = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"
]  # fmt: skip
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)

MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2 wants as many bytes as the hash has."""

# NIST SP 800-131A: below this, factoring is somebody's business.
_MIN_RSA_BITS: Final = 2048
# What begins a key or a certificate in PEM. As a secret it would sign for everybody who has the public half.
_PEM: Final = "-----BEGIN "
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}
_KEY_TYPES: Final = {"H": "oct", "R": "RSA", "E": "EC"}


class PinnedAlgorithm(JWSRegistry):
    """joserfc with one algorithm."""

    def __init__(self, name: str) -> None:
        super().__init__(algorithms=[name])
        self._name = name

    def get_alg(self, name: str):  # type: ignore[no-untyped-def]  # joserfc exports no name for what it returns
        """The algorithm; whether it is in fashion, as joserfc would warn, has been decided in the configuration."""
        if name != self._name:
            raise UnsupportedAlgorithmError("not the pinned one")
        return self.algorithms[name]


def key_type_of(algorithm: Algorithm) -> str:
    """`oct`, `RSA`, `EC` or `OKP` (RFC 7518 section 6.1)."""
    return "OKP" if algorithm == "EdDSA" else _KEY_TYPES[algorithm[0]]


def is_symmetric(algorithm: Algorithm) -> bool:
    """Whether whoever can verify can also sign."""
    return key_type_of(algorithm) == "oct"


def shared_secret(secret: str, *, key: str) -> OctKey:
    """The key of an HS algorithm. Raises ConfigurationError for the setting `key` when it is short."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ConfigurationError(
            f"a secret that signs tokens has at least {MIN_SECRET_BYTES} bytes; `icelane keys new` prints one", key=key
        )
    if _PEM in secret or secret.lstrip().startswith("{"):
        raise ConfigurationError(
            "a secret that signs tokens is none that others know: this is a key of RSA or EC, or a JWK, which has "
            "public_key or jwks_url",
            key=key,
        )
    return OctKey.import_key(secret)


def key_of_pem(pem: str, algorithm: Algorithm, *, key: str, private: bool = False) -> Key:
    """A key in PEM. Raises ConfigurationError for the setting `key`, without anything of the text."""
    made: Key | None = None
    try:
        with _quiet():
            match key_type_of(algorithm):
                case "RSA":
                    made = RSAKey.import_key(pem)
                case "EC":
                    made = ECKey.import_key(pem)
                case "OKP":
                    made = OKPKey.import_key(pem)
        problem = "an HS algorithm takes a secret" if made is None else _unfit(made, algorithm)
    except (JoseError, ValueError, TypeError):
        problem = f"not a PEM key for {algorithm}"
    if not problem and private and made is not None and not made.is_private:
        problem = "a private key is needed"
    if problem or made is None:
        raise ConfigurationError(problem, key=key)
    return made


def key_of_jwk(entry: Mapping[str, object], algorithm: Algorithm) -> Key:
    """A public key out of a JWK set. Raises MalformedError or JoseError when it does not suit the algorithm."""
    if entry.get("kty") != key_type_of(algorithm) or is_symmetric(algorithm):
        raise MalformedError("a key of another type")
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) not in wire_names(algorithm):
        raise MalformedError("a key for something else")
    public = {name: value for name, value in entry.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    if not all(isinstance(value, str) for value in public.values()):
        raise MalformedError("a key with something else than text in it")
    values = cast("dict[str, str | list[str]]", public)
    try:
        made: Key
        with _quiet():
            match key_type_of(algorithm):
                case "RSA":
                    made = RSAKey.import_key(values)
                case "EC":
                    made = ECKey.import_key(values)
                case _:
                    made = OKPKey.import_key(values)
        problem = _unfit(made, algorithm)
    except (ValueError, TypeError, KeyError):
        problem = "a key that does not parse"
    if problem:
        raise MalformedError(problem)
    return made


def wire_names(algorithm: Algorithm) -> tuple[str, ...]:
    """What a token's `alg` may say: RFC 9864 has given EdDSA with this curve a name of its own."""
    return ("EdDSA", "Ed25519") if algorithm == "EdDSA" else (algorithm,)


@contextmanager
def _quiet() -> Iterator[None]:
    """joserfc warns of weak keys; here they are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        yield


def _unfit(made: Key, algorithm: Algorithm) -> str:
    """Why a key cannot be used with an algorithm; empty when it can."""
    if isinstance(made, RSAKey) and made.raw_value.key_size < _MIN_RSA_BITS:
        return f"an RSA key has at least {_MIN_RSA_BITS} bits"
    if isinstance(made, ECKey | OKPKey) and made.curve_name != _CURVES.get(algorithm):
        return f"{algorithm} needs a key on the curve {_CURVES.get(algorithm)}"
    return ""
