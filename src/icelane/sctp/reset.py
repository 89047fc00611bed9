"""Resetting streams: RE-CONFIG (RFC 6525), as far as data channels close by it (RFC 8831 section 6.7).

Each end resets its own sending side. One request of ours is under way at a time and names the streams whose messages
have all been given TSNs; the peer performs it once it has them. Of the peer's requests the last one counts: it is
answered, or waits for the TSN that it names.

A request that is not answered is repeated for as long as the association lasts: whether the peer is gone is for ICE to
say (decision 0016). What gives it up is a peer that is there, and answers everything but this.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Instant, later
from icelane.sctp.chunks import ChunkType, encode_chunk
from icelane.sctp.control_chunks import (
    OtherRequest,
    OutgoingResetRequest,
    Reconfiguration,
    ResetResponse,
    ResetResult,
    encode_reset_request,
    encode_reset_response,
)
from icelane.sctp.event import ResetCompleted, ResetRefused, SctpEvent, StreamsReset
from icelane.sctp.inbound import Inbound
from icelane.sctp.outbound import Outbound
from icelane.sctp.recovery import MAX_TIMEOUT

# How many streams one request names: they fit in the smallest packet. The others take the next one.
MAX_STREAMS_PER_REQUEST: Final = 100
# A request that is left unanswered so often by a peer that was heard meanwhile is given up: it does not know
# RE-CONFIG, and the streams stay as they are.
MAX_IGNORED: Final = 20

_DONE: Final = (ResetResult.NOTHING_TO_DO, ResetResult.PERFORMED)
_LATER: Final = (ResetResult.IN_PROGRESS, ResetResult.REQUEST_IN_PROGRESS)


class StreamReset:
    """Requests both ways. Chunks to send are taken by `poll_chunk`, what happened is appended to `events`.

    `heard` is to be set when anything of the peer's arrives.
    """

    def __init__(
        self, initial_tsn: int, peer_tsn: int, outbound: Outbound, inbound: Inbound, events: deque[SctpEvent]
    ) -> None:
        self.heard = False
        self._outbound = outbound
        self._inbound = inbound
        self._events = events
        self._wanted: dict[int, None] = {}  # in order; at most one for each of our streams
        self._request: OutgoingResetRequest | None = None
        self._sequence_number = initial_tsn
        self._wait = 0.0
        self._ignored = 0
        self._request_due = False
        self._deadline = NEVER
        self._expected = peer_tsn
        self._deferred: OutgoingResetRequest | None = None
        self._last_result = int(ResetResult.NOTHING_TO_DO)
        self._answers: deque[bytes] = deque(maxlen=2)  # only the newest matter to a peer that has one request under way

    @property
    def empty(self) -> bool:
        """Whether nothing is under way, either way."""
        return not self._wanted and self._request is None and self._deferred is None and not self._answers

    def request(self, stream_ids: list[int]) -> None:
        """Reset our side of these streams once what waits on them has left."""
        for stream_id in stream_ids:
            self._outbound.queue.stream(stream_id).resetting = True
            self._wanted[stream_id] = None

    def handle_timeout(self, now: Instant) -> None:
        """Ask again."""
        if now < self._deadline or self._request is None:
            return
        self._ignored += self.heard
        if self._ignored >= MAX_IGNORED:
            self._finish(self._request, done=False)
        else:
            self._request_due = True
            self._deadline = NEVER

    def next_timeout(self) -> Instant:
        """When to ask again."""
        return self._deadline

    def poll_chunk(self, now: Instant) -> bytes | None:
        """The next RE-CONFIG chunk to send."""
        if self._answers:
            return encode_chunk(ChunkType.RE_CONFIG, 0, self._answers.popleft())
        if self._request is None and self._wanted:
            self._begin()
        if self._request is None or not self._request_due:
            return None
        self._request_due = False
        self.heard = False
        # RFC 6525 section 5.1.1: the timeout is doubled, here up to where that of data ends.
        self._wait = min(max(2 * self._wait, self._outbound.recovery.timeout), MAX_TIMEOUT)
        self._deadline = later(now, self._wait)
        return encode_chunk(ChunkType.RE_CONFIG, 0, encode_reset_request(self._request))

    def _begin(self) -> None:
        queue = self._outbound.queue
        ready = [stream_id for stream_id in self._wanted if not queue.stream(stream_id).messages]
        if not ready:
            return
        chosen = tuple(ready[:MAX_STREAMS_PER_REQUEST])
        for stream_id in chosen:
            del self._wanted[stream_id]
        # Not the last TSN of all streams, as RFC 6525 section 4.1 has it, but the last of these: the others need not
        # wait for them.
        last_tsn = max(self._outbound.cumulative, *(queue.stream(stream_id).last_tsn for stream_id in chosen))
        self._request = OutgoingResetRequest(self._sequence_number, (self._expected - 1) & 0xFFFFFFFF, last_tsn, chosen)
        self._sequence_number = (self._sequence_number + 1) & 0xFFFFFFFF
        self._wait = 0.0
        self._ignored = 0
        self._request_due = True

    # What the peer says

    def handle(self, parameters: list[Reconfiguration], streams: int) -> None:
        """A RE-CONFIG arrived; `streams` is how many the peer may use."""
        for parameter in parameters:
            if isinstance(parameter, ResetResponse):
                self._handle_response(parameter)
            else:
                self._handle_request(parameter, streams)

    def _handle_response(self, response: ResetResponse) -> None:
        request = self._request
        if request is None or response.sequence_number != request.sequence_number:
            return
        if response.result in _LATER:
            self._wait = 0.0
            self._ignored = 0  # it is asked again when the deadline comes
        else:
            self._finish(request, response.result in _DONE)

    def _finish(self, request: OutgoingResetRequest, done: bool) -> None:
        self._request = None
        self._request_due = False
        self._deadline = NEVER
        for stream_id in request.stream_ids:
            if done:
                self._outbound.queue.forget(stream_id)
            else:
                self._outbound.queue.stream(stream_id).resetting = False
        self._events.append(ResetCompleted(request.stream_ids) if done else ResetRefused(request.stream_ids))

    def _handle_request(self, request: OutgoingResetRequest | OtherRequest, streams: int) -> None:
        ahead = (request.sequence_number - self._expected) & 0xFFFFFFFF
        if ahead == 0xFFFFFFFF:  # the last one again
            self._answer(request.sequence_number, self._last_result)
            return
        if ahead:
            self._answer(request.sequence_number, ResetResult.BAD_SEQUENCE_NUMBER, remember=False)
            return
        self._expected = (self._expected + 1) & 0xFFFFFFFF
        self._deferred = None
        if isinstance(request, OtherRequest):
            self._answer(request.sequence_number, ResetResult.DENIED)
        elif any(stream_id >= streams for stream_id in request.stream_ids):
            self._answer(request.sequence_number, ResetResult.WRONG_SSN)
        else:
            self._deferred = request
            self._last_result = ResetResult.IN_PROGRESS
            self.perform_deferred(answer_anyway=True)

    def perform_deferred(self, answer_anyway: bool = False) -> None:
        """Perform the peer's request if all that it waits for has arrived, and say so even where nobody asked again."""
        request = self._deferred
        if request is None:
            return
        missing = (request.last_tsn - self._inbound.cumulative) & 0xFFFFFFFF
        if 0 < missing < 0x80000000:
            if answer_anyway:
                self._answer(request.sequence_number, ResetResult.IN_PROGRESS)
            return
        self._deferred = None
        self._inbound.reset_streams(request.stream_ids)
        self._events.append(StreamsReset(request.stream_ids))
        self._answer(request.sequence_number, ResetResult.PERFORMED)

    def _answer(self, sequence_number: int, result: int, remember: bool = True) -> None:
        if remember:
            self._last_result = result
        self._answers.append(encode_reset_response(sequence_number, result))

    def clear(self) -> None:
        """Forget everything: the association is over."""
        self._wanted.clear()
        self._answers.clear()
        self._request = self._deferred = None
        self._request_due = False
        self._deadline = NEVER
