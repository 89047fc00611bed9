"""Which of many ICE connections a datagram is for, where all of them share one UDP socket.

    table = MuxTable[Connection]()
    table.add(connection)
    table.settle(connection, ufrags=[...], validated=[...], authenticated=[...])    # whenever its agent has changed;
                                                        # returns those who are to find out whether their peer is there
    table.note_sent(connection, request)                                            # before a Binding request leaves
    table.find(data, source)                                                        # None: for nobody here
    table.remove(connection)

    Binding request      by the receiver's part of USERNAME; the agent looks at its integrity
    Binding response     by the transaction, which the connection has begun
    anything else        by the source: one that was validated, or else one that has proved to know the password

A source belongs to the connection that has validated it first, until that lets it go: nobody takes over a source by
writing it on a packet (IC-3). What says otherwise, an answer to a check of another connection, is dropped. The price is
that two shared sockets carry one connection between them and no second one, because nothing but the source says whose a
DTLS record is.

A client that has crashed and comes back from the same source is another peer, of another connection. Its signed check
makes the owner ask whether the old one still answers; where that is in doubt, the source is whose check is answered.

    S -> us    check for B, signed          B says `authenticated`, and A, who owns S, is to ask: `settle` returns it
    us -> S    A's check for consent        answered: everything stays. Not answered for a second: A says `doubted`
    us <-> S   B's check and the answer     B says `validated`: S is B's, as long as A's peer does not answer again

A lite agent sends no checks, so that a signature is all that its sources rest on, and the newest one counts, until the
peer has been shown to receive there: it says `unproven` of them until then.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import Final, Generic, TypeVar

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.ice.check import parse_username
from icelane.stun.message import HEADER_SIZE, parse_message

C = TypeVar("C")

# Binding requests of one connection whose answers are waited for; the oldest is forgotten, and its answer dropped. At
# one new check every 50 ms these are the last 25 s, and those that are sent again count as new.
MAX_TRANSACTIONS: Final = 512

# RFC 8489 section 5: the type of a Binding request, and in which bits of the type's two bytes the class is.
_BINDING_REQUEST: Final = b"\x00\x01"
_RESPONSE_BIT: Final = 0x01
_INDICATION_BIT: Final = 0x10
_TRANSACTION: Final = slice(8, HEADER_SIZE)
# RFC 7983: what begins with more is not STUN.
_LAST_OF_STUN: Final = 3


class _Entry:
    """What one connection has in the table."""

    __slots__ = ("authenticated", "doubted", "transactions", "ufrags", "unproven", "validated")

    def __init__(self) -> None:
        self.ufrags: frozenset[str] = frozenset()
        self.validated: frozenset[SocketAddress] = frozenset()
        self.doubted: frozenset[SocketAddress] = frozenset()
        self.unproven: frozenset[SocketAddress] = frozenset()
        self.authenticated: frozenset[SocketAddress] = frozenset()
        self.transactions: dict[bytes, None] = {}


class MuxTable(Generic[C]):
    """The connections on one socket. What each may hold is bounded by its agent, and by MAX_TRANSACTIONS."""

    def __init__(self) -> None:
        self._entries: dict[C, _Entry] = {}
        self._connections_by_ufrag: dict[str, C] = {}
        self._connections_by_transaction: dict[bytes, C] = {}
        self._validators_by_source: dict[SocketAddress, dict[C, None]] = {}  # in the order in which they validated it
        self._owners_by_source: dict[SocketAddress, C] = {}
        self._connections_by_source: dict[SocketAddress, C] = {}  # owners, and those that claim what nobody owns

    def __len__(self) -> int:
        return len(self._entries)

    # Inputs

    def find(self, data: bytes, source: SocketAddress) -> C | None:
        """The connection that a datagram is for, None for nobody. One look into a dictionary, unless it is STUN."""
        if not data or data[0] > _LAST_OF_STUN:
            return self._connections_by_source.get(source)
        return self._find_stun(data, source)

    # Commands

    def add(self, connection: C) -> None:
        """One more; again is harmless."""
        self._entries.setdefault(connection, _Entry())

    def settle(
        self,
        connection: C,
        *,
        ufrags: Collection[str],
        validated: Collection[SocketAddress],
        authenticated: Collection[SocketAddress],
        doubted: Collection[SocketAddress] = (),
        unproven: Collection[SocketAddress] = (),
    ) -> list[C]:
        """What its agent says now.

        `ufrags` are those of ours that the agent answers to. `validated` are sources on which a check of ours was
        answered, `authenticated` those that have sent a check with our password: they get what nobody else owns, so
        that a ClientHello that overtakes the answer to our check is not lost. `doubted` are those of `validated` where
        the peer need not be any more, `unproven` those where it need never have been: a check names that source, and no
        more. They are the newest one's who says so, until somebody is sure. Returns the owners of sources where this
        connection has met its peer just now: they are to find out at once whether theirs still is there.
        """
        entry = self._entries.get(connection)
        if entry is None:
            return []
        met = {*validated, *authenticated} - entry.validated - entry.authenticated
        owners = dict.fromkeys(self._sure_owner(source) for source in met)
        self._set_ufrags(connection, entry, frozenset(ufrags))
        self._set_validated(connection, entry, frozenset(validated), frozenset(doubted), frozenset(unproven))
        self._set_authenticated(connection, entry, frozenset(authenticated))
        return [owner for owner in owners if owner is not None and owner != connection]

    def note_sent(self, connection: C, data: bytes) -> None:
        """A datagram of the connection leaves: if it is a Binding request, the answer will be the connection's."""
        if data[:2] != _BINDING_REQUEST or (entry := self._entries.get(connection)) is None:
            return
        transaction = bytes(data[_TRANSACTION])
        owner = self._connections_by_transaction.setdefault(transaction, connection)
        if owner is not connection:
            return  # 96 random bits: somebody repeats what another one sent
        entry.transactions.pop(transaction, None)
        entry.transactions[transaction] = None
        if len(entry.transactions) > MAX_TRANSACTIONS:
            oldest = next(iter(entry.transactions))
            del entry.transactions[oldest], self._connections_by_transaction[oldest]

    def remove(self, connection: C) -> None:
        """It is gone, and everything of it."""
        entry = self._entries.get(connection)
        if entry is None:
            return
        self.settle(connection, ufrags=(), validated=(), authenticated=())
        for transaction in entry.transactions:
            del self._connections_by_transaction[transaction]
        del self._entries[connection]

    # Properties and privates

    @property
    def connections(self) -> list[C]:
        """All of them."""
        return list(self._entries)

    @property
    def held(self) -> int:
        """How much there is in all the tables together; 0 when nobody is there."""
        sources = len(self._owners_by_source) + len(self._connections_by_source) + len(self._validators_by_source)
        return len(self._entries) + len(self._connections_by_ufrag) + len(self._connections_by_transaction) + sources

    def _find_stun(self, data: bytes, source: SocketAddress) -> C | None:
        if len(data) < HEADER_SIZE:
            return None
        if data[0] & _RESPONSE_BIT:
            found = self._connections_by_transaction.get(data[_TRANSACTION])
            return found if found is not None and self._may_hear(found, source) else None
        if data[1] & _INDICATION_BIT:
            return self._connections_by_source.get(source)
        return self._find_receiver(data)  # whose agent looks at the signature

    def _may_hear(self, connection: C, source: SocketAddress) -> bool:
        """Whether an answer to its check gets to a connection, though the peer of another one may be at `source`.

        Whoever had the source before its owner is to learn that its peer is back: the agent looks at the signature, and
        the source is the connection's again. Whoever came after it gets nothing else from there, and is to notice.
        """
        owner = self._sure_owner(source)
        if owner is None or owner is connection:
            return True
        first = (one for one in self._validators_by_source[source] if one in (connection, owner))
        return next(first) is connection

    def _find_receiver(self, data: bytes) -> C | None:
        try:
            receiver, _ = parse_username(parse_message(data))
        except MalformedError:
            return None
        return self._connections_by_ufrag.get(receiver)

    def _set_ufrags(self, connection: C, entry: _Entry, ufrags: frozenset[str]) -> None:
        for ufrag in entry.ufrags - ufrags:
            if self._connections_by_ufrag.get(ufrag) is connection:
                del self._connections_by_ufrag[ufrag]
        for ufrag in ufrags - entry.ufrags:
            self._connections_by_ufrag.setdefault(ufrag, connection)
        entry.ufrags = ufrags

    def _sure_owner(self, source: SocketAddress) -> C | None:
        """Whose peer is at `source`, as far as is known; None where nobody's is, or that is in doubt."""
        owner = self._owners_by_source.get(source)
        return owner if owner is not None and self._is_sure(owner, source) else None

    def _is_sure(self, connection: C, source: SocketAddress) -> bool:
        entry = self._entries[connection]
        return source not in entry.doubted and source not in entry.unproven

    def _set_validated(
        self,
        connection: C,
        entry: _Entry,
        validated: frozenset[SocketAddress],
        doubted: frozenset[SocketAddress],
        unproven: frozenset[SocketAddress],
    ) -> None:
        changed = (entry.validated ^ validated) | (entry.doubted ^ doubted) | (entry.unproven ^ unproven)
        for source in entry.validated - validated:
            del self._validators_by_source[source][connection]
        for source in validated - entry.validated:
            self._validators_by_source.setdefault(source, {})[connection] = None
        entry.validated, entry.doubted, entry.unproven = validated, doubted, unproven
        for source in changed:
            self._settle_owner(source)

    def _settle_owner(self, source: SocketAddress) -> None:
        """The first who is sure has it, or else the newest who has only a signature, or else the first."""
        validators = self._validators_by_source.get(source)
        if validators:
            sure = (one for one in validators if self._is_sure(one, source))
            signed = (one for one in reversed(validators) if source not in self._entries[one].doubted)
            owner = next(chain(sure, signed, validators))
            self._owners_by_source[source] = self._connections_by_source[source] = owner
        elif validators is not None:
            del self._validators_by_source[source], self._owners_by_source[source], self._connections_by_source[source]

    def _set_authenticated(self, connection: C, entry: _Entry, authenticated: frozenset[SocketAddress]) -> None:
        for source in entry.authenticated - authenticated:
            if source not in self._owners_by_source and self._connections_by_source.get(source) is connection:
                del self._connections_by_source[source]
        for source in authenticated - self._owners_by_source.keys():
            # The newest claim counts, among those of sources that nobody owns.
            if source not in entry.authenticated:
                self._connections_by_source[source] = connection
            else:
                self._connections_by_source.setdefault(source, connection)
        entry.authenticated = authenticated
