"""How many users fit on a TURN server: pairs of allocations that send each other packets through it, more and more.

    one end -> its allocation -> the other end's allocation -> the other end, which sends the packet back

A user is one allocation that sends and receives at the same rate, as one side of a call does. The number of users
doubles from stage to stage until a stage does not go well; the last one that did says how many fit. Everything goes to
the server that was named: peers are its own relayed addresses.
"""

from __future__ import annotations

import asyncio
import enum
import struct
import time
from array import array
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from icelane.aio.resolver import resolve
from icelane.aio.system import monotonic
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.core.clock import Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress
from icelane.crypto.provider import SystemEntropy
from icelane.diagnostics.relay_check import Login
from icelane.errors import IcelaneError, StunError
from icelane.stun.uri import TurnUri
from icelane.turn.explanation import explain

# What nobody can exceed by mistake: this is for a server of one's own.
MAX_USERS: Final = 1000
MAX_KBITS: Final = 10_000
MAX_STAGE_SECONDS: Final = 30.0

# A stage went well when calls would have.
MAX_LOSS: Final = 0.01
MAX_ROUND_TRIP_P99: Final[Duration] = 0.2
# Above this much of a processor it is this computer that cannot do more.
FULL_PROCESSOR: Final = 0.9
LATE: Final[Duration] = 0.05

# As media packets are: below the MTU with all headers.
PACKET_BYTES: Final = 1000

_FIRST_USERS: Final = 2
_TICK: Final[Duration] = 0.005
# Packets that are under way at the end of a stage have this long to come back.
_STRAGGLERS: Final[Duration] = 0.4
_CONNECTING_AT_ONCE: Final = 8
_MAX_SAMPLES: Final = 200_000

_HEADER: Final = struct.Struct("!8sId")
"""Which run, which stage, and when it was sent on our own clock."""


class Limit(enum.StrEnum):
    """What ended the ramp."""

    ASKED = "asked"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LOSS = "loss"
    DELAY = "delay"
    THIS_COMPUTER = "this-computer"
    TIME = "time"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a number of users had. `loss` is a share, times are seconds.

    `processor` is the share of one that we used, `lateness` the 99th percentile of how late our own timers were.
    """

    users: int
    kbits: int
    sent: int
    received: int
    p50: Duration
    p99: Duration
    processor: float
    lateness: Duration = 0.0

    @property
    def loss(self) -> float:
        """The share of packets that did not come back."""
        return 1 - self.received / self.sent if self.sent else 0.0

    @property
    def limit(self) -> Limit | None:
        """Why the stage did not go well; None when it did."""
        if self.loss <= MAX_LOSS and self.p99 <= MAX_ROUND_TRIP_P99:
            return None
        if self.processor >= FULL_PROCESSOR or self.lateness >= LATE:
            return Limit.THIS_COMPUTER
        return Limit.LOSS if self.loss > MAX_LOSS else Limit.DELAY


@dataclass(kw_only=True)
class Result:
    """The stages, what ended the ramp, and the words for it."""

    stages: list[Stage] = field(default_factory=list)
    limit: Limit = Limit.ASKED
    detail: str = ""

    @property
    def fit(self) -> int:
        """The most users of a stage that went well."""
        return max((stage.users for stage in self.stages if stage.limit is None), default=0)

    @property
    def conclusion(self) -> str:
        """How many fit, and what the limit was."""
        kbits = self.stages[0].kbits if self.stages else 0
        fit = f"{self.fit} users with {kbits} kbit/s each way fit" if self.fit else "not even the first users fit"
        return f"{fit}; {_WHY[self.limit].format(detail=self.detail, next=self._failed)}"

    @property
    def _failed(self) -> str:
        last = self.stages[-1] if self.stages else None
        if last is None or last.limit is None:
            return "more"
        return f"{last.users} users lost {last.loss:.1%} of their packets, with {last.p99 * 1000:.0f} ms at the 99th"


_WHY: Final = {
    Limit.ASKED: "that is all that was asked for, so more may fit: raise --users",
    Limit.REFUSED: "then the server refused: {detail}",
    Limit.UNREACHABLE: "then the server could not be reached: {detail}",
    Limit.LOSS: "the limit was loss: {next} percentile",
    Limit.DELAY: "the limit was delay: {next} percentile",
    Limit.THIS_COMPUTER: "the limit was this computer, which was busy: {next} percentile; use another one",
    Limit.TIME: "the time was over, so more may fit: lower --seconds",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do: at most so many users, each so fast, so long for each number of them, and for all of it."""

    users: int = 64
    kbits: int = 300
    stage_seconds: Duration = 3.0
    total_seconds: Duration = 120.0
    timeout: Duration = 5.0
    authority: Path | str | None = None

    def stages(self) -> Iterator[int]:
        """The numbers of users: 2, 4, 8, ... and what was asked for."""
        users = _FIRST_USERS
        while users < self.users:
            yield users
            users *= 2
        yield self.users


class LoginSource:
    """Who each pair of users is. Ephemeral credentials give each its own name, as in life; a password gives one."""

    def __init__(self, *logins: Login) -> None:
        self._logins = logins

    def login(self, number: int) -> Login:
        """The login of the pair with this number."""
        return self._logins[number % len(self._logins)]


async def bench_relay(uri: TurnUri, logins: LoginSource, plan: Plan, entropy: Entropy | None = None) -> Result:
    """Run the ramp. What the server refuses ends it and is in the result; raises IcelaneError when nothing answers."""
    entropy = entropy or SystemEntropy()
    result = Result()
    deadline = monotonic() + plan.total_seconds
    async with AsyncExitStack() as stack:
        crowd = _Crowd(uri, logins, plan, entropy, stack)
        await crowd.find_server()
        for users in plan.stages():
            if monotonic() + plan.stage_seconds > deadline:
                result.limit = Limit.TIME
                break
            try:
                await crowd.grow(users // 2)
            except IcelaneError as error:
                if not result.stages and not isinstance(error, StunError):
                    raise
                result.limit, result.detail = _why_not(error)
                break
            stage = await crowd.run_stage()
            if stage.limit is not None:
                stage = await crowd.run_stage()  # once may be bad luck: something else ran on one of the machines
            result.stages.append(stage)
            if stage.limit is not None:
                result.limit = stage.limit
                break
    return result


class _Pair:
    """Two allocations. The far end sends back what the near one has sent."""

    __slots__ = ("far", "near", "target")

    def __init__(self, near: TurnRelay, far: TurnRelay) -> None:
        self.near = near
        self.far = far
        self.target = far.relayed_address
        far.on_data = self._send_back

    def _send_back(self, data: bytes, source: SocketAddress) -> None:
        if source == self.near.relayed_address and not self.far.closed:
            self.far.send(data, source)


class _Crowd:
    """All pairs, and the counters of the stage that runs."""

    def __init__(self, uri: TurnUri, logins: LoginSource, plan: Plan, entropy: Entropy, stack: AsyncExitStack) -> None:
        self._uri = uri
        self._logins = logins
        self._plan = plan
        self._entropy = entropy
        self._stack = stack
        self._run = entropy.token(8)
        self._padding = entropy.token(PACKET_BYTES - _HEADER.size)
        self._pairs: list[_Pair] = []
        self._servers: frozenset[SocketAddress] = frozenset()
        self._stage = 0
        self._received = 0
        self._round_trips = array("d")
        self._lateness = array("d")

    async def find_server(self) -> None:
        """Where the name leads, now and for the whole run."""
        targets = await resolve(self._uri, entropy=self._entropy, timeout=self._plan.timeout)
        self._servers = frozenset(target.address for target in targets)

    async def grow(self, pairs: int) -> None:
        """Have so many pairs. Raises what the first failure was."""
        missing = range(len(self._pairs), pairs)
        for start in range(missing.start, missing.stop, _CONNECTING_AT_ONCE):
            batch = range(start, min(start + _CONNECTING_AT_ONCE, missing.stop))
            outcomes = await asyncio.gather(*map(self._connect_pair, batch), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
                self._pairs.append(outcome)

    async def run_stage(self) -> Stage:
        """Let everybody send for the time of a stage, and see what comes back."""
        self._stage += 1
        self._received, self._round_trips, self._lateness = 0, array("d"), array("d")
        used = _processor_seconds()
        began = monotonic()
        sent = await self._send_until(later(began, self._plan.stage_seconds))
        lasted = monotonic() - began
        processor = (_processor_seconds() - used) / lasted
        await asyncio.sleep(_STRAGGLERS)
        times = sorted(self._round_trips)
        return Stage(
            users=2 * len(self._pairs),
            kbits=self._plan.kbits,
            sent=sent,
            received=self._received,
            p50=_quantile(times, 0.5),
            p99=_quantile(times, 0.99),
            processor=processor,
            lateness=_quantile(sorted(self._lateness), 0.99),
        )

    async def _send_until(self, end: Instant) -> int:
        """Packets of all pairs in turn, evenly over time; what this computer is late with is sent later, not lost."""
        rate = len(self._pairs) * self._plan.kbits * 125 / PACKET_BYTES
        began, sent = monotonic(), 0
        while (now := monotonic()) < end:
            due = int((now - began) * rate)
            while sent < due:
                self._send(self._pairs[sent % len(self._pairs)])
                sent += 1
            before = monotonic()
            await asyncio.sleep(_TICK)
            self._lateness.append(monotonic() - before - _TICK)
        return sent

    def _send(self, pair: _Pair) -> None:
        if not pair.near.closed:
            pair.near.send(_HEADER.pack(self._run, self._stage, monotonic()) + self._padding, pair.target)

    def _on_return(self, data: bytes, _: SocketAddress) -> None:
        if len(data) != PACKET_BYTES:
            return
        run, stage, sent_at = _HEADER.unpack_from(data)
        if run != self._run or stage != self._stage:
            return  # of the stage before
        self._received += 1
        if len(self._round_trips) < _MAX_SAMPLES:
            self._round_trips.append(monotonic() - sent_at)

    async def _connect_pair(self, number: int) -> _Pair:
        login = self._logins.login(number)
        near, far = await self._connect(login), await self._connect(login)
        await near.bind_channel(far.relayed_address)
        await far.bind_channel(near.relayed_address)
        near.on_data = self._on_return
        return _Pair(near, far)

    async def _connect(self, login: Login) -> TurnRelay:
        relay = await connect_turn(
            self._uri,
            username=login.username,
            password=login.password,
            timeout=self._plan.timeout,
            entropy=self._entropy,
            authority=self._plan.authority,
        )
        self._stack.push_async_callback(relay.close)
        if relay.path.remote not in self._servers:
            raise RedirectedError(f"{relay.path.remote}, which was not named")
        return relay


class RedirectedError(IcelaneError):
    """The server sends its clients elsewhere, where nobody asked to send load to."""


def _why_not(error: IcelaneError) -> tuple[Limit, str]:
    if isinstance(error, StunError):
        explanation = explain(error.code)
        return Limit.REFUSED, f"{error.code}, {explanation.meaning}; {explanation.mend}"
    if isinstance(error, RedirectedError):
        return Limit.REFUSED, f"it sends its clients to {error}"
    return Limit.UNREACHABLE, str(error) or type(error).__name__


def _processor_seconds() -> Duration:
    return time.process_time()


def _quantile(ordered: list[float], share: float) -> Duration:
    """Of nothing it is infinite: nothing came back."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")
