"""What the server asks of a listener, and where clients come in over UDP; `stream_listener` has TCP and TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from icelane.aio.udp import RawAddress, Reader, UdpSocket, address_of
from icelane.core.net import Path, SocketAddress, Transport
from icelane.server.relay_plane import RelayedClient, SendToClient, raw_address
from icelane.server.traffic import SocketLoss

# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_UDP: Final = Transport.UDP


class Receiver(Protocol):
    """Takes what no route covers."""

    def __call__(self, data: bytes, path: Path) -> None: ...


class Listener(Protocol):
    """What the server asks of a listener, whatever the transport."""

    @property
    def local(self) -> SocketAddress:
        """The address that is bound."""
        ...

    def send(self, data: bytes, path: Path) -> None:
        """Send a control message to a client, or drop it."""
        ...

    def relay_sender(self, path: Path) -> SendToClient:
        """What the plane uses to reach a client of this listener."""
        ...

    def attach(self, client: RelayedClient) -> None:
        """From now on `client` relays what comes from its address."""
        ...

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more."""
        ...

    def close(self) -> None:
        """Stop listening and close what is open."""
        ...

    async def wait_closed(self) -> None:
        """Wait until what `close` has ended is gone."""
        ...


class _ClientSender:
    """Sends datagrams to one client. One of these lives as long as each allocation, so it is no function of its own."""

    __slots__ = ("_remote", "_udp")

    def __init__(self, udp: UdpSocket, remote: RawAddress) -> None:
        self._udp = udp
        self._remote = remote

    def __call__(self, data: bytes) -> None:
        """Send one datagram, or drop it; never raises."""
        try:
            self._udp.sendto(data, self._remote)
        except OSError as error:
            self._udp.count_failed_send(error)


class UdpListener:
    """Clients over UDP on one local address.

    What the datagrams of one wake are answered leaves together behind the last of them: so whoever waits for an answer
    is woken once, and not for each, which on one machine was half of what sending cost.
    """

    transport: Final = Transport.UDP

    def __init__(
        self,
        bound: socket.socket,
        receive: Receiver,
        reader: Reader | None = None,
        on_drained: Callable[[], None] | None = None,
    ) -> None:
        """Take over a socket that is bound, to be read by `reader` or else by the loop.

        `on_drained` runs behind the last datagram of a wake that `receive` was given one in.
        """
        self._receive = receive
        self._after = on_drained
        self._receiving = False
        self._answers: list[tuple[bytes, RawAddress]] = []
        self._clients_by_source: dict[RawAddress, RelayedClient] = {}
        self._udp = UdpSocket(bound, self._on_datagram, asyncio.get_running_loop(), reader)
        self._udp.on_drained = self._drained
        self.local = self._udp.local

    def send(self, data: bytes, path: Path) -> None:
        """Send a control message to a client."""
        if self._receiving:
            self._answers.append((data, path.remote))
        else:
            self._udp.send(data, path.remote)

    def relay_sender(self, path: Path) -> SendToClient:
        """A function that sends one datagram to the client and never raises."""
        return _ClientSender(self._udp, tuple(path.remote))

    def attach(self, client: RelayedClient) -> None:
        """From now on `client` relays what comes from its address."""
        self._clients_by_source[raw_address(client.path.remote)] = client

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more."""
        self._clients_by_source.pop(raw_address(client.path.remote), None)

    def count_loss(self, loss: SocketLoss) -> None:
        """Add what the socket has lost."""
        loss.add(self._udp)

    def close(self) -> None:
        """Free the port."""
        self._send_answers()
        self._udp.close()

    async def wait_closed(self) -> None:
        """A socket is gone at once."""

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        client = self._clients_by_source.get(source)
        if client is None or not client.relay_from_client(data):
            self._receiving = True
            # What Path() does, without the Python around it.
            self._receive(data, tuple.__new__(Path, (self.local, address_of(source), _UDP)))

    def _drained(self) -> None:
        if self._receiving:
            self._receiving = False
            self._send_answers()
            if self._after is not None:
                self._after()

    def _send_answers(self) -> None:
        answers, self._answers = self._answers, []
        sendto, again = self._udp.sendto, self._udp.send_again
        for data, remote in answers:
            try:
                sendto(data, remote)
            except OSError as error:
                again(data, remote, error)
