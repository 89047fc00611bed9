"""Requests that outlive challenges: one exchange is a request, the retries it takes, and one outcome.

    exchanges.start(purpose, Method.REFRESH, write, now)
    ...
    exchanges.handle_message(response, now)
    while (outcome := exchanges.poll_outcome()) is not None:
        react(outcome.purpose)

Retransmission is `icelane.stun.transaction`'s, credentials and the judgement of responses are
`icelane.stun.authentication`'s; this joins the two for one path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from icelane.core.clock import Instant
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path
from icelane.errors import (
    IcelaneError,
    IntegrityError,
    MalformedError,
    RemoteProtocolError,
    TransactionTimeoutError,
    TurnError,
)
from icelane.stun.attributes import AttributeType, parse_error_code, parse_text
from icelane.stun.authentication import CHALLENGES, ClientAuthentication, Reply, RequestKey
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageBuilder, MessageClass
from icelane.stun.transaction import ClientTransactions
from icelane.turn.explanation import explain

P = TypeVar("P")

Write = Callable[[MessageBuilder, bytes], None]
"""`write(builder, transaction_id)` adds the attributes of the request; called again for every attempt."""

_KNOWN_IN_RESPONSES: Final = frozenset(
    {
        AttributeType.MAPPED_ADDRESS,
        AttributeType.USERNAME,
        AttributeType.MESSAGE_INTEGRITY,
        AttributeType.ERROR_CODE,
        AttributeType.UNKNOWN_ATTRIBUTES,
        AttributeType.CHANNEL_NUMBER,
        AttributeType.LIFETIME,
        AttributeType.XOR_PEER_ADDRESS,
        AttributeType.REALM,
        AttributeType.NONCE,
        AttributeType.XOR_RELAYED_ADDRESS,
        AttributeType.REQUESTED_ADDRESS_FAMILY,
        AttributeType.MESSAGE_INTEGRITY_SHA256,
        AttributeType.PASSWORD_ALGORITHM,
        AttributeType.USERHASH,
        AttributeType.XOR_MAPPED_ADDRESS,
        AttributeType.RESERVATION_TOKEN,
        AttributeType.CONNECTION_ID,
    }
)


class Answered(Generic[P]):
    """A success response that may be believed."""

    __slots__ = ("purpose", "response")

    def __init__(self, purpose: P, response: Message) -> None:
        self.purpose = purpose
        self.response = response


class Failed(Generic[P]):
    """No success. `error` is TurnError when the server refused, and then `response` is what it said."""

    __slots__ = ("error", "purpose", "response")

    def __init__(self, purpose: P, error: IcelaneError, response: Message | None = None) -> None:
        self.purpose = purpose
        self.error = error
        self.response = response


class _Exchange(Generic[P]):
    __slots__ = ("attempt", "key", "method", "purpose", "unproven_code", "write")

    def __init__(self, purpose: P, method: int, write: Write) -> None:
        self.purpose = purpose
        self.method = method
        self.write = write
        self.attempt = 0
        self.key: RequestKey | None = None
        self.unproven_code: int | None = None


class Exchanges(Generic[P]):
    """All exchanges of one client with the server at the other end of `path`, at most `limit` at once.

    Without `authentication` no request is signed and a challenge is an error like any other.

    `unproven_code` is the code of the last unsigned error that came to a signed request, None once something better has
    come. Anybody can send one, so it is for people alone; but a server that cannot find the user's key, as when its
    database is gone, has no other answer.
    """

    def __init__(
        self, path: Path, authentication: ClientAuthentication | None, *, entropy: Entropy, limit: int
    ) -> None:
        self._path = path
        self._authentication = authentication
        self._entropy = entropy
        self._transactions = ClientTransactions(limit=limit)
        self._exchanges_by_transaction: dict[bytes, _Exchange[P]] = {}
        self._outcomes: deque[Answered[P] | Failed[P]] = deque()
        self.unproven_code: int | None = None

    def __len__(self) -> int:
        return len(self._exchanges_by_transaction)

    def handle_message(self, message: Message, now: Instant) -> None:
        """A message came from the server; anything but a response to one of our requests is ignored."""
        transaction = self._transactions.find(message, self._path)
        if transaction is None:
            return
        exchange = self._exchanges_by_transaction[message.transaction_id]
        code = _unproven_code(message, exchange.key)
        if code is not None:
            exchange.unproven_code = self.unproven_code = code
        try:
            reply = self._judge(message, exchange)
        except (IntegrityError, MalformedError) as error:
            # TA-14: as if never received over UDP, the end at once over TCP; the transaction knows which.
            self._transactions.reject(message.transaction_id, error)
            self._collect_failures()
        except IcelaneError as error:
            self._finish(message.transaction_id)
            self._outcomes.append(Failed(exchange.purpose, error))
        else:
            self._follow(reply, message, exchange, now)

    def handle_timeout(self, now: Instant) -> None:
        """Retransmit and give up what is due."""
        self._transactions.handle_timeout(now)
        self._collect_failures()

    def handle_closed(self) -> None:
        """The connection is gone: every exchange fails."""
        self._transactions.handle_closed(self._path)
        self._collect_failures()

    def start(self, purpose: P, method: int, write: Write, now: Instant) -> None:
        """Send a request; `purpose` comes back with its outcome. Raises LocalProtocolError at the limit."""
        self._attempt(_Exchange(purpose, method, write), now)

    def clear(self) -> None:
        """Forget every exchange; no outcome follows."""
        for transaction_id in list(self._exchanges_by_transaction):
            self._finish(transaction_id)
        self._outcomes.clear()

    def poll_transmit(self) -> Transmit | None:
        """The next request to send, or None."""
        return self._transactions.poll_transmit()

    def poll_outcome(self) -> Answered[P] | Failed[P] | None:
        """The next exchange that has ended, or None."""
        return self._outcomes.popleft() if self._outcomes else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return self._transactions.next_timeout()

    def _attempt(self, exchange: _Exchange[P], now: Instant) -> None:
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        builder = MessageBuilder(exchange.method, MessageClass.REQUEST, transaction_id)
        exchange.write(builder, transaction_id)
        exchange.attempt += 1
        exchange.key = self._authentication.sign(builder) if self._authentication is not None else None
        self._transactions.start(builder.build(), self._path, now)
        self._exchanges_by_transaction[transaction_id] = exchange

    def _judge(self, message: Message, exchange: _Exchange[P]) -> Reply:
        # RFC 8489 section 6.3.3 and 6.3.4: a response with something unknown that must be understood fails.
        unknown = message.unknown_required(_KNOWN_IN_RESPONSES)
        if unknown:
            raise RemoteProtocolError(f"the response has an unknown attribute {unknown[0]:#06x}")
        if self._authentication is None:
            return Reply.DELIVER
        return self._authentication.handle_response(message, exchange.key, exchange.attempt)

    def _follow(self, reply: Reply, message: Message, exchange: _Exchange[P], now: Instant) -> None:
        if reply is Reply.IGNORE:
            return
        try:
            outcome = None if reply is Reply.RETRY else self._outcome(message, exchange)
        except MalformedError as error:
            self._transactions.reject(message.transaction_id, error)
            self._collect_failures()
            return
        self._finish(message.transaction_id)
        self.unproven_code = None
        if outcome is None:
            self._attempt(exchange, now)
        else:
            self._outcomes.append(outcome)

    def _outcome(self, message: Message, exchange: _Exchange[P]) -> Answered[P] | Failed[P]:
        if message.message_class is MessageClass.SUCCESS:
            return Answered(exchange.purpose, message)
        value = message.get(AttributeType.ERROR_CODE)
        if value is None:
            raise MalformedError("an error response without ERROR-CODE")
        code, reason = parse_error_code(value)
        error = TurnError(code, reason, str(self._path.remote), realm=_realm(message))
        return Failed(exchange.purpose, error, message)

    def _finish(self, transaction_id: bytes) -> None:
        self._transactions.complete(transaction_id)
        self._exchanges_by_transaction.pop(transaction_id, None)

    def _collect_failures(self) -> None:
        while (failure := self._transactions.poll_event()) is not None:
            exchange = self._exchanges_by_transaction.pop(failure.transaction_id, None)
            if exchange is not None:
                self._outcomes.append(Failed(exchange.purpose, _with_unproven(failure.error, exchange.unproven_code)))


def _unproven_code(message: Message, key: RequestKey | None) -> int | None:
    """The code of an unsigned error to a signed request; None for anything else, challenges among them."""
    signed = message.integrity_offset is not None or message.integrity_sha256_offset is not None
    if key is None or signed or message.message_class is not MessageClass.ERROR:
        return None
    value = message.get(AttributeType.ERROR_CODE)
    try:
        code = parse_error_code(value).code if value is not None else None
    except MalformedError:
        return None
    return None if code in CHALLENGES else code


def _realm(message: Message) -> str:
    """What stands in REALM, for people; "" where nothing readable does."""
    value = message.get(AttributeType.REALM)
    try:
        return parse_text(value) if value is not None else ""
    except MalformedError:
        return ""


def _with_unproven(error: IcelaneError, code: int | None) -> IcelaneError:
    if code is None or not isinstance(error, IntegrityError | TransactionTimeoutError):
        return error
    return type(error)(f"{error}; an unsigned answer said {code}: {explain(code).meaning}")
