"""How an association begins and ends: the chunks and timers of RFC 9260 sections 5, 8 and 9.

CLOSED -> COOKIE-WAIT -> COOKIE-ECHOED -> ESTABLISHED        whoever asks
CLOSED or any of these -> ESTABLISHED                         whoever gets its own cookie back

ESTABLISHED -> SHUTDOWN-PENDING -> SHUTDOWN-SENT -> ENDED      whoever closes
ESTABLISHED -> SHUTDOWN-RECEIVED -> SHUTDOWN-ACK-SENT -> ENDED whoever is asked to
"""

from __future__ import annotations

from collections import deque
from struct import pack
from typing import Final

from icelane.core.clock import NEVER, Instant, later
from icelane.core.entropy import Entropy
from icelane.crypto.provider import equal
from icelane.errors import AssociationError, MalformedError
from icelane.sctp.checksum import seal
from icelane.sctp.chunks import HEADER_SIZE, ChunkType, encode_chunk, encode_header
from icelane.sctp.control_chunks import (
    CauseCode,
    InitChunk,
    describe_causes,
    encode_parameter,
    parse_init,
    parse_parameters,
)
from icelane.sctp.event import AssociationState, Established, SctpEvent, Terminated
from icelane.sctp.handshake import Agreement, Handshake, StaleCookieError, cookie_of, report_unknown
from icelane.sctp.heartbeat import Heartbeat
from icelane.sctp.options import SctpOptions
from icelane.sctp.outbound import Outbound
from icelane.sctp.transfer import Transfer

# Answers of ours that wait for a packet: echoes, reports. One more is not given.
MAX_CONTROL: Final = 16
# Whole packets that wait to be polled: answers to INITs above all. One more is not given.
MAX_PACKETS: Final = 16
# RFC 9260 section 16: how often SHUTDOWN and SHUTDOWN ACK are repeated before the peer counts as gone.
MAX_SHUTDOWNS: Final = 10
# How much of an unknown chunk is reported back.
MAX_REPORTED_CHUNK: Final = 256

_State = AssociationState
OPENING: Final = frozenset((_State.CLOSED, _State.COOKIE_WAIT, _State.COOKIE_ECHOED))


class Lifecycle:
    """State, handshake, shutdown, heartbeat. `transfer` is there from ESTABLISHED to the end."""

    def __init__(self, entropy: Entropy, options: SctpOptions, events: deque[SctpEvent]) -> None:
        self.state = _State.CLOSED
        self.handshake = Handshake(entropy, options)
        self.heartbeat = Heartbeat(entropy)
        self.outbound = Outbound(self.handshake.initial_tsn, options.path_mtu, options.congestion(options.path_mtu))
        self.transfer: Transfer | None = None
        self.packets: deque[bytes] = deque()
        self.control: list[bytes] = []
        self.closing = False
        self.peer_tag = 0
        self.remote_port = options.remote_port
        self._options = options
        self._events = events
        self._agreed: Agreement | None = None
        self._shutdown_at = NEVER
        self._shutdowns = 0
        self._completed = False
        self._heard = 0
        self._restarts = 0

    # Commands

    def connect(self, now: Instant) -> None:
        """Send INIT, unless something has happened already."""
        if self.state is _State.CLOSED:
            self.state = _State.COOKIE_WAIT
            init = self.handshake.init()
            self.handshake.start(init, now)
            self._send_alone(init, 0)

    def close(self, now: Instant) -> None:
        """Let what was sent arrive, then end."""
        self.closing = True
        if self.state is _State.CLOSED or (self.state in OPENING and not self.outbound.queue.buffered):
            self.end(None)
        elif self.state is _State.ESTABLISHED:
            self.state = _State.SHUTDOWN_PENDING
            self.advance_shutdown(now)

    def abort(self, cause: CauseCode, reason: str, error: AssociationError | None) -> None:
        """Tell the peer, if there is one, and end."""
        if self.peer_tag:
            chunk = encode_chunk(ChunkType.ABORT, 0, encode_parameter(cause, reason.encode()[:128]))
            self.packets.clear()
            self._send_alone(chunk, self.peer_tag)
        self.end(error)

    def end(self, error: AssociationError | None) -> None:
        """It is over: forget everything."""
        if self.state is _State.ENDED:
            return
        self.state = _State.ENDED
        self.handshake.deadline = self.heartbeat.deadline = self._shutdown_at = NEVER
        self.control.clear()
        self.outbound.clear()
        if self.transfer is not None:
            self.transfer.clear()
            self.transfer = None
        self._events.append(Terminated(error))

    # Time

    def handle_timeout(self, now: Instant) -> None:
        """Repeat what is unanswered. Raises AssociationError when that was done often enough."""
        if now >= self.handshake.deadline:
            self.handshake.retry(now)
            self._send_alone(self.handshake.chunk, self.peer_tag if self.state is _State.COOKIE_ECHOED else 0)
        if now >= self._shutdown_at:
            self._repeat_shutdown(now)
        if now >= self.heartbeat.deadline:
            self._answer(self.heartbeat.ask(now, self.outbound.recovery.timeout))
        limit = self._options.max_retransmissions
        if limit is not None and max(self.outbound.errors, self.heartbeat.unanswered) > limit:
            raise AssociationError("the peer does not answer")

    def next_timeout(self) -> Instant:
        """The nearest deadline, NEVER where there is none."""
        return min(self.handshake.deadline, self._shutdown_at, self.heartbeat.deadline)

    def on_activity(self, now: Instant) -> None:
        """A packet of the peer was handled."""
        if self.transfer is not None and self.state is not _State.ENDED:
            self.heartbeat.on_activity(now)
            self.transfer.reset.heard = True
            if self.state is _State.ESTABLISHED:
                return
            if self.transfer.inbound.cumulative != self._heard:  # RFC 9260 section 9.2: data starts T2 anew
                self._heard = self.transfer.inbound.cumulative
                self._shutdowns = 0
            self.advance_shutdown(now)

    # Chunks

    def handle_chunk(self, kind: int, chunk: bytes, now: Instant) -> bool:
        """Handle one chunk that is not about data; returns whether the rest of the packet may be looked at."""
        body = chunk[4:]
        match kind:
            case ChunkType.DATA | ChunkType.SACK | ChunkType.FORWARD_TSN | ChunkType.RE_CONFIG:
                pass  # not established yet: the peer will send it again
            case ChunkType.INIT:
                self._handle_init(parse_init(body), now)
            case ChunkType.INIT_ACK:
                self._handle_init_ack(parse_init(body), now)
            case ChunkType.COOKIE_ECHO:
                return self._handle_cookie_echo(body, now)
            case ChunkType.COOKIE_ACK:
                self._handle_cookie_ack(now)
            case ChunkType.HEARTBEAT:
                self._answer(encode_chunk(ChunkType.HEARTBEAT_ACK, 0, body))
            case ChunkType.HEARTBEAT_ACK:
                self.heartbeat.handle_answer(body)
            case ChunkType.ABORT:
                self.end(AssociationError(f"the peer aborted: {describe_causes(body)}"))
            case ChunkType.ERROR:
                self._handle_error(body, now)
            case ChunkType.SHUTDOWN:
                self._handle_shutdown(body, now)
            case ChunkType.SHUTDOWN_ACK:
                self._handle_shutdown_ack()
            case ChunkType.SHUTDOWN_COMPLETE:
                if self.state is _State.SHUTDOWN_ACK_SENT:
                    self.end(None)
            case _:
                return self._handle_unknown(kind, chunk)
        return self.state is not _State.ENDED

    def _handle_unknown(self, kind: int, chunk: bytes) -> bool:
        """RFC 9260 section 3.2: the highest two bits of the type say what to do."""
        if kind & 0x40:
            cause = encode_parameter(CauseCode.UNRECOGNIZED_CHUNK, chunk[:MAX_REPORTED_CHUNK])
            self._answer(encode_chunk(ChunkType.ERROR, 0, cause))
        return bool(kind & 0x80)

    # Handshake, in the order of its flights

    def _handle_init(self, init: InitChunk, now: Instant) -> None:
        if self.state is _State.SHUTDOWN_ACK_SENT:  # RFC 9260 section 9.2
            self._send_alone(encode_chunk(ChunkType.SHUTDOWN_ACK, 0), self.peer_tag)
        if self.state not in OPENING or not init.initiate_tag:
            return  # one that was overtaken, or a restart, which is refused
        try:
            answer = self.handshake.answer_init(init, now)
        except AssociationError as error:
            cause = encode_parameter(CauseCode.INVALID_PARAMETER, str(error).encode())
            self._send_alone(encode_chunk(ChunkType.ABORT, 0, cause), init.initiate_tag)
        else:
            self._send_alone(answer, init.initiate_tag)

    def _handle_init_ack(self, init_ack: InitChunk, now: Instant) -> None:
        if self.state is not _State.COOKIE_WAIT:
            return
        agreed = self.handshake.agree(init_ack)
        self.peer_tag = agreed.peer_tag
        cookie = cookie_of(init_ack)
        round_trip = self.handshake.stop(now)
        if round_trip > 0.0:
            self.outbound.recovery.learn_round_trip(round_trip)
        self._agreed = agreed
        self.state = _State.COOKIE_ECHOED
        echo = encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie)
        self.handshake.start(echo, now)
        self._send_alone(echo + report_unknown(init_ack), agreed.peer_tag)

    def _handle_cookie_echo(self, cookie: bytes, now: Instant) -> bool:
        try:
            agreed = self.handshake.open_cookie(cookie, now, self.peer_tag)
        except StaleCookieError as stale:
            if self.state in OPENING:
                cause = encode_parameter(CauseCode.STALE_COOKIE, pack(">I", min(stale.microseconds, 0xFFFFFFFF)))
                tag = self.peer_tag or stale.peer_tag
                self._send_alone(encode_chunk(ChunkType.ERROR, 0, cause), tag)
            return False
        if self.state in OPENING:
            self._establish(agreed, now)
        elif not equal(pack(">I", agreed.peer_tag), pack(">I", self.peer_tag)):
            return False  # RFC 9260 section 5.2.4: of another life of the peer
        if self.state is not _State.ENDED:
            self._answer(encode_chunk(ChunkType.COOKIE_ACK, 0), urgent=True)
        return True

    def _handle_cookie_ack(self, now: Instant) -> None:
        if self.state is _State.COOKIE_ECHOED and self._agreed is not None:
            self._establish(self._agreed, now)

    def _establish(self, agreed: Agreement, now: Instant) -> None:
        if self.handshake.attempts:
            self.handshake.stop(now)
        self._agreed = agreed
        self.peer_tag = agreed.peer_tag
        self.state = _State.ESTABLISHED
        header = encode_header(self._options.local_port, self.remote_port, agreed.peer_tag)
        self.transfer = Transfer(self._options, agreed, header, self.handshake.initial_tsn, self.outbound, self._events)
        self.heartbeat.on_activity(now)
        self._events.append(Established(agreed.outbound_streams, agreed.inbound_streams))
        if self.closing:
            self.close(now)

    def _handle_error(self, body: bytes, now: Instant) -> None:
        """RFC 9260 section 5.2.6: a stale cookie makes us ask for another one; other reports change nothing."""
        causes = [kind for kind, _ in parse_parameters(body)]
        if self.state is _State.COOKIE_ECHOED and CauseCode.STALE_COOKIE in causes:
            self._restarts += 1
            if self._restarts > MAX_SHUTDOWNS:
                raise AssociationError("the peer finds every cookie stale")
            self.state = _State.CLOSED
            self.connect(now)

    # Shutdown, in the order of its flights

    def advance_shutdown(self, now: Instant) -> None:
        """Go on with the shutdown once everything of ours has arrived."""
        if not self.outbound.idle or self._shutdown_at != NEVER:
            return
        if self.state is _State.SHUTDOWN_PENDING:
            self.state = _State.SHUTDOWN_SENT
        elif self.state is _State.SHUTDOWN_RECEIVED:
            self.state = _State.SHUTDOWN_ACK_SENT
        else:
            return
        self._send_shutdown(now)

    def _send_shutdown(self, now: Instant) -> None:
        if self.transfer is None:
            return
        self._shutdowns += 1
        self._shutdown_at = later(now, self.outbound.recovery.timeout)
        if self.state is _State.SHUTDOWN_SENT:
            cumulative = self.transfer.inbound.cumulative & 0xFFFFFFFF
            self._answer(encode_chunk(ChunkType.SHUTDOWN, 0, pack(">I", cumulative)))
        else:
            self._answer(encode_chunk(ChunkType.SHUTDOWN_ACK, 0))

    def _repeat_shutdown(self, now: Instant) -> None:
        if self._shutdowns < MAX_SHUTDOWNS:
            self._send_shutdown(now)
        elif self.state is _State.SHUTDOWN_ACK_SENT:
            self.end(None)  # everything arrived, both ways; only the last word did not
        else:
            raise AssociationError("the peer does not answer the shutdown")

    def _handle_shutdown(self, body: bytes, now: Instant) -> None:
        if len(body) != 4:
            raise MalformedError(f"a SHUTDOWN of {len(body)} bytes")
        if self.transfer is None:
            return
        self.transfer.acknowledge_through(int.from_bytes(body, "big"), now)
        if self.state in (_State.ESTABLISHED, _State.SHUTDOWN_PENDING):
            self.closing = True
            self.state = _State.SHUTDOWN_RECEIVED
            self.transfer.takes_data = False
            self.advance_shutdown(now)
        elif self.state is _State.SHUTDOWN_SENT:  # both at once: RFC 9260 section 9.2
            self.state = _State.SHUTDOWN_ACK_SENT
            self._send_shutdown(now)
        elif self.state is _State.SHUTDOWN_ACK_SENT:
            self._answer(encode_chunk(ChunkType.SHUTDOWN_ACK, 0))

    def _handle_shutdown_ack(self) -> None:
        if self.state in (_State.SHUTDOWN_SENT, _State.SHUTDOWN_ACK_SENT):
            self._completed = True
            self._send_alone(encode_chunk(ChunkType.SHUTDOWN_COMPLETE, 0), self.peer_tag)
            self.end(None)

    def answer_after_end(self, kind: int) -> None:
        """Our SHUTDOWN COMPLETE was lost, so the last word is said again (RFC 9260 section 8.4 rule 5)."""
        if kind == ChunkType.SHUTDOWN_ACK and self._completed:
            self._send_alone(encode_chunk(ChunkType.SHUTDOWN_COMPLETE, 0), self.peer_tag)

    # Packets

    def _answer(self, chunk: bytes, urgent: bool = False) -> None:
        """Put a chunk into the next packet, unless too many wait or it would not fit."""
        if self.transfer is None or len(chunk) > self._options.path_mtu - HEADER_SIZE:
            return
        if urgent:
            self.control.insert(0, chunk)  # RFC 9260 section 5.1 E: COOKIE ACK comes before any data
        elif len(self.control) < MAX_CONTROL:
            self.control.append(chunk)

    def _send_alone(self, chunks: bytes, tag: int) -> None:
        """A packet that always has a checksum: who gets it may not have agreed to anything yet."""
        if len(self.packets) < MAX_PACKETS:
            header = encode_header(self._options.local_port, self.remote_port, tag)
            self.packets.append(seal(header + chunks))
