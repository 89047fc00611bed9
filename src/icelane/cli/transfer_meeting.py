"""How the two who have one code find each other in a room of a node, and come to a channel that is theirs alone.

    receiver -> everybody   {"icelaneTransfer": {"number": 7, "pake": "..."}}
    sender   -> receiver    {"icelaneTransfer": {"number": 7, "pake": "...", "proof": "..."}}
    receiver -> sender      {"icelaneTransfer": {"number": 7, "proof": "..."}}      or "failed": true
    then a peer connection, and over its channel from both   {"binding": "..."}

Nothing of the file is said before the binding is right, no address before the proofs are. Others in the room, such as
pages of a call, are passed over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from icelane import RTCDataChannel, RTCPeerConnection, SignalClient
from icelane.cli.file_transfer import Channel, TransferCutError
from icelane.cli.peer_session import HASTY_CLOSE, LABEL
from icelane.cli.transfer_code import NUMBERS, TransferCode, make_code
from icelane.cli.transfer_key import CodeExchange, Side, TransferKey, is_same
from icelane.core.clock import Duration
from icelane.crypto.provider import SystemEntropy
from icelane.errors import IcelaneError, MalformedError, RemoteProtocolError, TransportClosedError

if TYPE_CHECKING:
    from icelane.peer.security_report import SecurityReport
    from icelane.signaling.client_event import Peer

T = TypeVar("T")

KEY: Final = "icelaneTransfer"
# Between two messages of the exchange, which the node only passes on.
ANSWER_TIMEOUT: Final[Duration] = 20.0
# How long a connection may be gone before it counts as lost: ICE looks for another path meanwhile.
PATIENCE: Final[Duration] = 30.0
# Codes of one `icelane send` after the first: each after a cut goes on where the last transfer stopped.
MAX_AFTER_CUT: Final = 4
# One for who mistyped. More would be more guesses for somebody who has none.
MAX_AFTER_WRONG: Final = 1


class Connected(Protocol):
    """What the confirmation needs of an RTCPeerConnection."""

    def security_report(self) -> SecurityReport: ...


class WrongCodeError(RemoteProtocolError):
    """Somebody took another code. This one is spent."""


class NobodyError(RemoteProtocolError):
    """Nobody there has this code."""


class ImpostorError(RemoteProtocolError):
    """The certificates at both ends are not the same two: somebody stands between."""


# The sender


class CodesLeft:
    """How many more codes a sender makes; those after a guess and those after a cut count apart."""

    def __init__(self) -> None:
        self._after_cut = MAX_AFTER_CUT
        self._after_wrong = MAX_AFTER_WRONG

    def take_after(self, error: TransferCutError | WrongCodeError) -> None:
        """Take another one, since `error` has ended the last; raises `error` when there is none."""
        if isinstance(error, WrongCodeError):
            self._after_wrong -= 1
        else:
            self._after_cut -= 1
        if min(self._after_wrong, self._after_cut) < 0:
            raise error


async def take_number(signal: SignalClient, room: str | None, largest: tuple[int, ...] = NUMBERS) -> TransferCode:
    """A code whose number nobody there has, in `room` or in the room of its number. Raises SignalError."""
    entropy = SystemEntropy()
    for limit in largest:
        code = make_code(entropy, limit)
        where = room or code.room
        others = await signal.join(where, {KEY: code.number}) if where not in signal.rooms else signal.peers_in(where)
        if all(peer.meta.get(KEY) != code.number for peer in others):
            if where == room:
                await signal.update({KEY: code.number}, where)
            return code
        if where != room:
            await signal.leave(where)
    raise NobodyError("all numbers are in use; try again")


async def await_receiver(signal: SignalClient, code: TransferCode) -> tuple[Peer, TransferKey]:
    """Wait for somebody with the code. Raises WrongCodeError for the first who has another one."""
    while True:
        message, peer = await _next_message(signal, code)
        if peer is None or "pake" not in message:
            continue
        exchange = CodeExchange(code, Side.SENDER)
        try:
            key = exchange.finish(message["pake"])
        except MalformedError:
            continue  # no try at all
        answer = {"pake": exchange.first(), "proof": key.proof(Side.SENDER)}
        await _tell(signal, peer, code, answer)
        if await _shows(signal, peer, code, key.proof(Side.RECEIVER)):
            return peer, key
        raise WrongCodeError("somebody tried another code, so this one is spent")


async def _shows(signal: SignalClient, peer: Peer, code: TransferCode, proof: str) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while signal.peer(peer.id) is not None:
                message, sender = await _next_message(signal, code)
                if sender is not None and sender.id == peer.id and ("proof" in message or "failed" in message):
                    return is_same(message.get("proof"), proof)
    except TimeoutError:
        pass
    return False


# The receiver


async def find_sender(signal: SignalClient, code: TransferCode, timeout: Duration) -> tuple[Peer, TransferKey]:
    """Ask everybody who is there or comes. Raises NobodyError after `timeout`, WrongCodeError."""
    exchange = CodeExchange(code, Side.RECEIVER)
    ours = {"pake": exchange.first()}
    asking: set[asyncio.Task[None]] = set()

    def ask(peer: Peer) -> None:
        task = asyncio.ensure_future(_ask(signal, peer, code, ours))
        asking.add(task)
        task.add_done_callback(asking.discard)

    signal.on("peerjoined", ask)
    try:
        async with asyncio.timeout(timeout):
            for peer in signal.peers:
                ask(peer)
            while True:
                message, sender = await _next_message(signal, code)
                if sender is not None and "pake" in message and "proof" in message:
                    break
    except TimeoutError:
        raise NobodyError("nobody there has this code: it is spent, mistyped, or of another node") from None
    finally:
        signal.remove_listener("peerjoined", ask)
        for task in asking:
            task.cancel()
    try:
        key = exchange.finish(message["pake"])
    except MalformedError:
        key = None
    if key is None or not is_same(message["proof"], key.proof(Side.SENDER)):
        await _tell(signal, sender, code, {"failed": True})
        raise WrongCodeError(
            "this is not the code of the one who sends there; ask for the next one, which he has in a moment"
        )
    await _tell(signal, sender, code, {"proof": key.proof(Side.RECEIVER)})
    return sender, key


# Both


@asynccontextmanager
async def private_channel(
    signal: SignalClient, peer: Peer, key: TransferKey, side: Side, timeout: Duration
) -> AsyncIterator[tuple[RTCPeerConnection, RTCDataChannel]]:
    """A channel to `peer`, at whose other end the key is, and nobody in between.

    Raises TransportClosedError and TimeoutError when no connection comes of it, ImpostorError.
    """
    pc = signal.connect_peer(peer)
    try:
        channel = pc.createDataChannel(LABEL, negotiated=True, id=0)
        async with asyncio.timeout(timeout):
            async with pc.until_failed():
                await channel.opened()
            await confirm_certificates(pc, channel, key, side)
        yield pc, channel
    except BaseException:
        await pc.close(HASTY_CLOSE)
        raise
    await pc.close()


async def confirm_certificates(pc: Connected, channel: Channel, key: TransferKey, side: Side) -> None:
    """Show the peer that we have the key and see his certificate, and be shown the same. Raises ImpostorError."""
    report = pc.security_report()
    assert report.remote_fingerprint is not None, "the channel is open"
    pair = report.local_fingerprint, report.remote_fingerprint
    sender, receiver = pair if side is Side.SENDER else pair[::-1]
    channel.send(json.dumps({"binding": key.binding(side, sender, receiver)}))
    shown = _document(await channel.receive()).get("binding")
    if not is_same(shown, key.binding(side.other, sender, receiver)):
        raise ImpostorError("the two sides see different certificates: somebody stands between them")


async def while_reachable(pc: RTCPeerConnection, work: Coroutine[object, object, T]) -> T:
    """What `work` returns. Raises TransportClosedError when the connection is gone for PATIENCE."""
    task = asyncio.ensure_future(work)
    changed = asyncio.Event()
    pc.on("connectionstatechange", changed.set)
    try:
        while not task.done():
            is_gone = pc.connectionState in ("disconnected", "failed", "closed")
            changed.clear()
            news = asyncio.ensure_future(changed.wait())
            done, _ = await asyncio.wait(
                {task, news}, timeout=PATIENCE if is_gone else None, return_when=asyncio.FIRST_COMPLETED
            )
            news.cancel()
            if not done:
                raise TransportClosedError("the connection is gone")
        return task.result()
    finally:
        pc.remove_listener("connectionstatechange", changed.set)
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _ask(signal: SignalClient, peer: Peer, code: TransferCode, body: Mapping[str, object]) -> None:
    with suppress(IcelaneError):  # he has gone, or is told again when he is back
        await _tell(signal, peer, code, body)


async def _tell(signal: SignalClient, peer: Peer, code: TransferCode, body: Mapping[str, object]) -> None:
    await signal.send({KEY: {"number": code.number, **body}}, to=peer)


async def _next_message(signal: SignalClient, code: TransferCode) -> tuple[dict[str, object], Peer | None]:
    """The next one that is about this code."""
    while True:
        data, peer = await signal.receive()
        body = data.get(KEY) if isinstance(data, dict) else None
        if isinstance(body, dict) and body.get("number") == code.number:
            return body, peer


def _document(message: str | bytes) -> dict[str, object]:
    try:
        document = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}
