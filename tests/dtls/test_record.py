"""Records: how they are read, what passes the filter, and what of a live connection an outsider can touch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.dtls.backend import Backend
from icelane.dtls.connection import Closed, DtlsState, HandshakeFailed
from icelane.dtls.options import DtlsRole
from icelane.dtls.record import (
    MAX_EARLY_RECORDS,
    MAX_FRAGMENTS,
    MAX_RECORD,
    MAX_RECORDS,
    ContentType,
    HandshakeType,
    RecordFilter,
    is_application_record,
    pack_records,
    parse_fragments,
    parse_records,
)
from icelane.errors import MalformedError
from tests.dtls.pair import Endpoint, Pair


def record(
    content_type: int, content: bytes, *, epoch: int = 0, number: int = 0, version: int = 0xFEFD, length: int = -1
) -> bytes:
    size = len(content) if length < 0 else length
    head = bytes((content_type,)) + version.to_bytes(2, "big") + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return head + size.to_bytes(2, "big") + content


def fragment(
    kind: int, content: bytes, *, length: int = -1, offset: int = 0, sequence: int = 0, size: int = -1
) -> bytes:
    total = len(content) if length < 0 else length
    shown = len(content) if size < 0 else size
    numbers = ((total, 3), (sequence, 2), (offset, 3), (shown, 3))
    return bytes((kind,)) + b"".join(value.to_bytes(width, "big") for value, width in numbers) + content


HELLO: Final = record(22, fragment(HandshakeType.CLIENT_HELLO, bytes(50)))


def test_records_are_read_by_their_headers() -> None:
    data = record(22, b"abc", number=5) + record(23, b"", epoch=1, number=2**48 - 1) + record(21, b"xy", version=0xFEFF)
    first, second, third = parse_records(data)
    assert (first.content_type, first.epoch, first.sequence_number) == (22, 0, 5)
    assert data[first.body : first.end] == b"abc"
    assert (second.epoch, second.sequence_number, second.body) == (1, 2**48 - 1, second.end)
    assert (third.version, third.end) == (0xFEFF, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        record(22, b"abc")[:-1],
        record(22, b"abc") + b"\0",
        record(22, b"")[:12],
        record(22, b"abc", version=0x0303),
        record(22, b"abc", version=0xFEFC),
        record(22, b"abc", length=4),
        record(22, bytes(MAX_RECORD + 1)),
        record(23, b"", epoch=1) * (MAX_RECORDS + 1),
    ],
    ids=range(9),
)
def test_what_is_not_made_of_whole_records_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_records(data)
    filtering = RecordFilter(DtlsRole.SERVER)
    assert filtering.admit(data) == b""
    assert filtering.discarded == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        fragment(1, b"abc")[:-1],
        fragment(1, b"abc") + b"\1",
        fragment(1, b"abc", size=4),
        fragment(1, b"abc", length=2),
        fragment(1, b"abc", length=5, offset=3),
        fragment(1, b"abc", length=2**24 - 1),
        fragment(1, b"abc", length=2**16),
        fragment(1, b"", length=10),
        fragment(1, b"abc", length=2**24 - 1, offset=2**24 - 4),
    ],
    ids=range(10),
)
def test_a_fragment_that_does_not_fit_its_message_is_malformed(content: bytes) -> None:
    """DT-8: a claim of 16 MB among others; it does not reach OpenSSL, which would end the handshake over it."""
    with pytest.raises(MalformedError):
        parse_fragments(content, 0, len(content))
    filtering = RecordFilter(DtlsRole.SERVER)
    assert filtering.admit(record(22, content)) == b""
    assert filtering.discarded == 1


def test_the_filter_takes_out_single_records() -> None:
    filtering = RecordFilter(DtlsRole.SERVER)
    assert filtering.admit(record(23, b"abc") + HELLO + record(24, b"abc")) == HELLO
    assert filtering.discarded == 2


@pytest.mark.parametrize("role", DtlsRole)
@pytest.mark.parametrize("kind", HandshakeType)
def test_only_what_the_other_role_says_passes_in_plaintext(role: DtlsRole, kind: HandshakeType) -> None:
    """DT-9: the table of who says what."""
    of_client = {1, 11, 15, 16}
    of_server = {2, 3, 11, 12, 13, 14}
    passed = RecordFilter(role).admit(record(22, fragment(kind, b"abc"))) != b""
    assert passed == (kind in (of_client if role is DtlsRole.SERVER else of_server))


@pytest.mark.parametrize(
    ("datagram", "passes"),
    [
        (record(20, b"\1"), True),
        (record(20, b"\2"), False),
        (record(20, b"\1\1"), False),
        (record(21, b"\2\x28"), True),
        (record(21, b"\1\x00"), False),
        (record(21, b"\2"), False),
        (record(21, b"\2\x28\0"), False),
        (record(23, b"abc"), False),
        (record(23, bytes(40), epoch=1), True),
        (record(22, bytes(40), epoch=1), True),
        (record(21, bytes(40), epoch=1), True),
        (record(20, bytes(40), epoch=1), False),
        (record(22, bytes(40), epoch=1, version=0xFEFF), False),
        (record(22, b"", epoch=1), False),
        (record(22, bytes(40), epoch=2), False),
        (record(22, bytes(40), epoch=0xFFFF), False),
        (HELLO, True),
        (HELLO[:1] + b"\xfe\xff" + HELLO[3:], True),
    ],
)
def test_what_passes_before_and_after_the_handshake(datagram: bytes, passes: bool) -> None:
    """DT-6: afterwards nothing in plaintext does."""
    filtering = RecordFilter(DtlsRole.SERVER)
    assert (filtering.admit(datagram) == datagram) == passes
    filtering.connected = True
    assert (filtering.admit(datagram) == datagram) == (passes and datagram[4] == 1)


def test_early_protected_records_are_limited() -> None:
    """DT-8: OpenSSL would keep each of them."""
    filtering = RecordFilter(DtlsRole.CLIENT)
    early = record(23, bytes(40), epoch=1)
    assert [filtering.admit(early) for _ in range(MAX_EARLY_RECORDS + 5)].count(early) == MAX_EARLY_RECORDS
    assert filtering.admit(record(20, b"\1") + early) == record(20, b"\1") + early
    filtering.connected = True
    assert filtering.admit(early) == early


def test_incomplete_fragments_are_limited_and_whole_messages_are_not() -> None:
    """DT-8: ten thousand pieces of nothing."""
    filtering = RecordFilter(DtlsRole.SERVER)
    piece = record(22, fragment(HandshakeType.CLIENT_HELLO, b"a", length=500))
    passed = sum(filtering.admit(piece) == piece for _ in range(10_000))
    assert passed == MAX_FRAGMENTS
    assert filtering.discarded == 10_000 - MAX_FRAGMENTS
    assert filtering.admit(HELLO) == HELLO


@given(st.lists(st.integers(0, 600), max_size=20), st.integers(50, 1500))
def test_records_are_packed_into_datagrams_without_being_touched(sizes: list[int], mtu: int) -> None:
    records = [record(22, bytes(size), number=number) for number, size in enumerate(sizes)]
    datagrams = pack_records(b"".join(records), mtu)
    assert b"".join(datagrams) == b"".join(records)
    for datagram in datagrams:
        assert len(datagram) <= mtu or len(parse_records(datagram)) == 1
    for one, other in itertools.pairwise(datagrams):
        assert len(one) + parse_records(other)[0].end > mtu


@given(st.binary(max_size=60))
def test_the_short_way_recognises_the_same_records(data: bytes) -> None:
    for datagram in (data, record(23, data, epoch=1), record(23, data, epoch=1) + data, record(23, data)):
        if is_application_record(datagram):
            [found] = parse_records(datagram)
            assert (found.content_type, found.epoch) == (23, 1)


@given(st.binary(max_size=300))
def test_any_bytes_are_filtered_without_an_exception(data: bytes) -> None:
    for role in DtlsRole:
        filtering = RecordFilter(role)
        left = filtering.admit(data)
        assert not left or filtering.admit(left) == left


# DT-6: a live connection


ATTACKS: Final[dict[str, Callable[[Endpoint], list[bytes]]]] = {
    "data in plaintext": lambda _: [record(23, b"forged", number=99)],
    "fatal alert in plaintext": lambda _: [record(21, b"\2\x28", number=99)],
    "close_notify in plaintext": lambda _: [record(21, b"\1\0", number=99), record(21, b"\2\0", number=98)],
    "handshake in plaintext": lambda _: [
        record(22, fragment(kind, bytes(40), sequence=sequence), number=99)
        for kind in HandshakeType
        for sequence in (0, 1, 9)
    ],
    "ChangeCipherSpec": lambda _: [record(20, b"\1", number=99), record(20, b"\1", epoch=1, number=99)],
    "a replay of all that was sent": lambda peer: list(peer.sent),
    "a replay of the old epoch": lambda peer: [datagram for datagram in peer.sent if datagram[4] == 0],
    "alerts that nobody protected": lambda _: [record(21, b"\2\x28", epoch=1, number=number) for number in range(50)],
    "a flipped bit in every byte": lambda peer: flipped(peer.sent[-1]),
    "the next epoch": lambda peer: [record(23, bytes(40), epoch=2), peer.sent[-1][:4] + b"\2" + peer.sent[-1][5:]],
    "another version": lambda peer: [peer.sent[-1][:1] + b"\xfe\xff" + peer.sent[-1][3:]],
    "cut off": lambda peer: [peer.sent[-1][:size] for size in range(len(peer.sent[-1]))],
    "too much": lambda peer: [peer.sent[-1] + b"\0"],
    "the other end's own": lambda _: [],
}


def flipped(datagram: bytes) -> list[bytes]:
    """The datagram with one bit wrong, in each of its bytes. The length is left alone: that would be another check."""
    return [
        datagram[:at] + bytes((datagram[at] ^ 1 << at % 8,)) + datagram[at + 1 :]
        for at in range(len(datagram))
        if at not in (11, 12)
    ]


@pytest.mark.parametrize("victim", ["client", "server"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_nobody_but_the_peer_can_touch_a_live_connection(backend: Backend, attack: str, victim: str) -> None:
    """DT-6: all of it is dropped and counted, nothing is delivered, and the session lives."""
    pair = Pair(backend)
    pair.connect()
    pair.exchange()
    end, peer = (pair.client, pair.server) if victim == "client" else (pair.server, pair.client)
    received, events, before = len(end.received), len(end.events), end.connection.discarded
    forged = ATTACKS[attack](peer) or list(end.sent)
    for datagram in forged:
        end.receive(datagram)
    assert len(end.received) == received
    assert len(end.events) == events
    assert end.state() is DtlsState.CONNECTED
    assert end.connection.discarded >= before + len(forged) - 2  # a repeated Finished is answered, not dropped
    pair.exchange()


def test_a_record_that_the_network_doubles_is_delivered_once(backend: Backend) -> None:
    """DT-6: the replay window of RFC 6347 section 4.1.2.6."""
    pair = Pair(backend)
    pair.connect()
    pair.client.hold = True
    sent = len(pair.client.sent)
    for number in range(100):
        pair.client.send(b"%d" % number)
    records = pair.client.sent[sent:]
    for datagram in records[::-1][:50]:
        pair.server.receive(datagram)
        pair.server.receive(datagram)
    assert sorted(pair.server.received) == sorted(b"%d" % number for number in range(50, 100))
    assert pair.server.connection.discarded == 50


def test_garbage_during_the_handshake_does_not_end_it(backend: Backend) -> None:
    """DT-6: what is fatal to OpenSSL in this state, but could come from anybody."""
    pair = Pair(backend)
    noise = [
        record(23, b"data"),
        record(21, b"\1\0"),
        *[record(21, b"\1\x5a", number=number) for number in range(20)],
        record(22, fragment(HandshakeType.FINISHED, bytes(12))),
        record(22, fragment(HandshakeType.HELLO_REQUEST, b"")),
        record(22, fragment(HandshakeType.CERTIFICATE, b"a", length=2**24 - 1, sequence=1)),
        record(22, bytes(40), epoch=1, number=7),
        record(24, b"\1\0\x10"),
        record(23, bytes(40), epoch=1, number=8),
    ]
    pair.client.hold = pair.server.hold = True
    pair.start()
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)) * 4:
        for datagram in noise[: MAX_EARLY_RECORDS // 8]:
            other.receive(datagram)
        for datagram in noise:
            other.receive(datagram)
        flight, one.sent = one.sent, []
        for datagram in flight:
            other.receive(datagram)
    assert pair.both(DtlsState.CONNECTED)
    pair.client.hold = pair.server.hold = False
    pair.exchange()


def test_a_flood_of_early_records_does_not_keep_the_peer_out(backend: Backend) -> None:
    """DT-8: its own Finished comes behind a ChangeCipherSpec, and is read."""
    pair = Pair(backend)
    pair.client.hold = True
    pair.start()
    for number in range(1000):
        pair.server.receive(record(22, bytes(40), epoch=1, number=number + 1000))
    pair.client.hold = False
    for datagram in pair.client.sent:
        pair.server.receive(datagram)
    pair.network.run_until(lambda: pair.both(DtlsState.CONNECTED), timeout=1)


def test_a_fatal_alert_ends_the_handshake_at_once(backend: Backend) -> None:
    """A peer that refuses us says so in plaintext; there is no other way."""
    pair = Pair(backend)
    pair.client.hold = True
    pair.client.start()
    pair.client.receive(record(21, b"\2\x28"))
    assert [type(event) for event in pair.client.events] == [HandshakeFailed]


def test_a_last_flight_that_was_lost_is_asked_for_again(native: Backend) -> None:
    """DT-8: a connected server repeats its Finished for a client that repeats its own."""
    pair = Pair(native)
    pair.client.hold = pair.server.hold = True
    pair.start()
    for one, other in ((pair.client, pair.server), (pair.server, pair.client), (pair.client, pair.server)):
        flight, one.sent = one.sent, []
        for datagram in flight:
            other.receive(datagram)
    assert pair.server.state() is DtlsState.CONNECTED
    assert pair.client.state() is DtlsState.CONNECTING
    pair.client.hold = pair.server.hold = False
    pair.network.run_until(lambda: pair.both(DtlsState.CONNECTED), timeout=0.3)
    pair.exchange()


def test_nonces_are_never_used_twice(backend: Backend) -> None:
    """DT-7: the explicit nonces of AES-GCM (RFC 5288 section 3), in both directions, handshake included."""
    pair = Pair(backend)
    pair.connect()
    pair.client.hold = pair.server.hold = True
    count = 100_000 if backend.told_time else 10_000
    for end in (pair.client, pair.server):
        for _ in range(count // 2):
            end.send(b"x")
        nonces = [
            datagram[found.body : found.body + 8]
            for datagram in end.sent
            for found in parse_records(datagram)
            if found.epoch == 1
        ]
        assert len(nonces) > count // 2
        assert len(set(nonces)) == len(nonces)
    assert Closed(by_peer=True) not in pair.client.events


def test_content_types_and_messages_have_the_numbers_of_the_rfcs() -> None:
    assert [kind.value for kind in ContentType] == [20, 21, 22, 23]
    assert {kind.value for kind in HandshakeType} == {0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20}
