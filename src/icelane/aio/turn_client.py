"""A relayed address on a TURN server, and datagrams to and from it.

async with await connect_turn("turn:turn.example.org", username="alice", password="secret") as relay:
    print(relay.relayed_address)
    await relay.permit(peer)
    relay.send(b"hello", peer)
    data, source = await relay.receive()

The allocation, its permissions and its channels are kept alive until `close`.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path as File
from typing import Final

from icelane.aio.client_tls import client_context
from icelane.aio.proxy import find_proxy, resolve_by_proxy
from icelane.aio.resolver import Lookup, NamedTarget, Target
from icelane.aio.stream import Opening, StreamConnection, open_stream
from icelane.aio.system import monotonic
from icelane.aio.turn_relay import Link, TurnRelay, canonical_peer
from icelane.aio.turn_streams import OpenStream, PeerStream, bind_stream
from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.errors import IcelaneError, IntegrityError, LocalProtocolError, TransportClosedError, TurnError
from icelane.stun.framing import Measure, measure_stun
from icelane.stun.uri import StunUri, TurnUri, parse_uri
from icelane.turn.channel_data import measure_turn
from icelane.turn.client import TurnClient
from icelane.turn.client_request import AllocateOptions
from icelane.turn.connection_bind import ConnectionBinder
from icelane.turn.explanation import explain

# What a person waits for; the standard's 39.5 s for each server are for calls that have begun.
DEFAULT_TIMEOUT: Final[Duration] = 10.0
# Another server may do what this one cannot now; about anything else it would say the same.
_TRY_ELSEWHERE: Final = frozenset({300, 500, 508})
_ALLOCATION_MISMATCH: Final = 437


async def connect_turn(
    server: str | TurnUri | SocketAddress,
    *,
    username: str | None = None,
    password: str = "",
    options: AllocateOptions | None = None,
    transport: Transport | None = None,
    local: SocketAddress | None = None,
    authority: File | str | None = None,
    timeout: Duration = DEFAULT_TIMEOUT,
    on_data: Callable[[bytes, SocketAddress], object] | None = None,
    lookup: Lookup | None = None,
    entropy: Entropy | None = None,
    http_proxy: str | None = None,
) -> TurnRelay:
    """Allocate a relayed address on `server`: a `turn:` URI, or an address to be reached over UDP or `transport`.

    The places that a name leads to are tried one after the other within `timeout` seconds in all; redirections are
    followed. `local` is the address to send from, port 0 for any. `on_data(payload, peer)` takes what peers send;
    without it, `TurnRelay.receive` does.

    A `turns:` server is reached by name over TLS alone, and must have a certificate for that name from an authority of
    this machine, or from one in the PEM file `authority`.

    `http_proxy`, such as `http://user:password@proxy.example.org:3128`, leads to servers over TCP and TLS; its own name
    is verified where it is `https:`. "environment" takes HTTPS_PROXY or ALL_PROXY, and heeds NO_PROXY.

    Raises MalformedError for a bad URI, also of the proxy, ConfigurationError for a bad `authority` or a bad proxy in
    the environment, ResolutionError, TurnError when the server refused, and of the last place, when none answered well,
    TransactionTimeoutError, ProxyError, CertificateRefusedError, TlsHandshakeError, TransportClosedError or another
    IcelaneError.
    """
    entropy = entropy or SystemEntropy()
    connector = _Connector(
        username, password, options or AllocateOptions(), local, authority, entropy, on_data, http_proxy
    )
    deadline = monotonic() + timeout
    targets = await _targets(server, transport, timeout, lookup, entropy, http_proxy)
    for left in range(len(targets), 0, -1):
        target = targets[-left]
        share = max(0.0, deadline - monotonic()) / left
        try:
            async with asyncio.timeout(share) as limit:
                return await connector.connect(target)
        except IcelaneError as error:
            refused = isinstance(error, TurnError) and error.code not in _TRY_ELSEWHERE
            if refused or left == 1:
                raise
        except TimeoutError:
            if not limit.expired():
                raise
            if left == 1:
                raise connector.timed_out(target, share) from None
    raise AssertionError("resolve returns at least one target")


class _UdpLink:
    """A UDP socket that talks to one server."""

    __slots__ = ("_remote", "_udp")

    def __init__(self, udp: UdpSocket, remote: SocketAddress) -> None:
        self._udp = udp
        self._remote = remote

    def send(self, data: bytes) -> bool:
        return self._udp.send(data, self._remote)

    def send_control(self, data: bytes) -> bool:
        return self._udp.send(data, self._remote)

    def close(self) -> None:
        self._udp.close()


class _Connector:
    """Makes relays: one attempt after the other with the same credentials and wishes."""

    def __init__(
        self,
        username: str | None,
        password: str,
        options: AllocateOptions,
        local: SocketAddress | None,
        authority: File | str | None,
        entropy: Entropy,
        on_data: Callable[[bytes, SocketAddress], object] | None,
        http_proxy: str | None,
    ) -> None:
        self._username = username
        self._password = password
        self._options = options
        self._local = local
        self._authority = authority
        self._context: tls.SSLContext | None = None
        self._entropy = entropy
        self._on_data = on_data
        self._http_proxy = http_proxy
        self._opening = Opening()
        self._engine: TurnClient | None = None

    def timed_out(self, target: Target | NamedTarget, waited: Duration) -> IcelaneError:
        """What to raise when `connect` has been stopped because it took too long."""
        code = self._engine.unproven_code if self._engine is not None else None
        if code is None:
            return self._opening.timed_out(target.address, waited)
        told = f"an unsigned answer said {code}: {explain(code).meaning}"
        return IntegrityError(f"{target.address}: no answer that can be believed within {waited:.1f} s; {told}")

    async def connect(self, target: Target | NamedTarget) -> TurnRelay:
        """Allocate at `target` or where it sends us."""
        self._opening, self._engine = Opening(), None
        visited: list[SocketAddress] = []
        mismatched = False
        while True:
            relay = await self._open(target, visited)
            try:
                redirected = await relay.allocate(self._options)
            except TurnError as error:
                relay.abort()
                # RFC 8656 section 7.4: the port had an allocation of somebody before; another port has not.
                if error.code != _ALLOCATION_MISMATCH or mismatched:
                    raise
                mismatched = True
                continue
            except BaseException:
                relay.abort()
                raise
            if redirected is None:
                return relay
            relay.abort()
            visited.append(relay.path.remote)
            target = Target(redirected.server, target.transport, redirected.domain or target.host_name)

    async def _open(self, target: Target | NamedTarget, visited: list[SocketAddress]) -> TurnRelay:
        if target.transport is Transport.UDP and isinstance(target, Target):
            return self._open_udp(target.address, visited)
        return await self._open_stream(target, visited)

    def _open_udp(self, remote: SocketAddress, visited: list[SocketAddress]) -> TurnRelay:
        any_address = SocketAddress("::" if remote.family is AddressFamily.IPV6 else "0.0.0.0", 0)

        def receive(data: bytes, source: RawAddress) -> None:
            # The kernel lets only the server in, but not in the moment between bind and connect.
            if source == remote or address_of(source) == remote:
                relay.handle_data(data)

        try:
            udp = UdpSocket.bind(self._local or any_address, receive, remote=tuple(remote))
        except OSError as error:
            raise TransportClosedError(f"{remote}: {error.strerror or error}") from error
        relay = self._relay(Path(udp.local, remote, Transport.UDP), _UdpLink(udp, remote), visited)
        udp.on_error = relay.handle_unreachable
        return relay

    async def _open_stream(self, target: Target | NamedTarget, visited: list[SocketAddress]) -> TurnRelay:
        connection = await self._connect(target, measure_turn, self._local, self._opening)

        def open_peer_stream(connection_id: int) -> Awaitable[PeerStream]:
            return self._open_peer_stream(target, connection_id)

        is_proxied = connection.path.remote != target.address
        relay = self._relay(connection.path, connection, visited, open_peer_stream, is_proxied=is_proxied)
        connection.on_frame = relay.handle_data
        connection.on_closed = relay.handle_closed
        if connection.closed:
            relay.handle_closed(None)
        return relay

    async def _open_peer_stream(self, target: Target | NamedTarget, connection_id: int) -> PeerStream:
        """RFC 6062 section 4.3: a connection of its own to the same server, from another port."""
        local = self._local._replace(port=0) if self._local is not None else None
        connection = await self._connect(target, measure_stun, local, Opening())
        binder = ConnectionBinder(
            connection.path, entropy=self._entropy, username=self._username, password=self._password
        )
        return await bind_stream(connection, binder, connection_id)

    async def _connect(
        self, target: Target | NamedTarget, measure: Measure, local: SocketAddress | None, opening: Opening
    ) -> StreamConnection:
        return await open_stream(
            target.address,
            measure,
            local=local,
            ssl=self._tls() if target.transport is Transport.TLS else None,
            server_name=target.host_name,
            opening=opening,
            proxy=find_proxy(self._http_proxy, target.host_name, target.address.port),
            authority=self._authority,
        )

    def _tls(self) -> tls.SSLContext:
        self._context = self._context or client_context(self._authority)
        return self._context

    def _relay(
        self,
        path: Path,
        link: Link,
        visited: list[SocketAddress],
        open_peer_stream: OpenStream | None = None,
        *,
        is_proxied: bool = False,
    ) -> TurnRelay:
        self._engine = engine = TurnClient(
            path,
            entropy=self._entropy,
            username=self._username,
            password=self._password,
            visited=visited,
            is_proxied=is_proxied,
        )
        relay = TurnRelay(engine, link, open_peer_stream)
        relay.on_data = self._on_data
        return relay


async def _targets(
    server: str | TurnUri | SocketAddress,
    transport: Transport | None,
    timeout: Duration,
    lookup: Lookup | None,
    entropy: Entropy,
    http_proxy: str | None,
) -> Sequence[Target | NamedTarget]:
    if isinstance(server, SocketAddress):
        if transport is Transport.TLS:
            raise LocalProtocolError(f"{server}: TLS needs a host name, as in turns:turn.example.org")
        return [Target(canonical_peer(server), transport or Transport.UDP, server.host)]
    uri = parse_uri(server) if isinstance(server, str) else server
    if isinstance(uri, StunUri):
        raise LocalProtocolError(f"{uri} names a STUN server; a relay is at a turn: URI")
    return await resolve_by_proxy(uri, http_proxy, transport=transport, lookup=lookup, entropy=entropy, timeout=timeout)
