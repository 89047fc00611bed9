"""Who may do what: the server's half of RFC 8489 section 9.2.4 through the engine."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from icelane.core.net import SocketAddress, Transport
from icelane.crypto.provider import hmac_sha256
from icelane.stun.attributes import (
    MAX_USERNAME,
    AttributeType,
    PasswordAlgorithm,
    encode_password_algorithms,
    parse_password_algorithms,
)
from icelane.stun.integrity import long_term_key_md5
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.stun.nonce import SecurityFeature, parse_security_features
from icelane.turn.attributes import encode_requested_transport
from icelane.turn.credentials import Secret
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    REALM,
    UDP_RELAY,
    USERS,
    Attribute,
    Caller,
    Reply,
    ServerDriver,
    checked,
    credentials,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

KEY_OF_ALICE = long_term_key_md5("alice", REALM, "secret")
OLD = Secret("old", "the old secret is long enough")
TCP_RELAY = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))
METHODS = [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND]
# The header, ERROR-CODE, REALM, NONCE and PASSWORD-ALGORITHMS.
SIZE_OF_A_438 = 20 + 8 + 16 + 40 + 12
SHA256, MD5 = PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5


def is_challenge(reply: Reply | None) -> bool:
    """REALM, NONCE and PASSWORD-ALGORITHMS, and nothing that a stranger has no use for."""
    assert reply is not None
    kinds = {kind for kind, _ in reply.message.attributes}
    wanted = {AttributeType.REALM, AttributeType.NONCE, AttributeType.PASSWORD_ALGORITHMS}
    assert kinds & wanted in (wanted, set())
    return bool(kinds & wanted)


# TA-1: the order of section 9.2.4. Each line is a request and what it gets.

TABLE: list[tuple[str, Callable[[Caller], bytes], int, bool]] = []


def row(name: str, code: int, challenge: bool) -> Callable[[Callable[[Caller], bytes]], Callable[[Caller], bytes]]:
    def add(build: Callable[[Caller], bytes]) -> Callable[[Caller], bytes]:
        TABLE.append((name, build, code, challenge))
        return build

    return add


def by_hand(alice: Caller, *attributes: tuple[int, bytes], key: bytes = KEY_OF_ALICE) -> bytes:
    """An Allocate with exactly these attributes and MESSAGE-INTEGRITY."""
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, alice.driver.transaction_id()).add(*UDP_RELAY)
    for kind, value in attributes:
        builder.add(kind, value)
    return builder.add_integrity_sha1(key).build()


def all_three(alice: Caller) -> list[tuple[int, bytes]]:
    assert alice.nonce is not None
    return [
        (AttributeType.USERNAME, alice.username.encode()),
        (AttributeType.REALM, alice.realm.encode()),
        (AttributeType.NONCE, alice.nonce),
    ]


@row("no integrity", 401, True)
def _(alice: Caller) -> bytes:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12).add(*UDP_RELAY)
    for kind, value in all_three(alice):
        builder.add(kind, value)
    return builder.build()


@row("no USERNAME", 400, False)
def _(alice: Caller) -> bytes:
    return by_hand(alice, *all_three(alice)[1:])


@row("no REALM", 400, False)
def _(alice: Caller) -> bytes:
    return by_hand(alice, *all_three(alice)[::2])


@row("no NONCE", 400, False)
def _(alice: Caller) -> bytes:
    return by_hand(alice, *all_three(alice)[:2])


@row("USERNAME too long", 400, False)
def _(alice: Caller) -> bytes:
    return by_hand(alice, (AttributeType.USERNAME, bytes(b"a" * (MAX_USERNAME + 1))), *all_three(alice)[1:])


@row("USERNAME not UTF-8", 400, False)
def _(alice: Caller) -> bytes:
    return by_hand(alice, (AttributeType.USERNAME, b"\xff"), *all_three(alice)[1:])


@row("unknown user", 401, True)
def _(alice: Caller) -> bytes:
    return by_hand(alice, (AttributeType.USERNAME, b"mallory"), *all_three(alice)[1:])


@row("wrong password", 401, True)
def _(alice: Caller) -> bytes:
    return by_hand(alice, *all_three(alice), key=long_term_key_md5("alice", REALM, "guess"))


@row("wrong realm", 401, True)
def _(alice: Caller) -> bytes:
    alice.realm = "example.com"
    return by_hand(alice, *all_three(alice), key=alice.key)


@row("another's nonce", 438, True)
def _(alice: Caller) -> bytes:
    bob = alice.driver.caller("bob")
    bob.challenge()
    alice.nonce = bob.nonce
    return by_hand(alice, *all_three(alice))


@row("stale nonce", 438, True)
def _(alice: Caller) -> bytes:
    alice.driver.advance(606)
    return by_hand(alice, *all_three(alice))


@row("stale nonce and wrong password", 401, True)
def _(alice: Caller) -> bytes:
    alice.driver.advance(606)
    return by_hand(alice, *all_three(alice), key=b"guess")


@row("MESSAGE-INTEGRITY of 16 bytes", 400, False)
def _(alice: Caller) -> bytes:
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12)
    for kind, value in [UDP_RELAY, *all_three(alice), (AttributeType.MESSAGE_INTEGRITY, bytes(16))]:
        builder.add(kind, value)
    return builder.build()


@pytest.mark.parametrize(("build", "code", "challenge"), [line[1:] for line in TABLE], ids=[line[0] for line in TABLE])
@pytest.mark.parametrize("transport", list(Transport))
def test_each_thing_wrong_with_a_request_has_its_answer(
    build: Callable[[Caller], bytes], code: int, challenge: bool, transport: Transport
) -> None:
    """TA-1: RFC 8489 section 9.2.4. Only what can be mended by asking again brings REALM and a fresh NONCE."""
    driver = ServerDriver()
    alice = driver.caller(path=path_from(transport=transport))
    alice.challenge()
    driver.advance(1)
    before = alice.nonce
    reply = alice.send(build(alice))
    assert reply is not None
    assert reply.code == code
    assert is_challenge(reply) == challenge
    assert not challenge or reply[AttributeType.NONCE] != before
    assert reply.message.integrity_offset is None
    assert not reply.has(AttributeType.SOFTWARE)
    assert driver.refusals[-1].code == code
    driver.assert_nothing_is_left()


def test_the_fresh_nonce_of_a_438_is_good() -> None:
    """TA-1."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    data = alice.build(Method.ALLOCATE, UDP_RELAY)
    driver.advance(606)
    reply = alice.send(data)
    assert reply is not None
    assert reply.code == 438
    alice.nonce = reply[AttributeType.NONCE]
    alice.challenged_at = driver.clock.now
    assert alice.allocate().code is None


@pytest.mark.parametrize("method", METHODS)
def test_another_user_on_an_allocation_is_441_and_437_where_it_asks_for_one_of_its_own(method: Method) -> None:
    """TA-1: RFC 8656 sections 5 and 7.2."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    bob = driver.caller("bob", path=alice.path)
    before = list(driver.plane.commands)
    allocates = method is Method.ALLOCATE
    reply = bob.request(method, UDP_RELAY, *(() if allocates else (lifetime(0), PEER)))
    assert reply.code == (437 if allocates else 441)
    assert driver.plane.commands == before
    assert driver.allocation(alice) is not None
    assert alice.release().code is None


# ST-4, ST-5


@pytest.mark.parametrize("algorithm", [None, SHA256, MD5])
@pytest.mark.parametrize("fingerprint", [False, True])
def test_what_stands_behind_the_integrity_is_as_if_absent(
    algorithm: PasswordAlgorithm | None, fingerprint: bool
) -> None:
    """ST-4: LIFETIME, XOR-PEER-ADDRESS and REQUESTED-TRANSPORT appended by whoever sits in between."""
    driver = ServerDriver()
    alice = driver.caller(algorithm=algorithm)
    late: list[Attribute] = [lifetime(0), OTHER_PEER, TCP_RELAY, (0x7FFF, b"unknown")]
    reply = alice.request(Method.ALLOCATE, UDP_RELAY, lifetime(1200), appended=late, fingerprint=fingerprint)
    assert reply.lifetime == 1200
    assert alice.request(Method.ALLOCATE, appended=[UDP_RELAY]).code == 437
    reply = alice.request(Method.REFRESH, lifetime(1800), appended=late, fingerprint=fingerprint)
    assert reply.lifetime == 1800
    reply = alice.request(Method.REFRESH, appended=late, fingerprint=fingerprint)
    assert reply.lifetime == 600
    reply = alice.request(Method.CREATE_PERMISSION, PEER, appended=late, fingerprint=fingerprint)
    assert reply.code is None
    assert {host for _, _, host in driver.plane.permissions} == {PEER.host}
    assert alice.request(Method.CREATE_PERMISSION, appended=[PEER]).code == 400
    driver.close()


def test_a_transport_behind_the_integrity_is_no_transport() -> None:
    """ST-4."""
    assert ServerDriver().caller().request(Method.ALLOCATE, appended=[UDP_RELAY]).code == 400


def test_credentials_behind_the_integrity_are_no_credentials() -> None:
    """ST-4: the attacker appends his own name and nonce."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12).add(*UDP_RELAY)
    builder.add_integrity_sha1(KEY_OF_ALICE)
    for kind, value in all_three(alice):
        builder.add(kind, value)
    reply = alice.send(builder.build())
    assert reply is not None
    assert reply.code == 400
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("method", [*METHODS, Method.CONNECT, Method.CONNECTION_BIND])
def test_no_method_works_without_integrity(method: Method) -> None:
    """ST-5."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    before = list(driver.plane.commands)
    builder = MessageBuilder(method, MessageClass.REQUEST, b"t" * 12)
    for kind, value in [UDP_RELAY, lifetime(0), *all_three(alice)]:
        builder.add(kind, value)
    reply = alice.send(builder.build())
    assert reply is not None
    assert reply.code == 401
    assert driver.plane.commands == before
    assert driver.allocation(alice) is not None


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        (AttributeType.MESSAGE_INTEGRITY, [0, 1, 4, 16, 19, 21, 24, 32, 64]),
        (AttributeType.MESSAGE_INTEGRITY_SHA256, [0, 4, 12, 15, 17, 18, 30, 31, 33, 36, 64]),
    ],
)
def test_integrity_of_an_illegal_size_is_400_or_nothing(kind: AttributeType, sizes: list[int]) -> None:
    """ST-5: with all credentials, and alone, where an answer would be larger than the request."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    for size in sizes:
        for attributes in ([UDP_RELAY, *all_three(alice)], []):
            builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12)
            for known, value in attributes:
                builder.add(known, value)
            data = builder.add(kind, bytes(size)).build()
            reply = alice.send(data)
            assert reply is None or reply.code == 400
            assert (reply is None) == (len(data) < 28)
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("size", [16, 20, 24, 28, 32])
def test_a_truncated_sha256_is_as_good_as_a_whole_one(size: int) -> None:
    """ST-5: RFC 8489 section 14.6."""
    driver = ServerDriver()
    alice = driver.caller(algorithm=SHA256)
    data = alice.build(Method.ALLOCATE, UDP_RELAY)
    # The MAC is computed over a header that counts the truncated attribute.
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, data[8:20])
    for kind, value in parse_message(data).attributes[:-1]:
        builder.add(kind, value)
    body = builder.build()
    covered = body[:2] + (len(body) - 20 + 4 + size).to_bytes(2, "big") + body[4:]
    builder.add(AttributeType.MESSAGE_INTEGRITY_SHA256, hmac_sha256(alice.key, covered)[:size])
    reply = alice.send(builder.build())
    assert reply is not None
    assert reply.code is None


# TA-2, TA-3, TA-4: nonces


def nonce_of(driver: ServerDriver, host: str, port: int) -> bytes:
    alice = driver.caller(path=path_from(host, port))
    alice.challenge()
    assert alice.nonce is not None
    return alice.nonce


def test_no_two_sources_get_the_same_nonce() -> None:
    """TA-2: 1,000 ports of two addresses in the same millisecond."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    nonces = {nonce_of(driver, host, port) for host in ("192.0.2.1", "192.0.2.2") for port in range(10000, 11000)}
    assert len(nonces) == 2000


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 40001), ("192.0.2.2", 40000), ("2001:db8::1", 40000)])
def test_a_nonce_is_good_only_where_it_was_issued(host: str, port: int) -> None:
    """TA-3: replayed with a valid MESSAGE-INTEGRITY from another port, another address."""
    driver = ServerDriver()
    alice = driver.caller(path=path_from("192.0.2.1", 40000))
    data = alice.build(Method.ALLOCATE, UDP_RELAY)
    raw = driver.send(data, path_from(host, port))
    assert raw is not None
    reply = checked(raw)
    assert reply.code == 438
    assert is_challenge(reply)
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_tampered_nonce_is_438(transport: Transport) -> None:
    """TA-4: each byte changed, cut short, made longer, from another server, and none of it raises."""
    driver = ServerDriver()
    alice = driver.caller(path=path_from(transport=transport))
    alice.challenge()
    good = alice.nonce
    assert good is not None
    foreign = [good[:size] for size in range(len(good))]
    foreign += [
        good + b"A",
        good * 2,
        good.swapcase(),
        b"\xc3\xa9" * len(good),
        nonce_of(ServerDriver(seed=2), *path_from().remote),
    ]
    foreign += [
        good[:i] + bytes((good[i] ^ bit,)) + good[i + 1 :] for i in range(len(good)) for bit in (1, 2, 4, 8, 16)
    ]
    for alice.nonce in foreign:
        data = alice.build(Method.ALLOCATE, UDP_RELAY)
        reply = alice.send(data)
        if reply is None:
            # TQ-4: a 438 holds a whole nonce, and over UDP it is no larger than what it answers.
            assert transport is Transport.UDP
            assert len(alice.nonce) < len(good) // 2
            assert len(data) < SIZE_OF_A_438
        else:
            assert reply.code == 438, alice.nonce
        assert driver.refusals[-1].reason == "nonce-foreign"
    driver.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("step", "code"), [(-7, 438), (-5, None), (0, None), (600, None), (602, 438), (3600, 438), (-3600, 438)]
)
def test_a_nonce_lives_ten_minutes_and_may_be_five_seconds_early(step: float, code: int | None) -> None:
    """TA-4: future-dated and old ones."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    driver.clock.step_wall(step)
    assert alice.allocate().code == code


def test_servers_with_one_key_accept_each_others_nonces() -> None:
    first, second = (ServerDriver(seed=seed, nonce_key=b"k" * 32) for seed in (1, 2))
    data = first.caller(path=path_from()).build(Method.ALLOCATE, UDP_RELAY)
    raw = second.send(data, path_from())
    assert raw is not None
    assert checked(raw).code is None


# TA-5, TA-7: the features of RFC 8489


def test_every_nonce_announces_password_algorithms_and_the_list_comes_with_it() -> None:
    """TA-5."""
    reply = ServerDriver().caller().challenge()
    features = parse_security_features(reply[AttributeType.NONCE].decode())
    assert features is not None
    assert SecurityFeature.PASSWORD_ALGORITHMS in features
    assert reply[AttributeType.NONCE].startswith(b"obMatJos2")
    algorithms = parse_password_algorithms(reply[AttributeType.PASSWORD_ALGORITHMS])
    assert algorithms == ((SHA256, b""), (MD5, b""))


@pytest.mark.parametrize("algorithm", [None, SHA256, MD5])
def test_a_request_is_answered_with_the_integrity_it_came_with(algorithm: PasswordAlgorithm | None) -> None:
    """TA-5: what browsers send is MD5 and SHA-1."""
    driver = ServerDriver()
    alice = driver.caller(algorithm=algorithm)
    for reply in (alice.allocate(), alice.permit(PEER), alice.bind(0x4000, PEER), alice.bind(0x3000, PEER)):
        assert (reply.message.integrity_sha256_offset is None) == (algorithm is None)
        assert (reply.message.integrity_offset is None) == (algorithm is not None)
    driver.close()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([SHA256, MD5], None),
        (None, SHA256),
        (None, MD5),
        ([MD5], MD5),
        ([SHA256], SHA256),
        ([MD5, SHA256], SHA256),
        ([SHA256, MD5, 3], SHA256),
        ([SHA256, MD5], 3),
        ([SHA256, MD5], 0),
    ],
)
def test_a_list_that_was_altered_or_a_choice_that_is_not_on_it_is_400(
    offered: list[int] | None, chosen: int | None
) -> None:
    """TA-5: otherwise somebody on the way could take SHA-256 out of the list."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12).add(*UDP_RELAY)
    for kind, value in all_three(alice):
        builder.add(kind, value)
    if offered is not None:
        builder.add(AttributeType.PASSWORD_ALGORITHMS, encode_password_algorithms([(one, b"") for one in offered]))
    if chosen is not None:
        builder.add(AttributeType.PASSWORD_ALGORITHM, encode_password_algorithms([(chosen, b"")]))
    alice.algorithm = SHA256 if chosen == SHA256 else MD5
    reply = alice.send(builder.add_integrity_sha256(alice.key).build())
    assert reply is not None
    assert reply.code == 400
    assert not is_challenge(reply)
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\2\0\4", b"\0\2\0\1x", b"\0\2\0\0more"])
def test_a_malformed_choice_is_400(value: bytes) -> None:
    """TA-5, FZ-1."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    reply = alice.send(
        by_hand(
            alice,
            *all_three(alice),
            (AttributeType.PASSWORD_ALGORITHMS, alice.algorithms),
            (AttributeType.PASSWORD_ALGORITHM, value),
        )
    )
    assert reply is not None
    assert reply.code == 400


def test_who_chose_an_algorithm_must_use_sha256_for_the_integrity() -> None:
    """TA-5: MESSAGE-INTEGRITY-SHA256 is required."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.challenge()
    chosen = (AttributeType.PASSWORD_ALGORITHM, encode_password_algorithms([(MD5, b"")]))
    reply = alice.send(by_hand(alice, *all_three(alice), (AttributeType.PASSWORD_ALGORITHMS, alice.algorithms), chosen))
    assert reply is not None
    assert reply.code == 400
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("algorithm", [None, SHA256, MD5])
def test_a_hashed_name_finds_its_static_user(algorithm: PasswordAlgorithm | None) -> None:
    """TA-7: the feature is announced, and B.1's user resolves."""
    users = {"マトリックス": "TheMatrIX", **USERS}
    driver = ServerDriver(users=users)
    neo = driver.caller("マトリックス", "TheMatrIX", algorithm=algorithm)
    neo.hashed_name = True
    features = parse_security_features(neo.challenge()[AttributeType.NONCE].decode())
    assert features is not None
    assert SecurityFeature.USERNAME_ANONYMITY in features
    assert neo.allocate().code is None
    assert neo.release().code is None
    trinity = driver.caller("トリニティ", "TheMatrIX")
    trinity.hashed_name = True
    assert trinity.allocate().code == 401
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("hashed", [False, True], ids=["name", "hash"])
def test_a_refusal_tells_the_log_who_it_was_however_the_name_was_sent(hashed: bool) -> None:
    """TA-7: whom nobody knows by a hash has no name; refused before and after the password was found right."""
    driver = ServerDriver()
    for name, password, reason in (("alice", "wrong", "wrong-password"), ("nobody", "wrong", "unknown-user")):
        caller = driver.caller(name, password)
        caller.hashed_name = hashed
        assert caller.allocate().code == 401
        found = driver.refusals[-1]
        unknown = hashed and name == "nobody"
        assert found.reason == ("unknown-userhash" if unknown else reason)
        assert found.username == ("" if unknown else name)
    alice = driver.caller()
    alice.hashed_name = hashed
    assert alice.allocate().code is None
    assert alice.allocate().code == 437
    assert (driver.refusals[-1].reason, driver.refusals[-1].username) == ("already-allocated", "alice")
    driver.close()


def test_where_names_are_made_up_no_hash_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """TA-7: the feature is not announced and a USERHASH gets 401 without a scan."""
    driver = ServerDriver(secrets=[OLD])
    alice = driver.caller()
    alice.hashed_name = True
    features = parse_security_features(alice.challenge()[AttributeType.NONCE].decode())
    assert features is not None
    assert SecurityFeature.USERNAME_ANONYMITY not in features
    store = credentials(USERS, [OLD])
    asked: list[bytes] = []
    monkeypatch.setattr(type(store), "name_of", lambda _, hashed, _realm: asked.append(hashed))
    reply = alice.request(Method.ALLOCATE, UDP_RELAY)
    assert reply.code == 401
    assert is_challenge(reply)
    assert not asked


def test_no_answer_holds_another_clients_bytes_or_ours() -> None:
    """ST-10, TA-1: a challenge is the same for everybody but for nonce and transaction."""
    driver = ServerDriver()
    first, second = driver.caller("alice").challenge(), driver.caller("bob").challenge()

    def rest(message: Message) -> list[tuple[int, bytes]]:
        return [(kind, value) for kind, value in message.attributes if kind != AttributeType.NONCE]

    assert rest(first.message) == rest(second.message)
    assert base64.urlsafe_b64decode(first[AttributeType.NONCE][13:] + b"==") != base64.urlsafe_b64decode(
        second[AttributeType.NONCE][13:] + b"=="
    )


def test_a_source_port_of_zero_raises_nothing() -> None:
    driver = ServerDriver()
    reply = driver.caller(path=path_from(port=0)).allocate()
    assert reply.code is None
    assert SocketAddress("192.0.2.1", 0) in {path.remote for path in driver.plane.owners.values()}
