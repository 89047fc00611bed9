"""One connection for one file: made with any signaling, watched until it ends.

    async with open_call(configuration, output) as pc:
        channel = await offer_channel(pc, signaling, timeout)       the sender
        channel = await answer_channel(pc, signaling, timeout)      the receiver
        await while_connected(pc, send_file(channel, ...))

What goes wrong ends in CommandError, in the words of somebody who sends a file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from icelane import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from icelane.aio.event_target import Event
from icelane.cli.output import CommandError, ExitCode, Output, Problem
from icelane.cli.peer_signaling import Signaling
from icelane.core.clock import Duration
from icelane.errors import IcelaneError, TransportClosedError
from icelane.stun.uri import TurnUri

T = TypeVar("T")

LABEL: Final = "icelane-file"
# A server's name may take 10 s to be looked up, and its answer another 10; whoever needs longer is not waited for.
GATHERING_TIMEOUT: Final[Duration] = 25.0
# For who was interrupted: long enough to tell the other side.
HASTY_CLOSE: Final[Duration] = 1.0
_RELAY_MEND: Final = "give both sides a TURN server: --ice turn:HOST --user NAME"


@asynccontextmanager
async def open_call(configuration: RTCConfiguration, output: Output) -> AsyncIterator[RTCPeerConnection]:
    """A peer connection that says which servers fail, and is closed at the end."""
    pc = RTCPeerConnection(configuration)

    def server_failed(event: Event) -> None:
        output.note(f"{event.url}: {event.errorText or event.errorCode}")

    pc.onicecandidateerror = server_failed
    try:
        yield pc
    except BaseException:
        await pc.close(HASTY_CLOSE)
        raise
    await pc.close()


async def offer_channel(pc: RTCPeerConnection, signaling: Signaling, timeout: Duration) -> RTCDataChannel:
    """Call, and wait until the channel is open. `timeout` begins when the answer is here."""
    channel = pc.createDataChannel(LABEL)
    try:
        await signaling.send(await _gathered(pc))
        await _accept(pc, await signaling.receive("answer"))
        await _within(timeout, while_connected(pc, channel.opened()))
    finally:
        signaling.withdraw()
    return channel


async def answer_channel(pc: RTCPeerConnection, signaling: Signaling, timeout: Duration) -> RTCDataChannel:
    """Wait for a call, answer it, and wait for its channel. `timeout` begins when the answer is given away."""
    announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()

    def first(channel: RTCDataChannel) -> None:
        if not announced.done():
            announced.set_result(channel)

    pc.on("datachannel", first)
    try:
        await _accept(pc, await signaling.receive("offer"))
        await signaling.send(await _gathered(pc))
        return await _within(timeout, while_connected(pc, _awaited(announced)))
    finally:
        signaling.withdraw()


async def while_connected(pc: RTCPeerConnection, work: Coroutine[object, object, T]) -> T:
    """What `work` returns. Raises CommandError when the connection fails before that."""
    try:
        async with pc.until_failed():
            return await work
    except TransportClosedError:
        if pc.connectionState != "failed":
            raise
        raise CommandError(ExitCode.NETWORK, Problem(*_lost(pc))) from None


async def _gathered(pc: RTCPeerConnection) -> RTCSessionDescription:
    """Our offer or answer, with every candidate that is found in time."""
    await pc.setLocalDescription()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GATHERING_TIMEOUT):
            await pc.gathering_complete()
    description = pc.localDescription
    if description is None:
        raise TransportClosedError("the connection was closed while it looked for addresses")
    if "a=candidate:" not in description.sdp:
        raise CommandError(ExitCode.NETWORK, Problem(*_nowhere(pc.getConfiguration())))
    return description


async def _accept(pc: RTCPeerConnection, description: RTCSessionDescription) -> None:
    try:
        await pc.setRemoteDescription(description)
    except IcelaneError as error:
        raise CommandError(
            ExitCode.USAGE, Problem(f"the {description.type} of the other side cannot be used: {error}")
        ) from None


async def _within(timeout: Duration, work: Coroutine[object, object, T]) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError:
        text = f"the two sides did not reach each other within {timeout:g} s"
        raise CommandError(ExitCode.NETWORK, Problem(text, _RELAY_MEND)) from None


async def _awaited(future: asyncio.Future[T]) -> T:
    return await future


def _lost(pc: RTCPeerConnection) -> tuple[str, str | None]:
    """Why there is no connection, and what would help."""
    if pc.security_report().protocol is None:
        return "the two sides cannot reach each other", _RELAY_MEND
    return "the other side does not answer any more", None


def _nowhere(configuration: RTCConfiguration) -> tuple[str, str]:
    """Why there is not one address to be reached at, and what would help."""
    if configuration.relay_only:
        server, uri = next((server, uri) for server, uri in configuration.check() if isinstance(uri, TurnUri))
        way = " --proxy URL" if configuration.http_proxy is not None else ""
        return "no TURN server gave us an address", f"icelane turn check '{uri}' --user {server.username}{way}"
    if configuration.interfaces is not None:
        return f"no usable address on {', '.join(configuration.interfaces)}", "ip -brief address"
    return "this machine has no usable address", "ip -brief address"
