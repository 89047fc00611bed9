"""NAT behaviour discovery, the client's side (RFC 5780 section 4): what a NAT maps by, and what it lets in.

    from the mapping port                      from the filtering port
    I     to A1:P1  -> own address, A2:P2      I     to A1:P1  -> own address
    ------------------- both are waited for, then all of these at once -------------------
    II    to A2:P1  -> own address             II    to A1:P1, change IP and port -> comes from A2:P2, or not at all
    III   to A2:P2  -> own address             III   to A1:P1, change port        -> comes from A1:P2, or not at all
    IV    to A1:P2  -> own address
    V     to the filtering port's address      V     to the mapping port's address: what arrives was hairpinned

Two ports, because a mapping test opens the filter that a filtering test asks about, and because a NAT may take what it
has refused to let in for a use of the port, and map the next datagram elsewhere. Test IV is ours: only who knows that
A1:P2 answers at all may take its silence for a filter.

    discovery = BehaviorDiscovery(server, mapping=host_and_port, filtering=host_and_another_port, entropy=entropy)
    discovery.start(now)
    ...                                       # drive it as any engine: datagrams and timeouts in, transmits out
    BehaviorDiscovered(mapping=Behavior.ENDPOINT_INDEPENDENT, filtering=Behavior.ADDRESS_DEPENDENT, ...)

Left out: how long a mapping lives (section 4.6), which takes minutes, and fragments.
"""

from __future__ import annotations

import enum
import ipaddress
from collections import deque
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IcelaneError, LocalProtocolError, MalformedError, RemoteProtocolError, StunError
from icelane.stun.attributes import AttributeType, ChangeRequest, encode_change_request, parse_address
from icelane.stun.binding import parse_binding_response
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.stun.transaction import ClientTransactions, Schedule, Transaction

# Two steps of half each: an answer that is filtered can only be waited for.
DEFAULT_TIMEOUT: Final[Duration] = 10.0

# Of a step's time: five sendings survive what an ordinary network loses, and the last one has time to be answered.
_REQUEST_COUNT: Final = 5
_FIRST_INTERVAL: Final = 0.1
_MAX_INTERVAL: Final = 0.2
# RFC 5780 section 5: transactions that begin together should not be sent again together.
_SPREAD: Final = 0.04


class Behavior(enum.Enum):
    """What a mapping or a filter of a NAT depends on (RFC 4787 sections 4.1 and 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviorDiscovered:
    """What came of it.

    `mapped` is what the server at `server` sees `local` as. `other` is the server's second address, None when it names
    none that can be used; then nothing else is known. `mapping`, `filtering` and `hairpinning` are None where the tests
    say nothing: because `change_refused`, so that the server answers from nowhere else, because the addresses in
    `silent` did not answer, or, of hairpinning, because there is no NAT.
    """

    server: SocketAddress
    other: SocketAddress | None
    local: SocketAddress
    mapped: SocketAddress
    mapping: Behavior | None = None
    filtering: Behavior | None = None
    hairpinning: bool | None = None
    change_refused: bool = False
    silent: tuple[SocketAddress, ...] = ()

    @property
    def translated(self) -> bool:
        """Whether there is a NAT: the server sees another address than ours."""
        return self.mapped != self.local


@dataclass(frozen=True, slots=True)
class DiscoveryFailed:
    """The server did not answer, or with an error: TransactionTimeoutError, StunError or what made answers unusable."""

    error: IcelaneError


class _Test(enum.Enum):
    MAPPING_I = enum.auto()
    MAPPING_II = enum.auto()
    MAPPING_III = enum.auto()
    MAPPING_IV = enum.auto()
    FILTERING_I = enum.auto()
    FILTERING_II = enum.auto()
    FILTERING_III = enum.auto()
    HAIRPIN_TO_MAPPING = enum.auto()
    HAIRPIN_TO_FILTERING = enum.auto()


class _Step(enum.Enum):
    NEW = enum.auto()
    FIRST = enum.auto()
    SECOND = enum.auto()
    OVER = enum.auto()


_FIRST: Final = (_Test.MAPPING_I, _Test.FILTERING_I)
_CHANGES: Final = {
    _Test.FILTERING_II: ChangeRequest(address=True, port=True),
    _Test.FILTERING_III: ChangeRequest(address=False, port=True),
}
_MAPPING: Final = (_Test.MAPPING_I, _Test.MAPPING_II, _Test.MAPPING_III, _Test.MAPPING_IV)
_HAIRPIN: Final = (_Test.HAIRPIN_TO_MAPPING, _Test.HAIRPIN_TO_FILTERING)
_FROM_FILTERING: Final = (_Test.FILTERING_I, *_CHANGES, _Test.HAIRPIN_TO_MAPPING)
_RESPONSES: Final = (MessageClass.SUCCESS, MessageClass.ERROR)


class BehaviorDiscovery:
    """One discovery with the server at `server`, from two UDP ports of this host that nothing was sent from yet.

    `mapping` and `filtering` are their addresses, not wildcards: whether there is a NAT is told by comparing them. It
    ends within `timeout` seconds, with one event.
    """

    def __init__(
        self,
        server: SocketAddress,
        *,
        mapping: SocketAddress,
        filtering: SocketAddress,
        entropy: Entropy,
        timeout: Duration = DEFAULT_TIMEOUT,
    ) -> None:
        self._server = server
        self._ports = {test: filtering if test in _FROM_FILTERING else mapping for test in _Test}
        self._entropy = entropy
        self._wait: Duration = timeout / 2
        self._step = _Step.NEW
        self._transactions = ClientTransactions(limit=len(_Test))
        self._tests_by_id: dict[bytes, _Test] = {}
        self._other: SocketAddress | None = None
        self._mapped: dict[_Test, SocketAddress] = {}
        self._hairpinned: bool | None = None
        self._change_refused = False
        self._events: deque[BehaviorDiscovered | DiscoveryFailed] = deque()

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram came in. Whatever answers none of our requests is ignored."""
        try:
            message = parse_message(data)
        except MalformedError:
            return
        test = self._tests_by_id.get(message.transaction_id)
        transaction = self._transactions.get(message.transaction_id)
        if test is None or transaction is None or message.method != Method.BINDING:
            return
        if test in _HAIRPIN:
            self._handle_hairpinned(message, transaction, path)
        elif path.local == transaction.path.local and message.message_class in _RESPONSES:
            self._handle_response(test, transaction, message, path.remote)
        self._go_on(now)

    def handle_timeout(self, now: Instant) -> None:
        """Send again what is due; what was sent often enough stays without an answer."""
        self._transactions.handle_timeout(now)
        while (failed := self._transactions.poll_event()) is not None:
            test = self._tests_by_id.pop(failed.transaction_id, None)
            if test in _FIRST:
                self._end(DiscoveryFailed(failed.error))
        self._go_on(now)

    # Commands

    def start(self, now: Instant) -> None:
        """Ask the server from both ports. Raises LocalProtocolError when called again."""
        if self._step is not _Step.NEW:
            raise LocalProtocolError("a discovery is made once")
        self._step = _Step.FIRST
        for test in _FIRST:
            self._ask(test, self._server, now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next request to send, from the port that its path names, or None."""
        return self._transactions.poll_transmit()

    def poll_event(self) -> BehaviorDiscovered | DiscoveryFailed | None:
        """The outcome, once; None before and after."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called; None when all is over."""
        return self._transactions.next_timeout()

    # The steps

    def _go_on(self, now: Instant) -> None:
        """Begin the second step when nothing of the first is open any more, and then come to the end."""
        if self._tests_by_id or self._step in (_Step.NEW, _Step.OVER):
            return
        if self._step is _Step.FIRST and self._other is not None:
            self._step = _Step.SECOND
            self._ask_the_rest(self._other, now)
        else:
            self._end(self._found())

    def _ask_the_rest(self, other: SocketAddress, now: Instant) -> None:
        for test, to in self._probes(other).items():
            self._ask(test, to, now)
        for test in _CHANGES:
            self._ask(test, self._server, now)
        mapped = [self._mapped[test] for test in _FIRST]
        if mapped[0] != self._ports[_Test.MAPPING_I] and all(_is_sent_to(one, self._server) for one in mapped):
            # Both ways: the one that leaves opens its own filter for the one that comes.
            self._hairpinned = False
            self._ask(_Test.HAIRPIN_TO_MAPPING, mapped[0], now)
            self._ask(_Test.HAIRPIN_TO_FILTERING, mapped[1], now)

    def _probes(self, other: SocketAddress) -> dict[_Test, SocketAddress]:
        return {
            _Test.MAPPING_II: SocketAddress(other.host, self._server.port),
            _Test.MAPPING_III: other,
            _Test.MAPPING_IV: SocketAddress(self._server.host, other.port),
        }

    def _ask(self, test: _Test, to: SocketAddress, now: Instant) -> None:
        transaction_id = self._entropy.token(TRANSACTION_ID_SIZE)
        request = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id)
        if test in _CHANGES:
            request.add(AttributeType.CHANGE_REQUEST, encode_change_request(_CHANGES[test]))
        path = Path(self._ports[test], to, Transport.UDP)
        self._tests_by_id[transaction_id] = test
        self._transactions.start(request.add_fingerprint().build(), path, now, self._schedule(test))

    def _schedule(self, test: _Test) -> Schedule:
        first = _FIRST_INTERVAL * (1 + _SPREAD * test.value)
        last = 1 - first - (_REQUEST_COUNT - 2) * _MAX_INTERVAL
        return Schedule(
            rto=first * self._wait,
            count=_REQUEST_COUNT,
            last_wait=last * self._wait,
            max_interval=_MAX_INTERVAL * self._wait,
        )

    def _end(self, outcome: BehaviorDiscovered | DiscoveryFailed) -> None:
        if self._step is not _Step.OVER:
            self._step = _Step.OVER
            for transaction_id in self._tests_by_id:
                self._transactions.complete(transaction_id)
            self._tests_by_id.clear()
            self._events.append(outcome)

    # What comes back

    def _handle_hairpinned(self, message: Message, transaction: Transaction, path: Path) -> None:
        """Our own request, at the other port: nobody else knows its transaction id."""
        if message.message_class is MessageClass.REQUEST and path.local != transaction.path.local:
            self._hairpinned = True
            for transaction_id, test in list(self._tests_by_id.items()):
                if test in _HAIRPIN:
                    self._settle(transaction_id)

    def _handle_response(self, test: _Test, transaction: Transaction, message: Message, source: SocketAddress) -> None:
        asked = transaction.path.remote
        origin = self._origin(test, asked)
        if source not in (origin, asked):
            return
        try:
            mapped = parse_binding_response(message, str(source))
            other = self._parse_other(message)
        except StunError as error:
            self._handle_refused(test, message.transaction_id, error)
            return
        except RemoteProtocolError as error:
            self._transactions.reject(message.transaction_id, error)
            return
        if source == origin:
            self._mapped[test] = mapped
            self._other = self._other or other
        else:
            # It was asked to answer from elsewhere, and did not: its silence there would mean nothing.
            self._change_refused = True
        self._settle(message.transaction_id)

    def _handle_refused(self, test: _Test, transaction_id: bytes, error: StunError) -> None:
        if test in _FIRST:
            self._end(DiscoveryFailed(error))
            return
        self._change_refused |= test in _CHANGES
        self._settle(transaction_id)

    def _settle(self, transaction_id: bytes) -> None:
        self._transactions.complete(transaction_id)
        del self._tests_by_id[transaction_id]

    def _origin(self, test: _Test, asked: SocketAddress) -> SocketAddress:
        """From where the answer to a test has to come."""
        change = _CHANGES.get(test)
        if change is None or self._other is None:
            return asked
        return self._other if change.address else SocketAddress(asked.host, self._other.port)

    def _parse_other(self, message: Message) -> SocketAddress | None:
        value = message.get(AttributeType.OTHER_ADDRESS)
        if value is None:
            return None
        other = parse_address(value)
        return other if _is_second_address(other, self._server) else None

    # What it means

    def _found(self) -> BehaviorDiscovered:
        local, mapped = self._ports[_Test.MAPPING_I], self._mapped[_Test.MAPPING_I]
        if self._other is None:
            return BehaviorDiscovered(server=self._server, other=None, local=local, mapped=mapped)
        probes = self._probes(self._other)
        return BehaviorDiscovered(
            server=self._server,
            other=self._other,
            local=local,
            mapped=mapped,
            mapping=self._mapping_behavior(),
            filtering=self._filtering_behavior(),
            hairpinning=self._hairpinned,
            change_refused=self._change_refused,
            silent=tuple(address for test, address in probes.items() if test not in self._mapped),
        )

    def _mapping_behavior(self) -> Behavior | None:
        first, second, third, fourth = (self._mapped.get(test) for test in _MAPPING)
        if first == self._ports[_Test.MAPPING_I]:
            return Behavior.ENDPOINT_INDEPENDENT  # RFC 5780 section 4.3: nothing is translated
        if second is None or third is None:
            return None
        if first == second == third and fourth in (first, None):
            return Behavior.ENDPOINT_INDEPENDENT
        if second == third and fourth in (first, None):
            return Behavior.ADDRESS_DEPENDENT
        return Behavior.ADDRESS_AND_PORT_DEPENDENT

    def _filtering_behavior(self) -> Behavior | None:
        if _Test.FILTERING_II in self._mapped:
            return Behavior.ENDPOINT_INDEPENDENT
        # Silence is a filter only where an answer can be had at all, as the mapping port had one.
        if self._change_refused or _Test.MAPPING_III not in self._mapped:
            return None
        if _Test.FILTERING_III in self._mapped:
            return Behavior.ADDRESS_DEPENDENT
        return Behavior.ADDRESS_AND_PORT_DEPENDENT if _Test.MAPPING_IV in self._mapped else None


def _is_second_address(other: SocketAddress, server: SocketAddress) -> bool:
    """Whether the tests can be made with it."""
    return other.host != server.host and other.port != server.port and _is_sent_to(other, server)


def _is_sent_to(named: SocketAddress, server: SocketAddress) -> bool:
    """Whether we send to an address that the server names: it must not send us where it could not reach itself."""
    if named.family is not server.family or named.port == 0:
        return False
    address, own = ipaddress.ip_address(named.host), ipaddress.ip_address(server.host)
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    return (own.is_loopback or not address.is_loopback) and (address.is_global or not own.is_global)
