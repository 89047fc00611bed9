"""RTCConfiguration and RTCIceServer, as aiortc has them: policies are enumerations."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from icelane.aio import configuration as native


@dataclass
class RTCIceServer:
    """One STUN or TURN server, by one URL or several."""

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None
    credentialType: str = "password"  # noqa: N815  (W3C name)


class RTCBundlePolicy(enum.Enum):
    """There is one transport for everything with each of them."""

    BALANCED = "balanced"
    MAX_COMPAT = "max-compat"
    MAX_BUNDLE = "max-bundle"


class RTCIceTransportPolicy(enum.Enum):
    """Which candidates are used."""

    ALL = "all"
    RELAY = "relay"


@dataclass
class RTCConfiguration:
    """What a connection may be told. `iceServers=None` means DEFAULT_ICE_SERVERS, an empty list none.

    `alwaysNegotiateDataChannels` has no effect: a section for channels is there when a channel is.
    """

    iceServers: list[RTCIceServer] | None = None  # noqa: N815  (W3C names)
    iceTransportPolicy: RTCIceTransportPolicy = RTCIceTransportPolicy.ALL  # noqa: N815
    bundlePolicy: RTCBundlePolicy = RTCBundlePolicy.BALANCED  # noqa: N815
    alwaysNegotiateDataChannels: bool = False  # noqa: N815


def native_configuration(
    configuration: RTCConfiguration | None, default_servers: Sequence[RTCIceServer]
) -> native.RTCConfiguration:
    """The same, as icelane takes it."""
    given = configuration if configuration is not None else RTCConfiguration()
    servers = default_servers if given.iceServers is None else given.iceServers
    return native.RTCConfiguration(
        iceServers=[
            native.RTCIceServer(
                urls=server.urls,
                username=server.username,
                credential=server.credential,
                credentialType=server.credentialType,
            )
            for server in servers
        ],
        iceTransportPolicy=RTCIceTransportPolicy(given.iceTransportPolicy).value,
        bundlePolicy=RTCBundlePolicy(given.bundlePolicy).value,
    )
