"""Ask a STUN server for the address it sees us at.

result = await binding("stun:stun.example.org")
print(result.mapped, result.rtt)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Final, TypeVar

from icelane.aio.client_tls import client_context
from icelane.aio.resolver import Lookup, Target, resolve
from icelane.aio.stream import Opening, open_stream
from icelane.aio.system import monotonic
from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport, family_of
from icelane.crypto.provider import SystemEntropy
from icelane.errors import (
    IcelaneError,
    IntegrityError,
    LocalProtocolError,
    MalformedError,
    ResolutionError,
    StunError,
    TransactionTimeoutError,
    TransportClosedError,
)
from icelane.stun.binding import encode_binding_request, parse_binding_response
from icelane.stun.framing import measure_stun
from icelane.stun.message import TRANSACTION_ID_SIZE, parse_message
from icelane.stun.transaction import ClientTransactions
from icelane.stun.uri import StunUri, TurnUri, parse_uri

Outcome = TypeVar("Outcome")

# What a person waits for; the standard's 39.5 s are for calls that have begun.
DEFAULT_TIMEOUT: Final[Duration] = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingResult:
    """What a server answered. `rtt` is the time since the last of `requests` sendings, in seconds."""

    mapped: SocketAddress
    local: SocketAddress
    server: SocketAddress
    transport: Transport
    rtt: Duration
    requests: int


async def binding(
    server: str | StunUri | TurnUri | SocketAddress,
    *,
    transport: Transport | None = None,
    timeout: Duration = DEFAULT_TIMEOUT,
    authority: File | str | None = None,
    local: str | None = None,
    lookup: Lookup | None = None,
    entropy: Entropy | None = None,
) -> BindingResult:
    """Send a Binding request to `server`, a URI or an address, over UDP unless it or `transport` says otherwise.

    The places that a name leads to are tried one after the other within `timeout` seconds in all. Raises MalformedError
    for a bad URI, ResolutionError, StunError when a server answered with an error, and the error that says most when
    none answered: TransactionTimeoutError, CertificateRefusedError, TlsHandshakeError, TransportClosedError or another
    RemoteProtocolError. `authority` is a PEM file with the authorities to trust for `stuns:`. `local` is the address of
    this machine to ask from; only servers of its family are asked then.
    """
    entropy = entropy or SystemEntropy()
    deadline = later(monotonic(), timeout)
    targets = await find_targets(server, transport, timeout, lookup, entropy)
    if local is not None:
        targets = [target for target in targets if target.address.family is family_of(local)]
        if not targets:
            raise ResolutionError(f"{server} has no address that can be asked from {local}")
    return await ask_in_turn(targets, deadline, lambda target, share: _ask(target, share, authority, local, entropy))


async def ask_in_turn(
    targets: Sequence[Target],
    deadline: Instant,
    ask: Callable[[Target, Duration], Awaitable[Outcome]],
    *,
    least: Duration = 0.0,
) -> Outcome:
    """What the first of `targets` that answers says; each gets its share of the time, and `least` at least.

    Raises StunError when one answers with an error, and the error that says most when none answers.
    """
    told: IcelaneError | None = None
    for number, target in enumerate(targets):
        share = max((deadline - monotonic()) / (len(targets) - number), least)
        try:
            return await ask(target, share)
        except StunError:
            raise
        except IcelaneError as error:
            told = more_telling(told, error)
    assert told is not None, "there is at least one place"
    raise told


def more_telling(before: IcelaneError | None, error: IcelaneError) -> IcelaneError:
    """Which of two places' errors to raise: that the network refuses to send, as without IPv6, says least."""
    refused = isinstance(error, TransportClosedError)
    return before if refused and before is not None and not isinstance(before, TransportClosedError) else error


async def find_targets(
    server: str | StunUri | TurnUri | SocketAddress,
    transport: Transport | None,
    timeout: Duration,
    lookup: Lookup | None,
    entropy: Entropy,
) -> list[Target]:
    """The places to ask. Raises as `binding` does for what names none."""
    if isinstance(server, SocketAddress):
        if transport is Transport.TLS:
            raise LocalProtocolError(f"{server}: TLS needs a host name, as in stuns:stun.example.org")
        return [Target(server, transport or Transport.UDP, server.host)]
    uri = parse_uri(server) if isinstance(server, str) else server
    return await resolve(uri, transport=transport, lookup=lookup, entropy=entropy, timeout=timeout)


async def _ask(
    target: Target, timeout: Duration, authority: File | str | None, local: str | None, entropy: Entropy
) -> BindingResult:
    request = encode_binding_request(entropy.token(TRANSACTION_ID_SIZE))
    opening = Opening()
    try:
        async with asyncio.timeout(timeout):
            if target.transport.reliable:
                return await _ask_stream(target, request, authority, local, opening)
            return await _ask_udp(target, request, local)
    except TimeoutError as error:
        if isinstance(error, TransactionTimeoutError):
            raise
        raise opening.timed_out(target.address, timeout) from None


async def _ask_udp(target: Target, request: bytes, local: str | None) -> BindingResult:
    remote = target.address
    any_address = "::" if remote.family is AddressFamily.IPV6 else "0.0.0.0"
    own = SocketAddress(local or any_address, 0)

    def receive(data: bytes, source: RawAddress) -> None:
        exchange.handle_message(data, Path(udp.local, address_of(source), Transport.UDP))

    def fail(error: OSError) -> None:
        exchange.fail(TransportClosedError(f"{remote}: {error.strerror or error}"))

    def send(data: bytes) -> None:
        if not udp.send(data, remote) and udp.failed_sends:
            exchange.fail(TransportClosedError(f"{remote}: the network refuses to send there"))

    try:
        udp = UdpSocket.bind(own, receive, remote=remote)
    except OSError as error:
        raise TransportClosedError(f"{remote}: {error.strerror or error}") from error
    udp.on_error = fail
    exchange = _Exchange(Path(udp.local, remote, Transport.UDP), send)
    try:
        return await exchange.run(request)
    finally:
        exchange.close()
        udp.close()


async def _ask_stream(
    target: Target, request: bytes, authority: File | str | None, local: str | None, opening: Opening
) -> BindingResult:
    context = client_context(authority) if target.transport is Transport.TLS else None
    own = SocketAddress(local, 0) if local is not None else None
    connection = await open_stream(
        target.address, measure_stun, local=own, ssl=context, server_name=target.host_name, opening=opening
    )
    exchange = _Exchange(connection.path, connection.send_control)
    connection.on_frame = lambda frame: exchange.handle_message(frame, connection.path)
    connection.on_closed = lambda error: exchange.fail(error or TransportClosedError("the connection was closed"))
    try:
        return await exchange.run(request)
    finally:
        exchange.close()
        connection.abort()


class _Exchange:
    """Drives one transaction: a request, its retransmissions and the response that can be believed."""

    def __init__(self, path: Path, send: Callable[[bytes], object]) -> None:
        self._path = path
        self._send = send
        loop = asyncio.get_running_loop()
        self._transactions = ClientTransactions()
        self._wakeup = Wakeup(self._handle_timeout, loop)
        self._result: asyncio.Future[BindingResult] = loop.create_future()
        self._requests = 0
        self._sent_at: Instant = monotonic()

    async def run(self, request: bytes) -> BindingResult:
        """Send `request` and wait for what comes of it."""
        self._transactions.start(request, self._path, monotonic())
        self._drain()
        return await self._result

    def handle_message(self, data: bytes, path: Path) -> None:
        """A datagram or frame came in. Whatever is not the response that was asked for is ignored."""
        now = monotonic()
        try:
            message = parse_message(data)
        except MalformedError:
            return
        transaction = self._transactions.find(message, path)
        if transaction is None or self._result.done():
            return
        try:
            mapped = parse_binding_response(message, str(path.remote))
        except (MalformedError, IntegrityError) as error:
            self._transactions.reject(transaction.transaction_id, error)
            self._drain()
            return
        except IcelaneError as error:
            self.fail(error)
            return
        self._transactions.complete(transaction.transaction_id)
        self._result.set_result(
            BindingResult(
                mapped=mapped,
                local=path.local,
                server=path.remote,
                transport=path.transport,
                rtt=now - self._sent_at,
                requests=self._requests,
            )
        )

    def fail(self, error: IcelaneError) -> None:
        """The exchange has no chance any more."""
        if not self._result.done():
            self._result.set_exception(error)

    def close(self) -> None:
        """Stop the timer; an error that nobody awaits is nobody's concern any more."""
        self._wakeup.set(None)
        self._result.cancel()

    def _drain(self) -> None:
        while (transmit := self._transactions.poll_transmit()) is not None:
            self._requests += 1
            self._sent_at = monotonic()
            self._send(transmit.data)
        while (event := self._transactions.poll_event()) is not None:
            self.fail(event.error)
        self._wakeup.set(self._transactions.next_timeout())

    def _handle_timeout(self) -> None:
        self._transactions.handle_timeout(monotonic())
        self._drain()
