"""INIT, FORWARD-TSN, RE-CONFIG, causes."""

from __future__ import annotations

import contextlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.sctp.control_chunks import (
    MAX_PARAMETERS,
    InitChunk,
    OtherRequest,
    OutgoingResetRequest,
    ResetResponse,
    describe_causes,
    encode_forward_tsn,
    encode_parameter,
    encode_reset_request,
    encode_reset_response,
    parse_forward_tsn,
    parse_init,
    parse_parameters,
    parse_reconfiguration,
)

PARSERS = [parse_init, parse_parameters, parse_forward_tsn, parse_reconfiguration]


def test_an_init_comes_back_as_it_was() -> None:
    init = InitChunk(1, 2, 3, 4, 5, ((7, b"cookie"), (0xC000, b"")))
    assert parse_init(init.encode()) == init
    assert init.get(7) == b"cookie"
    assert init.get(8) is None


@pytest.mark.parametrize("parse", PARSERS)
@given(data=st.binary(max_size=60))
def test_parsers_raise_malformed_error_and_nothing_else(parse: object, data: bytes) -> None:
    """SC-2, FZ-1."""
    assert callable(parse)
    with contextlib.suppress(MalformedError):
        parse(data)
    assert isinstance(describe_causes(data), str)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 9, 65_535])
def test_a_parameter_of_a_wrong_length_is_malformed(length: int) -> None:
    """SC-2."""
    with pytest.raises(MalformedError):
        parse_parameters(pack(">HH", 7, length) + bytes(4))


def test_too_many_parameters_are_malformed() -> None:
    """SC-2."""
    assert len(parse_parameters(encode_parameter(7, b"") * MAX_PARAMETERS)) == MAX_PARAMETERS
    with pytest.raises(MalformedError):
        parse_parameters(encode_parameter(7, b"") * (MAX_PARAMETERS + 1))


def test_a_forward_tsn_names_each_stream_once() -> None:
    """SC-7."""
    assert parse_forward_tsn(encode_forward_tsn(2**32 + 5, {1: 2, 3: 65_537})) == (5, {1: 2, 3: 1})
    assert parse_forward_tsn(pack(">IHHHH", 9, 1, 1, 1, 2)) == (9, {1: 2})


def test_requests_and_responses_come_back_as_they_were() -> None:
    request = OutgoingResetRequest(1, 2, 3, (4, 65_535))
    response = encode_reset_response(9, 6)
    assert parse_reconfiguration(encode_reset_request(request) + response) == [request, ResetResponse(9, 6)]
    assert parse_reconfiguration(encode_parameter(17, bytes(8))) == [OtherRequest(0)]


@pytest.mark.parametrize(
    "body", [b"", encode_parameter(13, bytes(11)), encode_parameter(13, bytes(13)), encode_parameter(16, bytes(4)),
             encode_reset_response(1, 1) * 3],
)  # fmt: skip
def test_a_reconfiguration_that_makes_no_sense_is_malformed(body: bytes) -> None:
    """SC-7."""
    with pytest.raises(MalformedError):
        parse_reconfiguration(body)


def test_causes_are_told_in_words() -> None:
    assert describe_causes(encode_parameter(12, b"bye\x1b")) == r"user initiated abort 'bye\x1b'"
    assert describe_causes(encode_parameter(99, b"") + encode_parameter(9, b"")) == "cause 99, no user data"
    assert describe_causes(b"") == "no cause"
    assert describe_causes(b"\1") == "causes that do not parse"
