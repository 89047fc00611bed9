"""The client's side of the long-term credential mechanism."""

from __future__ import annotations

import base64
from typing import Final

import pytest

from icelane.errors import (
    DowngradeError,
    IntegrityError,
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
)
from icelane.stun.attributes import AttributeType as A
from icelane.stun.attributes import PasswordAlgorithm, encode_error_code, encode_password_algorithms
from icelane.stun.authentication import MAX_ATTEMPTS, ClientAuthentication, Reply, RequestKey
from icelane.stun.integrity import (
    long_term_key_md5,
    long_term_key_sha256,
    userhash,
    verify_integrity,
    verify_integrity_sha256,
)
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message

REALM: Final = "example.org"
MD5: Final = (PasswordAlgorithm.MD5, b"")
SHA256: Final = (PasswordAlgorithm.SHA256, b"")
# The cookie with its 24 bits, in both orders that implementations use.
ALGORITHMS_MSB: Final = "obMatJos2gAAA"
ALGORITHMS_LSB: Final = "obMatJos2AAAB"
ANONYMITY_MSB: Final = "obMatJos2QAAA"
ANONYMITY_LSB: Final = "obMatJos2AAAC"
BOTH_MSB: Final = "obMatJos2wAAA"
NO_FEATURES: Final = "obMatJos2AAAA"
ID: Final = bytes(range(12))
MD5_KEY: Final = long_term_key_md5("alice", REALM, "secret")
SHA256_KEY: Final = long_term_key_sha256("alice", REALM, "secret")


def response(code: int = 0) -> MessageBuilder:
    if not code:
        return MessageBuilder(Method.ALLOCATE, MessageClass.SUCCESS, ID)
    return MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, ID).add(A.ERROR_CODE, encode_error_code(code, "No"))


def finished(builder: MessageBuilder) -> Message:
    return parse_message(builder.build())


def challenge(
    code: int = 401, nonce: str | None = "abc", algorithms: list[tuple[int, bytes]] | None = None, realm: str = REALM
) -> Message:
    builder = response(code).add(A.REALM, realm.encode())
    if nonce is not None:
        builder.add(A.NONCE, nonce.encode())
    if algorithms is not None:
        builder.add(A.PASSWORD_ALGORITHMS, encode_password_algorithms(algorithms))
    return finished(builder)


def signed_request(authentication: ClientAuthentication) -> tuple[Message, RequestKey]:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, ID)
    key = authentication.sign(builder)
    assert key is not None
    return finished(builder), key


def challenged(nonce: str = "abc", algorithms: list[tuple[int, bytes]] | None = None) -> ClientAuthentication:
    """A client that has had its first challenge."""
    authentication = ClientAuthentication("alice", "secret")
    assert authentication.handle_response(challenge(401, nonce, algorithms), None, 1) is Reply.RETRY
    return authentication


def negotiated_sha256() -> tuple[ClientAuthentication, RequestKey]:
    authentication = challenged(ALGORITHMS_MSB, algorithms=[SHA256, MD5])
    return authentication, signed_request(authentication)[1]


def negotiated_sha1() -> tuple[ClientAuthentication, RequestKey]:
    authentication = challenged()
    return authentication, signed_request(authentication)[1]


def test_before_a_challenge_nothing_is_signed() -> None:
    authentication = ClientAuthentication("alice", "secret")
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, ID)
    assert authentication.sign(builder) is None
    assert len(builder) == 20
    assert authentication.realm is None
    assert authentication.algorithm is None


def test_a_server_of_rfc_5389_gets_username_realm_nonce_and_message_integrity() -> None:
    request, key = signed_request(challenged("//499k954d6OL34oL9FSTvy64sA"))
    assert request.get(A.USERNAME) == b"alice"
    assert request.get(A.REALM) == REALM.encode()
    assert request.get(A.NONCE) == b"//499k954d6OL34oL9FSTvy64sA"
    assert not request.has(A.PASSWORD_ALGORITHMS)
    assert not request.has(A.PASSWORD_ALGORITHM)
    assert request.integrity_sha256_offset is None
    verify_integrity(request, MD5_KEY)
    assert not key.sha256


def test_a_server_of_rfc_8489_gets_its_algorithm_list_back_and_message_integrity_sha256() -> None:
    """TA-5: the client's half."""
    offered: list[tuple[int, bytes]] = [(0x7777, b"what"), SHA256, MD5]
    authentication = challenged(ALGORITHMS_MSB + "rest", algorithms=offered)
    request, key = signed_request(authentication)
    assert request.get(A.PASSWORD_ALGORITHMS) == encode_password_algorithms(offered)
    assert request.get(A.PASSWORD_ALGORITHM) == encode_password_algorithms([SHA256])
    assert request.integrity_offset is None
    verify_integrity_sha256(request, SHA256_KEY)
    assert key.sha256
    assert authentication.algorithm is PasswordAlgorithm.SHA256


def test_the_first_known_algorithm_of_the_list_is_used_and_md5_is_then_signed_with_sha256() -> None:
    authentication = challenged(ALGORITHMS_MSB, algorithms=[MD5, SHA256])
    request, _ = signed_request(authentication)
    assert authentication.algorithm is PasswordAlgorithm.MD5
    verify_integrity_sha256(request, MD5_KEY)


@pytest.mark.parametrize("nonce", [ANONYMITY_MSB, ANONYMITY_LSB])
def test_a_server_that_promises_anonymity_gets_a_hash_of_the_user_name(nonce: str) -> None:
    """TA-7: the client's half, in both orders of the cookie's bits."""
    request, _ = signed_request(challenged(nonce))
    assert request.get(A.USERHASH) == userhash("alice", REALM)
    assert not request.has(A.USERNAME)


def test_anonymity_and_algorithms_go_together() -> None:
    request, _ = signed_request(challenged(BOTH_MSB, algorithms=[SHA256]))
    assert request.has(A.USERHASH)
    verify_integrity_sha256(request, SHA256_KEY)


@pytest.mark.parametrize("nonce", [ALGORITHMS_MSB, ALGORITHMS_LSB, BOTH_MSB, "obMatJos2AAAD"])
@pytest.mark.parametrize("code", [401, 438])
def test_a_cookie_that_announces_algorithms_without_their_list_is_a_downgrade(nonce: str, code: int) -> None:
    """TA-6: no retry. Both orders of the cookie's bits arm the check."""
    authentication = ClientAuthentication("alice", "secret")
    with pytest.raises(DowngradeError):
        authentication.handle_response(challenge(code, nonce), None, 1)
    assert authentication.sign(MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, ID)) is None


@pytest.mark.parametrize("nonce", ["obMatJos2", "obMatJos2g", "obMatJos2g===", "obMatJos2g!AA", "obMatJos2\u00e9AAA"])
def test_a_cookie_without_base64_behind_it_is_a_downgrade(nonce: str) -> None:
    """TA-6: malformed base64 in the cookie."""
    with pytest.raises(DowngradeError):
        ClientAuthentication("alice", "secret").handle_response(challenge(401, nonce, [SHA256]), None, 1)


@pytest.mark.parametrize("algorithms", [[], [(3, b"")], [(0x7777, b"x")], [(2, b"parameters")]])
def test_a_list_without_a_known_algorithm_is_not_answered(algorithms: list[tuple[int, bytes]]) -> None:
    """TA-6: unsupported list, no retry."""
    with pytest.raises(DowngradeError):
        ClientAuthentication("alice", "secret").handle_response(challenge(401, ALGORITHMS_MSB, algorithms), None, 1)


def test_a_cookie_without_features_is_answered_like_rfc_5389() -> None:
    request, _ = signed_request(challenged(NO_FEATURES))
    verify_integrity(request, MD5_KEY)


@pytest.mark.parametrize(
    "weaker", [challenge(438, "plain"), challenge(438, NO_FEATURES), challenge(438, ALGORITHMS_MSB, [MD5, SHA256])]
)
def test_what_was_negotiated_never_gets_weaker(weaker: Message) -> None:
    """TA-6: a later challenge that drops the list or prefers MD5."""
    authentication, key = negotiated_sha256()
    with pytest.raises(DowngradeError):
        authentication.handle_response(weaker, key, 2)
    verify_integrity_sha256(signed_request(authentication)[0], SHA256_KEY)


def test_a_server_may_become_stronger() -> None:
    authentication, key = negotiated_sha1()
    assert authentication.handle_response(challenge(438, ALGORITHMS_MSB, [SHA256]), key, 2) is Reply.RETRY
    verify_integrity_sha256(signed_request(authentication)[0], SHA256_KEY)


def test_a_right_sha1_response_is_rejected_after_sha256_was_negotiated() -> None:
    """TA-6: both keys that an attacker could make the client believe."""
    authentication, key = negotiated_sha256()
    for sha1_key in (SHA256_KEY, MD5_KEY):
        with pytest.raises(IntegrityError):
            authentication.handle_response(finished(response().add_integrity_sha1(sha1_key)), key, 2)


def test_a_response_signed_like_its_request_is_delivered() -> None:
    authentication, key = negotiated_sha256()
    message = finished(response().add_integrity_sha256(SHA256_KEY))
    assert authentication.handle_response(message, key, 2) is Reply.DELIVER
    authentication, key = negotiated_sha1()
    message = finished(response().add_integrity_sha1(MD5_KEY))
    assert authentication.handle_response(message, key, 2) is Reply.DELIVER
    message = finished(response(486).add_integrity_sha1(MD5_KEY))
    assert authentication.handle_response(message, key, 2) is Reply.DELIVER


@pytest.mark.parametrize("code", [0, 300, 403, 420, 437, 441, 486, 500])
def test_a_response_without_integrity_or_with_a_wrong_one_is_not_believed(code: int) -> None:
    """TA-14, ST-5: the client's half."""
    authentication, key = negotiated_sha1()
    with pytest.raises(IntegrityError):
        authentication.handle_response(finished(response(code)), key, 2)
    with pytest.raises(IntegrityError):
        authentication.handle_response(finished(response(code).add_integrity_sha1(b"wrong")), key, 2)
    authentication, key = negotiated_sha256()
    with pytest.raises(IntegrityError):
        authentication.handle_response(finished(response(code)), key, 2)
    with pytest.raises(IntegrityError):
        authentication.handle_response(finished(response(code).add_integrity_sha256(b"wrong")), key, 2)


@pytest.mark.parametrize(("kind", "size"), [(A.MESSAGE_INTEGRITY, 16), (A.MESSAGE_INTEGRITY_SHA256, 12)])
def test_an_integrity_attribute_of_another_size_is_not_believed(kind: int, size: int) -> None:
    """ST-5: sizes other than 20, and other than 16 to 32."""
    for authentication, key in (negotiated_sha1(), negotiated_sha256()):
        with pytest.raises(IntegrityError):
            authentication.handle_response(finished(response().add(kind, bytes(size))), key, 2)


def test_a_bad_request_without_integrity_is_as_if_it_never_came() -> None:
    """RFC 8489 section 9.2.5: the 400 of a stranger must not end a signed transaction."""
    authentication, key = negotiated_sha1()
    assert authentication.handle_response(finished(response(400)), key, 2) is Reply.IGNORE
    message = finished(response(400).add_integrity_sha1(MD5_KEY))
    assert authentication.handle_response(message, key, 2) is Reply.DELIVER


def test_the_response_to_an_unsigned_request_needs_no_integrity() -> None:
    authentication = ClientAuthentication("alice", "secret")
    assert authentication.handle_response(finished(response()), None, 1) is Reply.DELIVER
    assert authentication.handle_response(finished(response(400)), None, 1) is Reply.DELIVER
    assert authentication.handle_response(finished(response(508)), None, 1) is Reply.DELIVER


@pytest.mark.parametrize("code", [0, 500])
def test_another_response_whose_nonce_promises_algorithms_that_are_missing_is_not_believed(code: int) -> None:
    """RFC 8489 section 9.2.5: "for all other responses ... the response MUST be ignored"."""
    authentication, key = negotiated_sha256()
    message = finished(response(code).add(A.NONCE, ALGORITHMS_MSB.encode()).add_integrity_sha256(SHA256_KEY))
    with pytest.raises(IntegrityError):
        authentication.handle_response(message, key, 2)
    broken = finished(response(code).add(A.NONCE, b"obMatJos2!").add_integrity_sha256(SHA256_KEY))
    with pytest.raises(MalformedError):
        authentication.handle_response(broken, key, 2)


def test_attributes_after_message_integrity_are_ignored() -> None:
    """ST-4: a challenge's nonce and a response's attributes behind the integrity do not count."""
    authentication, key = negotiated_sha1()
    message = finished(response().add_integrity_sha1(MD5_KEY).add(A.LIFETIME, bytes(4)))
    assert authentication.handle_response(message, key, 2) is Reply.DELIVER
    assert not message.has(A.LIFETIME)
    late = finished(response(438).add(A.REALM, REALM.encode()).add_integrity_sha1(b"x").add(A.NONCE, b"late"))
    assert authentication.handle_response(late, key, 2) is Reply.DELIVER
    assert signed_request(authentication)[0].get(A.NONCE) == b"abc"


def test_a_stale_nonce_is_replaced_and_the_request_sent_again() -> None:
    authentication, key = negotiated_sha1()
    assert authentication.handle_response(challenge(438, "fresh"), key, 2) is Reply.RETRY
    assert signed_request(authentication)[0].get(A.NONCE) == b"fresh"


def test_a_stale_nonce_answer_may_leave_out_the_realm() -> None:
    authentication, key = negotiated_sha1()
    message = finished(response(438).add(A.NONCE, b"fresh"))
    assert authentication.handle_response(message, key, 2) is Reply.RETRY
    assert authentication.realm == REALM


@pytest.mark.parametrize("code", [401, 438])
def test_a_server_that_only_challenges_is_left_after_three_attempts(code: int) -> None:
    """TA-13: at most three sendings of one request."""
    authentication = ClientAuthentication("alice", "secret")
    key: RequestKey | None = None
    attempts = 1
    while authentication.handle_response(challenge(code, f"n{attempts}"), key, attempts) is Reply.RETRY:
        attempts += 1
        key = signed_request(authentication)[1]
    assert attempts <= MAX_ATTEMPTS == 3


def test_credentials_that_were_refused_are_not_tried_again() -> None:
    """RFC 8489 section 9.2.5: no retry without a change of credentials."""
    authentication, key = negotiated_sha1()
    assert authentication.handle_response(challenge(401, "again"), key, 2) is Reply.DELIVER


@pytest.mark.parametrize("code", [401, 438])
def test_a_realm_that_changes_is_an_error_and_the_first_one_stays(code: int) -> None:
    """TA-13: the original realm is kept."""
    authentication, key = negotiated_sha1()
    with pytest.raises(RemoteProtocolError, match="realm changed"):
        authentication.handle_response(challenge(code, "n", realm="evil.example"), key, 2)
    assert authentication.realm == REALM
    assert signed_request(authentication)[0].get(A.NONCE) == b"abc"


def test_a_challenge_that_lacks_what_a_retry_needs_is_delivered() -> None:
    authentication = ClientAuthentication("alice", "secret")
    assert authentication.handle_response(challenge(401, None), None, 1) is Reply.DELIVER
    assert authentication.handle_response(finished(response(401).add(A.NONCE, b"n")), None, 1) is Reply.DELIVER


@pytest.mark.parametrize(
    "message",
    [
        finished(MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, ID)),
        finished(MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, ID).add(A.ERROR_CODE, b"\0")),
        finished(response(401).add(A.REALM, b"\xff").add(A.NONCE, b"n")),
        finished(response(401).add(A.REALM, b"r").add(A.NONCE, b"n").add(A.PASSWORD_ALGORITHMS, b"\0")),
    ],
)
def test_a_misshapen_challenge_is_the_parse_error(message: Message) -> None:
    """ST-7: one typed error."""
    with pytest.raises(MalformedError):
        ClientAuthentication("alice", "secret").handle_response(message, None, 1)


def test_an_rfc_5389_server_gets_the_password_by_saslprep_and_another_by_opaque_string() -> None:
    """ST-1: "The<U+00AD>M<U+00AA>tr<U+2168>" is "TheMatrIX" for the first and unusable for the second."""
    name, password = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9", "The\u00adM\u00aatr\u2168"
    authentication = ClientAuthentication(name, password)
    authentication.handle_response(challenge(401, "n"), None, 1)
    verify_integrity(signed_request(authentication)[0], long_term_key_md5(name, REALM, "TheMatrIX"))
    authentication = ClientAuthentication(name, password)
    with pytest.raises(LocalProtocolError) as caught:
        authentication.handle_response(challenge(401, ALGORITHMS_MSB, [SHA256]), None, 1)
    assert password not in str(caught.value)
    authentication = ClientAuthentication("alice", "p\u2003w")
    authentication.handle_response(challenge(401, ALGORITHMS_MSB, [SHA256]), None, 1)
    verify_integrity_sha256(signed_request(authentication)[0], long_term_key_sha256("alice", REALM, "p w"))


@pytest.mark.parametrize("username", ["", "x" * 509])
def test_a_user_name_that_does_not_fit_is_refused(username: str) -> None:
    with pytest.raises(LocalProtocolError):
        ClientAuthentication(username, "secret")


def test_neither_password_nor_key_shows_in_a_representation() -> None:
    authentication, key = negotiated_sha256()
    shown = repr(authentication) + repr(key)
    assert "secret" not in shown
    assert SHA256_KEY.hex() not in shown
    assert repr(SHA256_KEY) not in shown
    assert base64.b64encode(SHA256_KEY).decode() not in shown
    assert not hasattr(authentication, "password")
