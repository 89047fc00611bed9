"""TCP connections with the peer (RFC 6544): those that the engine asks for, and those that are accepted.

    streams = IceStreams(engine, run)
    await streams.find_bases(interfaces, devices, configuration, run)
    streams.connect(planned)                          # ends in handle_peer_connected or handle_peer_connect_failed
    streams.send_all(path, [datagram, datagram])

Whoever connects to us has ACCEPT_DEADLINE seconds and one frame, of FIRST_FRAME bytes at most with all that comes
before it, to prove the password of the ICE session; otherwise the connection is closed, and nothing is remembered of
it. What the peer does not read in time is dropped, as it would be on a network of datagrams.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, cast

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.device import Device
from icelane.aio.interfaces import Interface
from icelane.aio.port_range import PortRange, bind_within, is_within
from icelane.aio.stream import NO_PATH, path_of, tune_stream
from icelane.aio.tcp import bind_tcp, connect_tcp
from icelane.core.clock import Duration, Instant
from icelane.core.demux import PacketKind, classify
from icelane.core.net import Path, SocketAddress
from icelane.errors import MalformedError, TransportClosedError
from icelane.ice.candidate import ACTIVE_PORT, HIGHEST_LOCAL_PREFERENCE
from icelane.ice.framing import LENGTH_SIZE, MAX_DATAGRAM, DatagramFramer, encode_frame
from icelane.peer.connection import PeerConnection

# Long enough for three SYNs; a host that drops them is not there for us.
CONNECT_TIMEOUT: Final[Duration] = 10.0
# IC-3: what a connection may have before the peer has proved itself on it.
ACCEPT_DEADLINE: Final[Duration] = 5.0
# A check with the longest user names has 1100 bytes.
FIRST_FRAME: Final = 2048
# Connections that have not proved themselves, together and from one address; one more is closed at once.
MAX_UNPROVED: Final = 16
MAX_UNPROVED_PER_SOURCE: Final = 4
# Accepted ones that have. The engine closes those that it does not need.
MAX_ACCEPTED: Final = 64
# What may wait for the kernel, and there to be sent; more is dropped. Checks may use CHECK_RESERVE bytes on top, since
# over TCP they are not repeated.
MAX_BUFFERED: Final = 256 * 1024
CHECK_RESERVE: Final = 16 * 1024
UNSENT_IN_KERNEL: Final = 128 * 1024
# How long a connection that is not needed may take to deliver what was sent.
CLOSE_TIMEOUT: Final[Duration] = 1.0
_BACKLOG: Final = 16


class IceStream(asyncio.Protocol):
    """One connection that carries datagrams. `dropped` counts those that found the buffer full."""

    def __init__(self, owner: IceStreams, planned: Path | None) -> None:
        """`planned` is what the engine has asked for, None where the connection was accepted."""
        self.path = NO_PATH
        self.planned = planned
        self.dropped = 0
        self.proved = planned is not None
        self.deadline: asyncio.TimerHandle | None = None
        self._owner = owner
        self._unproved_room = LENGTH_SIZE + FIRST_FRAME  # empty frames are bytes too
        self._framer = DatagramFramer(MAX_DATAGRAM if self.proved else FIRST_FRAME)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        self.path = path_of(transport)
        connected = transport.get_extra_info("socket")
        tune_stream(connected)
        if connected is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # What is queued where we cannot take it back delays all that comes behind it.
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL)
        self._owner.stream_opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            if not self.proved:
                # No more is looked at before the proof, in however large pieces it comes.
                looked_at, data = data[: self._unproved_room], data[self._unproved_room :]
                self._unproved_room -= len(looked_at)
                self._framer.handle_bytes(looked_at)
                first = self._framer.take_datagrams(1)
                if not first and not data:
                    return
                self.proved = bool(first) and self._owner.prove(self, first[0])
                if not self.proved:
                    self.abort()
                    return
                self._framer.limit = MAX_DATAGRAM
            self._framer.handle_bytes(data)
            if datagrams := self._framer.take_datagrams():
                self._owner.handle_datagrams(self, datagrams)
        except MalformedError:
            self.abort()

    def eof_received(self) -> bool:
        """asyncio: the peer has finished sending; nothing is kept half open."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """asyncio: the connection is gone."""
        self._transport = None
        self._owner.stream_closed(self)

    def send_all(self, datagrams: Iterable[bytes]) -> None:
        """Send them, in this order, but for those for which there is no room."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        frames = []
        for data in datagrams:
            room = MAX_BUFFERED
            if classify(data[0]) is PacketKind.STUN:
                room += CHECK_RESERVE
            if waiting + len(data) > room:
                self.dropped += 1
                continue
            frames.append(encode_frame(data))
            waiting += len(frames[-1])
        if frames:
            transport.write(b"".join(frames))

    def close(self) -> None:
        """Deliver what was sent, within CLOSE_TIMEOUT, and close."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)
            transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def buffered(self) -> int:
        """How many bytes wait for the kernel."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0


class IceStreams:
    """All of one peer connection. `run` calls a verb of the engine with the time and drains it.

    `refused` counts accepted connections that were closed because nobody proved anything on them, or were too many.
    """

    def __init__(
        self,
        engine: PeerConnection,
        run: Callable[[Callable[[Instant], object]], object],
        *,
        accept_deadline: Duration = ACCEPT_DEADLINE,
    ) -> None:
        self.refused = 0
        self._engine = engine
        self._run = run
        self._accept_deadline = accept_deadline
        self._loop = asyncio.get_running_loop()
        self._streams_by_path: dict[Path, IceStream] = {}
        self._unproved: set[IceStream] = set()
        self._accepted = 0
        self._servers_by_base: dict[SocketAddress, asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._active_hosts: set[str] = set()
        self._devices_by_host: Mapping[str, Device] = {}
        self._left: set[SocketAddress] = set()  # where we listened before nobody but servers might hear of us

    # Commands

    async def find_bases(
        self,
        interfaces: Sequence[Interface],
        devices: Mapping[str, Device],
        configuration: RTCConfiguration,
        tell: Callable[[Callable[[Instant], None]], None],
    ) -> None:
        """Tell the engine from where we connect, and where we listen; nowhere where only servers may hear of us (IC-8).

        `devices` are, by address, what sockets are bound to. `tell` calls a verb of the engine, unless another round of
        gathering has begun.
        """
        if configuration.relay_only:
            self._leave()
            return
        self._devices_by_host = devices
        while self._left:
            self._run(partial(self._engine.remove_tcp_base, self._left.pop()))
        for position, interface in enumerate(interfaces):
            preference, host = HIGHEST_LOCAL_PREFERENCE - position, interface.host
            if configuration.ice_tcp in ("active", "both") and not configuration.ice_lite:
                self._active_hosts.add(host)
                tell(partial(self._engine.add_tcp_base, SocketAddress(host, ACTIVE_PORT), "active", preference))
            if configuration.ice_tcp in ("passive", "both"):
                base = next((base for base in self._servers_by_base if base.host == host), None)
                try:
                    base = base or await self.listen(host, configuration.port_range)
                except OSError as error:
                    reason = error.strerror or str(error)
                    tell(partial(self._engine.fail_base, SocketAddress(host, 0), reason))
                else:
                    tell(partial(self._engine.add_tcp_base, base, "passive", preference))

    def drop_all_but(self, hosts: set[str], ports: PortRange | None) -> None:
        """There are no other addresses to use any more, and no ports to listen on but those of the range."""
        for host in self._active_hosts - hosts:
            self._active_hosts.discard(host)
            self._run(partial(self._engine.remove_tcp_base, SocketAddress(host, ACTIVE_PORT)))
        for base in [base for base in self._servers_by_base if base.host not in hosts or not is_within(ports, base)]:
            self.stop_listening(base)
            self._run(partial(self._engine.remove_tcp_base, base))

    async def listen(self, host: str, ports: PortRange | None) -> SocketAddress:
        """Listen at `host`, on a port out of `ports` that is free; raises OSError when there is none."""
        device = self._devices_by_host.get(host)
        bound = bind_within(ports, lambda port: bind_tcp(SocketAddress(host, port), device=device))
        base = SocketAddress(host, bound.getsockname()[1])
        server = await self._loop.create_server(lambda: IceStream(self, None), sock=bound, backlog=_BACKLOG)
        if self._closed:
            server.close()
        else:
            self._servers_by_base[base] = server
        return base

    def stop_listening(self, base: SocketAddress) -> None:
        """Nobody is let in there any more; who is stays."""
        server = self._servers_by_base.pop(base, None)
        if server is not None:
            server.close()

    def connect(self, planned: Path) -> None:
        """Connect from the host of `planned.local` to `planned.remote`, and tell the engine what came of it."""
        task = asyncio.ensure_future(self._connect(planned))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def disconnect(self, path: Path) -> None:
        """The engine does not need that connection any more."""
        stream = self._streams_by_path.pop(path, None)
        if stream is not None:
            self._forget(stream)
            stream.close()

    def send_all(self, path: Path, datagrams: Iterable[bytes]) -> bool:
        """Send them on `path`; False when no connection with the peer is there."""
        stream = self._streams_by_path.get(path)
        if stream is None:
            return False
        stream.send_all(datagrams)
        return True

    def close(self) -> None:
        """Let go of everything."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for base in list(self._servers_by_base):
            self.stop_listening(base)
        for path in list(self._streams_by_path):
            self.disconnect(path)

    @property
    def bases(self) -> list[SocketAddress]:
        """Where it listens."""
        return list(self._servers_by_base)

    @property
    def paths(self) -> list[Path]:
        """The connections that are there."""
        return list(self._streams_by_path)

    # What a stream tells

    def stream_opened(self, stream: IceStream) -> None:
        """A connection is there, made or accepted."""
        if self._closed or (stream.planned is None and not self._admits(stream.path)):
            self.refused += stream.planned is None
            stream.abort()
            return
        self._streams_by_path[stream.path] = stream
        if stream.planned is None:
            self._unproved.add(stream)
            self._accepted += 1
            stream.deadline = self._loop.call_later(self._accept_deadline, stream.abort)

    def prove(self, stream: IceStream, first: bytes) -> bool:
        """The first frame of an accepted connection: whether it is a check that is signed as it must be."""
        self.handle_datagrams(stream, [first])
        if not self._engine.has_authenticated(stream.path):
            return False
        self._unproved.discard(stream)
        self._cancel_deadline(stream)
        return True

    def handle_datagrams(self, stream: IceStream, datagrams: Sequence[bytes]) -> None:
        """They came at once."""
        path = stream.path
        if self._streams_by_path.get(path) is stream:
            self._run(partial(self._engine.handle_batch, [(data, path) for data in datagrams]))

    def stream_closed(self, stream: IceStream) -> None:
        """A connection is gone."""
        if self._streams_by_path.get(stream.path) is not stream:
            return
        del self._streams_by_path[stream.path]
        self.refused += stream in self._unproved
        self._forget(stream)
        if not self._closed:
            self._run(partial(self._engine.handle_peer_disconnected, stream.path))

    def _admits(self, path: Path) -> bool:
        """IC-3: whether one more connection from there may try to prove itself."""
        sources = Counter(stream.path.remote.host for stream in self._unproved)
        return (
            len(self._unproved) < MAX_UNPROVED
            and sources[path.remote.host] < MAX_UNPROVED_PER_SOURCE
            and self._accepted < MAX_ACCEPTED
        )

    def _forget(self, stream: IceStream) -> None:
        self._unproved.discard(stream)
        self._cancel_deadline(stream)
        self._accepted -= stream.planned is None

    def _cancel_deadline(self, stream: IceStream) -> None:
        if stream.deadline is not None:
            stream.deadline.cancel()
            stream.deadline = None

    def _leave(self) -> None:
        """Listen no more. Connections stay, for what goes on over them until a restart has found its pair."""
        self._left.update(self._servers_by_base)
        for base in list(self._servers_by_base):
            self.stop_listening(base)

    async def _connect(self, planned: Path) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                host = planned.local.host
                device = self._devices_by_host.get(host)
                connected = await connect_tcp(planned.remote, SocketAddress(host, 0), device=device)
            stream = IceStream(self, planned)
            await self._loop.create_connection(lambda: stream, sock=connected)
        except (OSError, TransportClosedError):  # TimeoutError among them
            self._run(partial(self._engine.handle_peer_connect_failed, planned))
            return
        if self._streams_by_path.get(stream.path) is stream:
            self._run(partial(self._engine.handle_peer_connected, planned, stream.path))
        else:  # it is gone already
            self._run(partial(self._engine.handle_peer_connect_failed, planned))
