from __future__ import annotations

import hashlib
import hmac
import struct

import pytest

from benches import turn_client
from benches.turn_client import Credentials


def test_an_address_survives_the_xor_and_back() -> None:
    address = ("192.0.2.1", 32853)
    value = turn_client.xor_address(address)
    assert value == bytes.fromhex("0001a147e112a643")  # the IPv4 response of RFC 5769 section 2.2
    assert turn_client.parse_xor_address(value) == address


def test_the_long_term_key_is_that_of_the_specification() -> None:
    key = Credentials(username="user", password="pass").key(b"realm")
    assert key == bytes.fromhex("8493fbc53ba582fb4c044c456bdc40eb")  # RFC 8489 section 9.2.2


def test_the_signature_covers_the_message_with_its_own_length_in_the_header() -> None:
    message = turn_client.encode(turn_client.ALLOCATE_REQUEST, [(turn_client.USERNAME, b"abc")], b"key")
    assert struct.unpack_from("!HH", message) == (turn_client.ALLOCATE_REQUEST, len(message) - 20)
    assert message[-20:] == hmac.new(b"key", message[:-24], hashlib.sha1).digest()
    assert turn_client.decode(message).attributes[turn_client.USERNAME] == b"abc"


def test_an_error_code_is_read_as_its_number() -> None:
    refusal = turn_client.encode(0x0113, [(turn_client.ERROR_CODE, bytes((0, 0, 4, 37)) + b"Allocation Mismatch")])
    assert turn_client.decode(refusal).error_code == 437


@pytest.mark.parametrize("payload_length", [172, 1200])
def test_a_send_indication_ends_with_the_value_of_its_data(payload_length: int) -> None:
    peer = ("127.0.0.1", 4000)
    payload = bytes(range(4)) * (payload_length // 4)
    message = turn_client.decode(turn_client.send_indication_prefix(peer, payload_length) + payload)
    assert message.message_type == turn_client.SEND_INDICATION
    assert message.attributes[turn_client.DATA] == payload
    assert turn_client.parse_xor_address(message.attributes[turn_client.XOR_PEER_ADDRESS]) == peer
