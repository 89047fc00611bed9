"""Tokens of others."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import socket
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from icelane.core.clock import UnixSeconds
from icelane.errors import ConfigurationError, OperationError
from icelane.signaling.admission.join_token import TokenSigner
from icelane.signaling.admission.json_web_token import (
    LEEWAY,
    TokenFault,
    TokenRefusedError,
    TokenVerifier,
    TrustedIssuer,
    parse_token,
)
from icelane.signaling.admission.key_set import FRESH_FOR, RETRY_INTERVAL, STALE_FOR, parse_key_set
from tests.signaling.admission.entrance import (
    ISSUER,
    NOW,
    SECRET,
    SIGNER,
    StandingClock,
    claims,
    raw_token,
    token,
)

RSA = RSAKey.generate_key(2048)
OTHER_RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519")


def pem(key: RSAKey | ECKey | OKPKey, private: bool = False) -> str:
    return key.as_pem(private=private).decode()


def verify(text: str, *issuers: TrustedIssuer, unix_time: float = NOW) -> Mapping[str, object]:
    verifier = TokenVerifier(issuers or (ISSUER,))
    return asyncio.run(verifier.verify(text, UnixSeconds(unix_time)))


def fault(text: str, *issuers: TrustedIssuer, unix_time: float = NOW) -> TokenFault:
    with pytest.raises(TokenRefusedError) as caught:
        verify(text, *issuers, unix_time=unix_time)
    assert text not in str(caught.value)
    assert text not in repr(caught.value)
    return caught.value.fault


def signed(header: Mapping[str, Any], payload: Mapping[str, Any] | bytes, secret: str = SECRET) -> str:
    """A token with a good HS256 signature, whatever it says."""
    unsigned = raw_token(header, payload).rpartition(".")[0]
    mac = hmac.digest(secret.encode(), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_good_token_is_good() -> None:
    assert verify(token())["sub"] == "alice"
    assert verify(signed({"alg": "HS256"}, claims()))["sub"] == "alice"


@pytest.mark.parametrize(
    ("algorithm", "key", "wire"),
    [
        ("RS256", RSA, "RS256"), ("RS512", RSA, "RS512"), ("ES256", EC, "ES256"), ("EdDSA", ED, "EdDSA"),
        ("EdDSA", ED, "Ed25519"),
    ],
)  # fmt: skip
def test_each_kind_of_key_verifies(algorithm: Any, key: RSAKey | ECKey | OKPKey, wire: str) -> None:
    issuer = TrustedIssuer(issuer="example", algorithm=algorithm, public_key=pem(key))
    signer = TokenSigner(issuer="example", algorithm=algorithm, key=pem(key, private=True))
    text = signer.sign(claims())
    if wire != algorithm:
        text = jws.serialize_compact({"alg": wire}, json.dumps(claims()), key, algorithms=[wire])
    assert verify(text, issuer)["sub"] == "alice"
    stranger = OTHER_RSA if isinstance(key, RSAKey) else type(key).generate_key()
    other = TrustedIssuer(issuer="example", algorithm=algorithm, public_key=pem(stranger))
    assert fault(text, other) is TokenFault.BAD_SIGNATURE


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS512", "RS256", "hs256", None, 7, ["HS256"]])
def test_the_algorithm_is_the_one_beside_the_key(name: object) -> None:
    """SG-6: `none` in any case, another of the family, what is no text."""
    assert fault(signed({"alg": name}, claims())) is TokenFault.WRONG_ALGORITHM
    assert fault(signed({}, claims())) is TokenFault.WRONG_ALGORITHM


def test_an_unsigned_token_does_not_even_parse() -> None:
    """SG-6: `alg: none` as RFC 7519 section 6.1 writes it, with nothing after the last dot."""
    assert fault(raw_token({"alg": "none"}, claims()).rpartition(".")[0] + ".") is TokenFault.MALFORMED


def test_a_public_key_is_no_secret() -> None:
    """SG-6: HS256 over the text of the RSA public key that is configured."""
    issuer = TrustedIssuer(issuer="example", algorithm="RS256", public_key=pem(RSA))
    forged = signed({"alg": "HS256"}, claims(), pem(RSA))
    assert fault(forged, issuer) is TokenFault.WRONG_ALGORITHM


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "oct", "k": "QUFB"}},
        {"x5c": ["MIIB"]},
        {"zip": "DEF"},
        {"typ": "dpop+jwt"},
        {"typ": 7},
    ],
)
def test_a_header_that_brings_something_along_is_refused(extra: dict[str, object]) -> None:
    """SG-6: unknown crit, b64:false, jku, x5u, jwk, x5c: refused before anything of it is looked at."""
    assert fault(signed({"alg": "HS256", **extra}, claims())) is TokenFault.MALFORMED


@pytest.mark.parametrize("kid", ["../../../../dev/null", "' OR 1=1 --", "other-tenant", "\x00", 7, {}, "", "k" * 300])
def test_a_kid_names_a_key_of_its_issuer_and_nothing_else(kid: object) -> None:
    """SG-6: path traversal, SQL, another tenant's kid."""
    issuers = (
        TrustedIssuer(issuer="example", algorithm="HS256", secret=SECRET, kid="k1"),
        TrustedIssuer(issuer="other", algorithm="HS256", secret=SECRET[::-1], kid="other-tenant"),
    )
    assert fault(signed({"alg": "HS256", "kid": kid}, claims()), *issuers) is TokenFault.UNKNOWN_KEY
    forged = signed({"alg": "HS256", "kid": "other-tenant"}, claims(), SECRET[::-1])
    assert fault(forged, *issuers) is TokenFault.UNKNOWN_KEY


def test_two_keys_of_one_issuer_live_side_by_side() -> None:
    old = TrustedIssuer(issuer="example", algorithm="HS256", secret=SECRET, kid="k1")
    new = TrustedIssuer(issuer="example", algorithm="HS256", secret=SECRET[::-1], kid="k2")
    for secret, kid in ((SECRET, "k1"), (SECRET[::-1], "k2"), (SECRET, None)):
        header = {"alg": "HS256"} if kid is None else {"alg": "HS256", "kid": kid}
        assert verify(signed(header, claims(), secret), new, old)["sub"] == "alice"
    assert fault(signed({"alg": "HS256", "kid": "k2"}, claims()), new, old) is TokenFault.BAD_SIGNATURE
    assert fault(signed({"alg": "HS256", "kid": "k1"}, claims()), new) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize("expiry", [None, "1900000000", True, -1, [1900000000], {}])
def test_a_token_without_a_real_expiry_is_refused(expiry: object) -> None:
    """SG-6: exp missing, in text, or no number."""
    assert fault(token(exp=expiry)) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_refused(literal: str) -> None:
    """SG-6: NaN compares with nothing, so it would never expire."""
    payload = json.dumps(claims()).replace(str(int(NOW) + 600), literal).encode()
    assert fault(signed({"alg": "HS256"}, payload)) is TokenFault.MALFORMED


def test_a_token_is_good_until_it_expires() -> None:
    """SG-6: expired, and not yet valid; a float is a date too (RFC 7519 section 2)."""
    assert verify(token(exp=NOW + 0.5))
    assert fault(token(exp=int(NOW)), unix_time=NOW + LEEWAY) is TokenFault.EXPIRED
    assert fault(token(nbf=int(NOW) + 60)) is TokenFault.NOT_YET_VALID
    assert fault(token(nbf="soon")) is TokenFault.BAD_CLAIMS
    assert verify(token(nbf=int(NOW) + 1))


@pytest.mark.parametrize("audience", [None, "other", "ICELANE", ["icelane"], ["icelane", "other"], "", 7])
def test_the_audience_is_one_text_and_ours(audience: object) -> None:
    """SG-6: wrong aud, missing, and a list of several."""
    assert fault(token(aud=audience)) is TokenFault.WRONG_AUDIENCE


@pytest.mark.parametrize("issuer", [None, "other", "EXAMPLE", "", 7, ["example"]])
def test_the_issuer_is_one_of_ours(issuer: object) -> None:
    """SG-6: wrong iss."""
    assert fault(token(iss=issuer)) is TokenFault.UNKNOWN_ISSUER


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"example","aud":"icelane","sub":"alice","exp":1,"exp":1900000000}',
        b'{"iss":"example","aud":"other","aud":"icelane","sub":"a","exp":1900000000}',
        b'{"iss":"example","aud":"icelane","exp":1900000000,"meta":{"a":1,"a":2}}',
        b'{"iss":"example","sub":"\\ud800","aud":"icelane","exp":1900000000}',
        b'{"iss":"example","exp":' + b"1" * 5000 + b"}",
        b"[" * 3000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[]",
        b'"example"',
        b"\xff\xfe",
        b"{}trailing",
    ],
)
def test_claims_that_two_readers_could_read_differently_are_refused(payload: bytes) -> None:
    """SG-6: duplicate claims, half a surrogate pair, endless numbers, depth, what is no object."""
    assert fault(signed({"alg": "HS256"}, payload)) in (TokenFault.MALFORMED, TokenFault.UNKNOWN_ISSUER)


@pytest.mark.parametrize("change", ["{0}x", "{0}.", "{0}=", " {0}", "{0}\n", "{0}.x", ".{0}", "{0}A"])
def test_bytes_around_a_token_spoil_it(change: str) -> None:
    """SG-6: trailing bytes, padding, spaces: one token has one spelling."""
    assert fault(change.format(token())) in (TokenFault.MALFORMED, TokenFault.BAD_SIGNATURE)


def test_the_last_letter_has_no_bits_to_spare() -> None:
    """SG-6: two texts that decode to the same bytes are not both tokens."""
    text = token()
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(text[-1])
    twin = text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]
    assert base64.urlsafe_b64decode(text.split(".")[2] + "=") == base64.urlsafe_b64decode(twin.split(".")[2] + "=")
    assert fault(twin) is TokenFault.MALFORMED


def test_a_long_token_is_refused_unread() -> None:
    """SG-6: 64 KiB."""
    assert fault(token(meta={"a": "x" * 65_536})) is TokenFault.MALFORMED


def test_nothing_is_asked_before_a_signature_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-6: no token, however it is made, opens a socket or looks a name up."""

    def trap(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    async def scenario() -> None:
        verifier = TokenVerifier((ISSUER,))
        loop = asyncio.get_running_loop()
        for name in ("getaddrinfo", "create_connection", "sock_connect"):
            monkeypatch.setattr(loop, name, trap)
        monkeypatch.setattr(socket, "getaddrinfo", trap)
        monkeypatch.setattr(socket.socket, "connect", trap)
        for header in ({"jku": "https://evil.example"}, {"kid": "https://evil.example/k"}, {"x5u": "http://1.2.3.4"}):
            with pytest.raises(TokenRefusedError):
                await verifier.verify(raw_token({"alg": "HS256", **header}, claims(iss="https://evil.example")), NOW)
            with pytest.raises(TokenRefusedError):
                await verifier.verify(raw_token({"alg": "HS256", **header}, claims()), NOW)

    asyncio.run(scenario())


def test_nothing_shows_a_secret() -> None:
    """SG-7: neither the configuration's own objects nor a token that was taken apart."""
    verifier = TokenVerifier((ISSUER,))
    for shown in (repr(ISSUER), repr(SIGNER), repr(verifier), repr(parse_token(token()))):
        assert SECRET not in shown
        assert "alice" not in shown


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"secret": "short"}, "auth.jwt.secret"),
        ({"secret": None}, "auth.jwt"),
        ({"public_key": "PEM"}, "auth.jwt"),
        ({"algorithm": "RS256"}, "auth.jwt.secret"),
        ({"secret": None, "public_key": "no pem", "algorithm": "RS256"}, "auth.jwt.public_key"),
        ({"secret": None, "public_key": "PEM", "algorithm": "HS256"}, "auth.jwt.public_key"),
        ({"secret": None, "jwks_url": "https://x", "algorithm": "RS256"}, "auth.jwt.jwks_url"),
        ({"issuer": ""}, "auth.jwt.issuer"),
    ],
)
def test_an_entry_that_cannot_work_names_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TokenVerifier((TrustedIssuer(**{"issuer": "x", "algorithm": "HS256", "secret": SECRET, **changes}),))
    assert caught.value.key == key


@pytest.mark.parametrize(
    "text", ["-----BEGIN PUBLIC KEY-----\n", " \n-----BEGIN CERTIFICATE-----\n", '{"kty": "RSA", "n": "']
)
def test_what_everybody_may_know_is_no_secret(text: str) -> None:
    """SG-6: a public key that stands where a secret belongs would let everybody sign."""
    with pytest.raises(ConfigurationError, match="none that others know") as caught:
        TokenVerifier((TrustedIssuer(issuer="x", algorithm="HS256", secret=text + "A" * 64),))
    assert caught.value.key == "auth.jwt.secret"


def test_a_key_has_to_be_strong_and_on_the_right_curve() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()
    weak = small.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text, algorithm in ((weak, "RS256"), (pem(ECKey.generate_key("P-384")), "ES256"), (pem(EC), "ES384")):
        with pytest.raises(ConfigurationError, match="public_key"):
            TokenVerifier((TrustedIssuer(issuer="x", algorithm=algorithm, public_key=text),))  # type: ignore[arg-type]


def test_one_issuer_has_each_kid_once() -> None:
    with pytest.raises(ConfigurationError, match="kid"):
        TokenVerifier((ISSUER, ISSUER))


class Published:
    """A server with keys, which counts who asks."""

    def __init__(self, *keys: RSAKey | ECKey | OKPKey, **extra: object) -> None:
        self.body = self.of(*keys, **extra)
        self.asked: list[str] = []
        self.broken = False

    @staticmethod
    def of(*keys: RSAKey | ECKey | OKPKey, **extra: object) -> bytes:
        entries = [
            {**key.as_dict(private=False), "kid": f"k{number}", **extra} for number, key in enumerate(keys, start=1)
        ]
        return json.dumps({"keys": entries}).encode()

    async def __call__(self, url: str, limit: int) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.broken or len(self.body) > limit:
            raise OperationError("gone")
        return self.body


URL = "https://issuer.example/keys"
REMOTE = TrustedIssuer(issuer="example", algorithm="RS256", jwks_url=URL)


def renamed(token: str, kid: str) -> str:
    """The token with another key's name in its header; what is signed is no more what is there."""
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": kid}).encode()
    return ".".join([base64.urlsafe_b64encode(header).decode().rstrip("="), *token.split(".")[1:]])


def rs256(kid: str | None = "k1", key: RSAKey = RSA) -> str:
    return TokenSigner(issuer="example", algorithm="RS256", key=pem(key, private=True), kid=kid).sign(claims())


async def outcome(waiting: Awaitable[object]) -> TokenFault | None:
    try:
        await waiting
    except TokenRefusedError as error:
        return error.fault
    return None


def test_published_keys_are_fetched_once_and_from_the_configured_place_alone() -> None:
    """SG-6: whatever a token says, one URL is asked, and a kid that nobody has asks it once in a while."""

    async def scenario() -> None:
        published, clock, token = Published(RSA), StandingClock(), rs256()
        verifier = TokenVerifier((REMOTE,), published, clock=clock)
        assert await asyncio.gather(*(outcome(verifier.verify(token, NOW)) for _ in range(20))) == [None] * 20
        assert published.asked == [URL]
        for number in range(200):
            assert await outcome(verifier.verify(renamed(token, f"invented-{number}"), NOW)) is TokenFault.UNKNOWN_KEY
        assert len(published.asked) == 1
        clock.pass_by(RETRY_INTERVAL)
        for number in range(200):
            await outcome(verifier.verify(renamed(token, f"invented-{number}"), NOW))
        assert len(published.asked) == 2
        assert set(published.asked) == {URL}
        await verifier.close()

    asyncio.run(scenario())


def test_a_new_key_is_found_and_an_old_one_forgotten() -> None:
    async def scenario() -> None:
        published, clock, other = Published(RSA), StandingClock(), OTHER_RSA
        verifier = TokenVerifier((REMOTE,), published, clock=clock)
        assert await outcome(verifier.verify(rs256(), NOW)) is None
        published.body = json.dumps({"keys": [{**other.as_dict(private=False), "kid": "k2"}]}).encode()
        clock.pass_by(RETRY_INTERVAL)
        assert await outcome(verifier.verify(rs256("k2", other), NOW)) is None
        assert await outcome(verifier.verify(rs256(), NOW)) is TokenFault.UNKNOWN_KEY
        assert await outcome(verifier.verify(rs256(None, other), NOW)) is None

    asyncio.run(scenario())


def test_an_issuer_that_is_down_locks_nobody_out_for_a_day() -> None:
    async def scenario() -> None:
        published, clock = Published(RSA), StandingClock()
        verifier = TokenVerifier((REMOTE,), published, clock=clock)
        published.broken = True
        assert await outcome(verifier.verify(rs256(), NOW)) is TokenFault.KEYS_UNAVAILABLE
        published.broken = False
        assert await outcome(verifier.verify(rs256(), NOW)) is TokenFault.KEYS_UNAVAILABLE
        clock.pass_by(RETRY_INTERVAL)
        assert await outcome(verifier.verify(rs256(), NOW)) is None
        published.broken = True
        clock.pass_by(STALE_FOR - 60)
        assert await outcome(verifier.verify(rs256(), NOW)) is None
        clock.pass_by(120)
        assert await outcome(verifier.verify(rs256(), NOW)) is TokenFault.KEYS_UNAVAILABLE

    asyncio.run(scenario())


def test_nobody_waits_for_an_issuer_whose_keys_are_known() -> None:
    """SG-11: keys that are five minutes old are good while new ones are fetched, however long that takes."""

    async def scenario() -> None:
        published, clock, answer = Published(RSA), StandingClock(), asyncio.Event()

        async def fetch(url: str, limit: int) -> bytes:
            if published.asked:
                await answer.wait()
            return await published(url, limit)

        verifier = TokenVerifier((REMOTE,), fetch, clock=clock)
        assert await outcome(verifier.verify(rs256(), NOW)) is None
        clock.pass_by(FRESH_FOR + 1)
        async with asyncio.timeout(5):
            assert await outcome(verifier.verify(rs256(), NOW)) is None
        answer.set()
        await asyncio.sleep(0.01)
        assert len(published.asked) == 2
        await verifier.close()

    asyncio.run(scenario())


def test_keys_of_two_issuers_are_not_mixed_up() -> None:
    """SG-6: keys are looked up by issuer and kid."""

    async def scenario() -> None:
        other = OTHER_RSA
        bodies = {"https://a": Published.of(RSA), "https://b": Published.of(other)}

        async def fetch(url: str, limit: int) -> bytes:
            return bodies[url]

        issuers = (
            TrustedIssuer(issuer="example", algorithm="RS256", jwks_url="https://a"),
            TrustedIssuer(issuer="b", algorithm="RS256", jwks_url="https://b"),
        )
        verifier = TokenVerifier(issuers, fetch)
        assert await outcome(verifier.verify(rs256("k1", other), NOW)) is TokenFault.BAD_SIGNATURE
        assert await outcome(verifier.verify(rs256("k1"), NOW)) is None

    asyncio.run(scenario())


def test_keys_for_something_else_are_passed_over() -> None:
    body = json.dumps(
        {
            "keys": [
                {**RSA.as_dict(private=False), "kid": "enc", "use": "enc"},
                {**RSA.as_dict(private=False), "kid": "ps", "alg": "PS256"},
                {**EC.as_dict(private=False), "kid": "ec"},
                {"kty": "oct", "k": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE", "kid": "oct"},
                {"kty": "RSA", "n": "x", "e": "AQAB", "kid": "broken"},
                {"kty": "RSA", "n": 7, "e": "AQAB", "kid": "number"},
                {"kty": "RSA", "kid": 7},
                "text",
                {**RSA.as_dict(private=False), "kid": "good"},
            ]
        }
    ).encode()
    assert list(parse_key_set(body, "RS256")) == ["good"]
