"""The relay plane with its routes in the core, by which ChannelData is relayed without Python.

What the routes are is decided and remembered as in the other plane, which this one extends; the core is told the
outcome: which channel leads where, which channel leads back, whose datagrams are to be handed up. So the two planes
cannot differ in their rules. Nor do they where a route changes between two messages of one client that came together:
what is behind something that is not payload of a channel waits for it, and meets the routes as they are then.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress, Transport, socket_address
from icelane.server.bandwidth import Meter
from icelane.server.batched.core import Bucket, RelayCore
from icelane.server.batched.reader import BatchedReader, ListenerReader, RelayReader
from icelane.server.relay_plane import (
    RelayedClient,
    RelayPlane,
    RelaySocket,
    SendToClient,
    raw_address,
)
from icelane.server.traffic import Traffic
from icelane.turn.routes import (
    AssignRelayPort,
    InstallChannelRoute,
    InstallPermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)

_NOTHING: Final[list[bytes]] = []
# So much of what one wake brings waits for its stream at most: a run may have as many datagrams as it has bytes.
MAX_GATHERED: Final = 1024


class BatchedClient(RelayedClient):
    """A client that the core knows by `number`. On a stream, what one read has brought goes out as one batch."""

    __slots__ = ("_core", "_from_stream", "_to_stream", "number")

    def __init__(
        self, command: AssignRelayPort, send: SendToClient, entropy: Entropy, core: RelayCore, listener: int | None
    ) -> None:
        super().__init__(command.client, command.user_key, send, entropy)
        self._core = core
        # What goes over UDP is not gathered.
        self._from_stream: list[bytes] = [] if self._padded else _NOTHING
        self._to_stream: list[bytes] = self._from_stream if not self._padded else []
        self.number = core.add_client(listener, raw_address(command.client.remote))

    def traffic(self) -> Traffic:
        """What has been relayed and dropped until now, here and in the core."""
        traffic = super().traffic()
        traffic.add(Traffic(*self._core.client_counters(self.number)))
        return traffic

    def channel_traffic(self, number: int) -> Traffic:
        """What one of its channels has relayed until now, here and in the core."""
        traffic = super().channel_traffic(number)
        packets_up, bytes_up, packets_down, bytes_down = self._core.channel_counters(self.number, number)
        if self._padded:
            # The core hands it up, and whether it goes out is seen here: a client may not read.
            packets_down = bytes_down = 0
        traffic.add(Traffic(packets_up, bytes_up, packets_down, bytes_down))
        return traffic

    def limit(self, meter: Meter | None) -> None:
        """From now on what is relayed is paid for from `meter`; None: everything passes."""
        RelayedClient.limit(self, meter)
        self._core.limit(self.number, () if meter is None else meter.buckets)

    def relay_from_client(self, data: bytes) -> bool:
        """Relay ChannelData or a Send indication; False for everything else, which is the engine's."""
        if not (self._padded and data and data[0] & 0xC0 == 0x40):
            # It may change a route, and what came before it meets the routes as they are until then.
            self.drained()
            return RelayedClient.relay_from_client(self, data)
        self._from_stream.append(data + bytes(-len(data) & 3))
        return True

    def drained(self) -> None:
        """What one read of the stream has brought is complete."""
        if self._from_stream:
            messages, self._from_stream = self._from_stream, []
            self._core.relay_stream(self.number, b"".join(messages))

    def take_payload(self, channel: int, payload: bytes) -> bool:
        """Payload of a peer, for the stream: it leaves with `flush`. True for the first."""
        size = len(payload)
        header = channel.to_bytes(2, "big") + size.to_bytes(2, "big")
        if len(self._to_stream) == MAX_GATHERED:
            self.flush()
        self._to_stream.append(header + payload + bytes(-size & 3))
        return len(self._to_stream) == 1

    def flush(self) -> None:
        """Write what has gathered for the stream: together, or one by one where that is too much or TLS."""
        messages, self._to_stream = self._to_stream, []
        # Some clients take what one TLS record holds for one message, coturn's among them.
        may_join = len(messages) > 1 and self.path.transport is not Transport.TLS
        together = may_join and self._send(b"".join(messages)) is not False
        for message in messages:
            if together or self._send(message) is not False:
                self.count_to_client_by(int.from_bytes(message[:2], "big"), int.from_bytes(message[2:4], "big"))
            else:
                self.drop()


class BatchedPlane(RelayPlane):
    """Carries out the engine's commands on real sockets, which the core reads."""

    name = "compiled"

    def __init__(self, entropy: Entropy, *, coalesce: Duration) -> None:
        """`coalesce` is how long a busy relay waits for more to send at once; 0: not at all."""
        super().__init__(entropy)
        self.bucket = Bucket
        self._reader = reader = BatchedReader(entropy, coalesce=coalesce)
        self._core = reader.core
        self._relay_reader = RelayReader(reader)
        self.listener_reader = ListenerReader(reader)
        self._clients_by_number: dict[int, BatchedClient] = {}
        self._gathering: list[BatchedClient] = []
        self._activity: Mapping[str, int] = {}  # what was done until the end
        reader.on_payload = self._take_payload
        reader.on_drained = self._flush

    def activity(self) -> Mapping[str, int]:
        """How often the kernel was asked, and for how much."""
        return self._activity or self._core.activity()

    def start(self) -> None:
        """Read on the running loop from now on."""
        self._reader.start()

    def assign(self, command: AssignRelayPort, send: SendToClient) -> RelayedClient:
        """Give a bound port to its client, which is reached by `send`."""
        client = RelayPlane.assign(self, command, send)
        relay = self._relays_by_address[command.relay]
        if isinstance(relay, RelaySocket):
            self._core.assign(self._number_of(relay), self._known(client).number)
        return client

    def release(self, command: ReleaseRelayPort) -> RelayedClient | None:
        """Close a port; returns its client when that was its last one."""
        client = RelayPlane.release(self, command)
        if client is not None:
            gone = self._known(client)
            del self._clients_by_number[gone.number]
            self._core.remove_client(gone.number)
        return client

    def route(
        self,
        command: InstallChannelRoute | RemoveChannelRoute | InstallPermissionRoute | RemovePermissionRoute,
    ) -> None:
        """Install or remove a route."""
        route = command.route
        relay = self._relays_by_address[route.relay]
        client = self._known(self._clients_by_path[route.client])
        assert isinstance(relay, RelaySocket), "only UDP is relayed by routes"
        # No match statement: the oldest Cython that compiles this module has none.
        if isinstance(command, InstallPermissionRoute):
            self._install_permission(client, relay, command)
        elif isinstance(command, InstallChannelRoute):
            self._install_channel(client, relay, command)
        elif isinstance(command, RemoveChannelRoute):
            RelayPlane.route(self, command)
            self._core.remove_channel(client.number, command.route.channel)
            self._lead_back(client, relay, raw_address(command.route.wire_peer))
        else:
            self._remove_permission(client, relay, command)

    def _install_channel(self, client: BatchedClient, relay: RelaySocket, command: InstallChannelRoute) -> None:
        route = command.route
        before = client.channels_by_number.get(route.channel)
        RelayPlane.route(self, command)
        peer = raw_address(route.wire_peer)
        self._core.set_channel(client.number, route.channel, self._number_of(relay), peer, route.expires_at)
        self._lead_back(client, relay, peer)
        if before is not None and before != (relay, peer):
            self._lead_back(client, before[0], before[1])

    def _install_permission(self, client: BatchedClient, relay: RelaySocket, command: InstallPermissionRoute) -> None:
        known = client.permissions_by_host.get(command.route.peer_host)
        RelayPlane.route(self, command)
        host = command.route.verdict.wire_host
        if known is not None:
            before = known[1].verdict.wire_host
            if known[0] is relay and before == host:
                return  # refreshed: the core permits it already
            if before != host:
                self._permit(relay, before)
        self._permit(relay, host)

    def _remove_permission(self, client: BatchedClient, relay: RelaySocket, command: RemovePermissionRoute) -> None:
        known = client.permissions_by_host.get(command.route.peer_host)
        RelayPlane.route(self, command)
        host = command.route.verdict.wire_host
        if known is not None and known[1].verdict.wire_host != host:
            self._permit(relay, known[1].verdict.wire_host)
        self._permit(relay, host)

    def _permit(self, relay: RelaySocket, host: str) -> None:
        self._core.permit(self._number_of(relay), raw_address(socket_address(host, 0)), relay.permits(host))

    def close(self) -> None:
        """Close every port."""
        self._reader.close()
        super().close()
        for number in self._clients_by_number:
            self._core.remove_client(number)
        self._clients_by_number.clear()
        if not self._activity:
            self._activity = self._core.activity()
        self._core.close()

    def _open(self, bound: socket.socket, new_at: SocketAddress | None = None) -> RelaySocket:
        return RelaySocket(bound, self._relay_reader, new_at)

    def _meet(self, command: AssignRelayPort, send: SendToClient) -> RelayedClient:
        listener = None
        if command.client.transport is Transport.UDP:
            listener = self._reader.listener_at(command.client.local)
        client = BatchedClient(command, send, self._entropy, self._core, listener)
        self._clients_by_number[client.number] = client
        return client

    def _known(self, client: RelayedClient) -> BatchedClient:
        assert isinstance(client, BatchedClient), "every client has been met here"
        return client

    def _number_of(self, relay: RelaySocket) -> int:
        return self._reader.number_of(relay.udp)

    def _lead_back(self, client: BatchedClient, relay: RelaySocket, peer: tuple[object, ...]) -> None:
        """Of the channels that lead to one peer, the first one leads back."""
        channel = relay.channel_of(peer)
        if channel is not None:
            self._core.lead_back(client.number, channel)

    def _take_payload(self, number: int, channel: int, payload: bytes) -> None:
        client = self._clients_by_number.get(number)
        if client is not None and client.take_payload(channel, payload):
            self._gathering.append(client)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, []
        for client in gathering:
            client.flush()
