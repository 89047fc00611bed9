"""The TURN server as an object: sockets and plane around the engine, for `icelane serve` and for other programs.

config = parse_config({"turn": {"users": {"alice": "secret"}}})
async with TurnServer(config) as server:
    print(*server.listening)
    await asyncio.Event().wait()
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path as File
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self, assert_never

from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import NEVER, Duration, Instant, UnixSeconds, WallClock, later
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.server.access import WatchedLists
from icelane.server.bandwidth import Bandwidth, BandwidthLimits, Meter
from icelane.server.config import Config
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.credential_source import CredentialAnswers, LookupFailedError, load_source
from icelane.server.credentials import credential_store
from icelane.server.engine_config import alternates, bandwidth_limits, engine_config, nonce_key
from icelane.server.entrance import Entrance
from icelane.server.events import REPEAT_WINDOW, report
from icelane.server.external_address import ExternalAddressWatch, Mapped, watch_for
from icelane.server.held_files import HeldFiles
from icelane.server.listeners import Listener, UdpListener
from icelane.server.machine import Machine
from icelane.server.observation import Observation
from icelane.server.planes import make_plane
from icelane.server.relay_plane import RelayedClient, RelayPlane
from icelane.server.reload import Reloaded, changed_keys, with_values_of
from icelane.server.revoked_file import read_revoked
from icelane.server.sharing import Share, Sharing
from icelane.server.stream_listener import StreamDeadlines, StreamListener
from icelane.server.tcp_relay_plane import PeerEvents, TcpRelayPlane
from icelane.server.traffic import SocketLoss
from icelane.server.turn_log import TurnLog
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.refusal import RequestRefused
from icelane.turn.revocation import Revocation
from icelane.turn.routes import (
    AssignRelayPort,
    BindId,
    BindRelayPort,
    BindStreams,
    ClaimRelayPort,
    ClosePeer,
    Command,
    ConnectionId,
    ConnectPeer,
    InstallChannelRoute,
    InstallPermissionRoute,
    LookUpCredential,
    PassOn,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
    ReturnRelayPort,
)
from icelane.turn.server import TurnServer as TurnEngine
from icelane.turn.server_config import TurnServerConfig

if TYPE_CHECKING:
    from icelane.server.http_server import HttpServer

# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_TCP: Final = Transport.TCP
_UDP: Final = Transport.UDP


class _DrainLimit(NamedTuple):
    """How long a drain waits. A reload may change that while it lasts."""

    timeout: asyncio.Timeout
    began: Instant

    def set_deadline(self, deadline: Duration) -> None:
        """Wait so long, counted from the beginning."""
        if not self.timeout.expired():
            self.timeout.reschedule(later(self.began, deadline))


class TurnServer:
    """STUN and TURN over UDP, TCP and TLS, by the configuration. Everything runs in the loop that calls `start`.

    `log` is what hears of refusals and allocations; without one, the program's logging is used. `tune` may change what
    the engine is told and the configuration has no key for: the lifetimes that RFC 8656 fixes, which tests shorten;
    `deadlines` are those of slow TCP and TLS clients. `share` is what it has with servers in other processes. `web`
    carries an application on the listeners of `[server]`, which take TURN over TLS as well. `access` are the
    lists, where somebody else goes by them too; they are started, reloaded and closed with the server.
    """

    def __init__(
        self,
        config: Config,
        *,
        entropy: Entropy | None = None,
        wall_clock: WallClock | None = None,
        machine: Machine | None = None,
        log: TurnLog | None = None,
        tune: Callable[[TurnServerConfig], TurnServerConfig] | None = None,
        deadlines: StreamDeadlines | None = None,
        share: Share | None = None,
        web: HttpServer | None = None,
        access: WatchedLists | None = None,
    ) -> None:
        self._config = config
        self._web = web if web is not None or (share is not None and not share.web) else web_for(config)
        self._share = share
        self._entropy = entropy or SystemEntropy()
        self._wall_clock = wall_clock or SystemWallClock()
        self._machine = machine
        self._tune = tune
        self._log = log or TurnLog(realm=config.turn.realm or "")
        self._plane = make_plane(
            config.turn.plane, self._entropy, coalesce=config.turn.coalesce_microseconds / 1_000_000
        )
        self._tcp_plane = TcpRelayPlane(PeerEvents(self._peer_accepted, self._peer_connected, self._peer_closed))
        self._sharing = Sharing(share.link, self._plane, self) if share is not None else None
        self._bandwidth = self._make_bandwidth(bandwidth_limits(config))
        self._entrance = Entrance(
            config,
            receive=self._receive,
            closed=self._stream_closed,
            on_drained=self._arm,
            on_incident=self._flush_later,
            wall_clock=self._wall_clock,
            deadlines=deadlines,
            reader=self._plane.listener_reader,
            tally=share.connections if share is not None else None,
            certificate=share.held.certificate if share is not None else None,
        )
        self._observation = Observation(self, config)
        self._external_watch = watch_for(config, self._follow)
        self._access = access or WatchedLists()
        self._access.on_change(self._enforce_access)
        self._listeners: list[Listener] = []
        self._web_listeners: list[StreamListener] = []
        self._listeners_by_key: dict[tuple[Transport, SocketAddress], Listener] = {}
        self._outcomes: deque[tuple[BindId, bool]] = deque()
        self._engine: TurnEngine | None = None
        self._answers: CredentialAnswers | None = None
        self._lookups: set[asyncio.Task[None]] = set()
        self._draining = False
        self._drain_limit: _DrainLimit | None = None
        self._empty = asyncio.Event()
        self._wakeup = Wakeup(self._wake)
        self._flush_timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind everything and serve.

        Raises ConfigurationError naming the listener that cannot be bound, or the certificate, the list of revocations,
        what `[lists]` names, or the function of `turn.auth` that cannot be used.
        """
        turn = self._config.turn
        revoked = read_revoked(turn.revoked_file) if self._share is None else self._share.held.revoked
        if turn.auth is not None:
            self._answers = CredentialAnswers(load_source(turn.auth))
        self._access.start(self._config)
        self._plane.start()
        try:
            for number, setting in enumerate(self._config.listeners):
                self._listen(setting, self._share.sockets[number] if self._share is not None else None)
            await self._open_web()
            if self._share is None:
                self._observation.listen()
            if self._external_watch is not None:
                await self._find_external(self._external_watch)
            self._engine = TurnEngine(
                self._settings(self._config),
                credentials=credential_store(self._config),
                entropy=self._entropy,
                wall_clock=self._wall_clock,
                nonce_key=nonce_key(self._config) if self._share is None else self._share.nonce_key,
                revoked=revoked,
                tally=self._share.allocations if self._share is not None else None,
                access=self._access.lists,
            )
            if self._share is not None:
                self._engine.restore_revocations(self._share.revoked, monotonic())
        except BaseException:
            self._close_listeners()
            self._plane.close()
            await self._access.close()
            await self._observation.close()
            if self._web is not None:
                await self._web.close()
            raise
        try:
            if self._external_watch is not None:
                self._external_watch.start()
            await self._observation.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every allocation and close every socket; again is harmless. Requests of HTTP are answered first."""
        if self._web is not None:
            await self._web.close()
        if self._engine is not None:
            self._engine.close()
            self.settle(self._engine)
            self._engine = None
        if self._sharing is not None:
            self._sharing.close()
        for lookup in self._lookups:
            lookup.cancel()
        await self._access.close()
        if self._answers is not None:
            await self._answers.close()
        self._close_listeners()
        self._tcp_plane.close()
        self._plane.close()
        self._wakeup.set(None)
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._log.flush(NEVER)
        self._entrance.flush(NEVER)
        if self._external_watch is not None:
            await self._external_watch.close()
        await self._observation.close()
        for listener in (*self._listeners, *self._web_listeners):
            await listener.wait_closed()
        await self._tcp_plane.wait_closed()
        if self._sharing is not None:
            await self._sharing.wait_closed()

    def reload(self, config: Config, held: HeldFiles | None = None) -> Reloaded:
        """Go by another configuration as far as a running server can; nobody loses a session who may still have it.

        Raises ConfigurationError, and changes nothing, when it names a list of revocations that cannot be used. What
        has changed and needs a restart is left as it is, and told. `held` is what others have read from its files.
        """
        engine = self._running()
        changed, restart = changed_keys(self._config, config)
        merged = with_values_of(self._config, config, changed)
        settings = self._settings(merged)
        revoked = read_revoked(merged.turn.revoked_file) if held is None else held.revoked
        credentials = credential_store(merged)
        self._access.reload(merged)
        # Nothing below fails: either all of it counts, or nothing.
        self._config = merged
        ended = engine.reconfigure(settings, credentials, revoked, monotonic())
        self.settle(engine)
        self._set_bandwidth(bandwidth_limits(merged))
        self._entrance.limit.total = merged.turn.quota.connections_total
        self._entrance.limit.per_source = merged.turn.quota.connections_per_source
        self._observation.reconfigure(merged)
        if self._web is not None:
            self._web.set_hsts(merged.server.hsts)
        if self._draining:
            engine.drain(alternates(merged))
        if self._drain_limit is not None:
            self._drain_limit.set_deadline(merged.turn.drain_deadline)
        if held is None:
            certificate = self.reload_certificates(merged.tls.certificate, merged.tls.key)
        else:
            certificate = self._entrance.take_certificate(held.certificate)
        return Reloaded(changed=changed, restart=restart, ended=ended, certificate=certificate)

    def begin_drain(self) -> None:
        """Take no new allocation from now on, and say so to probes; those that live go on. Again is harmless."""
        engine = self._engine
        if engine is None or self._draining:
            return
        self._draining = True
        if self._web is not None:
            self._web.begin_drain()
        engine.drain(alternates(self._config))
        report("server.draining", logging.INFO, allocations=len(engine.allocations))
        self.settle(engine)

    async def drain(self) -> bool:
        """`begin_drain`, and wait until no allocation is left, or `turn.drain_deadline` has passed: then False.

        Call `close` then.
        """
        self.begin_drain()
        try:
            async with asyncio.timeout(self._config.turn.drain_deadline) as timeout:
                self._drain_limit = _DrainLimit(timeout, monotonic())
                await self._empty.wait()
        except TimeoutError:
            report("server.drain_deadline", logging.WARNING, allocations=len(self.allocations))
            return False
        finally:
            self._drain_limit = None
        return True

    def revoke(self, entry: Revocation) -> int:
        """Refuse what `entry` covers until it has expired, and end its allocations; returns how many.

        Raises LocalProtocolError when too many revocations are remembered already.
        """
        engine = self._running()
        try:
            ended = engine.revoke_credential(entry, monotonic())
        finally:
            self.settle(engine)
        report("turn.revoked", logging.INFO, **{"kid": entry.kid} if entry.kid else {"user": entry.name}, ended=ended)
        return ended

    def _enforce_access(self) -> None:
        """A list has changed."""
        if self._engine is not None and (ended := self._engine.enforce_access()):
            report("turn.access_ended", logging.INFO, ended=ended)
            self.settle(self._engine)

    def end(self, clients: Collection[Path]) -> int:
        """End the allocations of these clients, who may come again; returns how many."""
        engine = self._running()
        ended = engine.revoke(lambda allocation: allocation.client in clients)
        self.settle(engine)
        return ended

    def reload_certificates(self, certificate: File | None = None, key: File | None = None) -> bool:
        """Read the TLS certificate again, from other files if they are given; connections that are open live on.

        False when the new pair cannot be used: the old one is kept, and `tls.certificate_rejected` is reported.
        """
        return self._entrance.reload_certificates(certificate, key)

    @property
    def certificate_expires_at(self) -> UnixSeconds | None:
        """When the TLS certificate ends that new connections get; None without a TLS listener."""
        tls = self._entrance.tls
        return tls.expires_at if tls is not None else None

    @property
    def observation(self) -> Observation:
        """The server's figures and health, and where they are served."""
        return self._observation

    @property
    def ready(self) -> bool:
        """Whether new clients are welcome."""
        return self._engine is not None and not self._draining

    @property
    def allocation_load(self) -> float:
        """How much of what everybody may allocate is allocated, 1.0 being all."""
        allocated = self._share.allocations.total if self._share is not None else len(self._plane.clients)
        return allocated / self._config.turn.quota.allocations_total

    @property
    def port_load(self) -> float:
        """How much of the relay ports is bound, 1.0 being all."""
        ports = self._share.relay_ports if self._share is not None else self._config.turn.relay_ports.ports
        return self._plane.ports / max(1, len(ports) * len(self._config.turn.relay_addresses))

    @property
    def config(self) -> Config:
        """The configuration that counts."""
        return self._config

    @property
    def stream_listeners(self) -> list[StreamListener]:
        """Where clients are taken over TCP and TLS."""
        streams = [listener for listener in self._listeners if isinstance(listener, StreamListener)]
        return [*streams, *self._web_listeners]

    @property
    def peer_connections(self) -> int:
        """TCP connections between relayed addresses and peers."""
        return len(self._tcp_plane)

    def listener_loss(self) -> SocketLoss:
        """What the sockets lost that clients are taken on over UDP."""
        loss = SocketLoss()
        for listener in self._listeners:
            if isinstance(listener, UdpListener):
                listener.count_loss(loss)
        return loss

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound, with the ports that the system chose."""
        settings = self._config.listeners
        return [
            ListenSetting(setting.transport, listener.local.host, listener.local.port)
            for setting, listener in zip(settings, self._listeners, strict=True)
        ]

    @property
    def web_listening(self) -> list[WebListener]:
        """What is bound of `server.listen`, with the ports that the system chose."""
        return [
            WebListener(setting.scheme, listener.local.host, listener.local.port)
            for setting, listener in zip(self._config.server.listen, self._web_listeners, strict=False)
        ]

    @property
    def web(self) -> HttpServer | None:
        """Who carries HTTP; None without `server.listen`, and in all but one of several processes."""
        return self._web

    @property
    def plane(self) -> RelayPlane:
        """The relay's clients and their counters."""
        return self._plane

    @property
    def allocations(self) -> AllocationTable:
        """The live allocations."""
        assert self._engine is not None, "the server has not been started"
        return self._engine.allocations

    @property
    def engine(self) -> TurnEngine | None:
        """Who decides; None before the start and after the end."""
        return self._engine

    @property
    def sharing(self) -> Sharing | None:
        """Its dealings with servers in other processes, where it has a share."""
        return self._sharing

    @property
    def idle(self) -> bool:
        """Whether nothing is remembered of anybody."""
        return self._engine is None or (
            self._engine.idle and not (self._plane.clients or len(self._bandwidth) or len(self._tcp_plane))
        )

    # Inputs

    def _receive(self, data: bytes, path: Path) -> None:
        engine = self._engine
        if engine is not None:
            engine.handle_datagram(data, path, monotonic())
            self._carry_out(engine)
            if path.transport is not _UDP:
                self._arm()  # else behind the last datagram of the wake

    def _stream_closed(self, path: Path) -> None:
        engine = self._engine
        if engine is not None:
            engine.handle_closed(path, monotonic())
            self.settle(engine)

    def _peer_accepted(self, relay: SocketAddress, wire_peer: SocketAddress) -> ConnectionId | None:
        engine = self._engine
        if engine is None:
            return None
        connection_id = engine.handle_peer_accepted(relay, wire_peer, monotonic())
        self.settle(engine)
        return connection_id

    def _peer_connected(self, connection_id: ConnectionId) -> None:
        engine = self._engine
        if engine is not None:
            engine.handle_peer_connected(connection_id, monotonic())
            self.settle(engine)

    def _peer_closed(self, connection_id: ConnectionId) -> None:
        engine = self._engine
        if engine is not None:
            engine.handle_peer_closed(connection_id, monotonic())
            self.settle(engine)

    def _wake(self) -> None:
        engine = self._engine
        if engine is not None:
            engine.handle_timeout(monotonic())
            self.settle(engine)

    # The drain: one after each mutation

    def settle(self, engine: TurnEngine) -> None:
        """Carry out what the engine wants after an input."""
        self._carry_out(engine)
        self._arm()

    def _arm(self) -> None:
        if self._engine is not None:
            self._wakeup.set(self._engine.next_timeout())

    def _carry_out(self, engine: TurnEngine) -> None:
        while True:
            while (command := engine.poll_command()) is not None:
                self._execute(command)
            while (transmit := engine.poll_transmit()) is not None:
                listener = self.listener_of(transmit.path)
                if listener is not None:
                    listener.send(transmit.data, transmit.path)
            while (event := engine.poll_event()) is not None:
                self._log.record(event, monotonic())
                self._observation.count(event)
                if isinstance(event, RequestRefused):
                    self._flush_later()  # nothing else is ever left out
            if not self._outcomes:
                break
            bind_id, bound = self._outcomes.popleft()
            answer = engine.handle_relay_bound if bound else engine.handle_relay_failed
            answer(bind_id, monotonic())
        if self._draining and not len(engine.allocations):
            self._empty.set()

    def _execute(self, command: Command) -> None:
        # No match statement: the oldest Cython that compiles this module has none.
        # Tuples, since a union would be made anew for each command.
        if isinstance(command, (InstallPermissionRoute, InstallChannelRoute)):
            self._plane.route(command)
        elif isinstance(command, BindRelayPort):
            self._outcomes.append((command.bind_id, self._bind(command)))
        elif isinstance(command, AssignRelayPort):
            self._assign(command)
        elif isinstance(command, ReleaseRelayPort):
            self._release(command)
        elif isinstance(command, (RemovePermissionRoute, RemoveChannelRoute)):
            self._plane.route(command)
        elif isinstance(command, LookUpCredential):
            self._look_up(command)
        elif isinstance(command, ConnectPeer):
            self._tcp_plane.connect(command)
        elif isinstance(command, BindStreams):
            self._bind_streams(command)
        elif isinstance(command, (ClaimRelayPort, ReturnRelayPort, PassOn)):
            assert self._sharing is not None, "only who has siblings is told so"
            self._sharing.execute(command)
        elif isinstance(command, ClosePeer):
            self._tcp_plane.close_peer(command)
        else:
            assert_never(command)

    def _bind(self, command: BindRelayPort) -> bool:
        if command.transport is not _TCP:
            return self._plane.bind(command)
        relay = self._tcp_plane.listen(command.relay)
        if relay is not None:
            self._plane.adopt(command.relay, relay)
        return relay is not None

    def _bind_streams(self, command: BindStreams) -> None:
        listener = self.listener_of(command.client)
        assert isinstance(listener, StreamListener), "a data connection came in over a stream"
        connection = listener.take_out(command.client)
        if connection is not None:
            self._tcp_plane.bind(command, connection)
        else:
            # It went while the engine asked who its user is.
            asyncio.get_running_loop().call_soon(self._stream_closed, command.client)

    def _assign(self, command: AssignRelayPort) -> None:
        listener = self.listener_of(command.client)
        assert listener is not None, "an allocation's client came in through a listener"
        client = self._plane.assign(command, listener.relay_sender(command.client))
        client.limit(self._meter(client))
        listener.attach(client)

    def _release(self, command: ReleaseRelayPort) -> None:
        self._tcp_plane.forget(command.relay)
        client = self._plane.release(command)
        if client is None:
            return
        self._bandwidth.close(client.path, monotonic())
        listener = self.listener_of(client.path)
        if listener is not None:
            listener.detach(client)

    def _meter(self, client: RelayedClient) -> Meter | None:
        return None if self._bandwidth.unlimited else self._bandwidth.open(client.path, client.user_key)

    def _set_bandwidth(self, limits: BandwidthLimits) -> None:
        if limits == self._bandwidth.limits:
            return
        self._bandwidth = self._make_bandwidth(limits)
        for client in self._plane.clients.values():
            client.limit(self._meter(client))

    def _make_bandwidth(self, limits: BandwidthLimits) -> Bandwidth:
        return Bandwidth(limits, self._plane.bucket, self._share.cells if self._share is not None else None)

    def _settings(self, config: Config) -> TurnServerConfig:
        """What the engine is told, with the external addresses that were found."""
        if self._external_watch is not None:
            external = dict(config.turn.external_addresses) | self._external_watch.found
            turn = config.turn.model_copy(update={"external_addresses": external})
            config = config.model_copy(update={"turn": turn})
        settings = engine_config(config, self._bound(), self._machine or Machine.here())
        if self._share is not None:
            settings = replace(settings, relay_ports=self._share.relay_ports, siblings=self._share.siblings)
        return self._tune(settings) if self._tune is not None else settings

    def _bound(self) -> set[SocketAddress]:
        """What no client may reach through the relay, because we listen there."""
        figures = self._observation.listening if self._share is None else self._share.figures
        elsewhere = set() if self._share is None else set(self._share.web_at)
        bound = {listener.local for listener in (*self._listeners, *self._web_listeners)} | elsewhere
        return bound | ({figures} if figures is not None else set())

    async def _find_external(self, watch: ExternalAddressWatch) -> None:
        if self._share is None:
            await watch.look()
            return
        # What a sibling has found is good for who takes another's place; the watch asks again in its time.
        watch.found |= self._share.external
        if not watch.found:
            await watch.look()
            self._share.link.found(watch.found)

    def _follow(self, found: Mapped) -> None:
        """The world knows us by another address now."""
        if self._share is not None:
            self._share.link.found(found)
        engine = self._engine
        if engine is not None:
            settings = self._settings(self._config)
            engine.set_external_addresses(settings.external_addresses, settings.policy, settings.behavior)
            self.settle(engine)

    def _running(self) -> TurnEngine:
        assert self._engine is not None, "the server has not been started"
        return self._engine

    # Look-ups

    def _look_up(self, command: LookUpCredential) -> None:
        task = asyncio.create_task(self._answer(command), name=f"look-up {command.lookup_id}")
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _answer(self, command: LookUpCredential) -> None:
        assert self._answers is not None, "only who has somebody to ask is told to ask"
        credential, known = None, True
        try:
            credential = await self._answers.find(command)
        except LookupFailedError:
            known = False
        engine = self._engine
        if engine is None:
            return
        if known:
            engine.provide_credential(command.lookup_id, credential, monotonic())
        else:
            engine.handle_lookup_failed(command.lookup_id, monotonic())
        self.settle(engine)

    def _flush_later(self) -> None:
        if self._flush_timer is None and (self._log.waiting or self._entrance.waiting):
            self._flush_timer = asyncio.get_running_loop().call_later(REPEAT_WINDOW, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        self._log.flush(monotonic())
        self._entrance.flush(monotonic())
        self._flush_later()

    # Listeners

    def _listen(self, setting: ListenSetting, bound: socket.socket | None) -> None:
        try:
            listener = self._entrance.open(setting, bound)
        except OSError as error:
            raise not_bound(self._config, setting, error) from error
        self._listeners.append(listener)
        self._listeners_by_key[setting.transport, listener.local] = listener

    async def _open_web(self) -> None:
        """Start the application, then take who comes to it."""
        if self._web is None:
            return
        await self._web.start()
        for number, setting in enumerate(self._config.server.listen):
            try:
                bound = self._share.web[number] if self._share is not None else None
                listener = self._entrance.open_web(setting, self._web, bound)
            except OSError as error:
                raise web_not_bound(setting, error) from error
            self._web_listeners.append(listener)
            self._listeners_by_key[setting.turn.transport, listener.local] = listener

    def listener_of(self, path: Path) -> Listener | None:
        """Where that client came in."""
        return self._listeners_by_key.get((path.transport, path.local))

    def _close_listeners(self) -> None:
        for listener in (*self._listeners, *self._web_listeners):
            listener.close()


def not_bound(config: Config, setting: ListenSetting, error: OSError) -> ConfigurationError:
    """What to say when a listener cannot be bound."""
    key = "turn.listen" if setting in config.turn.listen else "stun.behavior_addresses"
    return ConfigurationError(_why_not(setting, error), key=key)


def web_for(config: Config) -> HttpServer | None:
    """What answers on `https://` listeners that no program has an application for."""
    if not config.server.listen:
        return None
    from icelane.server.http_server import HttpServer

    return HttpServer(hsts=config.server.hsts)


def web_not_bound(setting: WebListener, error: OSError) -> ConfigurationError:
    """What to say when one of `server.listen` cannot be bound."""
    return ConfigurationError(_why_not(setting, error), key="server.listen")


def _why_not(setting: ListenSetting | WebListener, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{setting} is in use by another program; `ss -lunpt 'sport = :{setting.port}'` names it"
    if error.errno == errno.EACCES:
        return f"{setting}: ports below 1024 need the capability CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{setting}: this machine does not have that address; `ip address` lists those it has"
    return f"{setting}: {error.strerror or error}"
