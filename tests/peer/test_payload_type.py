"""Payload types and identifiers of header extensions: stable, unique, and the peer's where it was first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.errors import OperationError
from icelane.peer.payload_type import ExtensionIdentifiers, PayloadTypes
from tests.peer.media import G722, H264, OPUS, PCMA, PCMU, VP8


def test_codecs_of_before_negotiation_have_the_numbers_that_everybody_knows() -> None:
    types = PayloadTypes()
    assert [types.of(codec) for codec in (PCMU, PCMA, G722)] == [0, 8, 9]


def test_a_number_is_given_once_and_stays() -> None:
    types = PayloadTypes()
    first = [types.of(OPUS), types.of(VP8), types.of(VP8, is_rtx=True), types.of(H264)]
    assert first == [96, 97, 98, 99]
    assert [types.of(OPUS), types.of(VP8), types.of(VP8, is_rtx=True), types.of(H264)] == first


def test_what_an_exchange_agrees_on_holds_and_what_was_only_offered_gives_way() -> None:
    types = PayloadTypes()
    assert [types.of(OPUS), types.of(VP8)] == [96, 97]
    types.settle(H264, 96)
    types.settle(OPUS, 111)
    types.settle(OPUS, 112)
    types.settle(VP8, 111)
    assert [types.of(OPUS), types.of(VP8), types.of(H264)] == [111, 97, 96]


def test_a_number_that_the_section_uses_otherwise_is_not_given() -> None:
    types = PayloadTypes()
    types.settle(OPUS, 96)
    assert types.of(OPUS, taken={96, 97}) == 98
    assert types.of(OPUS) == 96


def test_numbers_that_rtcp_would_take_are_never_given_and_the_end_is_an_error() -> None:
    """RFC 5761 section 4."""
    types = PayloadTypes()
    numbers = [types.of(replace(OPUS, name=f"codec{number}")) for number in range(61)]
    assert len(set(numbers)) == 61
    assert not any(64 <= number <= 95 for number in numbers)
    with pytest.raises(OperationError):
        types.of(VP8)


def test_extensions_are_numbered_from_one_and_none_is_left_after_fourteen() -> None:
    identifiers = ExtensionIdentifiers()
    identifiers.settle("urn:b", 1)
    identifiers.settle("urn:c", 1)
    assert [identifiers.of("urn:a"), identifiers.of("urn:b"), identifiers.of("urn:a")] == [2, 1, 2]
    assert [identifiers.of(f"urn:{number}") for number in range(13)] == [*range(3, 15), None]


def test_what_a_peer_names_is_bounded_by_the_numbers_that_packets_have() -> None:
    identifiers = ExtensionIdentifiers()
    for number in range(70_000):
        identifiers.settle(f"urn:example:{number}", number)
    assert len(identifiers._numbers._settled) == 255
    assert identifiers.of("urn:example:0") is None
