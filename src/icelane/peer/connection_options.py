"""What can be set about a peer connection and about a channel."""

from __future__ import annotations

from dataclasses import dataclass, field

from icelane.dtls.options import DtlsOptions
from icelane.ice.options import IceOptions
from icelane.peer.external_addresses import ExternalAddresses
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.negotiation import BundlePolicy
from icelane.sctp.options import SctpOptions


@dataclass(frozen=True, kw_only=True)
class PeerOptions:
    """What can be set about a peer connection. `strict` is relay-only for the peer's candidates as well as ours.

    Without `media` all audio and video is rejected.
    """

    relay_only: bool = False
    strict: bool = False
    external: ExternalAddresses = field(default_factory=ExternalAddresses)
    hide_addresses: bool = False
    bundle_policy: BundlePolicy = "balanced"
    ice: IceOptions = field(default_factory=IceOptions)
    dtls: DtlsOptions = field(default_factory=DtlsOptions)
    sctp: SctpOptions = field(default_factory=SctpOptions)
    media: MediaCapabilities | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelOptions:
    """What `createDataChannel` takes (W3C RTCDataChannelInit); `max_packet_life_time` is in milliseconds."""

    label: str
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_packet_life_time: int | None = None
    negotiated: bool = False
    stream_id: int | None = None
