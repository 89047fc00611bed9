"""How a server shares its clients with siblings in other processes, which serve on the same addresses.

The system gives each client to one of them by its 5-tuple. Two things may bring it to another one:

    a reservation token    the sibling hands over the relay socket that is reserved, and gets its port back later
    ConnectionBind         the client's connection is given to the sibling that has the connection with the peer

Both are rare, and each is one message with one descriptor. No packet is relayed between processes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, assert_never

from icelane.aio.stream import StreamConnection
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, UnixSeconds
from icelane.core.net import Path, SocketAddress
from icelane.server.bandwidth import Cells
from icelane.server.held_files import HeldFiles
from icelane.server.listeners import Listener
from icelane.server.relay_plane import RelayPlane
from icelane.server.splice import Splice
from icelane.server.stream_listener import StreamListener
from icelane.turn.quota import Tally
from icelane.turn.revocation import Revocation
from icelane.turn.routes import BindId, ClaimRelayPort, PassOn, ReleaseRelayPort, ReturnRelayPort
from icelane.turn.server import TurnServer as TurnEngine
from icelane.turn.siblings import Siblings

# A sibling answers at once or is gone; a client sends its request again after half a second.
CLAIM_TIMEOUT: Final[Duration] = 2.0
# A request for a reservation that is another's holds a descriptor for a moment at most.
MAX_CLAIMS: Final = 256
# Connections over TLS that are joined to another process. Each holds four descriptors, two on each side.
MAX_BRIDGES: Final = 1024


class SiblingLink(Protocol):
    """Reaches the siblings. Nothing here waits, and what cannot be delivered is answered as if nobody knew of it."""

    def claim(self, command: ClaimRelayPort) -> None:
        """Ask for a reserved port; `Sharing.claimed` or `claim_failed` follows."""
        ...

    def give_back(self, command: ReturnRelayPort) -> None:
        """Tell a sibling that its port is free."""
        ...

    def found(self, external: Mapping[str, str]) -> None:
        """Tell whoever starts others which public addresses have been found."""
        ...

    def pass_on(self, owner: int, client: Path, message: bytes, connection: socket.socket) -> None:
        """Give a client's connection away, which is closed here."""
        ...


@dataclass(frozen=True, kw_only=True)
class Share:
    """What is one server's of what several have together.

    `sockets` are bound, in the order of the configuration's listeners; `figures` is where the figures of all are shown;
    `held` is what the configuration's files hold for all;
    `revoked` is what has been taken back since the start, `external` the public addresses that siblings have found.
    `web` are the sockets of `server.listen`, which one server has alone, and `web_at` where they are bound.
    """

    siblings: Siblings
    link: SiblingLink
    sockets: Sequence[socket.socket]
    relay_ports: range
    nonce_key: bytes = field(repr=False)
    allocations: Tally
    connections: Tally
    cells: Cells
    figures: SocketAddress | None = None
    held: HeldFiles = field(default_factory=HeldFiles)
    revoked: Mapping[Revocation, UnixSeconds] = field(default_factory=dict)
    external: Mapping[str, str] = field(default_factory=dict)
    web: Sequence[socket.socket] = ()
    web_at: Sequence[SocketAddress] = ()


class Driver(Protocol):
    """Who drives the engine."""

    @property
    def engine(self) -> TurnEngine | None:
        """None before the start and after the end."""
        ...

    def settle(self, engine: TurnEngine) -> None:
        """Carry out what the engine wants after an input."""
        ...

    def listener_of(self, path: Path) -> Listener | None:
        """Where that client came in."""
        ...


class Sharing:
    """One server's dealings with its siblings."""

    def __init__(self, link: SiblingLink, plane: RelayPlane, driver: Driver) -> None:
        self._link = link
        self._plane = plane
        self._driver = driver
        self._claims: dict[BindId, asyncio.TimerHandle] = {}
        self._splices: set[Splice] = set()
        self._joining: set[asyncio.Task[None]] = set()

    # For the engine

    def execute(self, command: ClaimRelayPort | ReturnRelayPort | PassOn) -> None:
        """Carry out a command that concerns a sibling."""
        match command:
            case ClaimRelayPort():
                self._claim(command)
            case ReturnRelayPort():
                self._link.give_back(command)
            case PassOn():
                self._pass_on(command)
            case _:
                assert_never(command)

    # From the siblings

    def lend(self, token: bytes, sibling: int) -> tuple[SocketAddress, socket.socket] | None:
        """Hand over what is reserved for `token`; None when nothing is."""
        engine = self._driver.engine
        relay = engine.lend_relay_port(token, sibling) if engine is not None else None
        if engine is None or relay is None:
            return None
        try:
            return relay, self._plane.lend(relay)
        except OSError:  # no descriptor to spare: the port is free again
            self._plane.release(ReleaseRelayPort(relay))
            engine.handle_relay_returned(relay)
            return None

    def claimed(self, bind_id: BindId, relay: SocketAddress, owner: int, lent: socket.socket) -> None:
        """A sibling has handed over a relay socket. Too late is harmless: it is closed, and its port returned."""
        self._forget(bind_id)
        engine = self._driver.engine
        if engine is None:
            lent.close()
            return
        try:
            self._plane.borrow(relay, lent)
        except OSError:  # the socket is closed then
            self._link.give_back(ReturnRelayPort(relay, owner))
            self.claim_failed(bind_id)
            return
        engine.handle_relay_claimed(bind_id, relay, owner, monotonic())
        self._driver.settle(engine)

    def claim_failed(self, bind_id: BindId) -> None:
        """Nobody has what was claimed."""
        self._forget(bind_id)
        engine = self._driver.engine
        if engine is not None:
            engine.handle_relay_failed(bind_id, monotonic())
            self._driver.settle(engine)

    def returned(self, relay: SocketAddress) -> None:
        """A port that was lent is free again."""
        engine = self._driver.engine
        if engine is not None:
            engine.handle_relay_returned(relay)

    def sibling_gone(self, sibling: int) -> None:
        """That one has ended."""
        engine = self._driver.engine
        if engine is not None:
            engine.handle_sibling_gone(sibling)

    def take_in(self, path: Path, message: bytes, connection: socket.socket) -> None:
        """Go on with a client's connection that a sibling has given away."""
        listener = self._driver.listener_of(path)
        if isinstance(listener, StreamListener) and self._driver.engine is not None:
            listener.take_in(connection, path, message)
        else:
            connection.close()

    def close(self) -> None:
        """End every connection that is joined to another process."""
        for timer in self._claims.values():
            timer.cancel()
        self._claims.clear()
        for splice in list(self._splices):
            splice.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is being joined any more."""
        await asyncio.gather(*self._joining, return_exceptions=True)

    # Privates

    def _claim(self, command: ClaimRelayPort) -> None:
        loop = asyncio.get_running_loop()
        if len(self._claims) >= MAX_CLAIMS:
            loop.call_soon(self.claim_failed, command.bind_id)
            return
        self._claims[command.bind_id] = loop.call_later(CLAIM_TIMEOUT, self.claim_failed, command.bind_id)
        self._link.claim(command)

    def _forget(self, bind_id: BindId) -> None:
        timer = self._claims.pop(bind_id, None)
        if timer is not None:
            timer.cancel()

    def _pass_on(self, command: PassOn) -> None:
        listener = self._driver.listener_of(command.client)
        assert isinstance(listener, StreamListener), "a data connection came in over a stream"
        given = listener.give_away(command.client, self._bridge)
        if given is not None:
            connection, rest = given
            self._link.pass_on(command.owner, command.client, command.message + rest, connection)

    def _bridge(self, connection: StreamConnection) -> tuple[socket.socket, bytes] | None:
        """TLS stays in the process that has its keys: what it carries goes over a pair of sockets."""
        if len(self._splices) >= MAX_BRIDGES:
            connection.abort()
            return None
        ours, given = socket.socketpair()
        ours.setblocking(False)

        def on_gone() -> None:
            self._splices.discard(splice)

        splice = Splice(
            admit=lambda _: True,  # whoever has the allocation meters it
            count_from_client=_nothing,
            count_to_client=_nothing,
            on_client_lost=connection.connection_lost,
            on_closed=lambda: None,
            on_gone=on_gone,
        )
        self._splices.add(splice)
        _, rest = connection.hand_over(splice.client)
        self._start(self._join(ours, splice))
        return given, rest

    async def _join(self, ours: socket.socket, splice: Splice) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: splice.peer, ours)
        splice.start(b"")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)


def _nothing(size: int) -> None:
    """What passes is counted by whoever has the allocation."""
