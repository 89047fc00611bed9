"""STUN that believes too much."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.core import demux
from icelane.core.clock import UnixSeconds
from icelane.core.demux import PacketKind
from icelane.core.net import SocketAddress
from icelane.crypto.provider import md5, sha256
from icelane.errors import IcelaneError
from icelane.stun import attributes, framing, integrity, message
from icelane.stun.authentication import RequestKey
from icelane.stun.message import HEADER_SIZE, Message
from icelane.stun.nonce import NonceFactory, NonceVerdict
from icelane.stun.transaction import ClientTransactions
from tests.broken.registry import breaks, swap

INTEGRITY = "tests/stun/test_integrity.py"
MESSAGE = "tests/stun/test_message.py"
NONCE = "tests/stun/test_nonce.py"


@breaks("ST-1", test=(f"{INTEGRITY}::test_no_bit_under_message_integrity_can_be_flipped",
                      f"{INTEGRITY}::test_no_bit_under_message_integrity_sha256_can_be_flipped"))  # fmt: skip
def macs_are_compared_in_part() -> None:
    swap(integrity, "equal", lambda a, b: a[:4] == b[:4])


@breaks("ST-1", test=f"{INTEGRITY}::test_no_bit_under_message_integrity_can_be_flipped")
def the_header_is_not_covered() -> None:
    covered = integrity._covered

    def without_type(found: Message, offset: int, value_size: int) -> bytes:
        return b"\x00\x01" + covered(found, offset, value_size)[2:]

    swap(integrity, "_covered", without_type)


@breaks("ST-2", test=f"{INTEGRITY}::test_the_request_of_rfc_8489_appendix_b_is_built_with_the_erratum_s_mac")
def a_userhash_has_no_colon() -> None:
    swap(integrity, "userhash", lambda username, realm: sha256(f"{username}{realm}".encode()))


@breaks("ST-3", test=f"{INTEGRITY}::test_the_long_term_key_is_that_of_rfc_8489")
def a_key_has_its_fields_in_another_order() -> None:
    swap(integrity, "long_term_key_md5", lambda user, realm, word: md5(f"{realm}:{user}:{word}".encode()))


@breaks("ST-4", test=(f"{MESSAGE}::test_attributes_after_message_integrity_are_as_if_absent",
                      f"{MESSAGE}::test_only_fingerprint_is_honoured_after_sha256"))  # fmt: skip
def attributes_after_integrity_are_believed() -> None:
    offsets = {0x0008: "integrity_offset", 0x001C: "integrity_sha256_offset", 0x8028: "fingerprint_offset"}

    def parse_all(found: Message, data: bytes, size: int) -> None:
        position = HEADER_SIZE
        while position < size:
            kind, length = data[position] << 8 | data[position + 1], data[position + 2] << 8 | data[position + 3]
            if kind in offsets:
                setattr(found, offsets[kind], position)
            found.attributes.append((kind, data[position + 4 : position + 4 + length]))
            position += 4 + length + (-length & 3)

    swap(message, "_parse_attributes", parse_all)


@breaks("ST-5", test=(f"{INTEGRITY}::test_a_message_without_integrity_is_rejected_by_every_check",))
def integrity_is_checked_where_it_is_present() -> None:
    verify = integrity.verify_integrity

    def verify_present(found: Message, key: bytes) -> None:
        if found.integrity_offset is not None:
            verify(found, key)

    swap(integrity, "verify_integrity", verify_present)


@breaks("ST-5", test=(f"{INTEGRITY}::test_message_integrity_sha256_of_an_illegal_size_is_rejected",))
def integrity_may_be_as_short_as_one_likes() -> None:
    swap(integrity, "SHA256_SIZES", range(33))


@breaks("ST-6", test=(f"{MESSAGE}::test_a_length_that_is_not_that_of_the_datagram_is_malformed",
                      f"{MESSAGE}::test_trailing_bytes_after_a_message_are_malformed"))  # fmt: skip
def the_length_field_is_not_looked_at() -> None:
    parse = message.parse_message

    def parse_whatever_length(data: bytes) -> Message:
        length = max(0, len(data) - HEADER_SIZE) & ~3
        return parse(data[:2] + length.to_bytes(2, "big") + data[4 : HEADER_SIZE + length])

    swap(message, "parse_message", parse_whatever_length)


@breaks("ST-6", test="tests/stun/test_framing.py::test_the_longest_messages_are_waited_for_and_the_next_one_is_found")
def frame_lengths_wrap_at_sixteen_bits() -> None:
    measure = framing.measure_stun

    def wrapped(buffer: bytes | bytearray, start: int, available: int) -> int | None:
        size = measure(buffer, start, available)
        return None if size is None else size & 0xFFFF

    swap(framing, "measure_stun", wrapped)


@breaks("ST-7", "FZ-1", test=("tests/stun/test_attributes.py::test_text_that_is_not_utf_8_is_malformed",))
def text_that_is_not_text_raises_what_python_raises() -> None:
    swap(attributes, "parse_text", lambda value, limit=763: value.decode("utf-8"))


@breaks("ST-7", test="tests/stun/test_attributes.py::test_text_is_accepted_up_to_its_limit_and_refused_beyond")
def text_has_no_limit() -> None:
    swap(attributes, "parse_text", lambda value, limit=763: value.decode("utf-8", "replace"))


@breaks("ST-8", test=f"{MESSAGE}::test_a_message_with_any_bit_of_the_cookie_wrong_is_malformed")
def the_cookie_is_not_looked_at() -> None:
    parse = message.parse_message
    swap(message, "parse_message", lambda data: parse(data[:4] + b"\x21\x12\xa4\x42" + data[8:]))


@breaks("ST-8", test=f"{MESSAGE}::test_unknown_required_attributes_are_listed_once_each_in_order")
def what_must_be_understood_need_not_be() -> None:
    swap(Message, "unknown_required", lambda self, known: [])


@breaks("ST-11", test="tests/core/test_demux.py::test_every_first_byte_has_the_kind_of_rfc_7983")
def channel_data_reaches_to_the_end_of_its_old_range() -> None:
    kinds = list(demux._KINDS)
    kinds[80:128] = [PacketKind.CHANNEL_DATA] * 48
    swap(demux, "_KINDS", tuple(kinds))


@breaks("TA-2", "TA-3", test=(f"{NONCE}::test_no_nonce_repeats_across_ports_and_addresses_of_one_millisecond",
                              f"{NONCE}::test_a_nonce_of_one_source_is_foreign_from_another"))  # fmt: skip
def nonces_are_not_bound_to_their_source() -> None:
    nonce = NonceFactory._nonce

    def unbound(self: NonceFactory, issued: bytes, client: SocketAddress) -> bytes:
        return nonce(self, issued, SocketAddress("0.0.0.0", 0))

    swap(NonceFactory, "_nonce", unbound)


@breaks("TA-2", "TA-3", test=f"{NONCE}::test_a_nonce_of_one_source_is_foreign_from_another")
def nonces_are_bound_to_the_address_without_the_port() -> None:
    nonce = NonceFactory._nonce

    def without_port(self: NonceFactory, issued: bytes, client: SocketAddress) -> bytes:
        return nonce(self, issued, client._replace(port=0))

    swap(NonceFactory, "_nonce", without_port)


@breaks("TA-4", test=(f"{NONCE}::test_no_character_of_a_nonce_can_be_changed",
                      f"{NONCE}::test_a_nonce_of_another_key_is_foreign"))  # fmt: skip
def nonces_are_not_authenticated() -> None:
    def verify(self: NonceFactory, nonce: str, client: SocketAddress, unix_time: UnixSeconds) -> NonceVerdict:
        return NonceVerdict.VALID

    swap(NonceFactory, "verify", verify)


@breaks("TA-4", test=f"{NONCE}::test_a_nonce_lives_ten_minutes_and_may_come_five_seconds_from_the_future")
def nonces_live_for_ever() -> None:
    verify = NonceFactory.verify

    def ageless(self: NonceFactory, nonce: str, client: SocketAddress, unix_time: UnixSeconds) -> NonceVerdict:
        verdict = verify(self, nonce, client, unix_time)
        return NonceVerdict.VALID if verdict is NonceVerdict.STALE else verdict

    swap(NonceFactory, "verify", ageless)


@breaks("TA-14", "ST-5", test="tests/stun/test_authentication.py::"
        "test_a_response_without_integrity_or_with_a_wrong_one_is_not_believed")  # fmt: skip
def responses_are_believed_as_they_come() -> None:
    swap(RequestKey, "verify", lambda self, response: None)


@breaks("TA-14", test="tests/stun/test_transaction.py::"
        "test_over_udp_a_rejected_response_changes_nothing_but_the_final_error")  # fmt: skip
def one_forged_response_ends_a_transaction_over_udp() -> None:
    def reject(self: ClientTransactions, transaction_id: bytes, error: IcelaneError) -> None:
        self._fail(self._pending_by_id[transaction_id], error)

    swap(ClientTransactions, "reject", reject)


@breaks("TA-14", test="tests/stun/test_transaction.py::"
        "test_over_a_stream_a_rejected_response_ends_the_transaction_at_once")  # fmt: skip
def a_forged_response_over_a_stream_is_waited_out() -> None:
    swap(ClientTransactions, "reject", lambda self, transaction_id, error: None)
