"""Perfect negotiation (W3C WebRTC section 10.7): both peers may change a call at any time.

When offers collide, the polite one gives way. Who that is the server says, so nobody has to agree on it. What is added
to the W3C's example: the polite one leaves the first word to the other for a moment; an offer that nobody answers is
sent again, since the answer may have been lost with a session; an answer to an offer that is answered already is
dropped; ICE that has failed is restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
from icelane.core.clock import Duration
from icelane.errors import IcelaneError
from icelane.signaling.messages import CandidateInit, Description, DescriptionType, SignalData

_log = logging.getLogger(__name__)

# Signals of a peer that wait to be applied: more come only from somebody who floods, and then the newest are dropped.
MAX_SIGNALS: Final = 1024
# How long an offer waits for its answer before it is sent again.
OFFER_PATIENCE: Final[Duration] = 10.0
# How long the polite one leaves the first word to the other. Whoever begins a call begins it at both ends, so first
# offers would nearly always collide, and a rollback costs time, or more where the other end is a browser.
FIRST_OFFER_DELAY: Final[Duration] = 0.5


class Negotiation:
    """One peer connection and one peer. `polite` is our part; `send` takes what the peer should get."""

    def __init__(self, pc: RTCPeerConnection, *, polite: bool, send: Callable[[SignalData], object]) -> None:
        self._pc = pc
        self._polite = polite
        self._send = send
        self._making_offer = False
        self._setting_answer = False
        self._ignoring_offer = False
        self._begun = False
        self._first_word: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._heard = False
        self._signals: deque[SignalData] = deque()
        self._task: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        pc.on("negotiationneeded", self._offer)
        pc.on("icecandidate", self._trickle)
        pc.on("iceconnectionstatechange", self._watch)

    @property
    def is_over(self) -> bool:
        """Whether the peer connection is closed."""
        return self._pc.signalingState == "closed"

    @property
    def pc(self) -> RTCPeerConnection:
        """The connection."""
        return self._pc

    def handle(self, data: SignalData) -> None:
        """What the peer sent."""
        if len(self._signals) >= MAX_SIGNALS:
            _log.debug("a signal was dropped: %d wait", MAX_SIGNALS)
            return
        self._signals.append(data)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._apply_all())

    def repeat_offer(self) -> None:
        """Send our offer again, if it waits for an answer."""
        if self._pc.signalingState == "have-local-offer" and not self._making_offer:
            self._tell_description()

    def detach(self) -> None:
        """Hear and say nothing any more; the peer connection goes on."""
        self._signals.clear()
        self._send = _nowhere
        self._wait_no_longer()
        if self._first_word is not None:
            self._first_word.cancel()
        self._pc.remove_listener("negotiationneeded", self._offer)
        self._pc.remove_listener("icecandidate", self._trickle)
        self._pc.remove_listener("iceconnectionstatechange", self._watch)

    # What our own side says.

    async def _offer(self) -> None:
        if self._polite and not self._begun:
            self._begun = True
            self._first_word = asyncio.get_running_loop().call_later(FIRST_OFFER_DELAY, self._begin)
        else:
            await self._make_offer()

    def _begin(self) -> None:
        # Where the peer has spoken, we are asked again after the answer, if there is still a need.
        if not self._heard and not self.is_over:
            self._opening = asyncio.get_running_loop().create_task(self._make_offer())

    async def _make_offer(self) -> None:
        self._making_offer = True
        try:
            await self._pc.setLocalDescription()
            self._tell_description()
        except IcelaneError as error:
            _log.debug("no offer was made: %s", type(error).__name__)
        finally:
            self._making_offer = False

    def _trickle(self, candidate: RTCIceCandidate | None) -> None:
        if candidate is None:
            self._send(SignalData(candidate=None))
            return
        init = CandidateInit(
            candidate=candidate.candidate,
            sdp_mid=candidate.sdpMid,
            sdp_m_line_index=candidate.sdpMLineIndex,
            username_fragment=candidate.usernameFragment,
        )
        self._send(SignalData(candidate=init))

    def _watch(self) -> None:
        if self._pc.iceConnectionState == "failed":
            self._pc.restartIce()

    def _tell_description(self) -> None:
        local = self._pc.localDescription
        if local is None:
            return
        self._send(SignalData(description=Description(type=DescriptionType(local.type), sdp=local.sdp)))
        self._wait_no_longer()
        if local.type == "offer":
            self._patience = asyncio.get_running_loop().call_later(OFFER_PATIENCE, self.repeat_offer)

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # What the peer says.

    async def _apply_all(self) -> None:
        while self._signals:
            data = self._signals.popleft()
            try:
                await self._apply(data)
            except (IcelaneError, TypeError) as error:
                # The peer's mistake, or a connection that was closed meanwhile: nothing that our program could do.
                _log.debug("a signal was of no use: %s", type(error).__name__)

    async def _apply(self, data: SignalData) -> None:
        if isinstance(data.description, Description):
            await self._apply_description(data.description)
        elif data.candidate is not UNSET and not self._ignoring_offer:
            await self._pc.addIceCandidate(_candidate(data.candidate))

    async def _apply_description(self, description: Description) -> None:
        pc = self._pc
        self._heard = True
        is_offer = description.type is DescriptionType.OFFER
        is_ready = not self._making_offer and (pc.signalingState == "stable" or self._setting_answer)
        collides = is_offer and not is_ready
        self._ignoring_offer = collides and not self._polite
        if self._ignoring_offer:
            return
        if not is_offer and pc.signalingState not in ("have-local-offer", "have-remote-pranswer"):
            return  # answered already
        self._setting_answer = description.type is DescriptionType.ANSWER
        try:
            await pc.setRemoteDescription(RTCSessionDescription(sdp=description.sdp, type=description.type.value))
        finally:
            self._setting_answer = False
        self._wait_no_longer()
        if is_offer:
            await pc.setLocalDescription()
            self._tell_description()


def _candidate(init: object) -> RTCIceCandidate | None:
    if not isinstance(init, CandidateInit):
        return None
    return RTCIceCandidate(
        candidate=init.candidate,
        sdpMid=init.sdp_mid if isinstance(init.sdp_mid, str) else None,
        sdpMLineIndex=init.sdp_m_line_index if isinstance(init.sdp_m_line_index, int) else None,
        usernameFragment=init.username_fragment if isinstance(init.username_fragment, str) else None,
    )


def _nowhere(_: SignalData) -> None:
    """Nobody is told."""
