"""RTCIceTransport, RTCDtlsTransport and RTCSctpTransport: views of one connection (W3C sections 5.5, 5.6 and 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.aio.session_description import RTCIceCandidate
from icelane.datachannel.mux import DataChannels
from icelane.peer.secure_transport import SecureTransport


@dataclass(frozen=True, slots=True)
class RTCIceCandidatePair:
    """The candidates of a path: ours and the peer's."""

    local: RTCIceCandidate
    remote: RTCIceCandidate


class RTCIceTransport:
    """ICE, as it is when it is asked."""

    def __init__(self, transport: SecureTransport) -> None:
        self._ice = transport.ice

    @property
    def role(self) -> str:
        return self._ice.agent.role.value

    @property
    def component(self) -> str:
        return "rtp"  # W3C section 5.6: what there is when everything shares one transport

    @property
    def state(self) -> str:
        return self._ice.agent.state.value

    @property
    def gatheringState(self) -> str:  # noqa: N802
        return self._ice.gathering_state.value

    def getLocalCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """Ours that have been told."""
        return [RTCIceCandidate(candidate=str(candidate)) for candidate in self._ice.local_candidates]

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802
        """The peer's that checks go to."""
        remotes = dict.fromkeys(pair.remote for pair in self._ice.agent.pairs())
        return [RTCIceCandidate(candidate=str(candidate)) for candidate in remotes]

    def getSelectedCandidatePair(self) -> RTCIceCandidatePair | None:  # noqa: N802
        """The path that is in use, None before there is one."""
        selected = self._ice.in_use
        if selected is None:
            return None
        return RTCIceCandidatePair(
            RTCIceCandidate(candidate=str(selected.local)), RTCIceCandidate(candidate=str(selected.remote))
        )


class RTCDtlsTransport:
    """DTLS, as it is when it is asked."""

    def __init__(self, transport: SecureTransport) -> None:
        self._transport = transport

    @property
    def iceTransport(self) -> RTCIceTransport:  # noqa: N802
        return RTCIceTransport(self._transport)

    @property
    def state(self) -> str:
        return self._transport.state.value

    def getRemoteCertificates(self) -> list[bytes]:  # noqa: N802
        """The peer's certificate in DER; empty before it was proven."""
        security = self._transport.security
        return [security.remote_certificate] if security is not None else []


class RTCSctpTransport:
    """SCTP, as it is when it is asked."""

    def __init__(self, transport: SecureTransport, channels: DataChannels) -> None:
        self._transport = transport
        self._channels = channels

    @property
    def transport(self) -> RTCDtlsTransport:
        return RTCDtlsTransport(self._transport)

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
