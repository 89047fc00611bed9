"""The codec of the chunks that are rare: INIT, causes of errors, FORWARD-TSN and RE-CONFIG.

RFC 9260 section 3.3, RFC 3758 section 3.2, RFC 6525 section 4, RFC 9653 section 4. Every `parse_*` here is given the
value of a chunk, without its header.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import Final

from icelane.errors import MalformedError

# No peer sends more parameters or causes in a chunk; one with more is malformed.
MAX_PARAMETERS: Final = 64
# How many streams one FORWARD-TSN or RE-CONFIG may name; the longest DTLS record has room for about 8,000.
MAX_STREAMS_IN_CHUNK: Final = 8192

INIT_SIZE: Final = 16
# RFC 9653 section 5: the error detection method "DTLS".
ZERO_CHECKSUM_BY_DTLS: Final = 1


class ParameterType(enum.IntEnum):
    """Parameters of INIT, INIT ACK and RE-CONFIG."""

    STATE_COOKIE = 7
    UNRECOGNIZED = 8
    OUTGOING_RESET_REQUEST = 13
    INCOMING_RESET_REQUEST = 14
    TSN_RESET_REQUEST = 15
    RECONFIGURATION_RESPONSE = 16
    ADD_OUTGOING_STREAMS = 17
    ADD_INCOMING_STREAMS = 18
    ZERO_CHECKSUM = 0x8001
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000


# RFC 9260 section 3.3.2.1: addresses and hints of a network that is not under us. Known, and of no use here.
IGNORED_PARAMETERS: Final = frozenset((5, 6, 9, 11, 12, 0x8000, 0x8002, 0x8003, 0x8004, 0x8005))


class CauseCode(enum.IntEnum):
    """Causes in ERROR and ABORT (RFC 9260 section 3.3.10)."""

    INVALID_STREAM = 1
    MISSING_PARAMETER = 2
    STALE_COOKIE = 3
    OUT_OF_RESOURCE = 4
    UNRECOGNIZED_CHUNK = 6
    INVALID_PARAMETER = 7
    UNRECOGNIZED_PARAMETERS = 8
    NO_USER_DATA = 9
    COOKIE_WHILE_SHUTTING_DOWN = 10
    RESTART_WITH_NEW_ADDRESSES = 11
    USER_INITIATED_ABORT = 12
    PROTOCOL_VIOLATION = 13


class ResetResult(enum.IntEnum):
    """What became of a request (RFC 6525 section 4.4)."""

    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_SSN = 3
    REQUEST_IN_PROGRESS = 4
    BAD_SEQUENCE_NUMBER = 5
    IN_PROGRESS = 6


@dataclass(frozen=True, slots=True)
class InitChunk:
    """INIT or INIT ACK."""

    initiate_tag: int
    receive_window: int
    outbound_streams: int
    inbound_streams: int
    initial_tsn: int
    parameters: tuple[tuple[int, bytes], ...] = field(default=())

    def get(self, kind: int) -> bytes | None:
        """The value of the first parameter of that type."""
        return next((value for found, value in self.parameters if found == kind), None)

    def encode(self) -> bytes:
        """The value of the chunk."""
        head = pack(
            ">IIHHI",
            self.initiate_tag,
            self.receive_window,
            self.outbound_streams,
            self.inbound_streams,
            self.initial_tsn,
        )
        return head + b"".join(encode_parameter(kind, value) for kind, value in self.parameters)


@dataclass(frozen=True, slots=True)
class OutgoingResetRequest:
    """The sender resets its streams `stream_ids`, all when there are none, once `last_tsn` has arrived."""

    sequence_number: int
    response_sequence_number: int
    last_tsn: int
    stream_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """A request that is refused here: incoming reset, TSN reset, more streams."""

    sequence_number: int


@dataclass(frozen=True, slots=True)
class ResetResponse:
    """The answer to our request `sequence_number`; `result` may be a number that RFC 6525 does not know."""

    sequence_number: int
    result: int


Reconfiguration = OutgoingResetRequest | OtherRequest | ResetResponse


def encode_parameter(kind: int, value: bytes) -> bytes:
    """A parameter or a cause of an error, padded."""
    return pack(">HH", kind, 4 + len(value)) + value + bytes(-len(value) & 3)


def parse_parameters(body: bytes, start: int = 0) -> tuple[tuple[int, bytes], ...]:
    """Parameters or causes from `start` on. Raises MalformedError when one runs past the end or they are too many."""
    found: list[tuple[int, bytes]] = []
    position = start
    while position < len(body):
        if position + 4 > len(body):
            raise MalformedError("a parameter header runs past the end of its chunk")
        kind, length = unpack_from(">HH", body, position)
        if length < 4 or position + length > len(body):
            raise MalformedError(f"a parameter of length {length} at offset {position} of {len(body)}")
        if len(found) == MAX_PARAMETERS:
            raise MalformedError(f"more than {MAX_PARAMETERS} parameters")
        found.append((kind, body[position + 4 : position + length]))
        position += length + (-length & 3)
    return tuple(found)


def parse_init(body: bytes) -> InitChunk:
    """The value of an INIT or INIT ACK. Raises MalformedError; whether the values make sense is for the handshake."""
    if len(body) < INIT_SIZE:
        raise MalformedError(f"{len(body)} bytes are too short for an INIT")
    tag, window, outbound, inbound, tsn = unpack_from(">IIHHI", body)
    return InitChunk(tag, window, outbound, inbound, tsn, parse_parameters(body, INIT_SIZE))


def parse_forward_tsn(body: bytes) -> tuple[int, dict[int, int]]:
    """New cumulative TSN, and the last sequence number that is skipped of each stream. Raises MalformedError."""
    if len(body) < 4 or len(body) % 4:
        raise MalformedError(f"{len(body)} bytes are no FORWARD-TSN")
    if len(body) // 4 - 1 > MAX_STREAMS_IN_CHUNK:
        raise MalformedError(f"a FORWARD-TSN names more than {MAX_STREAMS_IN_CHUNK} streams")
    numbers = unpack_from(f">I{(len(body) - 4) // 2}H", body)
    return numbers[0], dict(zip(numbers[1::2], numbers[2::2], strict=True))


def encode_forward_tsn(tsn: int, ssns_by_stream: dict[int, int]) -> bytes:
    """The value of a FORWARD-TSN."""
    skipped = b"".join(pack(">HH", stream_id, ssn & 0xFFFF) for stream_id, ssn in ssns_by_stream.items())
    return pack(">I", tsn & 0xFFFFFFFF) + skipped


def parse_reconfiguration(body: bytes) -> list[Reconfiguration]:
    """The value of a RE-CONFIG: one or two parameters (RFC 6525 section 3.1). Raises MalformedError."""
    parameters = parse_parameters(body)
    if not 1 <= len(parameters) <= 2:
        raise MalformedError(f"{len(parameters)} parameters in a RE-CONFIG")
    return [_parse_reconfiguration_parameter(kind, value) for kind, value in parameters]


def _parse_reconfiguration_parameter(kind: int, value: bytes) -> Reconfiguration:
    if len(value) < 4:
        raise MalformedError(f"{len(value)} bytes are too short for parameter {kind} of RE-CONFIG")
    sequence_number = int.from_bytes(value[:4], "big")
    if kind == ParameterType.RECONFIGURATION_RESPONSE:
        if len(value) not in (8, 16):
            raise MalformedError(f"a RE-CONFIG response of {len(value)} bytes")
        return ResetResponse(sequence_number, int.from_bytes(value[4:8], "big"))
    if kind == ParameterType.OUTGOING_RESET_REQUEST:
        if len(value) < 12 or len(value) % 2 or len(value) > 12 + 2 * MAX_STREAMS_IN_CHUNK:
            raise MalformedError(f"a reset request of {len(value)} bytes")
        _, response, last_tsn, *stream_ids = unpack_from(f">III{(len(value) - 12) // 2}H", value)
        return OutgoingResetRequest(sequence_number, response, last_tsn, tuple(stream_ids))
    return OtherRequest(sequence_number)


def encode_reset_request(request: OutgoingResetRequest) -> bytes:
    """The parameter for our request."""
    fields = (request.sequence_number, request.response_sequence_number, request.last_tsn & 0xFFFFFFFF)
    return encode_parameter(
        ParameterType.OUTGOING_RESET_REQUEST, pack(f">III{len(request.stream_ids)}H", *fields, *request.stream_ids)
    )


def encode_reset_response(sequence_number: int, result: int) -> bytes:
    """The parameter that answers a request."""
    return encode_parameter(ParameterType.RECONFIGURATION_RESPONSE, pack(">II", sequence_number, result))


def describe_causes(body: bytes) -> str:
    """The causes of an ABORT or ERROR in words, for people; what the peer wrote is shown as `repr` does."""
    try:
        causes = parse_parameters(body)
    except MalformedError:
        return "causes that do not parse"
    return ", ".join(_describe(kind, value) for kind, value in causes) or "no cause"


def _describe(kind: int, value: bytes) -> str:
    try:
        name = CauseCode(kind).name.lower().replace("_", " ")
    except ValueError:
        return f"cause {kind}"
    if value and kind in (CauseCode.USER_INITIATED_ABORT, CauseCode.PROTOCOL_VIOLATION):
        return f"{name} {value[:128].decode('utf-8', 'replace')!r}"
    return name
