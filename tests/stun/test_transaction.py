"""Client transactions."""

from __future__ import annotations

import pytest

from icelane.core.clock import Duration, later
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IntegrityError, LocalProtocolError, TransactionTimeoutError, TransportClosedError
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.stun.transaction import ClientTransactions, Schedule, TransactionFailed
from icelane.testing.clock import VirtualClock

LOCAL = SocketAddress("192.0.2.1", 40000)
SERVER = SocketAddress("192.0.2.9", 3478)
UDP = Path(LOCAL, SERVER, Transport.UDP)
TCP = Path(LOCAL, SERVER, Transport.TCP)


def request(number: int = 1) -> bytes:
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, number.to_bytes(12, "big")).build()


def response(
    number: int = 1, method: int = Method.BINDING, message_class: MessageClass = MessageClass.SUCCESS
) -> Message:
    return parse_message(MessageBuilder(method, message_class, number.to_bytes(12, "big")).build())


def sent(transactions: ClientTransactions) -> list[bytes]:
    found = []
    while (transmit := transactions.poll_transmit()) is not None:
        found.append(transmit.data)
    return found


def run_to_the_end(transactions: ClientTransactions, clock: VirtualClock) -> tuple[list[Duration], list[Duration]]:
    """When requests went out and when transactions failed, relative to the start."""
    start = clock.now
    transmitted = [0.0 for _ in sent(transactions)]
    failed = []
    while (deadline := transactions.next_timeout()) is not None:
        clock.advance(deadline - clock.now)
        transactions.handle_timeout(clock.now)
        transmitted += [clock.now - start for _ in sent(transactions)]
        while transactions.poll_event() is not None:
            failed.append(clock.now - start)
    return transmitted, failed


def test_over_udp_a_request_goes_out_seven_times_and_is_given_up_after_39_5_seconds() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now)
    assert run_to_the_end(transactions, clock) == ([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5], [39.5])
    assert len(transactions) == 0


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_over_a_reliable_transport_a_request_goes_out_once(transport: Transport) -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), Path(LOCAL, SERVER, transport), clock.now)
    assert run_to_the_end(transactions, clock) == ([0], [39.5])


def test_the_first_interval_can_be_that_of_a_known_round_trip() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions(rto=1.0)
    transactions.start(request(), UDP, clock.now)
    assert run_to_the_end(transactions, clock) == ([0, 1, 3, 7, 15, 31, 63], [79])


def test_every_retransmission_is_the_same_bytes() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now)
    transactions.handle_timeout(clock.advance(0.5))
    assert sent(transactions) == [request(), request()]


def test_a_late_call_sends_one_retransmission_and_not_a_burst() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now)
    sent(transactions)
    transactions.handle_timeout(clock.advance(20))
    assert len(sent(transactions)) == 1
    assert transactions.next_timeout() == later(clock.now, 1.0)


def test_an_early_call_does_nothing() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now)
    sent(transactions)
    transactions.handle_timeout(clock.advance(0.49))
    assert sent(transactions) == []


def test_a_timeout_names_the_transaction() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), TCP, clock.now)
    transactions.handle_timeout(clock.advance(39.5))
    event = transactions.poll_event()
    assert isinstance(event, TransactionFailed)
    assert event.transaction_id == transaction_id
    assert isinstance(event.error, TransactionTimeoutError)


@pytest.mark.parametrize("message_class", [MessageClass.SUCCESS, MessageClass.ERROR])
def test_a_response_on_the_same_path_is_matched_and_ends_the_transaction(message_class: MessageClass) -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), UDP, clock.now)
    transaction = transactions.find(response(message_class=message_class), UDP)
    assert transaction is not None
    transactions.complete(transaction_id)
    assert transactions.next_timeout() is None
    assert transactions.find(response(message_class=message_class), UDP) is None
    assert len(transactions) == 0


@pytest.mark.parametrize(
    "path",
    [
        UDP._replace(remote=SocketAddress("192.0.2.9", 3479)),
        UDP._replace(remote=SocketAddress("192.0.2.10", 3478)),
        UDP._replace(local=SocketAddress("192.0.2.1", 40001)),
        TCP,
    ],
)
def test_the_right_transaction_id_on_another_path_is_not_a_response(path: Path) -> None:
    """IC-2: right transaction id from another source address or port."""
    transactions = ClientTransactions()
    transactions.start(request(), UDP, VirtualClock().now)
    assert transactions.find(response(), path) is None
    assert transactions.find(response(), UDP) is not None


@pytest.mark.parametrize(
    "message",
    [
        response(2),
        response(method=Method.ALLOCATE),
        response(method=0xFFF),
        response(message_class=MessageClass.REQUEST),
        response(message_class=MessageClass.INDICATION),
    ],
)
def test_another_id_method_or_class_is_not_a_response(message: Message) -> None:
    transactions = ClientTransactions()
    transactions.start(request(), UDP, VirtualClock().now)
    assert transactions.find(message, UDP) is None


def test_over_udp_a_rejected_response_changes_nothing_but_the_final_error() -> None:
    """TA-14: ignored, retransmissions go on, finally "integrity violated"."""
    clock = VirtualClock()
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), UDP, clock.now)
    sent(transactions)
    transactions.reject(transaction_id, IntegrityError("forged"))
    assert transactions.poll_event() is None
    assert transactions.find(response(), UDP) is not None
    for _ in range(7):
        deadline = transactions.next_timeout()
        assert deadline is not None
        transactions.handle_timeout(clock.advance(deadline - clock.now))
    assert len(sent(transactions)) == 6
    event = transactions.poll_event()
    assert event is not None
    assert isinstance(event.error, IntegrityError)


def test_over_a_stream_a_rejected_response_ends_the_transaction_at_once() -> None:
    """TA-14: TCP and TLS."""
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), TCP, VirtualClock().now)
    transactions.reject(transaction_id, IntegrityError("forged"))
    event = transactions.poll_event()
    assert event is not None
    assert isinstance(event.error, IntegrityError)
    assert len(transactions) == 0
    assert transactions.next_timeout() is None


def test_a_closed_connection_fails_what_waits_on_it_and_nothing_else() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    lost = transactions.start(request(1), TCP, clock.now)
    transactions.start(request(2), UDP, clock.now)
    transactions.handle_closed(TCP)
    event = transactions.poll_event()
    assert event is not None
    assert event.transaction_id == lost
    assert isinstance(event.error, TransportClosedError)
    assert transactions.poll_event() is None
    assert len(transactions) == 1


def test_the_number_of_waiting_requests_is_bounded() -> None:
    transactions = ClientTransactions(limit=3)
    now = VirtualClock().now
    for number in range(3):
        transactions.start(request(number), UDP, now)
    with pytest.raises(LocalProtocolError):
        transactions.start(request(4), UDP, now)
    transactions.complete((0).to_bytes(12, "big"))
    transactions.start(request(4), UDP, now)


def test_a_transaction_id_in_use_and_what_is_no_request_are_refused() -> None:
    transactions = ClientTransactions()
    now = VirtualClock().now
    transactions.start(request(), UDP, now)
    with pytest.raises(LocalProtocolError):
        transactions.start(request(), UDP, now)
    with pytest.raises(LocalProtocolError):
        transactions.start(response(2).raw, UDP, now)
    with pytest.raises(LocalProtocolError):
        transactions.start(b"\0\x01", UDP, now)


def test_unknown_transactions_may_be_completed_and_rejected() -> None:
    transactions = ClientTransactions()
    transactions.complete(bytes(12))
    transactions.reject(bytes(12), IntegrityError("late"))
    assert transactions.poll_event() is None


# -- schedules of ICE


def test_a_request_may_have_a_schedule_of_its_own() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now, Schedule(rto=0.1, count=5, last_wait=2.0, max_interval=0.3))
    transmitted, failed = run_to_the_end(transactions, clock)
    assert transmitted == pytest.approx([0, 0.1, 0.3, 0.6, 0.9])
    assert failed == pytest.approx([2.9])


def test_a_request_that_goes_out_once_waits_only_the_last_wait() -> None:
    clock = VirtualClock()
    transactions = ClientTransactions()
    transactions.start(request(), UDP, clock.now, Schedule(count=1, last_wait=5.0))
    assert run_to_the_end(transactions, clock) == ([0], [5.0])


def test_a_silenced_request_is_not_sent_again_and_may_still_be_answered() -> None:
    """RFC 8445 section 7.3.1.4."""
    clock = VirtualClock()
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), UDP, clock.now)
    clock.advance(0.5)
    transactions.handle_timeout(clock.now)
    transactions.silence(transaction_id, clock.now)
    transactions.silence(b"unknown", clock.now)
    found = transactions.find(response(), UDP)
    assert found is not None
    assert (found.sent, found.started) == (2, clock.now - 0.5)
    transmitted, failed = run_to_the_end(transactions, clock)
    assert (len(transmitted), failed) == (2, [8.0])


def test_a_transaction_can_be_asked_for_whatever_the_path() -> None:
    transactions = ClientTransactions()
    transaction_id = transactions.start(request(), UDP, VirtualClock().now)
    found = transactions.get(transaction_id)
    assert found is not None
    assert found.path == UDP
    assert transactions.get(b"unknown") is None
