"""RTCIceTransport, RTCDtlsTransport and RTCSctpTransport: the layers of one connection (W3C sections 5.5, 5.6, 6.1).

    pc.sctp.transport.iceTransport.getSelectedCandidatePair()

They are there while the connection has a transport, and always the same objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from icelane.aio.event_target import EventTarget
from icelane.aio.session_description import RTCIceCandidate
from icelane.datachannel.mux import DataChannels
from icelane.ice.candidate import Candidate
from icelane.ice.credentials import Credentials
from icelane.peer.ice_transport_event import LocalReport
from icelane.peer.secure_transport import SecureTransport
from icelane.peer.transport_command import SectionPlace

CandidatePlace: TypeAlias = Callable[[], SectionPlace | None]


@dataclass(frozen=True, slots=True)
class RTCIceCandidatePair:
    """The candidates of a path: ours and the peer's."""

    local: RTCIceCandidate
    remote: RTCIceCandidate


@dataclass(frozen=True, slots=True)
class RTCIceParameters:
    """Credentials of one ICE generation, as the descriptions have them."""

    usernameFragment: str  # noqa: N815  (W3C name)


class RTCIceTransport(EventTarget):
    """ICE. Events: `statechange`, `gatheringstatechange`, `selectedcandidatepairchange`."""

    EVENTS = frozenset({"statechange", "gatheringstatechange", "selectedcandidatepairchange"})

    def __init__(self, transport: SecureTransport, place: CandidatePlace) -> None:
        super().__init__()
        self._ice = transport.ice
        self._place = place

    @property
    def role(self) -> str:
        """`controlling` or `controlled`."""
        return self._ice.agent.role.value

    @property
    def component(self) -> str:
        """`rtp`: everything shares one transport."""
        return "rtp"

    @property
    def state(self) -> str:
        return self._ice.agent.state.value

    @property
    def gatheringState(self) -> str:  # noqa: N802
        return self._ice.gathering_state.value

    def getLocalCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """Ours that have been found, as `icecandidate` tells them."""
        ufrag = self._ice.agent.credentials.ufrag
        return [self._local(report, ufrag) for report in self._ice.local_reports]

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """The peer's that checks go to."""
        remotes = dict.fromkeys((pair.remote, pair.remote_ufrag) for pair in self._ice.agent.pairs())
        return [self._remote(candidate, ufrag) for candidate, ufrag in remotes]

    def getSelectedCandidatePair(self) -> RTCIceCandidatePair | None:  # noqa: N802
        """The path that is in use, None before there is one."""
        selected = self._ice.in_use
        if selected is None:
            return None
        report = self._ice.report_of(selected.local, selected.base)
        return RTCIceCandidatePair(
            self._local(report, selected.local_ufrag), self._remote(selected.remote, selected.remote_ufrag)
        )

    def getLocalParameters(self) -> RTCIceParameters:  # noqa: N802
        """Our user name fragment. The password is in the description, and nowhere else."""
        credentials: Credentials = self._ice.agent.credentials
        return RTCIceParameters(credentials.ufrag)

    def getRemoteParameters(self) -> RTCIceParameters | None:  # noqa: N802
        """The peer's, likewise; None before its description was set."""
        credentials = self._ice.agent.remote_credentials
        return RTCIceParameters(credentials.ufrag) if credentials is not None else None

    def _local(self, report: LocalReport, ufrag: str) -> RTCIceCandidate:
        place = self._place()
        return RTCIceCandidate(
            candidate=f"{report.candidate} ufrag {ufrag}",
            sdpMid=place.mid if place is not None else None,
            sdpMLineIndex=place.index if place is not None else None,
            usernameFragment=ufrag,
            url=report.url,
            relayProtocol=report.relay_protocol.value if report.relay_protocol is not None else None,
        )

    def _remote(self, candidate: Candidate, ufrag: str | None) -> RTCIceCandidate:
        place = self._place()  # everything shares one transport
        return RTCIceCandidate(
            candidate=str(candidate),
            sdpMid=place.mid if place is not None else None,
            sdpMLineIndex=place.index if place is not None else None,
            usernameFragment=ufrag,
        )


class RTCDtlsTransport(EventTarget):
    """DTLS. Events: `statechange`, `error` (the exception that ended the handshake)."""

    EVENTS = frozenset({"statechange", "error"})

    def __init__(self, transport: SecureTransport, ice: RTCIceTransport) -> None:
        super().__init__()
        self._transport = transport
        self._ice = ice

    @property
    def iceTransport(self) -> RTCIceTransport:  # noqa: N802
        return self._ice

    @property
    def state(self) -> str:
        return self._transport.state.value

    def getRemoteCertificates(self) -> list[bytes]:  # noqa: N802
        """The peer's certificate in DER; empty before it was proven."""
        security = self._transport.security
        return [security.remote_certificate] if security is not None else []


class RTCSctpTransport(EventTarget):
    """SCTP. Event: `statechange`."""

    EVENTS = frozenset({"statechange"})

    def __init__(self, transport: RTCDtlsTransport, channels: DataChannels) -> None:
        super().__init__()
        self._transport = transport
        self._channels = channels

    @property
    def transport(self) -> RTCDtlsTransport:
        return self._transport

    @property
    def state(self) -> str:
        """`connecting`, `connected` or `closed`."""
        if self._channels.is_over:
            return "closed"
        return "connected" if self._channels.is_established else "connecting"

    @property
    def maxMessageSize(self) -> float:  # noqa: N802
        """How long a message may be, in bytes; infinity where the peer takes any."""
        return self._channels.association.max_message_size or float("inf")

    @property
    def maxChannels(self) -> int | None:  # noqa: N802
        """How many channels there can be, None before the peers are connected."""
        return self._channels.association.streams if self._channels.is_established else None


class Transports:
    """The objects for what the engine has now; new ones when it has another transport or association."""

    def __init__(self, place: CandidatePlace) -> None:
        """`place` says which section candidates belong to."""
        self._place = place
        self.ice: RTCIceTransport | None = None
        self.dtls: RTCDtlsTransport | None = None
        self.sctp: RTCSctpTransport | None = None
        self._of: tuple[SecureTransport | None, DataChannels | None] = (None, None)
        self._sctp_state = ""

    def update(self, transport: SecureTransport | None, channels: DataChannels | None) -> None:
        """Follow the engine."""
        if transport is not self._of[0]:
            self.ice = RTCIceTransport(transport, self._place) if transport is not None else None
            self.dtls = RTCDtlsTransport(transport, self.ice) if transport is not None and self.ice else None
        if (transport, channels) != self._of and self.dtls is not None and channels is not None:
            self.sctp = RTCSctpTransport(self.dtls, channels)
            self._sctp_state = self.sctp.state
        self._of = (transport, channels)

    def tell_ice(self, event: str) -> None:
        """ICE has changed."""
        if self.ice is not None:
            self.ice._emit(event)

    def tell_dtls(self, error: Exception | None) -> None:
        """DTLS has changed."""
        if self.dtls is not None:
            if error is not None:
                self.dtls._emit("error", error, error=error)
            self.dtls._emit("statechange")

    def tell_sctp(self) -> None:
        """SCTP may have changed."""
        if self.sctp is not None and self.sctp.state != self._sctp_state:
            self._sctp_state = self.sctp.state
            self.sctp._emit("statechange")
