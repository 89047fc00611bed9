"""The server's end of a call with itself: a peer behind the server's own relay that sends back what it is sent.

    echoes = EchoPeers(access)
    answered = await echoes.answer(offer, "alice")      # a whole offer, with its candidates, of data channels alone
    echoes.seen(answered.session, "alice")              # what came, and by which pair

Nothing that an offer names is contacted: the peer is relay-strict behind our own relay, and of the candidates in the
offer those alone count that are relayed at the addresses where that relay relays.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.crypto.provider import SystemEntropy
from icelane.errors import IcelaneError, MalformedError, OperationError
from icelane.ice.candidate import CandidateType, parse_candidate
from icelane.sdp.session import SessionDescription, parse_session

MAX_OFFER: Final = 16_384
"""Characters of an offer; one of data channels alone has 2,000 or less. Longer ones are refused."""
MAX_SESSIONS: Final = 8
"""At a time, by default; the next one is refused until one has ended."""
MAX_SESSIONS_PER_USER: Final = 2
"""Of one user at a time; his oldest ends for a third."""
MAX_CANDIDATES: Final = 32
"""Of one offer; later ones do not count."""
MAX_CHANNELS: Final = 4
"""Of one session; a further one is closed."""
MAX_ECHOES: Final = 4096
"""Messages of one session that are sent back; what comes after is dropped, as a path would."""
MAX_MESSAGE: Final = 4096
"""Bytes of a message that is sent back; a longer one is dropped."""
# What waits to go back while the path is slow; beyond it messages are dropped.
_MAX_BUFFERED: Final = 256 * 1024

LIFETIME: Final[Duration] = 45.0
"""Seconds after which a session ends, whatever it does."""
_SETUP: Final[Duration] = 10.0
_ID_BYTES: Final = 16


class OfferRefusedError(MalformedError):
    """An offer that is none, or that asks for more than data channels."""


class BusyError(IcelaneError):
    """As many sessions as there may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Echoing:
    """An answer, and by what the session can be asked for."""

    session: str
    sdp: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the server has seen of a session. `local` and `remote` are the addresses of the pair, both of the relay."""

    state: str
    received: int
    returned: int
    local: str | None = None
    remote: str | None = None
    round_trip: Duration | None = None


@dataclass(eq=False)
class _Session:
    user: str
    connection: RTCPeerConnection
    received: int = 0
    returned: int = 0
    channels: list[RTCDataChannel] = field(default_factory=list)
    ending: asyncio.Task[None] | None = None


class EchoPeers:
    """All sessions. `server` makes the RTCIceServer of our relay, with a fresh credential for the name it is given."""

    def __init__(
        self,
        server: Callable[[str], RTCIceServer],
        *,
        limit: int = MAX_SESSIONS,
        lifetime: Duration = LIFETIME,
        entropy: Entropy | None = None,
        include_loopback: bool = False,
    ) -> None:
        self._server = server
        self._limit = limit
        self._lifetime = lifetime
        self._entropy = entropy or SystemEntropy()
        self._include_loopback = include_loopback
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def answer(self, offer: str, user: str) -> Echoing:
        """Begin a session. Raises OfferRefusedError, BusyError, and OperationError where the relay does not work."""
        stripped, candidates = _apart(offer)
        while len(mine := self._of(user)) >= MAX_SESSIONS_PER_USER:
            await self.end(mine[0])
        if len(self._sessions) >= self._limit:
            raise BusyError("as many sessions as there may be")
        name = base64.urlsafe_b64encode(self._entropy.token(_ID_BYTES)).rstrip(b"=").decode()
        session = self._begin(name, user)
        try:
            async with asyncio.timeout(_SETUP):
                sdp = await _negotiate(session.connection, stripped, candidates)
        except (IcelaneError, TimeoutError, ValueError) as error:
            await self.end(name)
            if isinstance(error, OperationError):
                raise
            if isinstance(error, TimeoutError):
                raise OperationError("the relay did not answer") from None
            raise OfferRefusedError(f"{type(error).__name__}: {error}") from None
        except BaseException:
            await self.end(name)
            raise
        return Echoing(session=name, sdp=sdp)

    async def seen(self, name: str, user: str) -> Seen | None:
        """What there is to say of a session of `user`; None when there is none."""
        session = self._sessions.get(name)
        if session is None or session.user != user:
            return None
        report = await session.connection.getStats()
        pair = next((one for one in report.values() if one["type"] == "candidate-pair" and one.get("nominated")), None)
        seen = Seen(state=session.connection.connectionState, received=session.received, returned=session.returned)
        if pair is None:
            return seen
        local, remote = (report[str(pair[key])] for key in ("localCandidateId", "remoteCandidateId"))
        trip = pair.get("currentRoundTripTime")
        return Seen(
            state=seen.state,
            received=seen.received,
            returned=seen.returned,
            local=f"{local['address']}:{local['port']}",
            remote=f"{remote['address']}:{remote['port']}",
            round_trip=float(trip) if isinstance(trip, int | float) else None,
        )

    async def end(self, name: str) -> None:
        """End a session; nothing where there is none."""
        session = self._sessions.pop(name, None)
        if session is None:
            return
        if session.ending is not None and session.ending is not asyncio.current_task():
            session.ending.cancel()
        await session.connection.close(timeout=0)

    async def close(self) -> None:
        """End all of them."""
        for name in list(self._sessions):
            await self.end(name)

    def _of(self, user: str) -> list[str]:
        return [name for name, session in self._sessions.items() if session.user == user]

    def _begin(self, name: str, user: str) -> _Session:
        configuration = RTCConfiguration(
            iceServers=[self._server(name)],
            iceTransportPolicy="relay-strict",
            include_loopback=self._include_loopback,
        )
        session = self._sessions[name] = _Session(user, RTCPeerConnection(configuration))
        session.connection.on("datachannel", lambda channel: _echo(session, channel))
        session.ending = asyncio.create_task(self._end_later(name), name="echo session")
        return session

    async def _end_later(self, name: str) -> None:
        await asyncio.sleep(self._lifetime)
        await self.end(name)


async def _negotiate(connection: RTCPeerConnection, offer: str, candidates: list[str]) -> str:
    await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    await connection.gathering_complete()
    answer = connection.localDescription
    assert answer is not None, "it was just set"
    ours = _relayed_hosts(answer.sdp)
    if not ours:
        raise OperationError("there is no relayed address to answer from")
    for text in candidates:
        if parse_candidate(text).host in ours:
            await connection.addIceCandidate(RTCIceCandidate(candidate=text, sdpMLineIndex=0))
    await connection.addIceCandidate(None)
    return answer.sdp


def _apart(offer: str) -> tuple[str, list[str]]:
    """The offer without candidates, and those that are relayed over UDP. Raises OfferRefusedError."""
    if len(offer) > MAX_OFFER:
        raise OfferRefusedError(f"an offer has {MAX_OFFER} characters at most")
    try:
        session = parse_session(offer)
    except MalformedError as error:
        raise OfferRefusedError(str(error)) from None
    if [media.kind for media in session.media] != ["application"]:
        raise OfferRefusedError("the offer is of one section, of data channels")
    candidates = _candidates(session)
    session.remove("candidate", "remote-candidates")
    for media in session.media:
        media.remove("candidate", "remote-candidates", "end-of-candidates")
    return str(session), candidates


def _candidates(session: SessionDescription) -> list[str]:
    found: list[str] = []
    for value in session.media[0].get_all("candidate")[:MAX_CANDIDATES]:
        try:
            candidate = parse_candidate(f"candidate:{value}")
        except MalformedError:
            continue  # it counts for nothing, as for any peer
        if candidate.type is CandidateType.RELAYED and candidate.transport == "udp":
            found.append(f"candidate:{value}")
    return found


def _relayed_hosts(sdp: str) -> frozenset[str]:
    """Where our own relay relays."""
    values = parse_session(sdp).media[0].get_all("candidate")
    candidates = [parse_candidate(f"candidate:{value}") for value in values]
    return frozenset(one.host for one in candidates if one.type is CandidateType.RELAYED)


def _echo(session: _Session, channel: RTCDataChannel) -> None:
    if len(session.channels) >= MAX_CHANNELS:
        channel.close()
        return
    session.channels.append(channel)

    def take(message: str | bytes) -> None:
        session.received += 1
        # A character is four bytes at most.
        if len(message) > MAX_MESSAGE or session.returned >= MAX_ECHOES or channel.bufferedAmount > _MAX_BUFFERED:
            return
        if channel.readyState == "open":
            channel.send(message)
            session.returned += 1

    channel.on("message", take)
