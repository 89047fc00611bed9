"""One run of `icelane join`: in the room from the first to the last moment, with a peer connection to each peer."""

from __future__ import annotations

import asyncio
import signal as signals
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.live import Live

from icelane import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, SignalClient
from icelane.aio.system import monotonic
from icelane.cli.join_record import Recordings
from icelane.cli.join_source import Source, open_source
from icelane.cli.join_view import COLUMNS, PeerFigures, PeerWatch, table_of
from icelane.cli.node_access import NodeAccess, entered
from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.core.clock import Duration
from icelane.signaling.client_event import Peer

# Between two looks at the statistics: for eyes on a terminal, and for whoever reads lines.
LIVE_INTERVAL: Final[Duration] = 1.0
LINE_INTERVAL: Final[Duration] = 5.0
# Peers at a time. With more there is no call: each costs an encoder and a decoder.
MAX_CALLS: Final = 128
# Of those who have left, whom the report at the end tells of; the longest gone goes for one more.
MAX_OVER: Final = 1000
# Characters of a peer's name.
MAX_SHOWN_NAME: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """What the command line says, but for the node."""

    publish: str
    loop: bool
    record: Path | None
    seconds: Duration | None
    name: str


async def join_room(output: Output, access: NodeAccess, options: JoinOptions, configuration: RTCConfiguration) -> None:
    """Stay until a signal, the time, or the end of the room. Raises CommandError."""
    with _ending() as end:
        source = await open_source(options.publish, loop=options.loop)
        try:
            meta = {"name": options.name, "bot": True}
            async with entered(access, configuration, name="icelane join", meta=meta) as signal:
                await _Visit(output, signal, source, options, end, access.room or "").stay()
        finally:
            source.stop()


class _Call:
    """One peer."""

    def __init__(self, peer: Peer, pc: RTCPeerConnection) -> None:
        self.peer = peer
        self.pc = pc
        self.name = shown_name(peer)
        self.watch = PeerWatch(peer.id, self.name, pc)
        self.last: PeerFigures | None = None
        self.is_told = False


class _Visit:
    """From entering the room to leaving it."""

    def __init__(
        self,
        output: Output,
        signal: SignalClient,
        source: Source,
        options: JoinOptions,
        end: asyncio.Event,
        room: str,
    ) -> None:
        self._room = room
        self._output = output
        self._signal = signal
        self._source = source
        self._options = options
        self._end = end
        self._recordings = None if options.record is None else Recordings(options.record, output)
        self._calls: dict[str, _Call] = {}
        self._over: deque[PeerFigures] = deque(maxlen=MAX_OVER)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reason: str | None = None
        signal.on("peerleft", self._left)
        signal.on("roomleft", self._sent_away)
        signal.on("disconnected", lambda reason: output.note(f"the node is gone, calls go on: {reason}"))

    async def stay(self) -> None:
        """From the first peer to the report. Raises CommandError when we were sent away."""
        began = monotonic()
        self._event("joined", room=self._room, identity=self._signal.identity, publishes=list(self._source.kinds))
        self._output.line(f"in {self._room} as {self._signal.identity}; Ctrl-C leaves", "green")
        working = [asyncio.ensure_future(work) for work in (self._meet(), self._show(), self._until_ended())]
        try:
            done, _ = await asyncio.wait(working, timeout=self._options.seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what ended it, if it was an error
        finally:
            await self._finish(working)
        self._report(monotonic() - began)

    async def _until_ended(self) -> None:
        await self._end.wait()

    async def _finish(self, working: list[asyncio.Task[None]]) -> None:
        await self._look()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, *self._tasks, return_exceptions=True)
        if self._recordings is not None:
            await self._recordings.close()

    async def _meet(self) -> None:
        async for peer in self._signal:
            if len(self._calls) >= MAX_CALLS:
                self._output.note(f"{shown_name(peer)} is one too many: {MAX_CALLS} are here")
                continue
            pc = self._signal.connect_peer(peer)
            call = self._calls[peer.id] = _Call(peer, pc)
            if self._recordings is not None:
                pc.on("track", partial(self._record, call))
            for track in self._source.tracks():
                pc.addTrack(track)
            self._event("peer", peer=peer.id, identity=peer.identity, name=call.name)
            self._output.note(f"{call.name} is here")

    def _record(self, call: _Call, track: MediaStreamTrack) -> None:
        assert self._recordings is not None, "nobody listens otherwise"
        self._recordings.take(call.peer.id, call.name, track)

    def _left(self, peer: Peer, reason: str) -> None:
        call = self._calls.pop(peer.id, None)
        if call is None:
            return
        if call.last is not None:
            self._over.append(call.last)
        self._event("left", peer=peer.id, identity=peer.identity, name=call.name, reason=reason)
        self._output.note(f"{call.name} has left ({reason})")
        if self._recordings is not None:
            task = asyncio.ensure_future(self._recordings.finish(peer.id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _sent_away(self, room: str, reason: str) -> None:
        self._reason = f"{room} was left: {reason}"
        self._end.set()

    # What is shown

    async def _show(self) -> None:
        if self._output.as_json or not self._output.errors.is_terminal:
            while True:
                await asyncio.sleep(LINE_INTERVAL)
                self._print(await self._look())
        # Where the notes go as well, which then appear above the table.
        with Live(console=self._output.errors, auto_refresh=False, transient=True) as live:
            while True:
                live.update(table_of(await self._look()), refresh=True)
                await asyncio.sleep(LIVE_INTERVAL)

    async def _look(self) -> list[PeerFigures]:
        now = monotonic()
        for call in list(self._calls.values()):
            call.last = await call.watch.look(now)
            if call.last.state == "connected" and not call.is_told:
                call.is_told = True
                self._event("connected", peer=call.peer.id, name=call.name, securityCode=call.watch.code)
                self._output.note(f"{call.name} has the same security code, if nobody is in between: {call.watch.code}")
        return [call.last for call in self._calls.values() if call.last is not None]

    def _print(self, looks: list[PeerFigures]) -> None:
        self._event("statistics", peers=[figures.as_json() for figures in looks])
        self._output.table(COLUMNS, [figures.row() for figures in looks])

    def _report(self, seconds: Duration) -> None:
        looks = [*self._over, *(call.last for call in self._calls.values() if call.last is not None)]
        self._output.table(COLUMNS, [figures.row() for figures in looks])
        for figures in looks:
            for path in self._files(figures):
                self._output.line(f"recorded {path}")
        peers = [figures.as_json() | {"files": [str(path) for path in self._files(figures)]} for figures in looks]
        document = {"room": self._room, "seconds": round(seconds, 3), "peers": peers}
        if self._reason is not None:
            raise CommandError(ExitCode.NETWORK, Problem(self._reason), document=document)
        self._output.result({"ok": True, **document})

    def _files(self, figures: PeerFigures) -> list[Path]:
        return [] if self._recordings is None else self._recordings.of(figures.peer)

    def _event(self, event: str, /, **fields: object) -> None:
        self._output.result({"event": event, **fields})


def shown_name(peer: Peer) -> str:
    """What he calls himself, or who he is to the node; without what would move the cursor."""
    said = peer.meta.get("name")
    text = peer.name or (said if isinstance(said, str) and said.strip() else peer.identity)
    return "".join(character if character.isprintable() else "?" for character in text[:MAX_SHOWN_NAME])


@contextmanager
def _ending() -> Iterator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM; a second SIGINT interrupts as usual."""
    end, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupted() -> None:
        end.set()
        loop.remove_signal_handler(signals.SIGINT)

    with suppress(NotImplementedError):  # on Windows Ctrl-C interrupts, and what is recorded is closed all the same
        loop.add_signal_handler(signals.SIGINT, interrupted)
        loop.add_signal_handler(signals.SIGTERM, end.set)
    try:
        yield end
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signals.SIGINT)
            loop.remove_signal_handler(signals.SIGTERM)
