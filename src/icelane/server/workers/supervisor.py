"""Keeps several workers serving as one server, and answers for all of them.

start      listening sockets, ledger, then the workers; the first that cannot start ends it all
crash      what it had counted and borrowed is taken back, and another takes its place and its sockets, at once: one
           that has been started before and waits; one that crashes again and again waits longer each time
silence    a worker that has not answered for UNANSWERED pings is ended, so that it cannot come back as a second one;
           before it serves it is not asked, and has START_LIMIT
reload     the configuration is judged here, and its files are read here, then both are told to all
drain      told to all; a worker that ends meanwhile is not replaced
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, Self, assert_never

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import address_of
from icelane.core.clock import Duration, Instant, UnixSeconds
from icelane.core.net import SocketAddress
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.server.access import access_sources
from icelane.server.admin import SESSION_COMMANDS, Answer, Request, RequestError, revocation_in
from icelane.server.companion import CompanionProgram
from icelane.server.config import Config
from icelane.server.config.validation import refuse
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.engine_config import nonce_key
from icelane.server.events import report
from icelane.server.health import Readiness
from icelane.server.held_files import HeldFiles, named_functions, read_modules, tls_files, unusable_files
from icelane.server.metrics import LiveFamilies, page_of
from icelane.server.monitoring import MonitoringServer
from icelane.server.observation import open_monitoring
from icelane.server.reload import Reloaded, changed_keys, with_values_of
from icelane.server.revoked_file import read_revoked
from icelane.server.tls import PemPair, ServerTls
from icelane.server.turn_server import not_bound, web_not_bound
from icelane.server.workers import messages
from icelane.server.workers.ledger import Kind, Ledger
from icelane.server.workers.link import MAX_QUEUED_CONNECTIONS
from icelane.server.workers.merge import Counted, merge_families, merge_readiness, merge_sessions
from icelane.server.workers.process import SilentError, WorkerProcess, WorkerState
from icelane.server.workers.sockets import ListenerGroup
from icelane.server.workers.spare import PROGRAM, Interpreter, Spares
from icelane.turn.revocation import MAX_REVOKED, Revocation
from icelane.turn.routes import BindId

PING_EVERY: Final[Duration] = 1.0
UNANSWERED: Final = 10
# A worker finds its addresses, asks what public ones they have, and reads a certificate, on a machine that may be busy.
START_LIMIT: Final[Duration] = 60.0
# A worker that lived so long was well; its successor starts at once, as that of the first one to crash does.
WELL_AFTER: Final[Duration] = 10.0
FIRST_PAUSE: Final[Duration] = 0.25
LONGEST_PAUSE: Final[Duration] = 30.0
# Until somebody lets go of the ledger, or is ended for its silence.
LOCKED_PAUSE: Final[Duration] = 0.01
# Requests for each other's ports that wait for an answer; whoever asks gives up after two seconds.
MAX_CLAIMS: Final = 4096
# The ledger has room for more than is configured, so that a reload may raise the limits.
LEDGER_HEADROOM: Final = 2
# Users without an allocation whose bandwidth is still being paid back.
RESTING_USERS: Final = 16_384
NONCE_KEY_SIZE: Final = 32
# The worker that has the listeners of `[server]`: rooms are in the memory of one process.
WEB_WORKER: Final = 0
WEB_BACKLOG: Final = 1024
# Open descriptors that a machine grants one process at most, by default: so many connections at a time can be counted.
MOST_CONNECTIONS: Final = 1 << 20


class Supervisor:
    """Several workers as one server. See `icelane.server.serving.Serving`."""

    def __init__(
        self,
        config: Config,
        workers: int,
        *,
        well_after: Duration = WELL_AFTER,
        program: CompanionProgram | None = None,
    ) -> None:
        """A worker that has lived for `well_after` is replaced at once when it dies, whatever was before.

        What `program` makes runs in the first worker, which has the listeners of `[server]`.
        """
        self.commands = (*SESSION_COMMANDS, *(program.commands if program is not None else ()))
        self._well_after = well_after
        self.processes = workers
        self.plane = ""
        self._config = config
        self._entropy = SystemEntropy()
        self._key = nonce_key(config) or self._entropy.token(NONCE_KEY_SIZE)
        self._groups: list[ListenerGroup] = []
        self._ledger: Ledger | None = None
        self._http: MonitoringServer | None = None
        self._figures_at: SocketAddress | None = None
        self._workers: list[WorkerProcess] = []
        self._web: list[socket.socket] = []
        self._spares = Spares(program.worker_module if program is not None else PROGRAM)
        self._started_at = [Instant(0.0)] * workers
        self._crashes = [0] * workers
        self._restarts = 0
        self._first_words: asyncio.Queue[messages.Started | messages.Failed] = asyncio.Queue()
        self._snapshots: dict[int, messages.Figures] = {}
        self._counted = Counted()
        self._claims: dict[tuple[int, BindId], int] = {}
        self._tls: ServerTls | None = None
        self._held = HeldFiles()
        self._revoked: dict[Revocation, UnixSeconds] = {}
        self._external: dict[str, str] = {}
        self._lives = itertools.count()
        self._wall_clock = SystemWallClock()
        self._reloading = asyncio.Lock()
        self._draining = False
        self._serving = False
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._drained = asyncio.Event()
        self._in_time = True
        self._pinging: asyncio.TimerHandle | None = None
        self._pauses: dict[int, asyncio.TimerHandle] = {}
        self._registry = CollectorRegistry()
        self._registry.register(LiveFamilies(self._own_families))
        ProcessCollector(registry=self._registry)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind everything, and serve when every worker does. Raises ConfigurationError."""
        try:
            self._read_files()
            self._open()
            for index in range(self.processes):
                self._workers.append(self._spawn(index))
            self._pinging = asyncio.get_running_loop().call_later(PING_EVERY, self._ping)
            for _ in range(self.processes):
                word = await self._first_words.get()
                if isinstance(word, messages.Failed):
                    _raise(word.problems)
            self._serving = True
            if self._http is not None:
                await self._http.start()
            self._spares.keep()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every worker; again is harmless."""
        self._closing = True
        if self._pinging is not None:
            self._pinging.cancel()
        for pause in self._pauses.values():
            pause.cancel()
        if self._http is not None:
            await self._http.close()
            self._http = None
        for task in self._tasks:
            task.cancel()
        living = [worker for worker in self._workers if worker.state is not WorkerState.GONE]
        await asyncio.gather(self._spares.close(), *(worker.stop() for worker in living))
        for group in self._groups:
            group.close()
        for listening in self._web:
            listening.close()
        if self._ledger is not None:
            self._ledger.close()

    # What serves

    @property
    def config(self) -> Config:
        """The configuration that counts."""
        return self._config

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound, with the ports that the system chose."""
        return [group.setting for group in self._groups]

    @property
    def web_listening(self) -> list[WebListener]:
        """The same of `server.listen`."""
        return [
            WebListener(setting.scheme, *self._web_at[number])
            for number, setting in enumerate(self._config.server.listen[: len(self._web)])
        ]

    @property
    def _web_at(self) -> tuple[SocketAddress, ...]:
        return tuple(address_of(listening.getsockname()) for listening in self._web)

    @property
    def figures_at(self) -> SocketAddress | None:
        """Where the figures of all are shown, if they are."""
        return self._figures_at

    @property
    def allocation_count(self) -> int:
        """How many allocations live, those that are being made included."""
        return self._ledger.total(Kind.ALLOCATIONS) if self._ledger is not None else 0

    @property
    def workers(self) -> list[WorkerProcess]:
        """Who relays now; not to be changed."""
        return self._workers

    @property
    def spare(self) -> Interpreter | None:
        """Who takes the place of the next worker that dies; None while it is being made."""
        return self._spares.waiting

    async def reload(self, config: Config) -> Reloaded:
        """Go by another configuration as far as running workers can.

        Raises ConfigurationError, and changes nothing, when it names revocations or lists that cannot be used, or when
        what runs beside the relay could not go by it.
        """
        async with self._reloading:
            changed, restart = changed_keys(self._config, config)
            merged = with_values_of(self._config, config, changed)
            revoked = read_revoked(merged.turn.revoked_file)
            access_sources(merged).load()  # each process reads them, and none could go on with those that are broken
            modules = read_modules(named_functions(merged), self._held.modules)
            await self._consider(merged, replace(self._held, revoked=revoked, modules=modules))
            certificate = self._tls is None or self._tls.reload(merged.tls.certificate, merged.tls.key)
            self._config = merged
            self._held = replace(self._held, revoked=revoked, certificate=self._pair, modules=modules)
            ended, asked = 0, self._running()
            answers = dict(await self._ask_each(messages.GoBy(merged, self._held)))
            for worker in asked:
                result = answers[worker].result if worker in answers else None
                if isinstance(result, Reloaded):
                    ended += result.ended
                    certificate = certificate and result.certificate
                else:
                    _give_up(worker)
            return Reloaded(changed=changed, restart=restart, ended=ended, certificate=certificate)

    async def _consider(self, config: Config, held: HeldFiles) -> None:
        """Ask the process with the companion, if it runs: its successor would not start. Raises ConfigurationError."""
        asked = [worker for worker in self._running() if worker.index == WEB_WORKER and self._web]
        for _, answer in await self._ask_each(messages.Consider(config, held), asked):
            refuse([ConfigurationError(one.message, key=one.key, file=one.file) for one in answer.problems])

    def begin_drain(self) -> None:
        """Take no new allocation from now on; those that live go on. Again is harmless."""
        if self._draining:
            return
        self._draining = True
        for worker in self._running():
            worker.send(messages.Drain())
        self._spares.dismiss()
        self._see_whether_drained()

    async def drain(self) -> bool:
        """`begin_drain`, and wait until no allocation is left; False when the time for it was over before."""
        self.begin_drain()
        await self._drained.wait()
        return self._in_time

    async def administer(self, request: Request, now: Instant) -> Answer:
        """Carry out one of `commands`: in every worker, or in the first what is its alone. Raises RequestError."""
        command = str(request["command"])
        question = messages.Administer(dict(request), now)
        asked = self._running()
        if command not in SESSION_COMMANDS:
            asked = [worker for worker in asked if worker.index == WEB_WORKER]
        results = [answer.result for _, answer in await self._ask_each(question, asked)]
        told = [result for result in results if isinstance(result, messages.SessionAnswer)]
        answers = [one.answer for one in told if one.answer is not None]
        errors = [one.error for one in told if one.error is not None]
        if not told:
            raise RequestError("no worker has answered; try again")
        if command == "revoke" and answers:
            self._remember(revocation_in(request), [one.until for one in told if one.until is not None])
        # Who is to be kicked is one worker's alone; everything else all of them can, or none.
        if errors and (command != "kick" or not answers):
            raise RequestError(errors[0])
        return merge_sessions(command, answers) if command in SESSION_COMMANDS else answers[0]

    # Figures: for the monitoring server

    async def page(self, accept: str | None) -> tuple[bytes, str]:
        """The figures of all workers, and their content type."""
        await self._look()
        snapshots = [self._snapshots.get(worker.index) for worker in self._running()]
        families = [snapshot.families for snapshot in snapshots if snapshot is not None]
        merged = merge_families([*families, list(self._registry.collect())], self._counted)
        registry = CollectorRegistry()
        registry.register(LiveFamilies(lambda: merged))
        return page_of(registry, accept)

    async def readiness(self) -> Readiness:
        """Every check of every worker."""
        found = await self._look()
        return merge_readiness([one.readiness for one in found], self.processes)

    async def _look(self) -> list[messages.Figures]:
        found = []
        for worker, answer in await self._ask_each(messages.TellFigures()):
            if isinstance(answer.result, messages.Figures):
                self._snapshots[worker.index] = answer.result
                found.append(answer.result)
        return found

    def _own_families(self) -> list[Metric]:
        restarts = CounterMetricFamily("icelane_worker_restarts", "Processes that took a dead one's place")
        restarts.add_metric([], self._restarts)
        return [restarts]

    # Workers

    def _read_files(self) -> None:
        config = self._config
        revoked = read_revoked(config.turn.revoked_file)
        files = tls_files(config)
        if files is not None:
            self._tls = ServerTls(*files)
        self._held = HeldFiles(
            revoked=revoked,
            certificate=self._pair,
            modules=read_modules(named_functions(config)),
        )

    @property
    def _pair(self) -> PemPair | None:
        return self._tls.certificate.pair if self._tls is not None else None

    def _open(self) -> None:
        for setting in self._config.listeners:
            try:
                self._groups.append(ListenerGroup(setting, self.processes))
            except OSError as error:
                raise not_bound(self._config, setting, error) from error
        for web in self._config.server.listen:
            try:
                self._web.append(bind_tcp(web.address))
                # From here on the kernel keeps who comes while the worker that takes them is replaced.
                self._web[-1].listen(WEB_BACKLOG)
            except OSError as error:
                raise web_not_bound(web, error) from error
        self._http = open_monitoring(self._config, self)
        self._figures_at = self._http.local if self._http is not None else None
        self._ledger = Ledger.create(workers=self.processes, names=_ledger_names(self._config), entropy=self._entropy)

    def _spawn(self, index: int) -> WorkerProcess:
        assert self._ledger is not None, "what is counted is opened first"
        start = messages.Start(
            config=self._config,
            worker=index,
            workers=self.processes,
            relay_ports=partition(self._config, index, self.processes),
            nonce_key=self._key,
            ledger_names=self._ledger.names,
            ledger_secret=self._ledger.secret,
            figures=self._figures_at,
            held=self._held,
            revoked=dict(self._revoked),
            life=next(self._lives),
            external=dict(self._external),
            search_path=list(sys.path),
            web_at=self._web_at,
        )
        descriptors: list[int] = []
        try:
            descriptors.append(os.dup(self._ledger.fileno()))
            descriptors.extend(group.descriptor_for(index) for group in self._groups)
            if index == WEB_WORKER:
                descriptors.extend(os.dup(listening.fileno()) for listening in self._web)
            interpreter = self._spares.take()
        except BaseException:
            _close(descriptors)
            raise
        self._started_at[index] = monotonic()
        return WorkerProcess(index, interpreter, start, descriptors, on_message=self._on_message, on_gone=self._on_gone)

    def _running(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.state is WorkerState.RUNNING]

    def _ping(self) -> None:
        self._pinging = asyncio.get_running_loop().call_later(PING_EVERY, self._ping)
        for worker in self._running():
            if worker.unanswered >= UNANSWERED:
                report("worker.silent", logging.ERROR, worker=worker.index, pid=worker.pid)
                worker.kill()
            else:
                worker.ping()
        for worker in self._workers:
            if worker.state is WorkerState.STARTING and monotonic() - self._started_at[worker.index] >= START_LIMIT:
                problem = f"it does not serve after {START_LIMIT:.0f} s"
                report("worker.not_started", logging.ERROR, worker=worker.index, problem=problem)
                worker.kill()

    def _on_gone(self, worker: WorkerProcess) -> None:
        snapshot = self._snapshots.pop(worker.index, None)
        if snapshot is not None:
            self._counted.add(snapshot.families)
        for (origin, bind_id), target in list(self._claims.items()):
            if target == worker.index or origin == worker.index:
                del self._claims[origin, bind_id]
            if target == worker.index and origin != worker.index:
                self._to(origin, messages.FromSibling(target, messages.Claimed(bind_id, None)), [])
        if self._closing or not self._serving:
            self._say_first(messages.Failed(()))
            return
        for other in self._running():
            other.send(messages.SiblingGone(worker.index))
        report("worker.gone", logging.ERROR, worker=worker.index, pid=worker.pid, status=worker.exit_status)
        self._reclaim(worker.index)

    def _reclaim(self, index: int) -> None:
        """Take back what a dead worker had counted, then replace it; a worker that holds the lock is not waited for."""
        assert self._ledger is not None, "who had started counted"
        if not self._ledger.clear(index):
            self._pauses[index] = asyncio.get_running_loop().call_later(LOCKED_PAUSE, self._reclaim, index)
        elif self._draining:
            self._see_whether_drained()
        else:
            self._replace(index)

    def _replace(self, index: int) -> None:
        if monotonic() - self._started_at[index] >= self._well_after:
            self._crashes[index] = 0
        crashes = self._crashes[index]
        self._crashes[index] += 1
        pause = 0.0 if not crashes else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(crashes - 1, 16))
        self._pauses[index] = asyncio.get_running_loop().call_later(pause, self._start_again, index)

    def _start_again(self, index: int) -> None:
        del self._pauses[index]
        self._restarts += 1
        try:
            self._workers[index] = self._spawn(index)
        except OSError as error:
            report("worker.not_started", logging.ERROR, worker=index, problem=error.strerror)
            self._replace(index)
            return
        problems = unusable_files(self._config, self._held)
        if problems:
            report("worker.held_files", logging.ERROR, worker=index, problems=[str(one) for one in problems])

    def _on_message(self, worker: WorkerProcess, message: object, descriptors: list[int]) -> None:
        match message:
            case messages.Started():
                worker.state = WorkerState.RUNNING
                self.plane = message.plane
                self._say_first(message)
                report("worker.started", logging.INFO, worker=worker.index, pid=worker.pid)
                self._begin_to_catch_up(worker)
                if self._draining:
                    worker.send(messages.Drain())
                elif self._serving:
                    self._spares.keep()  # not before: it would only slow the start of this one
            case messages.Failed():
                self._say_first(message)
                for problem in message.problems:
                    report("worker.failed", logging.ERROR, worker=worker.index, problem=problem.message)
                worker.kill()
            case messages.Drained():
                worker.drained = True
                self._in_time = self._in_time and message.in_time
                self._see_whether_drained()
            case messages.Found():
                self._external |= message.external
            case messages.ToSibling():
                self._carry(worker, message, descriptors)
            case messages.Enquiry():
                self._begin(self._reply(worker, message), f"enquiry {message.number} of worker {worker.index}")

    def _say_first(self, word: messages.Started | messages.Failed) -> None:
        """To `start`, which waits for a word of each; nobody does afterwards."""
        if not self._serving:
            self._first_words.put_nowait(word)

    def _begin_to_catch_up(self, worker: WorkerProcess) -> None:
        """What was said to all while it was starting counts for it, too."""
        missed = [entry for entry in self._revoked if entry not in worker.start.revoked]
        if worker.start.config is self._config and worker.start.held is self._held and not missed:
            return
        self._begin(self._catch_up(worker, missed), f"worker {worker.index} catches up")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, worker: WorkerProcess, enquiry: messages.Enquiry) -> None:
        """What one worker wants to know, or done, of all."""
        match enquiry.question:
            case messages.RevokeEverywhere(username):
                request = {"command": "revoke", "name": username}
                try:
                    answer = await self.administer(request, monotonic())
                except RequestError as error:
                    worker.send(messages.Reply(enquiry.number, error=str(error)))
                else:
                    worker.send(messages.Reply(enquiry.number, int(answer["ended"])))
            case messages.TellReadiness():
                worker.send(messages.Reply(enquiry.number, await self.readiness()))
            case _:
                assert_never(enquiry.question)

    async def _catch_up(self, worker: WorkerProcess, missed: list[Revocation]) -> None:
        try:
            if (await worker.ask(messages.GoBy(self._config, self._held))).problems:
                _give_up(worker)
                return
            for entry in missed:
                what = {"kid": entry.kid} if entry.kid else {"name": entry.name}
                await worker.ask(messages.Administer({"command": "revoke"} | what, monotonic()))
        except SilentError:
            _give_up(worker)

    def _see_whether_drained(self) -> None:
        if all(worker.drained or worker.state is WorkerState.GONE for worker in self._workers):
            self._drained.set()

    # Between workers

    def _carry(self, worker: WorkerProcess, sent: messages.ToSibling, descriptors: list[int]) -> None:
        arriving = messages.FromSibling(worker.index, sent.message)
        match sent.message:
            case messages.Claim(bind_id):
                if len(self._claims) >= MAX_CLAIMS or not self._to(sent.worker, arriving, descriptors):
                    self._to(worker.index, messages.FromSibling(sent.worker, messages.Claimed(bind_id, None)), [])
                else:
                    self._claims[worker.index, bind_id] = sent.worker
            case messages.Claimed(bind_id, relay):
                # Who has claimed may be another one by now, with the same number: it would take what it cannot use.
                is_awaited = self._claims.pop((sent.worker, bind_id), None) is not None
                if not is_awaited:
                    _close(descriptors)
                if not (is_awaited and self._to(sent.worker, arriving, descriptors)) and relay is not None:
                    self._to(worker.index, messages.FromSibling(sent.worker, messages.Returned(relay)), [])
            case messages.Passed():
                if self._is_flooded(sent.worker):
                    _close(descriptors)
                else:
                    self._to(sent.worker, arriving, descriptors)
            case messages.Returned():
                self._to(sent.worker, arriving, descriptors)
            case _:
                assert_never(sent.message)

    def _is_flooded(self, index: int) -> bool:
        return index < len(self._workers) and self._workers[index].queued >= MAX_QUEUED_CONNECTIONS

    def _to(self, index: int, message: messages.FromSibling, descriptors: list[int]) -> bool:
        """Whether it could be sent; descriptors are closed here in any case."""
        if not 0 <= index < len(self._workers) or self._workers[index].state is not WorkerState.RUNNING:
            _close(descriptors)
            return False
        self._workers[index].send(message, descriptors)
        return True

    # Questions

    async def _ask_each(
        self, question: messages.Question, asked: Sequence[WorkerProcess] | None = None
    ) -> list[tuple[WorkerProcess, messages.Answer]]:
        """The answers of those who answer in time; without `asked`, of all who run."""
        workers = self._running() if asked is None else asked
        answers = await asyncio.gather(*(worker.ask(question) for worker in workers), return_exceptions=True)
        told = []
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, messages.Answer):
                told.append((worker, answer))
            elif not isinstance(answer, SilentError):
                raise answer
        return told

    def _remember(self, entry: Revocation, ends: list[UnixSeconds]) -> None:
        if len(self._revoked) >= MAX_REVOKED:
            now = self._wall_clock.unix_time(monotonic())
            self._revoked = {one: end for one, end in self._revoked.items() if end >= now}
        self._revoked[entry] = max(ends)


def _give_up(worker: WorkerProcess) -> None:
    """It goes by an old configuration, or nobody knows: its successor will go by the new one."""
    if worker.state is WorkerState.GONE:
        return
    report("worker.not_reloaded", logging.ERROR, worker=worker.index, pid=worker.pid)
    worker.kill()


def partition(config: Config, index: int, count: int) -> range:
    """The relay ports of one worker: runs of pairs, since EVEN-PORT reserves the odd one that follows."""
    first, last = config.turn.relay_ports.first, config.turn.relay_ports.last
    first_pair = first - first % 2
    pairs = (last - first_pair) // 2 + 1
    begin, end = (first_pair + 2 * (pairs * one // count) for one in (index, index + 1))
    return range(max(first, begin), min(last + 1, end))


def _ledger_names(config: Config) -> int:
    quota, turn = config.turn.quota, config.turn
    ports = len(turn.relay_ports.ports) * len(turn.relay_addresses)
    counted = min(quota.allocations_total, ports) + min(quota.connections_total, MOST_CONNECTIONS)
    return LEDGER_HEADROOM * counted + RESTING_USERS


def _raise(problems: tuple[messages.Problem, ...]) -> None:
    refuse([ConfigurationError(one.message, key=one.key, file=one.file) for one in problems])
    raise ConfigurationError("a worker ended while it started; its last lines say why", key="turn.workers")


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
