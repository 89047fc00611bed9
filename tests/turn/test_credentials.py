from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import UnixSeconds
from icelane.errors import ConfigurationError, LocalProtocolError, MalformedError
from icelane.stun.attributes import PasswordAlgorithm
from icelane.turn.credentials import (
    MAX_LEEWAY,
    MAX_SECRETS,
    MAX_USERNAME_BYTES,
    Credential,
    CredentialStore,
    Refusal,
    RefusalReason,
    RestCredentials,
    RestUsername,
    Secret,
    StaticUsers,
    mint,
    parse_rest_username,
)

NOW = UnixSeconds(1_700_000_000.0)
REALM = "example.org"
OLD, NEW = Secret("k1", "the old secret of 2023 a-b-c-d"), Secret("k2", "the new secret of 2024 e-f-g-h")
STORE = CredentialStore(StaticUsers({"alice": "wonderland", "1700000000:bob": "builder"}), RestCredentials((NEW, OLD)))


def md5_key(username: str, password: str) -> bytes:
    return hashlib.md5(f"{username}:{REALM}:{password}".encode()).digest()


def rest_password(secret: Secret, username: str) -> str:
    return base64.b64encode(hmac.digest(secret.secret.encode(), username.encode(), "sha1")).decode()


def find(username: str, store: CredentialStore = STORE, at: float = NOW) -> Credential:
    found = store.find(username, REALM, UnixSeconds(at))
    assert isinstance(found, Credential)
    return found


def refusal(username: str, store: CredentialStore = STORE, at: float = NOW) -> RefusalReason:
    found = store.find(username, REALM, UnixSeconds(at))
    assert isinstance(found, Refusal)
    return found.reason


def test_a_static_user_has_the_keys_of_both_algorithms() -> None:
    """ST-3: MD5 as RFC 8489 section 9.2.2 prints it, and SHA-256 over the same text."""
    found = CredentialStore(StaticUsers({"user": "pass"})).find("user", "realm", NOW)
    assert isinstance(found, Credential)
    assert [key.key.hex() for key in found.keys(PasswordAlgorithm.MD5)] == ["8493fbc53ba582fb4c044c456bdc40eb"]
    sha256 = hashlib.sha256(b"user:realm:pass").digest()
    assert [key.key for key in found.keys(PasswordAlgorithm.SHA256)] == [sha256]
    assert (found.user_key, found.valid_until) == ("user", None)
    assert not found.expired(UnixSeconds(1e15))


def test_a_static_user_wins_over_an_ephemeral_one_of_the_same_name() -> None:
    found = find("1700000000:bob")
    assert [key.kid for key in found.md5_keys] == [None]
    assert found.user_key == "1700000000:bob"


def test_a_static_password_is_tried_in_every_spelling() -> None:
    users = CredentialStore(StaticUsers({"m": "The\u00aaM\u2168"}))
    keys = {key.key for key in find("m", users).md5_keys}
    assert keys == {md5_key("m", "The\u00aaM\u2168"), md5_key("m", "TheaMIX")}


def test_a_static_name_is_found_in_every_spelling() -> None:
    users = CredentialStore(StaticUsers({"cafe\u0301": "pw", "other": "pw2"}))
    assert find("caf\u00e9", users).user_key == find("cafe\u0301", users).user_key == "cafe\u0301"
    assert find("caf\u00e9", users).md5_keys[0].key == md5_key("caf\u00e9", "pw")
    assert refusal("cafe", users) is RefusalReason.UNKNOWN_USER


def test_the_userhash_of_a_stored_name_resolves() -> None:
    """TA-7, ST-2: the name and hash of RFC 8489 appendix B.1."""
    name = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    hashed = bytes.fromhex("4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704")
    store = CredentialStore(StaticUsers({name: "TheMatrIX", "x": "y"}))
    assert store.supports_userhash
    assert store.name_of(hashed, REALM) == name
    assert store.name_of(hashed, "example.net") is None
    assert store.name_of(hashed, REALM) == name


def test_anonymity_is_not_offered_where_names_are_not_stored() -> None:
    """TA-7: a hash of an ephemeral name cannot be inverted, so nothing is scanned."""
    store = CredentialStore(StaticUsers({"x": "y"}), RestCredentials((OLD,)))
    assert not store.supports_userhash
    assert store.name_of(hashlib.sha256(f"x:{REALM}".encode()).digest(), REALM) is None
    assert not CredentialStore().supports_userhash


@pytest.mark.parametrize(
    ("username", "parsed"),
    [
        ("1700000600:bob", RestUsername(1700000600, None, "bob")),
        ("1700000600:k1:bob", RestUsername(1700000600, "k1", "bob")),
        ("1700000600:k9:bob", RestUsername(1700000600, None, "k9:bob")),
        ("1700000600:k1", RestUsername(1700000600, None, "k1")),
        ("1700000600:k1:", RestUsername(1700000600, None, "k1:")),
        ("1700000600:k1:k2:bob", RestUsername(1700000600, "k1", "k2:bob")),
        ("0:x", RestUsername(0, None, "x")),
        ("999999999999:x", RestUsername(999999999999, None, "x")),
        ("1:%s%n\r\n\x1b[0m*", RestUsername(1, None, "%s%n\r\n\x1b[0m*")),
        ("1::", RestUsername(1, None, ":")),
    ],
)
def test_an_ephemeral_name_has_an_expiry_a_known_kid_and_a_user(username: str, parsed: RestUsername) -> None:
    """TA-8: the second field is a kid only if a configured secret has it."""
    assert parse_rest_username(username, ("k1", "k2")) == parsed


@pytest.mark.parametrize(
    "username",
    ["+1", "-1", " 1", "1 ", "1_0", "\uff11\uff12", "\u0661", "1e9", "", str(10**18), "9" * 13, "9" * 5000, "0x10",
     "1.5", "nan", "\n1", "1\n"],
)  # fmt: skip
def test_an_expiry_is_one_to_twelve_ascii_digits(username: str) -> None:
    """TA-8: whatever int() would read besides is refused, with and without the rest of the name."""
    for text in (username, f"{username}:bob", f"{username}:k1:bob"):
        with pytest.raises(MalformedError):
            parse_rest_username(text, ("k1",))
        assert refusal(text) in (RefusalReason.MALFORMED_USERNAME, RefusalReason.UNKNOWN_USER)


@pytest.mark.parametrize("username", ["1700000600", "1700000600:", ":bob", ":"])
def test_a_name_without_separator_or_user_is_refused(username: str) -> None:
    """TA-8: missing separator."""
    with pytest.raises(MalformedError):
        parse_rest_username(username)
    assert refusal(username) in (RefusalReason.MALFORMED_USERNAME, RefusalReason.UNKNOWN_USER)


@given(st.text(max_size=40))
def test_no_name_raises_anything_but_malformed(username: str) -> None:
    """FZ-1: the one parse error, and a refusal from the store."""
    try:
        parsed = parse_rest_username(username, ("k1",))
    except MalformedError:
        pass
    else:
        assert username.split(":", 1)[0].isascii()
        assert parsed.user
    STORE.find(username, REALM, NOW)


def test_a_kid_selects_its_secret() -> None:
    username = "1700000600:k1:bob"
    found = find(username)
    assert [(key.kid, key.key) for key in found.md5_keys] == [("k1", md5_key(username, rest_password(OLD, username)))]
    assert found.user_key == "bob"
    assert found.valid_until == UnixSeconds(1700000600.0)


@pytest.mark.parametrize("username", ["1700000600:bob", "1700000600:k9:bob", "1700000600:k1"])
def test_without_a_known_kid_every_secret_is_tried(username: str) -> None:
    """The plain form of coturn, and a second field that merely looks like a kid."""
    found = find(username)
    expected = [(secret.kid, md5_key(username, rest_password(secret, username))) for secret in (NEW, OLD)]
    assert [(key.kid, key.key) for key in found.md5_keys] == expected
    assert [key.kid for key in found.sha256_keys] == ["k2", "k1"]
    assert found.user_key == username.partition(":")[2]


def test_a_secret_that_was_taken_out_opens_nothing() -> None:
    """TA-11: both while both are configured; afterwards a name with the old kid has no key of the old secret."""
    username = "1700000600:k1:bob"
    rotated = CredentialStore(rest=RestCredentials((NEW,)))
    old_key = md5_key(username, rest_password(OLD, username))
    assert old_key in [key.key for key in find(username).md5_keys]
    assert old_key not in [key.key for key in find(username, rotated).md5_keys]


def test_an_ephemeral_name_is_good_until_its_expiry() -> None:
    """TA-9: one second late is late."""
    username = "1700000000:k1:carol"
    assert not find(username, at=1_699_999_999).expired(UnixSeconds(1_700_000_000))
    assert find(username, at=1_699_999_999).expired(UnixSeconds(1_700_000_001))
    find(username, at=1_700_000_000)
    found = STORE.find(username, REALM, UnixSeconds(1_700_000_001))
    assert found == Refusal(RefusalReason.EXPIRED, "1 s ago", "k1")
    assert refusal("0:carol") is RefusalReason.EXPIRED


def test_leeway_forgives_an_issuer_whose_clock_is_behind() -> None:
    """TA-10: 30 s of either sign work with 30 s of leeway, 5 minutes behind fail and say so."""
    store = CredentialStore(rest=RestCredentials((OLD,), leeway=30))
    for skew in (-30, 0, 30):
        minted = mint(OLD, "dave", 10, UnixSeconds(NOW + skew))
        for used_after in (0, 10):
            found = find(minted.username, store, at=NOW + used_after)
            assert found.md5_keys[0].key == md5_key(minted.username, minted.password)
    late = store.find(mint(OLD, "dave", 10, UnixSeconds(NOW - 300)).username, REALM, NOW)
    assert late == Refusal(RefusalReason.EXPIRED, "290 s ago", "k1")


def test_a_leeway_has_an_end() -> None:
    """TR-12: so long is remembered that a credential was taken back."""
    RestCredentials((OLD,), leeway=MAX_LEEWAY)
    with pytest.raises(ConfigurationError) as caught:
        RestCredentials((OLD,), leeway=MAX_LEEWAY + 1)
    assert caught.value.key == "turn.expiry_leeway"


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("", "turn.secrets.secret"),
        ("fifteen bytes .", "turn.secrets.secret"),
        ("\u00e9" * 7, "turn.secrets.secret"),
        ("replace-this-secret", "turn.secrets.secret"),
        ("Your_Static_Auth_Secret", "turn.secrets.secret"),
        ("changeme-changeme", "turn.secrets.secret"),
    ],
)
def test_a_weak_or_published_secret_stops_the_start(secret: str, key: str) -> None:
    """TA-11: less than 128 bits, or printed in a manual; the secret is not in the error."""
    with pytest.raises(ConfigurationError) as caught:
        Secret("k1", secret)
    assert caught.value.key == key
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("kid", ["", "a:b", "a b", "k" * 65, "k\n", "\u00e9"])
def test_a_kid_that_could_not_stand_in_a_name_stops_the_start(kid: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret(kid, OLD.secret)
    assert caught.value.key == "turn.secrets.kid"


def test_secrets_are_few_and_have_different_kids() -> None:
    with pytest.raises(ConfigurationError, match="same kid"):
        RestCredentials((OLD, Secret("k1", NEW.secret)))
    many = [Secret(f"k{number}", OLD.secret) for number in range(MAX_SECRETS + 1)]
    with pytest.raises(ConfigurationError, match="more than"):
        RestCredentials(many)


@pytest.mark.parametrize("users", [{"": "x"}, {"x": ""}, {"x" * (MAX_USERNAME_BYTES + 1): "x"}])
def test_a_static_user_has_a_name_that_fits_and_a_password(users: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StaticUsers(users)
    assert caught.value.key.startswith("turn.users")


def test_what_is_minted_opens_the_door_until_it_expires() -> None:
    minted = mint(NEW, "erin@example.org", 600, NOW)
    assert minted.username == "1700000600:k2:erin@example.org"
    found = find(minted.username, at=NOW + 600)
    assert [key.key for key in found.md5_keys] == [md5_key(minted.username, minted.password)]
    assert refusal(minted.username, at=NOW + 601) is RefusalReason.EXPIRED


@pytest.mark.parametrize(
    ("ttl", "expiry"), [(0, 1), (-1, 1), (1, 1), (600.9, 600), (10**12, 86400), (float("inf"), 86400)]
)
def test_the_lifetime_of_what_is_minted_is_clamped(ttl: float, expiry: int) -> None:
    """CR-3: one second to one day."""
    assert mint(NEW, "x", ttl, NOW).username.startswith(f"{int(NOW) + expiry}:")


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_no_user_can_be_minted_a_name_that_reads_as_anothers(one: str, other: str) -> None:
    """CR-5: the whole of a user stays in the user field, and two users stay two."""
    minted, second = mint(NEW, one, 600, NOW), mint(NEW, other, 600, NOW)
    parsed = parse_rest_username(minted.username, ("k1", "k2"))
    assert (parsed.expiry, parsed.kid) == (int(NOW) + 600, "k2")
    assert minted.username.isascii()
    assert minted.username.isprintable()
    assert not set(parsed.user) & set(":| \r\n")
    assert (minted.username == second.username) == (one == other)


@pytest.mark.parametrize("user", ["", "x" * 495, "\u20ac" * 60])
def test_a_user_whose_name_does_not_fit_is_refused(user: str) -> None:
    """CR-5: 1 KB of name, or nothing."""
    with pytest.raises(LocalProtocolError):
        mint(NEW, user, 600, NOW)
    assert len(mint(NEW, "x" * 494, 600, NOW).username) == MAX_USERNAME_BYTES


def test_nothing_shows_a_secret_a_password_or_a_key() -> None:
    """CR-6: not in repr() and not in the error of a name."""
    minted = mint(OLD, "erin", 600, NOW)
    found = find(minted.username)
    text = repr((STORE, OLD, minted, found, found.md5_keys, find("alice"), StaticUsers({"alice": "wonderland"})))
    shown = [OLD.secret, NEW.secret, minted.password, "wonderland", "builder", found.md5_keys[0].key.hex()]
    assert not [secret for secret in shown if secret in text]
    assert repr(found.md5_keys[0].key) not in text
