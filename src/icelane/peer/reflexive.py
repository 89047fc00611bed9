"""Server-reflexive gathering: asks every STUN server from every base which address it sees (RFC 8445 section 5.1.1.2).

    probes = ReflexiveProbes(entropy=entropy)
    probes.add_server(server, "stun:stun.example.org", now)
    probes.add_base(base, now)                 # servers and bases may come in any order
    ...
    probes.handle_message(message, path, now)  # True when it was an answer to a probe

Every pair of base and server has a probe of its own, so a dead interface or server delays nobody. After an answer the
binding is kept open until `settle`, because a candidate is of no use once the NAT has forgotten it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, earliest, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IcelaneError, RemoteProtocolError, TransactionTimeoutError
from icelane.peer.ice_server import MAX_SERVERS
from icelane.stun.binding import encode_binding_request, parse_binding_response
from icelane.stun.message import TRANSACTION_ID_SIZE, Message, MessageBuilder, MessageClass, Method
from icelane.stun.transaction import ClientTransactions

MAX_BASES: Final = 64
# A person waits: requests leave at 0, 0.25, 0.75 and 1.75 s, and nobody who has not answered by then is worth more.
PROBE_RTO: Final[Duration] = 0.25
PROBE_TIMEOUT: Final[Duration] = 3.5
# RFC 4787 REQ-5 allows a NAT to forget after two minutes; home routers do after 30 s.
KEEPALIVE_INTERVAL: Final[Duration] = 15.0


@dataclass(frozen=True, slots=True)
class MappedAddressFound:
    """`server` sees what leaves `base` at `mapped`."""

    base: SocketAddress
    mapped: SocketAddress
    server: SocketAddress
    url: str


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """`server` did not say where it sees `base`."""

    base: SocketAddress
    server: SocketAddress
    url: str
    error: IcelaneError


ReflexiveEvent = MappedAddressFound | ProbeFailed


class ReflexiveProbes:
    """All probes of one ICE transport. Bases and servers meet where their address family is the same."""

    def __init__(self, *, entropy: Entropy) -> None:
        self._entropy = entropy
        self._bases: list[SocketAddress] = []
        self._urls_by_server: dict[SocketAddress, str] = {}
        self._transactions = ClientTransactions(rto=PROBE_RTO, limit=MAX_SERVERS * MAX_BASES)
        self._transaction_ids_by_path: dict[Path, bytes] = {}
        self._deadlines: TimerTable[Path] = TimerTable()
        self._keepalives: TimerTable[Path] = TimerTable()
        self._settled = False
        self._transmits: deque[Transmit] = deque()
        self._events: deque[ReflexiveEvent] = deque()

    # Inputs

    def handle_message(self, message: Message, path: Path, now: Instant) -> bool:
        """A STUN message came on `path`; whether it answers a probe."""
        transaction = self._transactions.find(message, path)
        if transaction is None:
            return False
        try:
            mapped = parse_binding_response(message, str(path.remote))
        except RemoteProtocolError as error:
            # It may be forged, so it only counts if nothing better comes.
            self._transactions.reject(transaction.transaction_id, error)
            return True
        except IcelaneError as error:
            self._fail(path, error)
            return True
        self._forget(path)
        if not self._settled:
            self._keepalives.set(path, later(now, KEEPALIVE_INTERVAL))
        self._events.append(MappedAddressFound(path.local, mapped, path.remote, self._urls_by_server[path.remote]))
        return True

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed: ask again, give up, keep a binding open."""
        self._transactions.handle_timeout(now)
        while (path := self._deadlines.pop_due(now)) is not None:
            self._fail(path, TransactionTimeoutError(f"{path.remote}: no answer within {PROBE_TIMEOUT} s"))
        while (path := self._keepalives.pop_due(now)) is not None:
            indication = MessageBuilder(
                Method.BINDING, MessageClass.INDICATION, self._entropy.token(TRANSACTION_ID_SIZE)
            )
            self._transmits.append(Transmit(path, indication.add_fingerprint().build()))
            self._keepalives.set(path, later(now, KEEPALIVE_INTERVAL))

    # Commands

    def add_base(self, base: SocketAddress, now: Instant) -> None:
        """Ask from here, too; beyond MAX_BASES it is left out."""
        if base in self._bases or len(self._bases) >= MAX_BASES:
            return
        self._bases.append(base)
        for server in self._urls_by_server:
            self._probe(base, server, now)

    def remove_base(self, base: SocketAddress) -> None:
        """The socket is gone; nothing more is said of it."""
        if base not in self._bases:
            return
        self._bases.remove(base)
        for server in self._urls_by_server:
            path = Path(base, server, Transport.UDP)
            self._forget(path)
            self._keepalives.cancel(path)

    def add_server(self, server: SocketAddress, url: str, now: Instant) -> bool:
        """Ask there, once more if it was asked before; `url` names it in events. False beyond MAX_SERVERS."""
        if server not in self._urls_by_server and len(self._urls_by_server) >= MAX_SERVERS:
            return False
        self._urls_by_server.setdefault(server, url)
        for base in self._bases:
            self._probe(base, server, now)
        return True

    def keep_servers(self, urls: frozenset[str]) -> None:
        """Ask and remind no server of another URL any more; those that are added later count as before."""
        for server in [server for server, url in self._urls_by_server.items() if url not in urls]:
            for base in self._bases:
                path = Path(base, server, Transport.UDP)
                self._forget(path)
                self._keepalives.cancel(path)
            del self._urls_by_server[server]

    def settle(self) -> None:
        """ICE has chosen its path: the bindings need not be kept open any longer."""
        self._settled = True
        self._keepalives.clear()

    def resume(self) -> None:
        """ICE begins anew: answers from now on are kept open again."""
        self._settled = False

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next message to send, or None."""
        return self._transactions.poll_transmit() or (self._transmits.popleft() if self._transmits else None)

    def poll_event(self) -> ReflexiveEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        return earliest(self._transactions.next_timeout(), self._deadlines.next(), self._keepalives.next())

    # Properties and privates

    @property
    def pending(self) -> bool:
        """Whether an answer is still waited for."""
        return bool(self._transaction_ids_by_path)

    def _probe(self, base: SocketAddress, server: SocketAddress, now: Instant) -> None:
        if base.family is not server.family:
            return
        path = Path(base, server, Transport.UDP)
        if path in self._transaction_ids_by_path:
            return
        request = encode_binding_request(self._entropy.token(TRANSACTION_ID_SIZE))
        self._transaction_ids_by_path[path] = self._transactions.start(request, path, now)
        self._deadlines.set(path, later(now, PROBE_TIMEOUT))

    def _fail(self, path: Path, error: IcelaneError) -> None:
        self._forget(path)
        self._events.append(ProbeFailed(path.local, path.remote, self._urls_by_server[path.remote], error))

    def _forget(self, path: Path) -> None:
        transaction_id = self._transaction_ids_by_path.pop(path, None)
        if transaction_id is not None:
            self._transactions.complete(transaction_id)
        self._deadlines.cancel(path)
