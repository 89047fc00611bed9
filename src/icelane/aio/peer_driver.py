"""Sockets, streams, names and time for one peer connection engine.

    driver = PeerDriver(engine, configuration, on_event=react)
    driver.run(lambda now: engine.send(channel, data, now))
    await driver.close(timeout)

A wake of a socket is one mutation, whatever number of datagrams it brings, so that SCTP acknowledges them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Final, TypeVar, assert_never

from icelane.aio.chosen_interfaces import (
    carriers_of,
    chosen_devices,
    chosen_hosts,
    chosen_interfaces,
    warn_of_unbound,
    warn_of_unknown_addresses,
)
from icelane.aio.client_tls import client_context
from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.device import Device
from icelane.aio.ice_streams import IceStreams
from icelane.aio.interfaces import Interface, gone_addresses, is_loopback
from icelane.aio.mdns import MdnsResolver
from icelane.aio.mdns_responder import MdnsResponder
from icelane.aio.network_change import Look, NetworkChange
from icelane.aio.port_range import PortRange, bind_within, is_within
from icelane.aio.proxy import find_proxy, resolve_by_proxy
from icelane.aio.readiness import check_loop
from icelane.aio.resolver import NamedTarget, Target, resolve
from icelane.aio.stream import StreamConnection, open_stream
from icelane.aio.system import monotonic
from icelane.aio.tcp import LocalHosts
from icelane.aio.udp import RawAddress, address_of
from icelane.aio.udp_mux import MuxedSocket, UdpMux
from icelane.aio.udp_runs import RunUdpSocket
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import Duration, Instant
from icelane.core.engine import Transmit, by_path
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.errors import IcelaneError, OperationError
from icelane.ice.agent import IceAgent
from icelane.ice.candidate import HIGHEST_LOCAL_PREFERENCE
from icelane.ice.event import IceState
from icelane.peer.connection import PeerConnection
from icelane.peer.connection_event import (
    FindSources,
    IceConnectionStateChanged,
    PeerConnectionCommand,
    PeerConnectionEvent,
)
from icelane.peer.ice_transport_event import ConnectPeer, DisconnectPeer, PublishName, ResolveName, WithdrawName
from icelane.peer.relays import CloseStream, OpenStream, RelayServer
from icelane.stun.uri import StunUri, TurnUri
from icelane.turn.channel_data import looks_like_channel_data, measure_turn

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Paths of datagrams that are remembered, so that traffic makes no new object for each; a flood of sources evicts all.
MAX_PATHS: Final = 1024


class PeerDriver:
    """The only place where a peer connection meets the machine."""

    def __init__(
        self, engine: PeerConnection, configuration: RTCConfiguration, on_event: Callable[[PeerConnectionEvent], object]
    ) -> None:
        self._engine = engine
        self.configuration = configuration
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        check_loop(self._loop)  # now, and not in a task that nobody waits for
        self._wakeup = Wakeup(self._wake, self._loop)
        self._draining = False
        self._unflushed = False
        self._flush_handle: asyncio.Handle | None = None
        self._closed = False
        self._interfaces: list[Interface] = []
        self._devices_by_host: dict[str, Device] = {}
        self._sockets_by_base: dict[SocketAddress, RunUdpSocket | MuxedSocket] = {}
        self._muxed: list[MuxedSocket] = []
        self._told_mux: tuple[IceAgent | None, int] = None, 0
        self._streams_by_path: dict[Path, StreamConnection] = {}
        self._ice_streams = IceStreams(engine, self.run)
        self._paths: dict[tuple[SocketAddress, RawAddress], Path] = {}
        self._batch: list[tuple[bytes, Path]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._round: asyncio.Task[None] | None = None
        self._mdns: MdnsResolver | None = None
        self._published: set[str] = set()
        self._idle: asyncio.Event | None = None
        self._network = NetworkChange(self, lambda: self.configuration.restart_on_network_change)

    # Commands

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Call a verb of the engine with the time, drain, and return what it returned."""
        try:
            return verb(monotonic())
        finally:
            self._drain()

    def run_with_more(self, verb: Callable[[Instant], object]) -> None:
        """Call a verb with `more`: the first in a turn of the loop leaves at once, those behind it together.

        A program that sends a thousand messages in a row pays for one drain, and they leave in full packets.
        """
        verb(monotonic())
        self._unflushed = True
        if not self._draining and self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)
            self._drain()

    async def finish(self, timeout: Duration) -> None:
        """Wait until servers have been told that we are gone, `timeout` seconds at most; then let go of everything."""
        if not self._engine.idle and timeout > 0:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
        self.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Close sockets and streams now."""
        self._closed = True
        self._network.stop()
        self._wakeup.set(None)
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        for task in self._tasks:
            task.cancel()
        for udp in self._sockets_by_base.values():
            udp.close()
        for stream in list(self._streams_by_path.values()):
            stream.close()
        self._sockets_by_base.clear()
        self._muxed.clear()
        self._streams_by_path.clear()
        self._ice_streams.close()
        if self._mdns is not None:
            self._mdns.close()
        for name in list(self._published):
            self._withdraw(name)

    @property
    def bases(self) -> list[SocketAddress]:
        """Where sockets are bound."""
        return list(self._sockets_by_base)

    # Gathering

    def _gather_anew(self) -> None:
        """Begin a round with the configuration as it is; the one before it says nothing any more."""
        if self._round is not None:
            self._round.cancel()
        self._round = self._start(self._gather(self.configuration))

    async def _gather(self, configuration: RTCConfiguration) -> None:
        self._network.start()
        round_ = asyncio.current_task()
        try:
            await self._gather_from(configuration, round_)
        except Exception:  # such as what a function of the program raises that is asked about addresses
            _log.exception("the addresses of this machine cannot be looked at")
        self._tell(round_, self._engine.sources_done)

    async def _gather_from(self, configuration: RTCConfiguration, round_: asyncio.Task[None] | None) -> None:
        interfaces = chosen_interfaces(configuration)
        self._use(interfaces, configuration)
        tell = partial(self._tell, round_)
        await self._ice_streams.find_bases(interfaces, self._devices_by_host, configuration, tell)
        servers = configuration.check()
        finding = (self._find(server, uri, round_, relay_only=configuration.relay_only) for server, uri in servers)
        await asyncio.gather(*finding)

    def _use(self, interfaces: list[Interface], configuration: RTCConfiguration) -> None:
        """Have a socket on each of these, and none of our own on any other address."""
        if self._mdns is not None and interfaces != self._interfaces:
            self._mdns.close()  # the next name is asked for on the links that there are now
            self._mdns = None
        devices, before = chosen_devices(configuration, interfaces), self._devices_by_host
        warn_of_unbound(configuration, interfaces, devices)
        warn_of_unknown_addresses(configuration)
        moved = {host for host in devices.keys() | before.keys() if devices.get(host) != before.get(host)}
        self._interfaces, self._devices_by_host = interfaces, devices
        self._drop_all_but({interface.host for interface in interfaces} - moved, configuration.port_range)
        self._drop_streams_but(chosen_hosts(configuration, interfaces), moved)
        has_ipv6 = any(":" in interface.host for interface in interfaces)
        self.run(partial(self._engine.note_families, has_ipv6=has_ipv6))
        if configuration.udp_mux is not None:
            self._share(configuration.udp_mux)
            return
        for position, interface in enumerate(interfaces):
            base = self._bound(interface, configuration.port_range)
            if base is not None:
                self.run(partial(self._engine.add_base, base, HIGHEST_LOCAL_PREFERENCE - position))

    def _share(self, mux: UdpMux) -> None:
        """Peers are met at the sockets of the mux."""
        if not self._muxed:
            self._muxed = mux._attach(self._mux_closed)
            for end in self._muxed:
                self._sockets_by_base[end.local] = end
                self._receive_from(end)
                end.on_contested = partial(self._loop.call_soon, self._doubt_peer)
        for position, end in enumerate(self._muxed):
            preference = HIGHEST_LOCAL_PREFERENCE - position
            self.run(partial(self._engine.add_base, end.local, preference, is_shared=True))

    def _bind_for_relays(self) -> None:
        """Beside a mux, sockets of our own for TURN servers over UDP."""
        for interface in self._interfaces:
            base = self._bound(interface, self.configuration.port_range)
            if base is not None:
                self.run(partial(self._engine.add_relay_base, base))

    def _mux_closed(self, base: SocketAddress) -> None:
        """The program has closed the mux before us."""
        self._muxed = [end for end in self._muxed if end.local != base]
        if self._sockets_by_base.pop(base, None) is not None:
            self.run(partial(self._engine.remove_base, base))

    def _doubt_peer(self) -> None:
        """Another connection of the mux has met its peer where ours was."""
        if not self._closed:
            self.run(self._engine.doubt_peer)

    # What a change of the machine's network asks for

    def look_at_interfaces(self) -> Look:
        """See `Bases`; connections with TURN servers from addresses that are gone are given up as well."""
        configuration = self.configuration
        interfaces = chosen_interfaces(configuration)
        hosts, own = {interface.host for interface in interfaces}, self._own_hosts
        leads_out = configuration.include_loopback or configuration.interfaces is not None
        leads_out = bool(hosts) and (leads_out or any(not is_loopback(host) for host in hosts))
        changed = hosts != ({interface.host for interface in self._interfaces} if self._muxed else own)
        changed |= chosen_devices(configuration, interfaces) != self._devices_by_host
        if changed and leads_out:
            self._use(interfaces, configuration)
            if self._muxed and own:
                self._bind_for_relays()
            tell = partial(self._tell, self._round)
            self._start(self._ice_streams.find_bases(interfaces, self._devices_by_host, configuration, tell))
        elif changed:
            self._interfaces, self._devices_by_host = interfaces, {}
            self._drop_all_but(hosts, configuration.port_range)
        gone = gone_addresses({path.local.host for path in self._streams_by_path})
        for path, stream in list(self._streams_by_path.items()):
            if path.local.host in gone:
                changed = True
                stream.abort()
        if self._published:
            MdnsResponder.of_this_loop().look_again()
        return Look(changed, leads_out)

    @property
    def _own_hosts(self) -> set[str]:
        """Where sockets are bound that are not those of a mux."""
        return {base.host for base, udp in self._sockets_by_base.items() if isinstance(udp, RunUdpSocket)}

    def doubt(self) -> None:
        """See `Bases`."""
        self.run(self._engine.handle_timeout)
        self.run(self._engine.doubt)

    def restart_ice(self) -> None:
        """See `Bases`."""
        if not self._engine.is_closed:
            self.run(lambda _: self._engine.restart_ice())

    @property
    def has_path(self) -> bool:
        """See `Bases`."""
        transport = self._engine.transport
        return transport is not None and transport.ice.agent.data_path is not None

    @property
    def ice_state(self) -> IceState:
        """See `Bases`."""
        return self._engine.ice_state

    def _tell(self, round_: asyncio.Task[None] | None, verb: Callable[[Instant], None]) -> None:
        """Call a verb for what a round has found, unless another has begun: cancelling may come a turn too late."""
        if round_ is self._round:
            self.run(verb)

    def _drop_all_but(self, hosts: set[str], ports: PortRange | None) -> None:
        """Close the sockets of our own on addresses that this machine does not have any more, or that we may not use.

        As well as those on ports that a firewall does not let through any more, so the program says.
        """
        for base, udp in list(self._sockets_by_base.items()):
            if isinstance(udp, RunUdpSocket) and not (base.host in hosts and is_within(ports, base)):
                del self._sockets_by_base[base]
                udp.close()
                self.run(partial(self._engine.remove_base, base))
        self._ice_streams.drop_all_but(hosts, ports)

    def _drop_streams_but(self, allowed: LocalHosts | None, moved: set[str]) -> None:
        """Close connections with servers from addresses that we may not use any more; None: all may be used.

        As well as those from addresses that have `moved` to another device, or are bound to one from now on.
        """
        for path, stream in list(self._streams_by_path.items()):
            if allowed is not None and (path.local.host not in allowed.hosts or path.local.host in moved):
                self._stream_closed(path)  # before anything that was found by it is told again
                stream.abort()

    def _bound(self, interface: Interface, ports: PortRange | None) -> SocketAddress | None:
        """Where our socket on that address is, a new one if need be; None when it cannot be had, which is told."""
        for base, known in self._sockets_by_base.items():
            if base.host == interface.host and isinstance(known, RunUdpSocket):
                return base
        host = interface.host
        try:
            device = self._devices_by_host.get(host)
            bind = partial(RunUdpSocket.bind, on_datagram=self._ignore, device=device)
            udp = bind_within(ports, lambda port: bind(SocketAddress(host, port)))
        except OSError as error:
            _log.debug("no socket on %s: %s", interface.name, error)
            self.run(partial(self._engine.fail_base, SocketAddress(host, 0), error.strerror or str(error)))
            return None
        self._sockets_by_base[udp.local] = udp
        self._receive_from(udp)
        udp.on_failed_send = self._network.handle_failed_send
        return udp.local

    def _receive_from(self, udp: RunUdpSocket | MuxedSocket) -> None:
        """What comes there goes to the engine, all that a wake brings at once."""
        base = udp.local
        last: RawAddress | None = None
        path: Path | None = None

        def received(data: bytes, source: RawAddress) -> None:
            nonlocal last, path
            if path is None or source is not last:  # the datagrams of a run share one source object
                last, path = source, self._path(base, source)
            self._batch.append((data, path))

        udp.on_datagram = received
        udp.on_drained = self._handle_batch

    async def _find(
        self, server: RTCIceServer, uri: StunUri | TurnUri, round_: asyncio.Task[None] | None, *, relay_only: bool
    ) -> None:
        """As `_find_targets`; an error that nobody foresaw is one of this server alone."""
        try:
            await self._find_targets(server, uri, round_, relay_only=relay_only)
        except Exception as error:
            _log.exception("%s cannot be asked", uri)
            self._tell(round_, partial(self._engine.fail_server, str(uri), f"{type(error).__name__}: {error}"))

    async def _find_targets(
        self, server: RTCIceServer, uri: StunUri | TurnUri, round_: asyncio.Task[None] | None, *, relay_only: bool
    ) -> None:
        """Tell the engine where the server is; one that nobody can reach is told as failed."""
        url = str(uri)
        if isinstance(uri, StunUri) and uri.secure:
            # RFC 7064: over TLS a server tells which TCP port it sees, and that is no use for a UDP candidate.
            self._tell(round_, partial(self._engine.fail_server, url, "stuns: finds no candidate for UDP"))
            return
        if relay_only and isinstance(uri, StunUri):
            return
        targets: Iterable[Target | NamedTarget]
        try:
            if isinstance(uri, StunUri):
                targets = await resolve(uri)
            else:
                targets = await resolve_by_proxy(uri, self.configuration.http_proxy)
        except IcelaneError as error:
            self._tell(round_, partial(self._engine.fail_server, url, str(error)))
            return
        for target in _one_of_each_family(targets):
            if self._muxed and isinstance(uri, TurnUri) and target.transport is Transport.UDP and round_ is self._round:
                self._bind_for_relays()
            self._tell(round_, partial(self._add_server, server, uri, target))

    def _add_server(
        self, server: RTCIceServer, uri: StunUri | TurnUri, target: Target | NamedTarget, now: Instant
    ) -> None:
        if isinstance(uri, StunUri):
            if isinstance(target, Target):
                self._engine.add_stun_server(target.address, str(uri), now)
            return
        relay = RelayServer(
            address=target.address,
            transport=target.transport,
            host_name=target.host_name,
            url=str(uri),
            username=server.username or "",
            password=server.credential or "",
        )
        self._engine.add_relay_server(relay, now)

    # Datagrams

    def _path(self, base: SocketAddress, source: RawAddress) -> Path:
        key = (base, source)
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= MAX_PATHS:
                self._paths.clear()
            path = self._paths[key] = Path(base, address_of(source), Transport.UDP)
        return path

    def _handle_batch(self) -> None:
        batch, self._batch = self._batch, []
        if batch and not self._closed:
            self.run(partial(self._engine.handle_batch, batch))

    def _ignore(self, data: bytes, source: RawAddress) -> None:
        """Before the base is known."""

    def _transmit(self, transmits: list[Transmit]) -> None:
        """Send them in this order, those on one path together."""
        for path, batch in by_path(transmits):
            self._transmit_on(path, batch)

    def _transmit_on(self, path: Path, batch: list[bytes]) -> None:
        if path.transport is Transport.UDP:
            udp = self._sockets_by_base.get(path.local)
            if udp is not None:
                udp.send_all(batch, path.remote)
            return
        if self._ice_streams.send_all(path, batch):
            return
        for data in batch:
            stream = self._streams_by_path.get(path)  # one that fails is gone
            if stream is None:
                return
            if looks_like_channel_data(data):
                stream.send(data)
            else:
                stream.send_control(data)

    # Effects

    def _carry_out(self, command: PeerConnectionCommand) -> None:
        if isinstance(command, FindSources):
            self._gather_anew()
        elif isinstance(command, OpenStream):
            self._start(self._open(command))
        elif isinstance(command, CloseStream):
            stream = self._streams_by_path.pop(command.path, None)
            if stream is not None:
                stream.close()
        elif isinstance(command, ResolveName):
            self._start(self._resolve(command.name))
        elif isinstance(command, PublishName):
            self._publish(command.name, command.host)
        elif isinstance(command, WithdrawName):
            self._withdraw(command.name)
        elif isinstance(command, ConnectPeer):
            self._ice_streams.connect(command.planned)
        elif isinstance(command, DisconnectPeer):
            self._ice_streams.disconnect(command.path)
        else:
            assert_never(command)

    async def _open(self, command: OpenStream) -> None:
        server = command.server
        try:
            authority = self.configuration.authority
            stream = await open_stream(
                server.address,
                measure_turn,
                local=chosen_hosts(self.configuration),
                ssl=client_context(authority) if server.transport is Transport.TLS else None,
                server_name=server.host_name,
                proxy=find_proxy(self.configuration.http_proxy, server.host_name, server.address.port),
                authority=authority,
            )
        except IcelaneError as error:
            self.run(partial(self._engine.handle_stream_failed, command.number, error))
            return
        except Exception as error:
            _log.exception("%s cannot be reached", server.url)
            reason = OperationError(f"{type(error).__name__}: {error}")
            self.run(partial(self._engine.handle_stream_failed, command.number, reason))
            return
        path = stream.path
        self._streams_by_path[path] = stream
        stream.on_frame = lambda frame: self.run(partial(self._engine.handle_batch, [(frame, path)]))
        stream.on_closed = lambda _: self._stream_closed(path)
        self.run(partial(self._engine.handle_stream_opened, command.number, path))
        if stream.closed:
            self._stream_closed(path)

    def _stream_closed(self, path: Path) -> None:
        self._streams_by_path.pop(path, None)
        if not self._closed:
            self.run(partial(self._engine.handle_stream_closed, path))

    def _publish(self, name: str, host: str) -> None:
        self._published.add(name)
        interfaces = self._interfaces
        if all(interface.host != host for interface in interfaces):  # one of the mux
            interfaces = carriers_of(host)
        MdnsResponder.of_this_loop().publish(name, host, interfaces)

    def _withdraw(self, name: str) -> None:
        self._published.discard(name)
        MdnsResponder.of_this_loop().withdraw(name)

    async def _resolve(self, name: str) -> None:
        if self._mdns is None:
            self._mdns = MdnsResolver(self._interfaces)
        host = await self._mdns.resolve(name)
        self.run(partial(self._engine.handle_name_resolved, name, host))

    def _start(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Draining

    def _drain(self) -> None:
        if self._draining or self._closed:
            return
        engine = self._engine
        self._draining = True
        try:
            while not self._closed:
                if transmits := engine.take_transmits():
                    self._transmit(transmits)
                if (command := engine.poll_command()) is not None:
                    self._carry_out(command)
                elif (event := engine.poll_event()) is not None:
                    self._on_event(event)
                    if type(event) is IceConnectionStateChanged:
                        self._network.handle_ice_state()
                elif self._unflushed:
                    self._unflushed = False
                    engine.flush(monotonic())
                else:
                    return
        finally:
            self._draining = False
            if self._muxed:
                self._tell_mux()
            self._arm()
            if self._idle is not None and engine.idle:
                self._idle.set()

    def _tell_mux(self) -> None:
        """Which packets on the shared sockets are ours, if that may have changed."""
        transport = self._engine.transport
        agent = transport.ice.agent if transport is not None else None
        revision = agent.revision if agent is not None else 0
        if self._told_mux == (agent, revision):
            return
        self._told_mux = agent, revision
        for end in self._muxed:
            if agent is None:
                end.settle((), (), ())
                continue
            validated = _sources(agent.accepted, end.local)
            answered = () if agent.answered_path is None else _sources((agent.answered_path,), end.local)
            doubted = [source for source in validated if source not in answered]
            unproven = _sources(agent.unproven, end.local)
            end.settle(agent.ufrags, validated, _sources(agent.authenticated, end.local), doubted, unproven)

    def _flush(self) -> None:
        self._flush_handle = None
        if self._unflushed:
            self._drain()

    def _arm(self) -> None:
        self._wakeup.set(None if self._closed else self._engine.next_timeout())

    def _wake(self) -> None:
        self.run(self._engine.handle_timeout)


def _sources(paths: Collection[Path], base: SocketAddress) -> list[SocketAddress]:
    """Where datagrams on these paths come from, of those that arrive at one socket."""
    return [path.remote for path in paths if path.local == base and path.transport is Transport.UDP]


def _one_of_each_family(targets: Iterable[Target | NamedTarget]) -> list[Target | NamedTarget]:
    """The best place for each family and transport: a server with many addresses is still one server."""
    best: dict[tuple[AddressFamily | None, Transport], Target | NamedTarget] = {}
    for target in targets:
        best.setdefault((target.address.family, target.transport), target)
    return list(best.values())
