"""Client transactions: a request goes out, goes out again, and is answered or given up (RFC 8489 section 6.2).

    transactions = ClientTransactions()
    transaction_id = transactions.start(request, path, now)
    ...
    if (transaction := transactions.find(message, path)) is not None:   # a response came in
        transactions.complete(transaction.transaction_id)

Over UDP a request is sent seven times, 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s after the start, and given up at 39.5 s.
Over a reliable transport it is sent once and given up after the same time. ICE, which paces its checks, brings a
`Schedule` of its own for each request. Whether a response may be believed is not known here: the caller verifies what
`find` matched, and then calls `complete` or `reject`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.engine import Transmit
from icelane.core.net import Path
from icelane.errors import IcelaneError, LocalProtocolError, TransactionTimeoutError, TransportClosedError
from icelane.stun.message import HEADER_SIZE, TRANSACTION_ID_SIZE, Message, MessageClass

# RFC 8489 section 6.2.1: the defaults of RTO, Rc and Rm.
INITIAL_RTO: Final = 0.5
REQUEST_COUNT: Final = 7
LAST_WAIT_FACTOR: Final = 16
# Section 6.2.2: Ti, which makes both kinds of transport give up after the same time.
RELIABLE_TIMEOUT: Final = 39.5
# How many requests may wait at once; one more is LocalProtocolError. A TURN client has few, an ICE agent one per pair.
MAX_TRANSACTIONS: Final = 256

_CLASS_BITS: Final = 0x0110


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How often a request goes out over UDP: `count` times, `rto` seconds after the start and then twice as long each.

    No interval is longer than `max_interval`. After the last one a response is waited for `last_wait` seconds.
    """

    rto: Duration = INITIAL_RTO
    count: int = REQUEST_COUNT
    last_wait: Duration = INITIAL_RTO * LAST_WAIT_FACTOR
    max_interval: Duration = RELIABLE_TIMEOUT


@dataclass(frozen=True, slots=True)
class TransactionFailed:
    """No response ended the transaction.

    `error` is TransactionTimeoutError when nothing came, the error given to `reject` when only responses came that
    could not be believed, TransportClosedError when the connection went away.
    """

    transaction_id: bytes
    error: IcelaneError


class Transaction:
    """A request that waits for its response."""

    __slots__ = (
        "_interval",
        "_rejection",
        "_schedule",
        "path",
        "request",
        "sent",
        "silent",
        "started",
        "transaction_id",
    )

    def __init__(self, transaction_id: bytes, request: bytes, path: Path, schedule: Schedule, now: Instant) -> None:
        self.transaction_id = transaction_id
        self.request = request
        self.path = path
        self.started = now
        self.sent = 1
        self.silent = False
        self._schedule = schedule
        self._interval = schedule.rto
        self._rejection: IcelaneError | None = None

    @property
    def spent(self) -> bool:
        """Whether the request is not sent again."""
        return self.silent or self.path.transport.reliable or self.sent == self._schedule.count

    def __repr__(self) -> str:
        return f"Transaction({self.transaction_id.hex()}, {self.path})"


class ClientTransactions:
    """All requests of one client that wait for a response, at most `limit`.

    `rto` is the first retransmission interval in seconds, 0.5 unless the round trip to the server is known; `start` may
    be given another schedule.
    """

    def __init__(self, *, rto: Duration = INITIAL_RTO, limit: int = MAX_TRANSACTIONS) -> None:
        self._schedule = Schedule(rto=rto, last_wait=rto * LAST_WAIT_FACTOR)
        self._limit = limit
        self._pending_by_id: dict[bytes, Transaction] = {}
        self._timers: TimerTable[bytes] = TimerTable()
        self._transmits: deque[Transmit] = deque()
        self._events: deque[TransactionFailed] = deque()

    def __len__(self) -> int:
        return len(self._pending_by_id)

    def handle_timeout(self, now: Instant) -> None:
        """Retransmit what is due and give up what was sent often enough."""
        while (transaction_id := self._timers.pop_due(now)) is not None:
            transaction = self._pending_by_id[transaction_id]
            if transaction.spent:
                self._fail(
                    transaction, transaction._rejection or TransactionTimeoutError("no response from the server")
                )
            else:
                self._retransmit(transaction, now)

    def handle_closed(self, path: Path) -> None:
        """The connection `path` is gone: everything that waits on it fails."""
        for transaction in [waiting for waiting in self._pending_by_id.values() if waiting.path == path]:
            self._fail(transaction, TransportClosedError("the connection was closed before the response came"))

    def start(self, request: bytes, path: Path, now: Instant, schedule: Schedule | None = None) -> bytes:
        """Send `request`, an encoded message, on `path` and return its transaction id.

        Raises LocalProtocolError when it is no request, when its transaction id is in use or at the limit.
        """
        if len(request) < HEADER_SIZE or _message_type(request) & _CLASS_BITS:
            raise LocalProtocolError("only requests start a transaction")
        transaction_id = request[HEADER_SIZE - TRANSACTION_ID_SIZE : HEADER_SIZE]
        if transaction_id in self._pending_by_id:
            raise LocalProtocolError("the transaction id is already in use")
        if len(self._pending_by_id) >= self._limit:
            raise LocalProtocolError(f"{self._limit} requests already wait for a response")
        transaction = Transaction(transaction_id, request, path, schedule or self._schedule, now)
        self._pending_by_id[transaction_id] = transaction
        self._transmits.append(Transmit(path, request))
        self._arm(transaction, now)
        return transaction_id

    def silence(self, transaction_id: bytes, now: Instant) -> None:
        """Send the request no more, and wait `last_wait` longer for its response (RFC 8445 section 7.3.1.4)."""
        transaction = self._pending_by_id.get(transaction_id)
        if transaction is not None and not transaction.silent:
            transaction.silent = True
            self._timers.set(transaction_id, later(now, transaction._schedule.last_wait))

    def get(self, transaction_id: bytes) -> Transaction | None:
        """The transaction of that id, on whatever path: who asks must compare the paths, as `find` does."""
        return self._pending_by_id.get(transaction_id)

    def find(self, message: Message, path: Path) -> Transaction | None:
        """The transaction that `message` answers, None for anything else.

        The method must be that of the request, and the response must come back on the path of the request (RFC 8445
        section 7.2.5.2.1): a right transaction id from another address proves nothing. Nothing changes by asking.
        """
        if message.message_class not in (MessageClass.SUCCESS, MessageClass.ERROR):
            return None
        transaction = self._pending_by_id.get(message.transaction_id)
        if transaction is None or transaction.path != path:
            return None
        if _message_type(message.raw) & ~_CLASS_BITS != _message_type(transaction.request):
            return None
        return transaction

    def complete(self, transaction_id: bytes) -> None:
        """A response was believed, or the caller lost interest: forget the transaction. Unknown ids are ignored."""
        self._timers.cancel(transaction_id)
        self._pending_by_id.pop(transaction_id, None)

    def reject(self, transaction_id: bytes, error: IcelaneError) -> None:
        """A response that `find` matched cannot be believed (RFC 8489 section 9.2.5).

        Over UDP it counts as never received; if no better one comes, the transaction ends with `error` in place of the
        timeout. Over a reliable transport the transaction fails with `error` at once.
        """
        transaction = self._pending_by_id.get(transaction_id)
        if transaction is None:
            return
        if transaction.path.transport.reliable:
            self._fail(transaction, error)
        else:
            transaction._rejection = error

    def poll_transmit(self) -> Transmit | None:
        """The next request to send, or None."""
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> TransactionFailed | None:
        """The next transaction that failed, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return self._timers.next()

    def _retransmit(self, transaction: Transaction, now: Instant) -> None:
        self._transmits.append(Transmit(transaction.path, transaction.request))
        transaction.sent += 1
        transaction._interval = min(2 * transaction._interval, transaction._schedule.max_interval)
        self._arm(transaction, now)

    def _arm(self, transaction: Transaction, now: Instant) -> None:
        schedule = transaction._schedule
        if transaction.path.transport.reliable:
            wait = RELIABLE_TIMEOUT
        elif transaction.sent == schedule.count:
            # Section 6.2.1: after the last one the wait is Rm times the first interval, not double the one before.
            wait = schedule.last_wait
        else:
            wait = transaction._interval
        self._timers.set(transaction.transaction_id, later(now, wait))

    def _fail(self, transaction: Transaction, error: IcelaneError) -> None:
        self.complete(transaction.transaction_id)
        self._events.append(TransactionFailed(transaction.transaction_id, error))


def _message_type(message: bytes) -> int:
    return message[0] << 8 | message[1]
