"""The server's side of a Binding: answered at once, to anybody, without state (RFC 8489 section 12, RFC 5780).

What a stranger may ask for is bounded. An answer goes to the address of the request, never larger than TQ-4 allows,
and those that RFC 5780 lets come from elsewhere only so often to each source, because that may be forged.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import MalformedError
from icelane.stun.attributes import (
    AttributeType,
    encode_address,
    encode_xor_address,
    parse_change_request,
    parse_response_port,
)
from icelane.stun.message import Message, MessageBuilder, Method
from icelane.turn.behavior import BOTH, NO_CHANGE, BehaviorOrigins
from icelane.turn.limiter import SourceLimiter
from icelane.turn.refusal import Refusal
from icelane.turn.request import known_in
from icelane.turn.response import FINGERPRINT_SIZE, Responder, error_response

# TQ-4: an answer is at most this many times its request; without RFC 5780, or over IPv4, it is so by construction.
MAX_AMPLIFICATION: Final = 2.5
# Services of the system listen below; a NAT maps nobody there (RFC 4787 section 4.2.1), so nobody means them.
FIRST_RESPONSE_PORT: Final = 1024

_KNOWN: Final = known_in(Method.BINDING, False)
# PADDING is left out: its answer would have to be as large as the MTU, whatever the size of the request.
_ELSEWHERE: Final = frozenset({AttributeType.CHANGE_REQUEST, AttributeType.RESPONSE_PORT})
_KNOWN_ELSEWHERE: Final = _KNOWN | _ELSEWHERE


class BindingAnswers:
    """Answers Binding requests through `responder`. `origins` is None where there is one address to answer from.

    `rate` says how often in a second one source is told of `origins`, or answered from them; 0 is no limit.
    """

    def __init__(self, responder: Responder, entropy: Entropy, rate: int, origins: BehaviorOrigins | None) -> None:
        self.origins = origins
        self._responder = responder
        self._entropy = entropy
        self._rate = rate
        # Made when it is needed first. Not the one of the challenges: of those a forged source must lose none.
        self._limiter: SourceLimiter | None = None

    def answer(self, message: Message, path: Path, now: Instant) -> None:
        """Answer a Binding request that came in on `path`, or leave it at that."""
        origins = self._origins_at(path)
        unknown = message.unknown_required(_KNOWN if origins is None else _KNOWN_ELSEWHERE)
        if unknown:
            # RFC 5780 section 6: CHANGE-REQUEST too, where there is no second address.
            self._refuse(Refusal(420, "unknown-attribute", unknown=tuple(unknown)), message, path)
        elif origins is None:
            self._responder.send(_success(message, path), message, path)
        elif self._allows(path, now):
            self._answer_from(origins, message, path)
        elif not any(message.has(kind) for kind in _ELSEWHERE):
            self._responder.send(_success(message, path), message, path)

    def set_rate(self, rate: int) -> None:
        """Limit by another rate from now on."""
        if rate != self._rate:
            self._rate = rate
            self._limiter = None

    def _allows(self, path: Path, now: Instant) -> bool:
        """TQ-3: a source may be forged, and it never has to show that it is not."""
        if self._limiter is None:
            self._limiter = SourceLimiter(self._entropy, rate=self._rate)
        return self._limiter.allow(path.remote.host, now).allowed

    def _answer_from(self, origins: BehaviorOrigins, message: Message, path: Path) -> None:
        try:
            wanted = message.get(AttributeType.CHANGE_REQUEST)
            change = NO_CHANGE if wanted is None else parse_change_request(wanted)
            remote = _response_address(message, path)
        except MalformedError:
            self._refuse(Refusal(400, "attribute-malformed"), message, path)
            return
        origin = origins.origin(path.local, change)
        response = _success(message, path)
        other = origins.told(origins.origin(path.local, BOTH))
        response.add(AttributeType.OTHER_ADDRESS, encode_address(other))
        # RFC 5780 section 6.1 wants both of these always. No client needs them, and a stranger gets what TQ-4 allows.
        _add_within_limit(response, AttributeType.RESPONSE_ORIGIN, encode_address(origins.told(origin)), message)
        _add_within_limit(response, AttributeType.MAPPED_ADDRESS, encode_address(path.remote), message)
        self._responder.send(response, message, Path(origin, remote, path.transport))

    def _origins_at(self, path: Path) -> BehaviorOrigins | None:
        # Over a stream nothing can come from elsewhere, since a server opens none to a client (RFC 5780 section 3).
        if self.origins is None or path.transport is not Transport.UDP or not self.origins.covers(path.local):
            return None
        return self.origins

    def _refuse(self, refusal: Refusal, message: Message, path: Path) -> None:
        self._responder.send(error_response(message, refusal, ""), message, path)


def _success(message: Message, path: Path) -> MessageBuilder:
    address = encode_xor_address(path.remote, message.transaction_id)
    return MessageBuilder.response_to(message).add(AttributeType.XOR_MAPPED_ADDRESS, address)


def _response_address(message: Message, path: Path) -> SocketAddress:
    """Where the answer goes: the source of the request, at the port that RESPONSE-PORT names."""
    value = message.get(AttributeType.RESPONSE_PORT)
    if value is None:
        return path.remote
    port = parse_response_port(value)
    if port < FIRST_RESPONSE_PORT:
        raise MalformedError(f"nobody is mapped to port {port}")
    return SocketAddress(path.remote.host, port)


def _add_within_limit(response: MessageBuilder, kind: int, value: bytes, message: Message) -> None:
    fingerprint = 0 if message.fingerprint_offset is None else FINGERPRINT_SIZE
    if len(response) + 4 + len(value) + fingerprint <= MAX_AMPLIFICATION * len(message.raw):
        response.add(kind, value)
