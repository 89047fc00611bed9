"""The server's answers: what they hold, how they are protected, and how large and how many a stranger may get."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from icelane.core.clock import Instant
from icelane.core.engine import Transmit
from icelane.core.net import Path
from icelane.stun.attributes import (
    REASONS,
    AttributeType,
    encode_address,
    encode_error_code,
    encode_text,
    encode_uint32,
    encode_unknown_attributes,
    encode_xor_address,
)
from icelane.stun.message import Message, MessageBuilder, MessageClass
from icelane.turn.allocation import Relay
from icelane.turn.attributes import encode_address_error_code
from icelane.turn.authentication import Authenticator, Identity
from icelane.turn.limiter import Allowance, SourceLimiter
from icelane.turn.refusal import Refusal, RequestRefused
from icelane.turn.relay_acquisition import Acquired
from icelane.turn.request import AllocateRequest

# TQ-4: a first challenge is at most five times its request; other answers to strangers, Binding aside, are no longer.
_CHALLENGE_AMPLIFICATION: Final = 5
FINGERPRINT_SIZE: Final = 8


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_ADDRESS_ERROR_CODE: Final = AttributeType.ADDRESS_ERROR_CODE
_ALTERNATE_DOMAIN: Final = AttributeType.ALTERNATE_DOMAIN
_ALTERNATE_SERVER: Final = AttributeType.ALTERNATE_SERVER
_DRAFT_ADDRESS_ERROR_CODE: Final = AttributeType.DRAFT_ADDRESS_ERROR_CODE
_ERROR_CODE: Final = AttributeType.ERROR_CODE
_LIFETIME: Final = AttributeType.LIFETIME
_RESERVATION_TOKEN: Final = AttributeType.RESERVATION_TOKEN
_UNKNOWN_ATTRIBUTES: Final = AttributeType.UNKNOWN_ATTRIBUTES
_XOR_MAPPED_ADDRESS: Final = AttributeType.XOR_MAPPED_ADDRESS
_XOR_RELAYED_ADDRESS: Final = AttributeType.XOR_RELAYED_ADDRESS


class Responder:
    """Answers requests into `transmits`. `limiter` says how often a source that may be forged is challenged."""

    def __init__(self, authenticator: Authenticator, limiter: SourceLimiter, transmits: deque[Transmit]) -> None:
        self.limiter = limiter
        self._authenticator = authenticator
        self._transmits = transmits

    def succeed(self, response: MessageBuilder, message: Message, path: Path, identity: Identity) -> bytes:
        """Send a success response to whoever proved to be `identity`; returns what was sent."""
        identity.protect(response)
        return self.send(response, message, path)

    def refuse(
        self, refusal: Refusal, message: Message, path: Path, identity: Identity | None, now: Instant
    ) -> RequestRefused | None:
        """Send an error response, if the sender may have one; returns what to report of it, None for nothing."""
        allowance = self._challenge_allowance(refusal, message, path, now)
        if not allowance.allowed and not allowance.report:
            return None
        response = None
        if allowance.allowed and not refusal.silent:
            response = self._refusal_response(refusal, message, path, identity, now)
        if response is not None:
            self.send(response, message, path)
        return RequestRefused(
            client=path,
            method=message.method,
            code=refusal.code,
            reason=refusal.reason,
            username=identity.username if identity is not None else self._authenticator.claimed_username(message),
            kid=identity.kid if identity is not None else "",
            silent=response is None,
            unreported=allowance.refused,
        )

    def send(self, response: MessageBuilder, message: Message, path: Path) -> bytes:
        """Send an answer to `message`; returns what was sent."""
        data = encoded(response, message)
        self._transmits.append(Transmit(path, data))
        return data

    def _challenge_allowance(self, refusal: Refusal, message: Message, path: Path, now: Instant) -> Allowance:
        """TQ-3: a source that never shows a nonce of ours may be forged, so it is challenged only so often."""
        if (
            not refusal.challenge
            or path.transport.reliable
            or self._authenticator.holds_valid_nonce(message, path, now)
        ):
            return Allowance(True)
        return self.limiter.allow(path.remote.host, now)

    def _refusal_response(
        self, refusal: Refusal, message: Message, path: Path, identity: Identity | None, now: Instant
    ) -> MessageBuilder | None:
        if identity is not None:
            response = error_response(message, refusal, REASONS[refusal.code])
            identity.protect(response)
            return response
        # TQ-4: whoever has not said who he is gets no phrase where it would make the answer too large, and no answer
        # where it would be too large without. A 401 goes out all the same: with a long realm nobody could come in else.
        # Of the 438s only those to a nonce much shorter than ours are that large, which no client of ours sends; over a
        # stream, where no source is forged, it has its answer.
        allowed = len(message.raw) * (_CHALLENGE_AMPLIFICATION if refusal.code == 401 else 1)
        fingerprint = 0 if message.fingerprint_offset is None else FINGERPRINT_SIZE
        for phrase in (REASONS[refusal.code], ""):
            response = error_response(message, refusal, phrase)
            if refusal.challenge:
                self._authenticator.add_challenge(response, path, now)
            if len(response) + fingerprint <= allowed:
                return response
        answered = refusal.code == 401 or path.transport.reliable
        return response if refusal.challenge and answered else None


def allocate_response(
    message: Message, request: AllocateRequest, acquired: Acquired, relays: Iterable[Relay], lifetime: int
) -> MessageBuilder:
    """The success response to an Allocate request (RFC 8656 section 7.3)."""
    transaction_id = message.transaction_id
    response = MessageBuilder.response_to(message)
    for relay in relays:
        response.add(_XOR_RELAYED_ADDRESS, encode_xor_address(relay.external, transaction_id))
    response.add(_LIFETIME, encode_uint32(lifetime))
    mapped = encode_xor_address(acquired.client.remote, transaction_id)
    response.add(_XOR_MAPPED_ADDRESS, mapped)
    if acquired.reservation_token is not None:
        response.add(_RESERVATION_TOKEN, acquired.reservation_token)
    draft = request.draft_numbers
    kind = _DRAFT_ADDRESS_ERROR_CODE if draft else _ADDRESS_ERROR_CODE
    for family, code in acquired.failures.items():
        response.add(kind, encode_address_error_code(family, code, REASONS[code]))
    return response


def error_response(message: Message, refusal: Refusal, phrase: str) -> MessageBuilder:
    """The error response that `refusal` asks for; the phrase may be empty."""
    response = MessageBuilder.response_to(message, MessageClass.ERROR)
    response.add(_ERROR_CODE, encode_error_code(refusal.code, phrase))
    if refusal.unknown:
        response.add(_UNKNOWN_ATTRIBUTES, encode_unknown_attributes(refusal.unknown))
    if refusal.alternate is not None:
        response.add(_ALTERNATE_SERVER, encode_address(refusal.alternate.server))
        if refusal.alternate.domain:
            response.add(_ALTERNATE_DOMAIN, encode_text(refusal.alternate.domain))
    return response


def encoded(response: MessageBuilder, message: Message) -> bytes:
    """The finished answer, with FINGERPRINT where the request had it."""
    if message.fingerprint_offset is not None:
        response.add_fingerprint()
    return response.build()
