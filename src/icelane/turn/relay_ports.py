"""Which relay port comes next: the pools of every relay address, and the ports that wait for their token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from icelane.core.entropy import Entropy
from icelane.core.garbage import untracked
from icelane.core.net import AddressFamily, SocketAddress, canonical_host, family_of, socket_address
from icelane.turn.attributes import RESERVATION_TOKEN_SIZE
from icelane.turn.port_pool import PortPool
from icelane.turn.siblings import ALONE, Siblings

# Reserved ports wait 30 s for their owner; a client that reserves and never claims must not empty the range.
MAX_RESERVATIONS: Final = 256

_TOKEN_LIMIT: Final = 1 << 8 * RESERVATION_TOKEN_SIZE


@dataclass(frozen=True, slots=True)
class Reservation:
    """A bound relay port that the holder of `token` may claim (RFC 8656 section 7.2, EVEN-PORT with R)."""

    token: bytes
    relay: SocketAddress


class RelayPorts:
    """Hands out relayed transport addresses and takes them back.

    Where several addresses of a family are given, they are used in turn. `external_addresses` maps a local relay
    host to the host that clients and peers are told.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        ports: range,
        external_addresses: Mapping[str, str],
        *,
        entropy: Entropy,
        siblings: Siblings = ALONE,
    ) -> None:
        self._entropy = entropy
        self._siblings = siblings
        self._pools = {canonical_host(host): PortPool(ports, entropy) for host in hosts}
        self._hosts_by_family: dict[AddressFamily, list[str]] = {}
        for host in self._pools:
            self._hosts_by_family.setdefault(family_of(host), []).append(host)
        self._external: dict[str, str] = {}
        self.set_external_addresses(external_addresses)
        self._reservations_by_token: dict[bytes, Reservation] = {}
        self._owners_by_borrowed: dict[SocketAddress, int] = {}
        self._borrowers_by_lent: dict[SocketAddress, int] = {}

    @property
    def families(self) -> Iterable[AddressFamily]:
        """The address families that can be relayed."""
        return self._hosts_by_family.keys()

    @property
    def in_use(self) -> int:
        """How many ports are taken, reserved, lent and borrowed ones included."""
        return sum(pool.in_use for pool in self._pools.values()) + len(self._owners_by_borrowed)

    def external(self, relay: SocketAddress) -> SocketAddress:
        """What the outside calls a local relayed address."""
        host = self._external.get(relay.host)
        return relay if host is None else socket_address(host, relay.port)

    def set_external_addresses(self, external_addresses: Mapping[str, str]) -> None:
        """From now on the outside calls local relay hosts by these names."""
        self._external = {
            canonical_host(local): canonical_host(external) for local, external in external_addresses.items()
        }

    def take(self, family: AddressFamily, *, even: bool, and_next: bool) -> SocketAddress | None:
        """A free relayed address; with `even` its port is even, with `and_next` the following port is taken too.

        None when no address of the family has such a port left, or too many reservations wait.
        """
        if and_next and len(self._reservations_by_token) >= MAX_RESERVATIONS:
            return None
        hosts = self._hosts_by_family[family]
        for _ in range(len(hosts)):
            host = hosts[0]
            if len(hosts) > 1:
                hosts.append(hosts.pop(0))
            pool = self._pools[host]
            port = pool.take_pair() if and_next else pool.take_even() if even else pool.take()
            if port is not None:
                return untracked(socket_address(host, port))
        return None

    def give_back(self, relay: SocketAddress, *, and_next: bool = False) -> int | None:
        """The address is free again, with `and_next` the one after it too; a borrowed one is the sibling's returned."""
        owner = self._owners_by_borrowed.pop(relay, None)
        if owner is not None:
            return owner
        pool = self._pools[relay.host]
        pool.release(relay.port)
        if and_next:
            pool.release(relay.port + 1)
        return None

    def reserve(self, relay: SocketAddress) -> Reservation:
        """Keep a taken and bound address for whoever shows the token."""
        number = self._siblings.mark(int.from_bytes(self._entropy.token(RESERVATION_TOKEN_SIZE), "big"), _TOKEN_LIMIT)
        reservation = Reservation(number.to_bytes(RESERVATION_TOKEN_SIZE, "big"), relay)
        self._reservations_by_token[reservation.token] = reservation
        return reservation

    def claim(self, token: bytes) -> Reservation | None:
        """The reservation of that token, which is good for one claim; None when there is none."""
        return self._reservations_by_token.pop(token, None)

    def owner_of(self, token: bytes) -> int | None:
        """The sibling who has given out a token; None when it is ours, or nobody's."""
        number = int.from_bytes(token, "big")
        return None if self._siblings.is_ours(number) else self._siblings.owner_of(number)

    def borrow(self, relay: SocketAddress, owner: int) -> None:
        """Use a port of a sibling's until it is given back."""
        self._owners_by_borrowed[relay] = owner

    def lend(self, relay: SocketAddress, borrower: int) -> None:
        """Let a sibling use a taken port until it is returned."""
        self._borrowers_by_lent[relay] = borrower

    def take_back(self, relay: SocketAddress) -> None:
        """A sibling does not use the port any more; one that is not lent is nothing new."""
        if self._borrowers_by_lent.pop(relay, None) is not None:
            self.give_back(relay)

    def take_back_from(self, borrower: int) -> None:
        """That sibling is gone, and with it all that it had borrowed."""
        for relay in [relay for relay, who in self._borrowers_by_lent.items() if who == borrower]:
            self.take_back(relay)

    def drop_reservations(self) -> list[Reservation]:
        """Give back every reserved address; returns what was reserved."""
        dropped = list(self._reservations_by_token.values())
        self._reservations_by_token.clear()
        for reservation in dropped:
            self.give_back(reservation.relay)
        return dropped
