"""Tries a TURN server from end to end: two allocations that send each other a packet through the relay."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from icelane.aio.proxy import find_proxy
from icelane.aio.resolver import Lookup, proxied_target
from icelane.aio.system import monotonic
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.core.clock import Duration, UnixSeconds
from icelane.core.entropy import Entropy
from icelane.core.net import Transport
from icelane.crypto.provider import SystemEntropy, hmac_sha1
from icelane.errors import CertificateRefusedError, IcelaneError, StunError
from icelane.stun.uri import TurnUri
from icelane.turn.explanation import explain

# A packet that the relay loses is sent again this often before it counts as lost.
_SENDINGS = 3

# As large as a media packet, so that a path which drops those does not pass.
_PAYLOAD_BYTES = 1000


@dataclass(frozen=True, kw_only=True)
class Login:
    """What to authenticate with."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One part of the check. `detail` says what was found, `mend` what to do about it."""

    name: str
    ok: bool
    seconds: Duration
    detail: str
    mend: str | None = None


@dataclass(kw_only=True)
class Report:
    """The steps so far, and the relay's facts once they are known."""

    steps: list[Step] = field(default_factory=list)
    relayed: str | None = None
    mapped: str | None = None
    server: str | None = None
    proxy: str | None = None
    transport: str | None = None
    lifetime: int | None = None
    round_trip: Duration | None = None
    error: IcelaneError | None = None
    """What ended the check, where a step failed."""

    @property
    def ok(self) -> bool:
        """Whether every step went well."""
        return all(step.ok for step in self.steps)


class PacketLostError(IcelaneError):
    """A packet went into the relay and did not come out."""


class _Stopped(Exception):
    """Ends the check; the report says why."""


def ephemeral(user: str, secret: str, ttl: int, unix_time: UnixSeconds) -> Login:
    """The login `expiry:user` that every server with this shared secret accepts (draft-uberti-behave-turn-rest-00).

    Unlike `icelane.turn.credentials.mint` it takes any secret: that of somebody else's server is not ours to judge.
    """
    username = f"{int(unix_time) + ttl}:{user}"
    password = base64.b64encode(hmac_sha1(secret.encode(), username.encode())).decode()
    return Login(username=username, password=password)


async def check_relay(
    uri: TurnUri,
    login: Login,
    timeout: Duration,
    entropy: Entropy | None = None,
    authority: str | None = None,
    http_proxy: str | None = None,
    lookup: Lookup | None = None,
) -> Report:
    """Allocate twice on the server, relay packets from one allocation to the other and back, and give both up.

    A step that the server answers badly ends the check with a failed step. `authority` is a PEM file with a private
    authority to trust, for `turns:`; `http_proxy` is that of `connect_turn`. Raises IcelaneError when the server cannot
    be reached at all.
    """
    report = Report()
    entropy = entropy or SystemEntropy()
    try:
        async with AsyncExitStack() as stack:
            await _run(_Check(report, uri, login, timeout, entropy, authority, http_proxy, lookup, stack))
    except _Stopped:
        pass
    return report


class _Check:
    def __init__(
        self,
        report: Report,
        uri: TurnUri,
        login: Login,
        timeout: Duration,
        entropy: Entropy,
        authority: str | None,
        http_proxy: str | None,
        lookup: Lookup | None,
        stack: AsyncExitStack,
    ) -> None:
        self.report = report
        self.uri = uri
        self.login = login
        self.timeout = timeout
        self.entropy = entropy
        self.authority = authority
        self.http_proxy = http_proxy
        self.lookup = lookup
        self.stack = stack

    async def connect(self) -> TurnRelay:
        """An allocation that ends with the check."""
        relay = await connect_turn(
            self.uri,
            username=self.login.username,
            password=self.login.password,
            timeout=self.timeout,
            entropy=self.entropy,
            authority=self.authority,
            http_proxy=self.http_proxy,
            lookup=self.lookup,
        )
        self.stack.push_async_callback(relay.close)
        return relay

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[list[str]]:
        """Run the body as one step; what it appends is the detail."""
        began = monotonic()
        detail: list[str] = []
        try:
            yield detail
        except StunError as error:
            explanation = explain(error.code)
            text = f"{error.code} {error.reason}".rstrip() + f": {explanation.meaning}"
            self._failed(name, error, began, text, explanation.mend)
        except CertificateRefusedError as error:
            mend = (
                "renew the certificate, with its intermediates in the file; for a private authority: --authority FILE"
            )
            self._failed(name, error, began, f"the certificate is refused: {error}", mend)
        except PacketLostError as error:
            mend = "open turn.relay_ports for UDP in the firewall; behind NAT set turn.external_addresses"
            self._failed(name, error, began, str(error), mend)
        else:
            self._add(name, True, began, "; ".join(detail), None)
            return
        raise _Stopped

    def _failed(self, name: str, error: IcelaneError, began: float, detail: str, mend: str) -> None:
        self.report.error = error
        self._add(name, False, began, detail, mend)

    def _add(self, name: str, ok: bool, began: float, detail: str, mend: str | None) -> None:
        self.report.steps.append(Step(name=name, ok=ok, seconds=monotonic() - began, detail=detail, mend=mend))


async def _run(check: _Check) -> None:
    report = check.report
    async with check.step("allocate") as detail:
        near = await check.connect()
        report.relayed, report.mapped = str(near.relayed_address), str(near.mapped_address)
        report.server, report.transport = str(near.path.remote), near.path.transport.value
        if (proxied := _proxied(check, near)) is not None:
            report.server, report.proxy = proxied
        report.lifetime = near.lifetime
        detail.append(f"{near.relayed_address} for {near.lifetime} s, over {near.path.transport.value}")
    async with check.step("allocate again") as detail:
        far = await check.connect()
        detail.append(f"{far.relayed_address}, the other end")
    async with check.step("permissions"):
        await near.permit(far.relayed_address)
        await far.permit(near.relayed_address)
    async with check.step("relay a packet") as detail:
        seconds = await _there_and_back(near, far, check)
        detail.append(f"{_PAYLOAD_BYTES} bytes there and back in {seconds * 1000:.1f} ms")
    async with check.step("channels"):
        await near.bind_channel(far.relayed_address)
        await far.bind_channel(near.relayed_address)
    async with check.step("relay by channel") as detail:
        report.round_trip = await _there_and_back(near, far, check)
        detail.append(f"{_PAYLOAD_BYTES} bytes there and back in {report.round_trip * 1000:.1f} ms")


def _proxied(check: _Check, relay: TurnRelay) -> tuple[str, str] | None:
    """The server by its name and the proxy, where one is at the other end of the connection."""
    target = proxied_target(check.uri)
    if target is None or relay.path.transport is Transport.UDP:
        return None
    proxy = find_proxy(check.http_proxy, target.host_name, target.address.port)
    return None if proxy is None else (str(target.address), str(proxy))


async def _there_and_back(near: TurnRelay, far: TurnRelay, check: _Check) -> Duration:
    began = monotonic()
    payload = check.entropy.token(_PAYLOAD_BYTES)
    await _arrive(payload, near, far, check.timeout)
    await _arrive(payload[::-1], far, near, check.timeout)
    return monotonic() - began


async def _arrive(payload: bytes, source: TurnRelay, sink: TurnRelay, timeout: Duration) -> None:
    for _ in range(_SENDINGS):
        source.send(payload, sink.relayed_address)
        try:
            async with asyncio.timeout(timeout / _SENDINGS):
                while (await sink.receive()) != (payload, source.relayed_address):
                    pass  # a repetition of an earlier packet
        except TimeoutError:
            continue
        return
    raise PacketLostError(f"nothing came from {source.relayed_address} to {sink.relayed_address} in {timeout:.1f} s")
