"""Our checks under way: signed, sent, sent again, and matched with the answers that may be believed."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from icelane.core.clock import Duration, Instant
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path
from icelane.errors import IntegrityError, InvalidStateError
from icelane.ice.candidate import peer_reflexive_priority
from icelane.ice.check import Check, encode_check
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole
from icelane.ice.pair import CandidatePair
from icelane.ice.role import RoleArbiter
from icelane.stun.integrity import verify_integrity
from icelane.stun.message import TRANSACTION_ID_SIZE, Message
from icelane.stun.transaction import LAST_WAIT_FACTOR, ClientTransactions, Schedule

# Requests under way; a new check waits for its turn beyond it. Less than the limit of the transactions, for consent.
MAX_CHECKS_UNDER_WAY: Final = 200

# A check goes out this often, at even intervals: with the RTO of RFC 8445 section 14.3 all checks together are no more
# than one every Ta as it is, and on a path that loses 30 % each way only every second request is answered.
CHECK_COUNT: Final = 24

# RFC 7675: consent checks are not retransmitted; a late answer still counts.
_CONSENT_SCHEDULE: Final = Schedule(count=1, last_wait=8.0)


class Purpose(enum.Enum):
    """What a request is for. The answer to the newest CHECK of a pair decides about the pair."""

    CHECK = "check"
    CONSENT = "consent"


class Sent(NamedTuple):
    """A request that waits for its answer."""

    pair: CandidatePair
    check: Check
    purpose: Purpose


class Answered(NamedTuple):
    """A request whose answer is verified. `symmetric`: it came back on the path of the request.

    `round_trip` is None after a retransmission, when nobody knows which of the requests was answered. `decisive`: it
    was the newest check of its pair.
    """

    sent: Sent
    symmetric: bool
    round_trip: Duration | None
    decisive: bool


class CheckExchange:
    """The requests of one session. `role` is the agent's."""

    def __init__(self, local: Credentials, role: RoleArbiter, entropy: Entropy) -> None:
        self.remote: Credentials | None = None
        self._local = local
        self._role = role
        self._entropy = entropy
        self._transactions = ClientTransactions()
        self._sent_by_id: dict[bytes, Sent] = {}

    @property
    def full(self) -> bool:
        """Whether no check may be started now."""
        return len(self._transactions) >= MAX_CHECKS_UNDER_WAY

    # Inputs

    def handle_timeout(self, now: Instant) -> list[CandidatePair]:
        """Send again what is due; returns the pairs whose newest check was never answered."""
        self._transactions.handle_timeout(now)
        unanswered = []
        while (failure := self._transactions.poll_event()) is not None:
            sent = self._sent_by_id.pop(failure.transaction_id)
            if sent.pair.transaction_id == failure.transaction_id:
                unanswered.append(sent.pair)
        return unanswered

    def knows(self, response: Message) -> bool:
        """Whether a response has the transaction id of a request that waits."""
        return response.transaction_id in self._sent_by_id

    def match(self, response: Message, path: Path, now: Instant) -> Answered | None:
        """The request that `response` answers, which is over then; None when the answer is not to be believed.

        One that the peer did not sign is as if it had never come (IC-2). So is one from elsewhere, but for the newest
        check of a pair that was not valid before: it fails the pair (RFC 8445 section 7.2.5.2.1).
        """
        transaction = self._transactions.get(response.transaction_id)
        sent = self._sent_by_id.get(response.transaction_id)
        if transaction is None or sent is None or self.remote is None:
            return None
        try:
            verify_integrity(response, self.remote.password.encode())
        except IntegrityError:
            return None
        decisive = sent.pair.transaction_id == transaction.transaction_id
        symmetric = transaction.path == path
        if not symmetric and (sent.pair.valid or not decisive):
            return None
        self._forget(transaction.transaction_id)
        if decisive:
            sent.pair.transaction_id = None
        round_trip = now - transaction.started if transaction.sent == 1 else None
        return Answered(sent, symmetric, round_trip, decisive)

    # Commands

    def check(self, pair: CandidatePair, rto: Duration, now: Instant, *, use_candidate: bool) -> None:
        """Check `pair`; this check decides about it."""
        schedule = Schedule(rto=rto, count=CHECK_COUNT, last_wait=rto * LAST_WAIT_FACTOR, max_interval=rto)
        pair.transaction_id = self._send(pair, use_candidate, Purpose.CHECK, schedule, now)

    def check_consent(self, pair: CandidatePair, now: Instant) -> None:
        """Ask the peer whether it still wants what is sent on `pair`."""
        pair.counts.consent_requests_sent += 1
        self._send(pair, False, Purpose.CONSENT, _CONSENT_SCHEDULE, now)

    def started(self, pair: CandidatePair) -> Instant | None:
        """When the newest check of `pair` was sent first, None when none is under way."""
        transaction = self._transactions.get(pair.transaction_id or b"")
        return None if transaction is None else transaction.started

    def silence(self, pair: CandidatePair, now: Instant) -> None:
        """Do not send the check of `pair` any more, and still take its answer."""
        if pair.transaction_id is not None:
            self._transactions.silence(pair.transaction_id, now)
            pair.transaction_id = None

    def cancel(self, pair: CandidatePair) -> None:
        """Forget the check of `pair`."""
        if pair.transaction_id is not None:
            self._forget(pair.transaction_id)
            pair.transaction_id = None

    def clear(self) -> None:
        """Forget all that is under way, and what was still to be sent."""
        for sent in self._sent_by_id.values():
            sent.pair.transaction_id = None
        self._transactions = ClientTransactions()
        self._sent_by_id.clear()

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next request to send, or None."""
        return self._transactions.poll_transmit()

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return self._transactions.next_timeout()

    def _send(
        self, pair: CandidatePair, use_candidate: bool, purpose: Purpose, schedule: Schedule, now: Instant
    ) -> bytes:
        if self.remote is None:
            raise InvalidStateError("no check without the peer's credentials")
        role = self._role.role
        check = Check(
            priority=peer_reflexive_priority(pair.local),
            use_candidate=use_candidate and role is IceRole.CONTROLLING,
            role=role,
            tie_breaker=self._role.tie_breaker,
        )
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        request = encode_check(transaction_id, check, local=self._local, remote=self.remote)
        self._transactions.start(request, pair.path, now, schedule)
        self._sent_by_id[transaction_id] = Sent(pair, check, purpose)
        pair.counts.requests_sent += 1
        return transaction_id

    def _forget(self, transaction_id: bytes) -> None:
        self._transactions.complete(transaction_id)
        self._sent_by_id.pop(transaction_id, None)
