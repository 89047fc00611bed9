"""ICE, as aiortc has it: candidates in parts, and a gatherer beside the transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from icelane.aio.session_description import RTCIceCandidate as NativeCandidate
from icelane.aio.transports import RTCIceTransport as NativeIceTransport
from icelane.compat.aiortc import default_ice_servers
from icelane.compat.aiortc.emitter import Emitter
from icelane.compat.aiortc.rtcconfiguration import RTCIceServer, RTCIceTransportPolicy
from icelane.errors import NotSupportedError
from icelane.ice.candidate import parse_candidate

FindIceTransport = Callable[[], NativeIceTransport | None]


@dataclass
class RTCIceCandidate:
    """A candidate in its parts. `protocol` is `udp` or `tcp`, `type` is `host`, `srflx`, `prflx` or `relay`."""

    component: int
    foundation: str
    ip: str
    port: int
    priority: int
    protocol: str
    type: str
    relatedAddress: str | None = None  # noqa: N815  (W3C names)
    relatedPort: int | None = None  # noqa: N815
    sdpMid: str | None = None  # noqa: N815
    sdpMLineIndex: int | None = None  # noqa: N815
    tcpType: str | None = None  # noqa: N815


@dataclass
class RTCIceParameters:
    """Credentials of one ICE generation. The password of a connection is in its description, and not here."""

    usernameFragment: str | None = None  # noqa: N815
    password: str | None = None
    iceLite: bool = False  # noqa: N815


class RTCIceGatherer(Emitter):
    """Finds our candidates. Made by a connection; by itself it tells the default servers and nothing else.

    Event: `statechange`.
    """

    def __init__(
        self,
        iceServers: list[RTCIceServer] | None = None,  # noqa: N803  (W3C names)
        iceTransportPolicy: RTCIceTransportPolicy = RTCIceTransportPolicy.ALL,  # noqa: N803
        local_username: str | None = None,
        local_password: str | None = None,
    ) -> None:
        super().__init__()
        del iceServers, iceTransportPolicy, local_username, local_password  # the connection has its own
        self._find: FindIceTransport = _no_transport

    @classmethod
    def getDefaultIceServers(cls) -> list[RTCIceServer]:  # noqa: N802
        """What `iceServers=None` stands for."""
        return list(default_ice_servers.DEFAULT_ICE_SERVERS)

    @property
    def state(self) -> str:
        """`new`, `gathering` or `completed`."""
        transport = self._find()
        state = transport.gatheringState if transport is not None else "new"
        return "completed" if state == "complete" else state

    async def gather(self) -> None:
        """Raises NotSupportedError: `setLocalDescription` gathers."""
        raise NotSupportedError("candidates are gathered by RTCPeerConnection.setLocalDescription")

    def getLocalCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """Those that were found."""
        transport = self._find()
        return [describe_candidate(one) for one in transport.getLocalCandidates()] if transport is not None else []

    def getLocalParameters(self) -> RTCIceParameters:  # noqa: N802
        """Our user name fragment."""
        transport = self._find()
        if transport is None:
            return RTCIceParameters()
        return RTCIceParameters(usernameFragment=transport.getLocalParameters().usernameFragment)


class RTCIceTransport(Emitter):
    """The path to the peer. Made by a connection. Event: `statechange`."""

    def __init__(self, gatherer: RTCIceGatherer) -> None:
        super().__init__()
        self._gatherer = gatherer

    @property
    def iceGatherer(self) -> RTCIceGatherer:  # noqa: N802
        """Who finds our candidates."""
        return self._gatherer

    @property
    def role(self) -> str:
        """`controlling` or `controlled`."""
        transport = self._gatherer._find()
        return transport.role if transport is not None else "controlled"

    @property
    def state(self) -> str:
        """`new`, `checking`, `completed`, `failed` or `closed`."""
        transport = self._gatherer._find()
        return aiortc_ice_state(transport.state) if transport is not None else "new"

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """The peer's that checks go to."""
        transport = self._gatherer._find()
        return [describe_candidate(one) for one in transport.getRemoteCandidates()] if transport is not None else []

    async def addRemoteCandidate(self, candidate: RTCIceCandidate | None) -> None:  # noqa: N802
        """Raises NotSupportedError: `addIceCandidate` does that."""
        raise NotSupportedError("candidates of the peer are added by RTCPeerConnection.addIceCandidate")

    async def start(self, remoteParameters: RTCIceParameters) -> None:  # noqa: N803
        """Raises NotSupportedError: descriptions do that."""
        raise NotSupportedError("ICE is started by the descriptions of a RTCPeerConnection")

    async def stop(self) -> None:
        """Raises NotSupportedError: `close` does that."""
        raise NotSupportedError("ICE is stopped by RTCPeerConnection.close")


def aiortc_ice_state(state: str) -> str:
    """A state as aiortc has it, which knows neither `connected` nor `disconnected`: a path is there until it failed."""
    return "completed" if state in ("connected", "disconnected") else state


def describe_candidate(candidate: NativeCandidate) -> RTCIceCandidate:
    """A candidate of icelane's in its parts. Raises MalformedError."""
    said = parse_candidate(candidate.candidate)
    return RTCIceCandidate(
        component=said.component,
        foundation=said.foundation,
        ip=said.host,
        port=said.port,
        priority=said.priority,
        protocol=said.transport,
        type=said.type.value,
        relatedAddress=said.related.host if said.related is not None else None,
        relatedPort=said.related.port if said.related is not None else None,
        sdpMid=candidate.sdpMid,
        sdpMLineIndex=candidate.sdpMLineIndex,
        tcpType=said.tcp_type,
    )


def _no_transport() -> NativeIceTransport | None:
    return None
