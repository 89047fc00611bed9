"""One worker: a TurnServer on the sockets that the supervisor has handed it. Runs as `python -m ...worker DESCRIPTOR`.

Signals are the supervisor's, which tells its workers what they mean; when it is gone, a worker ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, assert_never

from icelane.aio.loops import loop_factory
from icelane.core.clock import Duration
from icelane.core.net import Path
from icelane.errors import ConfigurationError, LocalProtocolError
from icelane.server.access import WatchedLists
from icelane.server.admin import SESSION_COMMANDS, RequestError, Sessions, revocation_in
from icelane.server.companion import Companion, CompanionProgram
from icelane.server.config import Config, problems_of
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.events import report
from icelane.server.garbage import look_for_garbage_rarely
from icelane.server.health import Check, Readiness
from icelane.server.held_files import import_held
from icelane.server.logs import configure_logging
from icelane.server.reload import Reloaded
from icelane.server.serving import prepare_companion
from icelane.server.sharing import Share, Sharing
from icelane.server.turn_server import TurnServer
from icelane.server.workers.ledger import Kind, Ledger, SharedCells, SharedTally
from icelane.server.workers.link import MAX_QUEUED_CONNECTIONS, Link
from icelane.server.workers.messages import (
    Administer,
    Answer,
    Ask,
    Claim,
    Claimed,
    Consider,
    Drain,
    Drained,
    Enquiry,
    Failed,
    Figures,
    Found,
    FromSibling,
    GoBy,
    Passed,
    Ping,
    Pong,
    Problem,
    Question,
    Ready,
    Reply,
    Returned,
    RevokeEverywhere,
    SessionAnswer,
    SiblingGone,
    Start,
    Started,
    Stop,
    TellFigures,
    TellReadiness,
    ToSibling,
)
from icelane.turn.access_list import AccessLists
from icelane.turn.routes import ClaimRelayPort, ReturnRelayPort
from icelane.turn.siblings import Siblings

# The supervisor's; this process has them in common with it, as the group of a terminal or of a service.
SUPERVISED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The supervisor asks every worker, each of which has two seconds.
ENQUIRY_TIMEOUT: Final[Duration] = 4.0


class Worker:
    """What the supervisor tells goes to the server, what the server has for its siblings to the supervisor."""

    def __init__(self, connected: socket.socket, program: CompanionProgram | None = None) -> None:
        """What `program` makes runs here, if the listeners of `[server]` are this worker's."""
        self._program = program
        self._access = WatchedLists()
        self._companion: Companion | None = None
        # What a GoBy with this very configuration makes count.
        self._prepared: tuple[Config, Callable[[], None]] | None = None
        self._web_at: tuple[WebListener, ...] = ()
        self._numbers = itertools.count(1)
        # Enquiries that are not answered yet: of operators, who are few, and of probers.
        self._enquiries: dict[int, asyncio.Future[Reply]] = {}
        self._link = Link(connected, self._on_message, self.stop)
        self._stopping = asyncio.Event()
        self._index = 0
        self._server: TurnServer | None = None
        self._sessions: Sessions | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the supervisor says so, or is gone."""
        self._link.send(Ready())
        await self._stopping.wait()
        if self._server is not None:
            await self._server.close()
        self._link.close()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    # For the server's siblings: a SiblingLink

    def claim(self, command: ClaimRelayPort) -> None:
        """Ask for a reserved port."""
        self._link.send(ToSibling(command.owner, Claim(command.bind_id, command.token)))

    def give_back(self, command: ReturnRelayPort) -> None:
        """Tell a sibling that its port is free."""
        self._link.send(ToSibling(command.owner, Returned(command.relay)))

    def found(self, external: Mapping[str, str]) -> None:
        """Tell whoever starts others which public addresses have been found."""
        self._link.send(Found(dict(external)))

    def pass_on(self, owner: int, client: Path, message: bytes, connection: socket.socket) -> None:
        """Give a client's connection away; in a flood of them it is closed."""
        if self._link.queued >= MAX_QUEUED_CONNECTIONS:
            connection.close()
            return
        self._link.send(ToSibling(owner, Passed(client, message)), [connection.detach()])

    # For the companion: a Relay

    async def readiness(self) -> Readiness:
        """Every check of every worker."""
        result = (await self._enquire(TellReadiness())).result
        return result if isinstance(result, Readiness) else Readiness({"workers": Check(False)})

    async def revoke(self, username: str) -> int:
        """Take a credential back in every worker; how many allocations ended. Raises LocalProtocolError."""
        reply = await self._enquire(RevokeEverywhere(username))
        if not isinstance(reply.result, int):
            raise LocalProtocolError(reply.error or "the workers do not answer; try again")
        return reply.result

    @property
    def lists(self) -> AccessLists:
        """Who may come at all: for the companion."""
        return self._access.lists

    @property
    def listening(self) -> list[ListenSetting]:
        """What is bound for TURN."""
        return self._server.listening if self._server is not None else []

    @property
    def web_listening(self) -> list[WebListener]:
        """What is bound of `server.listen`."""
        return list(self._web_at)

    async def _enquire(self, question: RevokeEverywhere | TellReadiness) -> Reply:
        number = next(self._numbers)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._enquiries[number] = answer
        self._link.send(Enquiry(number, question))
        try:
            async with asyncio.timeout(ENQUIRY_TIMEOUT):
                return await answer
        except TimeoutError:
            return Reply(number)
        finally:
            del self._enquiries[number]

    # From the supervisor

    def _on_message(self, message: object, descriptors: list[int]) -> None:
        match message:
            case Start():
                self._begin(self._start(message, descriptors))
            case Ask():
                self._answer(message)
            case Reply():
                enquiry = self._enquiries.get(message.number)
                if enquiry is not None and not enquiry.done():
                    enquiry.set_result(message)
            case FromSibling():
                self._from_sibling(message, descriptors)
            case SiblingGone():
                if self._sharing is not None:
                    self._sharing.sibling_gone(message.worker)
            case Ping():
                self._link.send(Pong())
            case Drain():
                self._begin(self._drain())
            case Stop():
                self.stop()

    async def _start(self, start: Start, descriptors: Sequence[int]) -> None:
        configure_logging(start.config.log, worker=start.worker)
        self._index = start.worker
        sys.path[:] = start.search_path
        import_held(start.held.modules)
        ledger_descriptor, *listening = descriptors
        listeners = len(start.config.listeners)
        web = [socket.socket(fileno=descriptor) for descriptor in listening[listeners:]]
        listening = listening[:listeners]
        self._web_at = tuple(
            WebListener(setting.scheme, *address)
            for setting, address in zip(start.config.server.listen, start.web_at, strict=False)
        )
        ledger = Ledger(ledger_descriptor, workers=start.workers, names=start.ledger_names, secret=start.ledger_secret)
        share = Share(
            siblings=Siblings(start.worker, start.workers, start.life),
            link=self,
            sockets=[socket.socket(fileno=descriptor) for descriptor in listening],
            relay_ports=start.relay_ports,
            nonce_key=start.nonce_key,
            allocations=SharedTally(ledger, Kind.ALLOCATIONS, start.worker),
            connections=SharedTally(ledger, Kind.CONNECTIONS, start.worker),
            cells=SharedCells(ledger),
            figures=start.figures,
            held=start.held,
            revoked=start.revoked,
            external=start.external,
            web=web,
            web_at=start.web_at,
        )
        try:
            if self._program is not None and web:
                self._companion = self._program.make(start.config, self)
            companion_web = self._companion.web if self._companion is not None else None
            server = TurnServer(start.config, share=share, web=companion_web, access=self._access)
            await server.start()
            look_for_garbage_rarely()
        except ConfigurationError as error:
            self._link.send(Failed(_problems(error)))
            return
        self._server = server
        self._sessions = Sessions(server)
        if self._companion is not None:
            server.observation.metrics.add(self._companion.families)
            self._companion.started()
        self._link.send(Started(server.plane.name))

    async def _drain(self) -> None:
        if self._companion is not None:
            self._companion.begin_drain()
        if self._server is not None:
            self._link.send(Drained(await self._server.drain()))

    def _answer(self, ask: Ask) -> None:
        if isinstance(ask.question, Administer) and ask.question.request["command"] not in SESSION_COMMANDS:
            self._begin(self._answer_by_companion(ask.number, ask.question))
            return
        try:
            answer = Answer(ask.number, self._result(ask.question))
        except ConfigurationError as error:
            answer = Answer(ask.number, None, _problems(error))
        self._link.send(answer)

    async def _answer_by_companion(self, number: int, question: Administer) -> None:
        if self._companion is None:
            answer = SessionAnswer(error="there are no listeners in [server]")
        else:
            try:
                answer = SessionAnswer(await self._companion.administer(question.request, question.now))
            except (RequestError, LocalProtocolError) as error:
                answer = SessionAnswer(error=str(error))
        self._link.send(Answer(number, answer))

    def _result(self, question: Question) -> SessionAnswer | Reloaded | Figures | None:
        server = self._server
        assert server is not None, "who has started is asked"
        match question:
            case Administer():
                return self._administer(server, question)
            case Consider():
                self._consider(server, question)
                return None
            case GoBy():
                commit = self._commit(server, question)
                result = server.reload(question.config, question.held)
                commit()
                configure_logging(server.config.log, worker=self._index)
                return result
            case TellFigures():
                observation = server.observation
                return Figures(list(observation.metrics.registry.collect()), observation.health.readiness())
            case _:
                assert_never(question)

    def _consider(self, server: TurnServer, question: Consider) -> None:
        before = import_held(question.held.modules)
        try:
            self._prepared = question.config, prepare_companion(server, self._companion, question.config)
        except ConfigurationError:
            import_held(before)
            raise

    def _commit(self, server: TurnServer, question: GoBy) -> Callable[[], None]:
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] == question.config:
            return prepared[1]
        import_held(question.held.modules)
        return prepare_companion(server, self._companion, question.config)

    def _administer(self, server: TurnServer, question: Administer) -> SessionAnswer:
        assert self._sessions is not None, "who has started is asked"
        try:
            answer = self._sessions.answer(question.request, question.now)
        except (RequestError, LocalProtocolError) as error:
            return SessionAnswer(error=str(error))
        until = None
        if question.request["command"] == "revoke" and server.engine is not None:
            until = server.engine.revoked_until(revocation_in(question.request))
        return SessionAnswer(answer, until=until)

    def _from_sibling(self, arrived: FromSibling, descriptors: list[int]) -> None:
        received = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        sharing = self._sharing
        if sharing is None:
            for one in received:
                one.close()
            return
        match arrived.message:
            case Claim(bind_id, token):
                lent = sharing.lend(token, arrived.worker)
                answer = Claimed(bind_id, lent[0] if lent is not None else None)
                self._link.send(ToSibling(arrived.worker, answer), [lent[1].detach()] if lent is not None else [])
            case Claimed(bind_id, relay):
                if relay is not None and received:
                    sharing.claimed(bind_id, relay, arrived.worker, received[0])
                    return
                sharing.claim_failed(bind_id)
                if relay is not None:  # there was no descriptor to spare
                    self._link.send(ToSibling(arrived.worker, Returned(relay)))
            case Returned(relay):
                sharing.returned(relay)
            case Passed(client, data):
                if received:
                    sharing.take_in(client, data, received[0])
            case _:
                assert_never(arrived.message)

    @property
    def _sharing(self) -> Sharing | None:
        return self._server.sharing if self._server is not None else None

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report("worker.failed", logging.ERROR, problem=type(error).__name__)
            self.stop()


def _problems(error: ConfigurationError) -> tuple[Problem, ...]:
    return tuple(Problem(one.message, one.key, one.file) for one in problems_of(error))


def main(program: CompanionProgram | None = None) -> None:
    """Serve on what the descriptor, the one argument, brings; with what `program` makes in the first worker."""
    for number in SUPERVISED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISED_SIGNALS)
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    connected = socket.socket(fileno=descriptor)

    async def work() -> None:
        await Worker(connected, program).run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
