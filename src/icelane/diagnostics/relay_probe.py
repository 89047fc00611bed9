"""What a relayed address is worth: packets between two of them, and packets to one from outside.

Between two relayed addresses of one server packets need not leave it. So only the probe from outside, a socket of ours
that sends to a relayed address, finds closed relay ports and an advertised address that leads elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from icelane.aio.resolver import Lookup
from icelane.aio.stun_client import BindingResult, binding
from icelane.aio.system import monotonic
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.aio.udp import RawAddress, UdpSocket, bind_udp
from icelane.core.clock import Duration, Instant
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.diagnostics.relay_check import Login
from icelane.diagnostics.result import Cause, CheckResult, failed, passed, skipped, warned
from icelane.errors import IcelaneError, TurnError
from icelane.stun.uri import StunUri, TurnUri

# As speech comes: so many packets of so many bytes, at this distance.
ECHO_PACKETS: Final = 50
_ECHO_BYTES: Final = 160
_ECHO_INTERVAL: Final[Duration] = 0.02
# What is not back by then counts as lost.
_ECHO_PATIENCE: Final[Duration] = 1.0

_PROBES: Final = 5
_PROBE_PATIENCE: Final[Duration] = 0.4
_TOLD_LOSS: Final = 0.02
_BAD_LOSS: Final = 0.5
_HEAD: Final = 4
_FORBIDDEN: Final = 403

DEFAULT_RELAY_PORTS: Final = "49152-65535"
"""What servers relay on where nobody has said otherwise (RFC 8656 section 7.2)."""

RelayPorts = str | Callable[[], Awaitable[str]]
"""What a server relays on, as `49152-65535`, or how to ask for it once somebody wants to know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayAccess:
    """How to come to a relay."""

    uri: TurnUri
    login: Login
    authority: str | None = None
    lookup: Lookup | None = None
    http_proxy: str | None = None

    async def connect(self, timeout: Duration) -> TurnRelay:
        """An allocation. Raises IcelaneError."""
        return await connect_turn(
            self.uri,
            username=self.login.username,
            password=self.login.password,
            authority=self.authority,
            lookup=self.lookup,
            http_proxy=self.http_proxy,
            timeout=timeout,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Of packets there and back: `loss` is a fraction, the rest is in seconds. Jitter as in RFC 3550 section 6.4.1."""

    sent: int
    received: int
    round_trip: Duration
    jitter: Duration

    @property
    def loss(self) -> float:
        """The fraction that did not come back."""
        return 1 - self.received / self.sent


async def check_relay_echo(
    access: RelayAccess, *, packets: int = ECHO_PACKETS, timeout: Duration = 5.0, name: str = "relay echo"
) -> CheckResult:
    """Send packets from one relayed address to another and back, and say what came of them."""
    try:
        async with await access.connect(timeout) as near, await access.connect(timeout) as far:
            await near.permit(far.relayed_address)
            await far.permit(near.relayed_address)
            measured = await measure(near, far, packets)
    except IcelaneError as error:
        return _broken(name, error)
    detail = (
        f"{measured.received} of {measured.sent} packets back, {measured.round_trip * 1000:.1f} ms round trip,"
        f" {measured.jitter * 1000:.1f} ms jitter"
    )
    if measured.loss <= _TOLD_LOSS:
        return passed(name, detail)
    judged = failed if measured.loss > _BAD_LOSS else warned
    mend = "look for a full line or a busy processor: `icelane turn bench`, and `mtr` to the server"
    return judged(name, detail, Cause.RELAY_LOSES, mend)


async def measure(near: TurnRelay, far: TurnRelay, packets: int) -> Measured:
    """Packets from `near` by way of `far` and back. Both permit each other."""
    sent: list[Instant] = []
    trips: dict[int, Duration] = {}
    complete = asyncio.Event()

    def reflect(payload: bytes, source: SocketAddress) -> None:
        far.send(payload, source)

    def take(payload: bytes, source: SocketAddress) -> None:
        number = int.from_bytes(payload[:_HEAD], "big")
        if source == far.relayed_address and number < len(sent):
            trips.setdefault(number, monotonic() - sent[number])
        if len(trips) == packets:
            complete.set()

    far.on_data, near.on_data = reflect, take
    for number in range(packets):
        sent.append(monotonic())
        near.send(number.to_bytes(_HEAD, "big").ljust(_ECHO_BYTES, b"\0"), far.relayed_address)
        await asyncio.sleep(_ECHO_INTERVAL)
    try:
        async with asyncio.timeout(_ECHO_PATIENCE):
            await complete.wait()
    except TimeoutError:
        pass  # what is missing is counted
    return Measured(
        sent=packets,
        received=len(trips),
        round_trip=sorted(trips.values())[len(trips) // 2] if trips else 0.0,
        jitter=_jitter([trips[number] for number in sorted(trips)]),
    )


async def check_relay_reach(
    access: RelayAccess,
    stun: StunUri | TurnUri,
    *,
    relay_ports: RelayPorts = DEFAULT_RELAY_PORTS,
    timeout: Duration = 5.0,
    name: str = "relay from outside",
) -> CheckResult:
    """Send to a relayed address from a socket of ours, and have an answer sent back through the relay.

    `stun` is where the server answers Binding over UDP, `relay_ports` what the mend says to open. Nothing can be said
    where UDP does not answer from here, or where the server relays to no address such as ours.
    """
    try:
        ours = await binding(stun, transport=Transport.UDP, timeout=min(timeout, 2.0), lookup=access.lookup)
    except IcelaneError:
        return skipped(name, "UDP from here does not reach the server, so nothing can be tried")
    try:
        async with await access.connect(timeout) as relay:
            return await _reach(name, relay, ours, relay_ports)
    except IcelaneError as error:
        return _broken(name, error)


async def _reach(name: str, relay: TurnRelay, ours: BindingResult, relay_ports: RelayPorts) -> CheckResult:
    host = ours.mapped.host
    try:
        await relay.permit(host)
    except TurnError as error:
        if error.code == _FORBIDDEN:
            return skipped(name, f"the server does not relay to {host}; ask from outside of its network")
        raise
    relayed = relay.relayed_address
    payload = SystemEntropy().token(_ECHO_BYTES)
    returned = asyncio.Event()

    def take(data: bytes, source: RawAddress) -> None:
        del source
        if data == payload[::-1]:
            returned.set()

    anywhere = "::" if relayed.family is AddressFamily.IPV6 else "0.0.0.0"
    udp = UdpSocket.bind(SocketAddress(anywhere, 0), take)
    try:
        began = monotonic()
        source = await _arrive(udp, relay, payload)
        if source is None:
            return await _not_arrived(name, relay, ours, relay_ports)
        relay.send(payload[::-1], source)
        if await _within(returned.wait(), 1.0):
            return passed(name, f"{relayed} takes packets from here and answers, {(monotonic() - began) * 1000:.1f} ms")
    finally:
        udp.close()
    mend = "let the server send UDP from turn.relay_ports to anywhere: `sudo ufw allow out proto udp to any`"
    return warned(name, f"{relayed} takes packets, and what it sends does not come", Cause.RELAY_RANGE_CLOSED, mend)


async def _arrive(udp: UdpSocket, relay: TurnRelay, payload: bytes) -> SocketAddress | None:
    """Who sent the payload, as the relay sees it; None when it does not come."""
    for _ in range(_PROBES):
        udp.send(payload, relay.relayed_address)
        try:
            async with asyncio.timeout(_PROBE_PATIENCE):
                while True:
                    data, source = await relay.receive()
                    if data == payload:
                        return source
        except TimeoutError:
            continue
    return None


async def _not_arrived(name: str, relay: TurnRelay, ours: BindingResult, relay_ports: RelayPorts) -> CheckResult:
    """Three things look alike: the address is not the server's, the ports are closed, or we are not outside.

    The server's other port tells the first. A server takes packets of its own addresses from relay ports alone, so what
    a socket beside it sends never arrives.
    """
    relayed, stun = relay.relayed_address, ours.server
    known: Sequence[str] = (stun.host, relay.path.remote.host)
    if relayed.host not in known and not await _answers(SocketAddress(relayed.host, stun.port)):
        detail = f"it relays at {relayed.host}, where nothing answers; it was reached at {stun.host}"
        mend = (
            f"set turn.external_addresses to the address that the server is reached at, such as {stun.host}; behind a"
            ' cloud\'s NAT turn.external_address_from = "stun:..." finds it'
        )
        return failed(name, detail, Cause.EXTERNAL_ADDRESS_WRONG, mend)
    if ours.mapped.host == relayed.host or _is_here(relayed.host):
        return skipped(name, f"we are on the server itself or behind its address, {relayed.host}; ask from elsewhere")
    detail = f"nothing that is sent to {relayed} arrives there"
    ports = relay_ports if isinstance(relay_ports, str) else await relay_ports()
    mend = (
        f"open {ports} for UDP in the server's firewall and the cloud's: `sudo ufw allow {ports.replace('-', ':')}/udp`"
    )
    return failed(name, detail, Cause.RELAY_RANGE_CLOSED, mend)


def _is_here(host: str) -> bool:
    """Whether it is an address of this machine: others cannot be bound."""
    try:
        bind_udp(SocketAddress(host, 0)).close()
    except OSError:
        return False
    return True


async def _answers(address: SocketAddress) -> bool:
    try:
        await binding(address, transport=Transport.UDP, timeout=1.5)
    except IcelaneError:
        return False
    return True


async def _within(waiting: Awaitable[object], seconds: Duration) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True


def _jitter(trips: Sequence[Duration]) -> Duration:
    """Of round trips, since the distance of sending is known to be even."""
    found = 0.0
    for before, after in itertools.pairwise(trips):
        found += (abs(after - before) - found) / 16
    return found


def _broken(name: str, error: IcelaneError) -> CheckResult:
    return failed(name, str(error), Cause.TURN_REFUSED, "the checks of TURN above say more; then run it again")
