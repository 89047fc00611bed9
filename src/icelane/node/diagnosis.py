"""Diagnosis of one node: echo sessions over its own relay, checks of itself, and reports that are shared.

What is contacted stands in the configuration or is bound by this process; requests name nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from icelane.aio.configuration import RTCIceServer
from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration, Instant, UnixSeconds, later
from icelane.core.entropy import Entropy
from icelane.core.net import Transport
from icelane.crypto.provider import SystemEntropy
from icelane.diagnostics import run_checks
from icelane.diagnostics.echo import LIFETIME, BusyError, EchoPeers, OfferRefusedError
from icelane.diagnostics.plan import Subject, plan
from icelane.diagnostics.shared_report import MAX_REPORT, SharedReports, masked
from icelane.diagnostics.site import FixedLookup
from icelane.errors import ConfigurationError, IcelaneError, OperationError
from icelane.node.ice import as_bound
from icelane.node.subject import subject_of
from icelane.server.companion import Relay
from icelane.server.config import Config
from icelane.server.credentials import issue
from icelane.signaling.http.problem import Problem, bad_request
from icelane.turn.limiter import BucketSketch

FRESH: Final[Duration] = 60.0
"""So long the server's checks of itself are told again: each run costs allocations."""

# Of one user: a page takes three for a run, and may be run again at once.
_PER_SECOND: Final = 0.2
_AT_ONCE: Final = 12
_BUCKETS: Final = 4096
_TTL: Final = 120
_TIMEOUT: Final[Duration] = 3.0
_PACKETS: Final = 20


class NodeDiagnosis:
    """Satisfies `icelane.signaling.http.diagnosis_endpoints.Diagnosis`."""

    def __init__(self, config: Config, relay: Relay, entropy: Entropy | None = None) -> None:
        self.config = config
        self._relay = relay
        self._wall_clock = SystemWallClock()
        entropy = entropy or SystemEntropy()
        self._buckets = BucketSketch(_PER_SECOND, _AT_ONCE, entropy, _BUCKETS)
        self._echoes = EchoPeers(self._ice_server, limit=config.diag.sessions, entropy=entropy, include_loopback=True)
        self._reports = SharedReports(entropy, limit=config.diag.reports, lifetime=float(config.diag.report_lifetime))
        self._report_lifetime = float(config.diag.report_lifetime)
        self._found: tuple[Instant, dict[str, object]] | None = None
        self._looking: asyncio.Task[dict[str, object]] | None = None

    def wait(self, user: str) -> Duration | None:
        """See `Diagnosis`."""
        return None if self._buckets.pour(user.encode(), monotonic()) else 1.0 / _PER_SECOND

    async def begin_echo(self, offer: str, user: str) -> tuple[str, str, Duration]:
        """See `Diagnosis`."""
        try:
            begun = await self._echoes.answer(offer, user)
        except OfferRefusedError as error:
            raise bad_request(str(error), "bad_offer") from None
        except BusyError:
            raise Problem(
                status=503, code="busy", title="too many at a time", retryable=True, retry_after=5.0
            ) from None
        except (OperationError, ConfigurationError) as error:
            raise Problem(
                status=503, code="relay_unavailable", title="the relay does not work from here", detail=str(error)
            ) from None
        return begun.session, begun.sdp, LIFETIME

    async def seen(self, session: str, user: str) -> Mapping[str, object] | None:
        """See `Diagnosis`."""
        found = await self._echoes.seen(session, user)
        if found is None:
            return None
        document: dict[str, object] = {
            "state": found.state, "received": found.received, "returned": found.returned,
            "local": found.local, "remote": found.remote,
            "rttMs": None if found.round_trip is None else round(found.round_trip * 1000, 3),
        }  # fmt: skip
        return {key: value for key, value in document.items() if value is not None}

    async def checks(self, *, masked: bool) -> Mapping[str, object]:
        """See `Diagnosis`."""
        if self._found is None or monotonic() >= later(self._found[0], FRESH):
            if self._looking is None:
                self._looking = asyncio.create_task(self._look(), name="self-check")
                self._looking.add_done_callback(self._looked)
            await asyncio.shield(self._looking)
        assert self._found is not None, "the task has left it there"
        document = self._found[1]
        return {key: _masked(value) for key, value in document.items()} if masked else document

    def keep(self, report: bytes, user: str, *, masked: bool) -> tuple[str, UnixSeconds]:
        """See `Diagnosis`."""
        if masked:
            report = json.dumps(_masked(json.loads(report)), separators=(",", ":")).encode()
        if len(report) > MAX_REPORT:
            raise Problem(
                status=413, code="too_large", title="too large", detail=f"a report has {MAX_REPORT} bytes at most"
            )
        now = monotonic()
        name = self._reports.add(report, user, now)
        return name, UnixSeconds(self._wall_clock.unix_time(now) + self._report_lifetime)

    def report(self, name: str) -> bytes | None:
        """See `Diagnosis`."""
        return self._reports.get(name, monotonic())

    async def close(self) -> None:
        """End what runs."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._echoes.close()

    async def _look(self) -> dict[str, object]:
        try:
            report = await run_checks(plan(self._subject()))
            found = report.document()
        except IcelaneError as error:
            found = {"ok": False, "checks": [], "problem": str(error)}
        # Whoever finds these ports closed says which ones to open.
        found["relayPorts"] = str(self.config.turn.relay_ports)
        self._found = monotonic(), found
        return found

    def _looked(self, task: asyncio.Task[dict[str, object]]) -> None:
        del task
        self._looking = None

    def _subject(self) -> Subject:
        """This server by its own listeners: whether its public address is reached is for the other side to say."""
        subject = subject_of(as_bound(self.config, self._relay), self._wall_clock.unix_time(monotonic()))
        hosts = [*(one.host for one in self._relay.listening), *(one.host for one in self._relay.web_listening)]
        names = {name for name in (self.config.turn.hostname, subject.site and subject.site.host) if name}
        lookup = FixedLookup(dict.fromkeys(names, hosts[0]) if hosts else {})
        site = subject.site
        return replace(
            subject,
            site=None if site is None else replace(site, lookup=lookup),
            lookup=lookup,
            timeout=_TIMEOUT,
            echo_packets=_PACKETS,
            from_outside=False,
        )

    def _ice_server(self, name: str) -> RTCIceServer:
        """Our own relay, by a listener of this process. Raises ConfigurationError, OperationError."""
        listeners = [one for one in self._relay.listening if one.transport in (Transport.UDP, Transport.TCP)]
        if not listeners:
            raise OperationError("there is no listener for TURN over UDP or TCP to use from here")
        chosen = min(listeners, key=lambda one: one.transport is not Transport.UDP)
        user = None if self.config.turn.users and not self.config.turn.secrets else f"diag-{name}"
        issued = issue(self.config, user, _TTL, self._wall_clock.unix_time(monotonic()))
        url = f"turn:{chosen.address}?transport={chosen.transport.value}"
        return RTCIceServer(urls=url, username=issued.username, credential=issued.password)


def _masked(value: object) -> object:
    """A document in which no text tells an address."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: _masked(one) for key, one in value.items()}
    return [_masked(one) for one in value] if isinstance(value, list) else value
