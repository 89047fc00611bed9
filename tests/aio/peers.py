"""Two peer connections of this process on loopback, and the signaling between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription

LOOPBACK: Final = RTCConfiguration(interfaces=["lo"])
PATIENCE: Final = 10.0  # seconds until a test gives up; nothing here takes one when all is well

__all__ = [
    "LOOPBACK", "PATIENCE", "Signaling", "channels", "configured", "connect", "exchange", "pair", "until",
]  # fmt: skip


def configured(**settings: Any) -> RTCConfiguration:
    """LOOPBACK with other settings."""
    return replace(LOOPBACK, **settings)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  (whatever it is, it tells nobody)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def pair(
    one: RTCConfiguration = LOOPBACK, other: RTCConfiguration = LOOPBACK
) -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    """Two connections that nobody has introduced."""
    async with asyncio.timeout(PATIENCE * 3), RTCPeerConnection(one) as alice, RTCPeerConnection(other) as bob:
        yield alice, bob


async def exchange(offerer: RTCPeerConnection, answerer: RTCPeerConnection) -> None:
    """Offer and answer with all candidates in them."""
    await offerer.setLocalDescription()
    await offerer.gathering_complete()
    assert offerer.localDescription is not None
    await answerer.setRemoteDescription(offerer.localDescription)
    await answerer.setLocalDescription()
    await answerer.gathering_complete()
    assert answerer.localDescription is not None
    await offerer.setRemoteDescription(answerer.localDescription)


async def connect(offerer: RTCPeerConnection, answerer: RTCPeerConnection) -> None:
    """`exchange`, and wait until both are connected."""
    await exchange(offerer, answerer)
    await asyncio.gather(offerer.connected(PATIENCE), answerer.connected(PATIENCE))


@asynccontextmanager
async def channels(
    one: RTCConfiguration = LOOPBACK, other: RTCConfiguration = LOOPBACK, **options: Any
) -> AsyncIterator[tuple[RTCDataChannel, RTCDataChannel]]:
    """Both ends of an open channel; `options` are those of createDataChannel."""
    async with pair(one, other) as (alice, bob):
        announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        bob.on("datachannel", announced.set_result)
        ours = alice.createDataChannel("chat", **options)
        await connect(alice, bob)
        await ours.opened()
        yield ours, await asyncio.wait_for(announced, PATIENCE)


class Signaling:
    """Carries messages from one connection to the other in their order, each after `delay` seconds.

    Both ends negotiate as the example of "perfect negotiation" in W3C WebRTC section 10.7 does. `log` has what passed.
    """

    def __init__(self, impolite: RTCPeerConnection, polite: RTCPeerConnection, delay: float = 0.0) -> None:
        self.delay = delay
        self.log: list[str] = []
        self.errors: list[BaseException] = []
        self._ends = (_End(self, impolite, polite=False), _End(self, polite, polite=True))
        self._ends[0].other, self._ends[1].other = self._ends[1], self._ends[0]

    async def __aenter__(self) -> Signaling:
        self._pumps = [asyncio.ensure_future(end.pump()) for end in self._ends]
        return self

    async def __aexit__(self, *error: object) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        assert not self.errors, self.errors

    def hold(self, pc: RTCPeerConnection) -> Callable[[], None]:
        """Keep back what is on its way to `pc`, until the function that is returned is called."""
        (end,) = (end for end in self._ends if end.pc is pc)
        end.is_open.clear()
        return end.is_open.set

    async def stable(self) -> None:
        """Wait until nothing is under way any more."""
        quiet = 0
        while quiet < 5:
            await asyncio.sleep(0.01 + self.delay)
            quiet = quiet + 1 if all(end.is_quiet for end in self._ends) else 0


class _End:
    """One end of the example: `makingOffer` and `ignoreOffer` are its variables."""

    def __init__(self, signaling: Signaling, pc: RTCPeerConnection, *, polite: bool) -> None:
        self.other: _End
        self.pc = pc
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._signaling = signaling
        self._polite = polite
        self._making_offer = False
        self._ignore_offer = False
        self._inbox: asyncio.Queue[RTCSessionDescription | RTCIceCandidate] = asyncio.Queue()
        self._busy = False
        pc.on("negotiationneeded", self._negotiate)
        pc.on("icecandidate", self._found)

    @property
    def is_quiet(self) -> bool:
        return self._inbox.empty() and not self._busy and not self._making_offer and self.pc.signalingState == "stable"

    async def _negotiate(self) -> None:
        try:
            self._making_offer = True
            await self.pc.setLocalDescription()
            assert self.pc.localDescription is not None
            self._tell(self.pc.localDescription)
        except Exception as error:
            self._signaling.errors.append(error)
        finally:
            self._making_offer = False

    def _found(self, candidate: RTCIceCandidate | None) -> None:
        if candidate is not None:
            self._tell(candidate)

    def _tell(self, message: RTCSessionDescription | RTCIceCandidate) -> None:
        self._signaling.log.append(message.type if isinstance(message, RTCSessionDescription) else "candidate")
        self.other._inbox.put_nowait(message)

    async def pump(self) -> None:
        """Handle what comes, one after the other."""
        while True:
            message = await self._inbox.get()
            self._busy = True
            await asyncio.sleep(self._signaling.delay)
            await self.is_open.wait()
            try:
                await self._handle(message)
            except Exception as error:
                self._signaling.errors.append(error)
            self._busy = False

    async def _handle(self, message: RTCSessionDescription | RTCIceCandidate) -> None:
        pc = self.pc
        if isinstance(message, RTCIceCandidate):
            try:
                await pc.addIceCandidate(message)
            except Exception:
                if not self._ignore_offer:
                    raise
            return
        collision = message.type == "offer" and (self._making_offer or pc.signalingState != "stable")
        self._ignore_offer = not self._polite and collision
        if self._ignore_offer:
            self._signaling.log.append("ignored")
            return
        await pc.setRemoteDescription(message)
        if message.type == "offer":
            await pc.setLocalDescription()
            assert pc.localDescription is not None
            self._tell(pc.localDescription)
