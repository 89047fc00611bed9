"""How two ends agree (RFC 9260 section 5.1), as data channels do: both may begin at once.

    us                                  peer
    INIT                 ------------->              COOKIE-WAIT
                         <-------------  INIT ACK    with a cookie: the peer keeps nothing
    COOKIE ECHO          ------------->              COOKIE-ECHOED
                         <-------------  COOKIE ACK  established, the peer a moment earlier

Whoever is asked keeps nothing until the cookie comes back: it holds all that was agreed, under a MAC. When both INITs
cross, both go through this with the tags of their own INIT (section 5.2.1), and the first cookie that arrives decides.
A peer that begins anew on a living association is not answered: its DTLS connection ends first.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack, unpack
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal, hmac_sha256
from icelane.errors import AssociationError, MalformedError
from icelane.sctp.chunks import ChunkType, encode_chunk
from icelane.sctp.control_chunks import (
    IGNORED_PARAMETERS,
    ZERO_CHECKSUM_BY_DTLS,
    CauseCode,
    InitChunk,
    ParameterType,
    encode_parameter,
)
from icelane.sctp.options import SctpOptions

# Half of what RFC 9260 section 16 has, and then once a second: the link is busy with nothing else.
FIRST_TIMEOUT: Final = 0.5
LATER_TIMEOUT: Final = 1.0
# About half a minute, as long as ICE itself keeps up hope.
MAX_ATTEMPTS: Final = 32
COOKIE_LIFETIME: Final = 60.0  # RFC 9260 section 16
# Unknown parameters that are reported; the rest is passed over.
MAX_REPORTED: Final = 8
# A cookie of ours has 57 bytes; others are kept for one packet, and have to fit in one.
MAX_COOKIE: Final = 1024

_COOKIE_FORMAT: Final = ">IIIHHBQ"
_MAC_SIZE: Final = 32
_PARTIAL_RELIABILITY: Final = 1
_RECONFIGURATION: Final = 2
_ZERO_CHECKSUM: Final = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both ends agreed on: the peer's tag, first TSN and window, and what it can do."""

    peer_tag: int
    peer_tsn: int
    peer_window: int
    outbound_streams: int
    inbound_streams: int
    partial_reliability: bool
    reconfiguration: bool
    zero_checksum: bool


class StaleCookieError(MalformedError):
    """A cookie of ours that is too old; `microseconds` is by how much, `peer_tag` who it was made for."""

    def __init__(self, microseconds: int, peer_tag: int) -> None:
        self.microseconds = microseconds
        self.peer_tag = peer_tag
        super().__init__("the cookie is stale")


class Handshake:
    """Our side: our tag and first TSN, the key for cookies, and the retransmission of what is unanswered (T1)."""

    def __init__(self, entropy: Entropy, options: SctpOptions) -> None:
        self.local_tag = 1 + entropy.below(0xFFFFFFFF)
        self.packed_tag = self.local_tag.to_bytes(4, "big")
        self.initial_tsn = entropy.below(1 << 32)
        self.deadline = NEVER
        self.sent_at = Instant(0.0)
        self.attempts = 0
        self.chunk = b""  # what is unanswered
        self._key = entropy.token(32)
        self._options = options

    def init(self) -> bytes:
        """Our INIT."""
        return encode_chunk(ChunkType.INIT, 0, self._describe_us().encode())

    def start(self, chunk: bytes, now: Instant) -> None:
        """`chunk` leaves now, and again until `stop`."""
        self.chunk = chunk
        self.attempts = 1
        self.sent_at = now
        self.deadline = later(now, FIRST_TIMEOUT)

    def retry(self, now: Instant) -> None:
        """The chunk leaves again. Raises AssociationError after the last attempt."""
        if self.attempts == MAX_ATTEMPTS:
            raise AssociationError("the peer does not answer the handshake")
        self.attempts += 1
        self.deadline = later(now, LATER_TIMEOUT)

    def stop(self, now: Instant) -> Duration:
        """It was answered. Returns the round trip, 0 where it was sent more than once."""
        round_trip = now - self.sent_at if self.attempts == 1 else 0.0
        self.deadline = NEVER
        self.attempts = 0
        self.chunk = b""
        return round_trip

    def answer_init(self, init: InitChunk, now: Instant) -> bytes:
        """The INIT ACK for a peer's INIT. Nothing is kept. Raises AssociationError for an INIT that makes no sense."""
        cookie = self._seal(self.agree(init), now)
        answer = self._describe_us(((int(ParameterType.STATE_COOKIE), cookie), *_reports(init)))
        return encode_chunk(ChunkType.INIT_ACK, 0, answer.encode())

    def agree(self, init: InitChunk) -> Agreement:
        """What follows from the peer's INIT or INIT ACK and our own. Raises AssociationError."""
        if not init.initiate_tag or not init.outbound_streams or not init.inbound_streams:
            raise AssociationError("an INIT with a tag of zero or without streams")
        extensions = init.get(ParameterType.SUPPORTED_EXTENSIONS) or b""
        zero_checksum = init.get(ParameterType.ZERO_CHECKSUM)
        return Agreement(
            init.initiate_tag,
            init.initial_tsn,
            init.receive_window,
            min(self._options.streams, init.inbound_streams),
            min(self._options.streams, init.outbound_streams),
            init.get(ParameterType.FORWARD_TSN_SUPPORTED) is not None or ChunkType.FORWARD_TSN in extensions,
            ChunkType.RE_CONFIG in extensions,
            self._options.zero_checksum and zero_checksum == pack(">I", ZERO_CHECKSUM_BY_DTLS),
        )

    def open_cookie(self, cookie: bytes, now: Instant, peer_tag: int = 0) -> Agreement:
        """What a cookie of ours says. Raises MalformedError when it is not ours, StaleCookieError when it is old.

        That of the association with `peer_tag` never grows old (RFC 9260 section 5.2.4 step 3): who repeats it has not
        got our COOKIE ACK, and others let minutes pass from one time to the next.
        """
        body, mac = cookie[:-_MAC_SIZE], cookie[-_MAC_SIZE:]
        if not equal(mac, hmac_sha256(self._key, body)):
            raise MalformedError("not a cookie of ours")
        tag, tsn, window, out, into, flags, made = unpack(_COOKIE_FORMAT, body)
        age = round(now * 1e6) - made
        if age > COOKIE_LIFETIME * 1e6 and tag != peer_tag:
            raise StaleCookieError(age - round(COOKIE_LIFETIME * 1e6), tag)
        features = (bool(flags & bit) for bit in (_PARTIAL_RELIABILITY, _RECONFIGURATION, _ZERO_CHECKSUM))
        return Agreement(tag, tsn, window, out, into, *features)

    def _seal(self, agreed: Agreement, now: Instant) -> bytes:
        flags = (
            _PARTIAL_RELIABILITY * agreed.partial_reliability
            | _RECONFIGURATION * agreed.reconfiguration
            | _ZERO_CHECKSUM * agreed.zero_checksum
        )
        body = pack(
            _COOKIE_FORMAT,
            agreed.peer_tag,
            agreed.peer_tsn,
            agreed.peer_window,
            agreed.outbound_streams,
            agreed.inbound_streams,
            flags,
            round(now * 1e6),
        )
        return body + hmac_sha256(self._key, body)

    def _describe_us(self, more: tuple[tuple[int, bytes], ...] = ()) -> InitChunk:
        parameters: list[tuple[int, bytes]] = [
            (ParameterType.FORWARD_TSN_SUPPORTED, b""),
            (ParameterType.SUPPORTED_EXTENSIONS, bytes((ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN))),
        ]
        if self._options.zero_checksum:
            parameters.append((ParameterType.ZERO_CHECKSUM, pack(">I", ZERO_CHECKSUM_BY_DTLS)))
        streams = self._options.streams
        window = self._options.receive_window
        return InitChunk(self.local_tag, window, streams, streams, self.initial_tsn, (*more, *parameters))


def cookie_of(init_ack: InitChunk) -> bytes:
    """The cookie that an INIT ACK carries. Raises AssociationError when there is none that can be sent back."""
    cookie = init_ack.get(ParameterType.STATE_COOKIE)
    if not cookie or len(cookie) > MAX_COOKIE:
        raise AssociationError("an INIT ACK without a cookie that fits in a packet")
    return cookie


def report_unknown(init_ack: InitChunk) -> bytes:
    """The ERROR chunk that goes with our COOKIE ECHO, empty where there is nothing to report."""
    unknown = b"".join(value for _, value in _reports(init_ack))
    if not unknown:
        return b""
    return encode_chunk(ChunkType.ERROR, 0, encode_parameter(CauseCode.UNRECOGNIZED_PARAMETERS, unknown))


def _reports(init: InitChunk) -> list[tuple[int, bytes]]:
    """Unknown parameters that ask to be reported, up to one that says stop (RFC 9260 section 3.2.1)."""
    reports: list[tuple[int, bytes]] = []
    known = {*ParameterType, *IGNORED_PARAMETERS}
    for kind, value in init.parameters:
        if kind in known:
            continue
        if kind & 0x4000 and len(reports) < MAX_REPORTED and len(value) <= 64:
            reports.append((ParameterType.UNRECOGNIZED, encode_parameter(kind, value)))
        if not kind & 0x8000:
            break
    return reports
