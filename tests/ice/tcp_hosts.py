"""Agents with candidates of TCP on a virtual network, and the holder of their connections."""

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import ACTIVE_PORT, Candidate, CandidateType, compute_priority
from icelane.ice.event import ConnectionUnwanted, ConnectionWanted, IceEvent, IceRole
from icelane.ice.options import IceOptions
from icelane.testing.network import VirtualNetwork
from icelane.testing.streams import StreamEnd, VirtualStreams
from tests.ice.hosts import IceHost


class TcpHost(IceHost):
    """See IceHost; `ends` are its connections by their paths."""

    def __init__(
        self,
        network: VirtualNetwork,
        streams: VirtualStreams,
        address: SocketAddress,
        role: IceRole,
        seed: int,
        options: IceOptions | None = None,
    ) -> None:
        super().__init__(network, address, role, seed, options)
        self.streams = streams
        self.ends: dict[Path, StreamEnd] = {}
        self._orders: list[ConnectionWanted | ConnectionUnwanted] = []

    def add_active(self, host: str | None = None, preference: int = 65_535) -> Candidate:
        """An active candidate."""
        return self._add_tcp(SocketAddress(host or self.address.host, ACTIVE_PORT), "active", preference)

    def add_passive(self, address: SocketAddress | None = None, preference: int = 65_535) -> Candidate:
        """A passive candidate, with somebody who listens."""
        address = address or self.address
        self.streams.listen(address, self._hold)
        return self._add_tcp(address, "passive", preference)

    def say(self, payload: bytes) -> bool:
        path = self.engine.data_path
        if path is not None and path.transport is Transport.TCP:
            end = self.ends.get(path)
            if end is not None:
                end.send(payload)
            return end is not None
        return super().say(payload)

    def send(self, data: bytes, path: Path) -> None:
        if path.transport is not Transport.TCP:
            super().send(data, path)
            return
        self.sent.append((self.network.clock.now, data, path))
        if (end := self.ends.get(path)) is not None:
            end.send(data)

    def handle_event(self, event: IceEvent) -> None:
        super().handle_event(event)
        if isinstance(event, ConnectionWanted):
            planned = event.planned
            self.streams.connect(
                planned.local.host,
                planned.remote,
                lambda end: self._opened(planned, end),
                lambda: self.run(lambda now: self.engine.handle_connect_failed(planned, now)),
            )
        elif isinstance(event, ConnectionUnwanted):
            end = self.ends.pop(event.path, None)
            if end is not None:
                end.close()

    def _add_tcp(self, address: SocketAddress, tcp_type: str, preference: int) -> Candidate:
        candidate = Candidate(
            type=CandidateType.HOST,
            host=address.host,
            port=address.port,
            priority=compute_priority(CandidateType.HOST, preference, tcp_type=tcp_type),
            foundation=self.foundations.of(CandidateType.HOST, address.host, transport="tcp"),
            transport="tcp",
            tcp_type=tcp_type,
        )
        self.candidates.append(candidate)
        self.run(lambda now: self.engine.add_local_candidate(candidate, address, now))
        return candidate

    def _hold(self, end: StreamEnd) -> None:
        path = end.path
        self.ends[path] = end
        end.on_message = lambda data: self._came(data, path)
        end.on_closed = lambda: self._lost(path)

    def _opened(self, planned: Path, end: StreamEnd) -> None:
        self._hold(end)
        self.run(lambda now: self.engine.handle_connected(planned, end.path, now))
        if end.closed:
            self._lost(end.path)

    def _lost(self, path: Path) -> None:
        if self.ends.pop(path, None) is not None:
            self.run(lambda now: self.engine.handle_disconnected(path, now))

    def _came(self, data: bytes, path: Path) -> None:
        if data[0] <= 3:
            self.run(lambda now: self.engine.handle_datagram(data, path, now))
        else:
            (self.arrived if self.engine.accepts(path) else self.refused).append((data, path))


def connects(host: TcpHost) -> list[Instant]:
    """When the host has begun connections."""
    return [at for at, path in host.streams.attempts if path.local.host == host.address.host]
