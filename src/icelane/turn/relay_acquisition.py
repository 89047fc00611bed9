"""How an Allocate request gets its relayed addresses (RFC 8656 section 7.2, steps 6 to 10).

A port is chosen, the plane is told to bind it, and says whether it could; another program may hold it, so a few more
are tried. A request that asks for both families goes through this twice. A claimed reservation is bound already, by us
or by a sibling, who then hands it over.

    begin -> BindRelayPort  -> handle_bound   -> ... -> Acquired
                            -> handle_failed  -> BindRelayPort on another port
          -> ClaimRelayPort -> handle_claimed ->        Acquired
                            -> handle_failed  ->        Acquired, without relays
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.turn.refusal import Refusal
from icelane.turn.relay_ports import RelayPorts
from icelane.turn.request import AllocateRequest
from icelane.turn.routes import BindId, BindRelayPort, ClaimRelayPort, Command, ReleaseRelayPort, ReturnRelayPort

# More refusals in a row than this mean that something else is wrong than a port in use.
MAX_BIND_ATTEMPTS: Final = 16


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_IPV6: Final = AddressFamily.IPV6
_TCP: Final = Transport.TCP
_UDP: Final = Transport.UDP


@dataclass(kw_only=True)
class Acquired:
    """What a request got. No `relays` means that it failed, and that nothing is held.

    `reservation_token` stands for the port after the first relay; `failures` says by which error code a family could
    not be had, when two were wanted.
    """

    __slots__ = ("client", "failures", "relays", "reservation_token")

    client: Path
    relays: list[SocketAddress]
    reservation_token: bytes | None
    failures: dict[AddressFamily, int]


@dataclass
class _Acquisition:
    """One request on its way: `wanted` families are still to come, `bind` is the plane's to answer."""

    __slots__ = ("attempts", "bind", "even_port", "reserve_next", "result", "transport", "wanted")

    result: Acquired
    wanted: list[AddressFamily]
    even_port: bool
    reserve_next: bool
    transport: Transport
    attempts: int
    bind: BindRelayPort | ClaimRelayPort | None


class RelayAcquisition:
    """Takes relay ports for clients and gives them back. Commands for the plane are appended to `commands`."""

    def __init__(
        self, ports: RelayPorts, reservation_lifetime: Duration, commands: deque[Command], life: int = 0
    ) -> None:
        """`life` makes the numbers of what is asked for others than those of an engine that was here before."""
        self._ports = ports
        self._reservation_lifetime = reservation_lifetime
        self._commands = commands
        self._running_by_client: dict[Path, _Acquisition] = {}
        self._running_by_bind: dict[BindId, _Acquisition] = {}
        self._finished: deque[Acquired] = deque()
        self._reservations: TimerTable[bytes] = TimerTable()
        self._last_bind = life << 32

    def __contains__(self, client: Path) -> bool:
        return client in self._running_by_client

    @property
    def idle(self) -> bool:
        """Whether no port is in use and nothing is on its way."""
        return not (self._running_by_client or self._running_by_bind or len(self._reservations) or self._ports.in_use)

    # Inputs

    def handle_bound(self, bind_id: BindId, now: Instant) -> None:
        """The plane has bound what it was told to."""
        running = self._running_by_bind.pop(bind_id, None)
        if running is None or running.bind is None:
            return
        bind = running.bind
        running.bind = None
        assert isinstance(bind, BindRelayPort), "what is claimed is not bound"
        running.wanted.pop(0)
        running.attempts = 0
        running.result.relays.append(bind.relay)
        if bind.and_next:
            reservation = self._ports.reserve(_next_port(bind.relay))
            running.result.reservation_token = reservation.token
            self._reservations.set(reservation.token, later(now, self._reservation_lifetime))
        self._continue(running)

    def handle_claimed(self, bind_id: BindId, relay: SocketAddress, owner: int) -> None:
        """A sibling has handed over a reserved port, which is ours to release even when nobody waits any more."""
        self._ports.borrow(relay, owner)
        running = self._running_by_bind.pop(bind_id, None)
        if running is None or running.bind is None:
            self.release(relay)
            return
        running.bind = None
        running.result.relays.append(relay)
        self._continue(running)

    def handle_failed(self, bind_id: BindId) -> None:
        """The plane could not bind what it was told to, or a sibling knows no such reservation."""
        running = self._running_by_bind.pop(bind_id, None)
        if running is None or running.bind is None:
            return
        bind, running.bind = running.bind, None
        if isinstance(bind, BindRelayPort):
            self._ports.give_back(bind.relay, and_next=bind.and_next)
            running.attempts += 1
        self._continue(running)

    def handle_timeout(self, now: Instant) -> None:
        """Give back reserved ports that nobody claimed in time."""
        while (token := self._reservations.pop_due(now)) is not None:
            self._drop_reservation(token)

    # Commands

    def begin(self, client: Path, request: AllocateRequest) -> None:
        """Start to acquire what `request` asks for; raises Refusal when it is clear at once that it cannot be had."""
        transport = _TCP if request.tcp else _UDP
        result = Acquired(client=client, relays=[], reservation_token=None, failures={})
        running = _Acquisition(result, [], request.even_port, request.reserve_next, transport, 0, None)
        if request.reservation_token is not None:
            owner = self._ports.owner_of(request.reservation_token)
            if owner is not None:
                self._running_by_client[client] = running
                self._ask(running, ClaimRelayPort(self._next_bind(), request.reservation_token, owner))
                return
            running.result.relays.append(self._claim(request.reservation_token))
        else:
            for family in (request.family, _IPV6) if request.additional else (request.family,):
                if family in self._ports.families:
                    running.wanted.append(family)
                else:
                    running.result.failures[family] = 440
            if not running.wanted:
                raise Refusal(440, "family-not-relayed")
        self._running_by_client[client] = running
        self._continue(running)

    def cancel(self, client: Path) -> None:
        """The client is gone: give back what it was about to get."""
        running = self._running_by_client.pop(client, None)
        if running is None:
            return
        if running.bind is not None:
            del self._running_by_bind[running.bind.bind_id]
        if isinstance(running.bind, BindRelayPort):
            # The plane may have bound it already; to release a port that it does not know is harmless.
            self.release(running.bind.relay)
            if running.bind.and_next:
                self.release(_next_port(running.bind.relay))
        self._give_up(running.result)

    def release(self, relay: SocketAddress) -> None:
        """A relayed address is not needed any more."""
        owner = self._ports.give_back(relay)
        self._commands.append(ReleaseRelayPort(relay))
        if owner is not None:
            self._commands.append(ReturnRelayPort(relay, owner))

    def lend(self, token: bytes, borrower: int) -> SocketAddress | None:
        """Let a sibling have what is reserved for `token`, until `take_back`; None when nothing is."""
        reservation = self._ports.claim(token)
        if reservation is None:
            return None
        self._reservations.cancel(token)
        self._ports.lend(reservation.relay, borrower)
        return reservation.relay

    def take_back(self, relay: SocketAddress) -> None:
        """A sibling has returned a port."""
        self._ports.take_back(relay)

    def take_back_from(self, borrower: int) -> None:
        """That sibling is gone."""
        self._ports.take_back_from(borrower)

    def close(self) -> None:
        """Give back everything that no allocation holds."""
        for client in list(self._running_by_client):
            self.cancel(client)
        for reservation in self._ports.drop_reservations():
            self._commands.append(ReleaseRelayPort(reservation.relay))
        self._reservations.clear()

    # Outputs

    def poll_finished(self) -> Acquired | None:
        """The next request that has got what it wanted, or failed."""
        return self._finished.popleft() if self._finished else None

    def next_timeout(self) -> Instant | None:
        """When the next reservation runs out."""
        return self._reservations.next()

    # Privates

    def _continue(self, running: _Acquisition) -> None:
        """Ask for the next port that is still wanted; finish when there is none, or none is to be had."""
        while running.wanted:
            relay = None
            if running.attempts < MAX_BIND_ATTEMPTS:
                relay = self._ports.take(running.wanted[0], even=running.even_port, and_next=running.reserve_next)
            if relay is not None:
                self._ask(running, BindRelayPort(self._next_bind(), relay, running.reserve_next, running.transport))
                return
            # Where two families are wanted, either will do.
            running.result.failures[running.wanted.pop(0)] = 508
            running.attempts = 0
        del self._running_by_client[running.result.client]
        self._finished.append(running.result)

    def _next_bind(self) -> BindId:
        self._last_bind += 1
        return BindId(self._last_bind)

    def _ask(self, running: _Acquisition, command: BindRelayPort | ClaimRelayPort) -> None:
        running.bind = command
        self._running_by_bind[command.bind_id] = running
        self._commands.append(command)

    def _claim(self, token: bytes) -> SocketAddress:
        reservation = self._ports.claim(token)
        if reservation is None:
            raise Refusal(508, "reservation-unknown")
        self._reservations.cancel(token)
        return reservation.relay

    def _give_up(self, result: Acquired) -> None:
        for relay in result.relays:
            self.release(relay)
        result.relays.clear()
        if result.reservation_token is not None:
            self._reservations.cancel(result.reservation_token)
            self._drop_reservation(result.reservation_token)
            result.reservation_token = None

    def _drop_reservation(self, token: bytes) -> None:
        reservation = self._ports.claim(token)
        if reservation is not None:
            self.release(reservation.relay)


def _next_port(relay: SocketAddress) -> SocketAddress:
    return SocketAddress(relay.host, relay.port + 1)
