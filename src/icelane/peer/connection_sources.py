"""What the machine tells a connection: its sockets, the servers of the configuration, names and streams.

Before there is a transport, and after its end, these mean nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress
from icelane.errors import IcelaneError
from icelane.peer.connection_event import PeerConnectionCommand
from icelane.peer.ice_transport import IceTransport
from icelane.peer.ice_transport_event import DisconnectPeer
from icelane.peer.relays import RelayServer
from icelane.peer.secure_transport import SecureTransport


class ConnectionSources(ABC):
    """The verbs of a driver that answers `FindSources` and the like; each is one mutation of the connection."""

    transport: SecureTransport | None
    _retired: IceTransport | None
    _commands: deque[PeerConnectionCommand]

    def add_base(self, base: SocketAddress, preference: int, now: Instant, *, is_shared: bool = False) -> None:
        """A UDP socket of ours is bound at `base`; see `IceTransport`."""
        if self.transport is not None:
            self.transport.ice.add_base(base, preference, now, is_shared=is_shared)
            self._settle(now)

    def add_relay_base(self, base: SocketAddress, now: Instant) -> None:
        """A UDP socket of ours, for TURN servers alone, is bound at `base`."""
        if self.transport is not None:
            self.transport.ice.add_relay_base(base, now)
            self._settle(now)

    def note_families(self, now: Instant, *, has_ipv6: bool) -> None:  # noqa: ARG002  (every verb is told the time)
        """Whether the machine has an address of IPv6: a TURN server is asked for a relayed one then, too."""
        if self.transport is not None:
            self.transport.ice.note_families(has_ipv6=has_ipv6)

    def remove_base(self, base: SocketAddress, now: Instant) -> None:
        """The socket is gone."""
        if (ice := self._ice) is not None:
            ice.remove_base(base, now)
            self._settle(now)

    def doubt(self, now: Instant) -> None:
        """The machine has slept, or its network has changed: ask at once whether paths and servers are still there."""
        if self.transport is not None:
            self.transport.ice.doubt(now)
            self._settle(now)

    def doubt_peer(self, now: Instant) -> None:
        """Somebody else may be where the peer was: ask at once whether it still is there."""
        if self.transport is not None:
            self.transport.ice.doubt_peer(now)
            self._settle(now)

    def fail_base(self, base: SocketAddress, reason: str, now: Instant) -> None:
        """An address of this machine gave no socket."""
        if self.transport is not None:
            self.transport.ice.fail_base(base, reason, now)
            self._settle(now)

    def add_tcp_base(self, base: SocketAddress, tcp_type: str, preference: int, now: Instant) -> None:
        """We can connect by TCP from there, or listen there; see `IceTransport`."""
        if self.transport is not None:
            self.transport.ice.add_tcp_base(base, tcp_type, preference, now)
            self._settle(now)

    def remove_tcp_base(self, base: SocketAddress, now: Instant) -> None:
        """That is so no more."""
        if self.transport is not None:
            self.transport.ice.remove_tcp_base(base, now)
            self._settle(now)

    def add_stun_server(self, server: SocketAddress, url: str, now: Instant) -> None:
        """A STUN server of the configuration is at `server`."""
        if self.transport is not None:
            self.transport.ice.add_stun_server(server, url, now)
            self._settle(now)

    def add_relay_server(self, server: RelayServer, now: Instant) -> None:
        """A TURN server of the configuration is there."""
        if self.transport is not None:
            self.transport.ice.add_relay_server(server, now)
            self._settle(now)

    def fail_server(self, url: str, reason: str, now: Instant) -> None:
        """A server of the configuration cannot even be asked."""
        if self.transport is not None:
            self.transport.ice.fail_server(url, reason, now)
            self._settle(now)

    def sources_done(self, now: Instant) -> None:
        """`FindSources` has found everything."""
        if self.transport is not None:
            self.transport.ice.sources_done(now)
            self._settle(now)

    def handle_stream_opened(self, number: int, path: Path, now: Instant) -> None:
        """The stream that `OpenStream` asked for is there."""
        if (ice := self._ice) is not None:
            ice.handle_stream_opened(number, path, now)
            self._settle(now)

    def handle_stream_failed(self, number: int, error: IcelaneError, now: Instant) -> None:
        """The stream that `OpenStream` asked for cannot be had."""
        if (ice := self._ice) is not None:
            ice.handle_stream_failed(number, error, now)
            self._settle(now)

    def handle_stream_closed(self, path: Path, now: Instant) -> None:
        """A stream is gone."""
        if (ice := self._ice) is not None:
            ice.handle_stream_closed(path, now)
            self._settle(now)

    def handle_peer_connected(self, planned: Path, path: Path, now: Instant) -> None:
        """The connection that `ConnectPeer` asked for is there."""
        if self.transport is None:
            self._commands.append(DisconnectPeer(path))
            return
        self.transport.ice.handle_peer_connected(planned, path, now)
        self._settle(now)

    def handle_peer_connect_failed(self, planned: Path, now: Instant) -> None:
        """The connection that `ConnectPeer` asked for cannot be had."""
        if self.transport is not None:
            self.transport.ice.handle_peer_connect_failed(planned, now)
            self._settle(now)

    def handle_peer_disconnected(self, path: Path, now: Instant) -> None:
        """A TCP connection with the peer is gone."""
        if self.transport is not None:
            self.transport.ice.handle_peer_disconnected(path, now)
            self._settle(now)

    def handle_name_resolved(self, name: str, host: str | None, now: Instant) -> None:
        """What `ResolveName` asked for."""
        if self.transport is not None:
            self.transport.ice.handle_name_resolved(name, host, now)
            self._settle(now)

    @property
    def _ice(self) -> IceTransport | None:
        """Whom a TURN server may answer, and whose streams there are."""
        return self.transport.ice if self.transport is not None else self._retired

    @abstractmethod
    def _settle(self, now: Instant) -> None:
        """Carry on with what the verb has changed."""
