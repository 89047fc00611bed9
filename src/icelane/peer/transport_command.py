"""What the descriptions decide for the transports: parameters, roles, and what to do when a description was set.

There is one transport for everything (max-bundle), so no command names one.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final

from icelane.core.entropy import Entropy
from icelane.dtls.options import DtlsRole
from icelane.ice.event import IceRole
from icelane.peer.media_event import NegotiatedMediaEvent

# RFC 8839 section 5.4 asks for 24 bits in the ufrag and 128 in the password; base64 makes 8 and 24 characters of these.
_UFRAG_BYTES: Final = 6
_PASSWORD_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class IceParameters:
    """Credentials of one ICE generation; a restart makes others. The password is not in `repr`."""

    ufrag: str
    password: str = field(repr=False)


def fresh_ice_parameters(entropy: Entropy) -> IceParameters:
    """Credentials that nobody can guess."""
    # The alphabet of base64 is just that of ice-char (RFC 8839 section 5.4).
    ufrag = base64.b64encode(entropy.token(_UFRAG_BYTES)).decode()
    return IceParameters(ufrag, base64.b64encode(entropy.token(_PASSWORD_BYTES)).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTransport:
    """What the peer's description says about its end of the transport.

    `fingerprints` are pairs of algorithm and hash, as `icelane.dtls` takes them. `candidates` are texts without `a=`,
    those of earlier `add_remote_candidate` calls included. `ice_options` holds words such as `trickle`.
    """

    ice: IceParameters
    fingerprints: tuple[tuple[str, bytes], ...]
    is_lite: bool = False
    ice_options: frozenset[str] = frozenset()
    tls_id: str | None = None
    candidates: tuple[str, ...] = ()
    end_of_candidates: bool = False


@dataclass(frozen=True, slots=True)
class SectionPlace:
    """Which m-line, for a candidate: RTCIceCandidate's `sdpMid` and `sdpMLineIndex`."""

    mid: str | None
    index: int


@dataclass(frozen=True, slots=True)
class StartGathering:
    """Make a transport with these credentials and gather. `role` may still change, when the peer is lite."""

    local: IceParameters
    role: IceRole


@dataclass(frozen=True, slots=True)
class RestartIce:
    """Gather again with these credentials; the pair in use serves until the restart has a better one."""

    local: IceParameters


@dataclass(frozen=True, slots=True)
class SetRemoteTransport:
    """What the peer wrote, when an answer makes it count. Candidates that are known already may be among them.

    `is_restart`: the credentials are not those of before. `role` is ours from now on.
    """

    remote: RemoteTransport
    role: IceRole
    is_restart: bool


@dataclass(frozen=True, slots=True)
class DtlsRoleDecided:
    """Start DTLS as soon as ICE has a pair, with whoever has one of these fingerprints."""

    role: DtlsRole
    fingerprints: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class NewDtlsAssociation:
    """End the DTLS association and everything above it, and begin another (RFC 8842 section 4)."""

    role: DtlsRole
    fingerprints: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class DataChannelsNegotiated:
    """The peer's SCTP port, and how many bytes a message to it may have; 0 means any number (RFC 8841 section 6)."""

    remote_port: int
    max_message_size: int


@dataclass(frozen=True, slots=True)
class DataChannelsRejected:
    """There is no section for data, or none any more: channels end.

    The transport ends with them, unless `keeps_transport` says that there is media on it.
    """

    keeps_transport: bool = False


@dataclass(frozen=True, slots=True)
class MediaNegotiated:
    """An answer was set: what transceivers may send and receive may be something else."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Our offer was taken back: forget what was gathered for `discarded`, and go on with `restored`.

    `restored` is None when there was no transport before: then it goes altogether. When both are the same, nothing
    changes for the transport.
    """

    discarded: IceParameters
    restored: IceParameters | None


TransportCommand = (
    StartGathering
    | RestartIce
    | SetRemoteTransport
    | DtlsRoleDecided
    | NewDtlsAssociation
    | DataChannelsNegotiated
    | DataChannelsRejected
    | MediaNegotiated
    | RolledBack
)


@dataclass(frozen=True, slots=True)
class LocalApplied:
    """A local description is set. `commands` are to be carried out in this order.

    `negotiation_is_needed`: fire `negotiationneeded` (W3C section 4.4.1.5, where the state became stable). `media` is
    what is to be told of tracks before it.
    """

    commands: tuple[TransportCommand, ...] = ()
    negotiation_is_needed: bool = False
    media: tuple[NegotiatedMediaEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteApplied:
    """A remote description is set; like LocalApplied."""

    commands: tuple[TransportCommand, ...] = ()
    negotiation_is_needed: bool = False
    media: tuple[NegotiatedMediaEvent, ...] = ()
