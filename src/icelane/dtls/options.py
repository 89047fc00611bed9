"""What a DTLS connection offers and accepts: roles, cipher suites, groups, SRTP profiles, sizes and times."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration
from icelane.errors import InvalidAccessError


class DtlsRole(enum.Enum):
    """Who sends the ClientHello (RFC 8842 section 5): the `active` end of the session description is the client."""

    CLIENT = "client"
    SERVER = "server"


class SrtpProfile(enum.IntEnum):
    """The SRTP protection profiles that are known here (RFC 5764 section 4.1.2, RFC 7714 section 14.2)."""

    AES128_CM_HMAC_SHA1_80 = 0x0001
    AEAD_AES_128_GCM = 0x0007
    AEAD_AES_256_GCM = 0x0008

    @property
    def iana_name(self) -> str:
        """As the registry of IANA and other programs write it: `SRTP_AES128_CM_HMAC_SHA1_80`."""
        return f"SRTP_{self.name}"

    @property
    def key_size(self) -> int:
        """Bytes of one master key."""
        return 32 if self is SrtpProfile.AEAD_AES_256_GCM else 16

    @property
    def salt_size(self) -> int:
        """Bytes of one master salt."""
        return 14 if self is SrtpProfile.AES128_CM_HMAC_SHA1_80 else 12


# In the order of preference, by OpenSSL's names, with those of IANA. Every one is forward-secret; AES-128 comes first
# because it is the cheapest for what RFC 8827 section 6.5 asks, P-256's equal in strength.
AEAD_SUITES: Final = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
# Only with `legacy_peers`: devices that know no AEAD suite.
CBC_SUITES: Final = {
    "ECDHE-ECDSA-AES128-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
}
SUITE_NAMES: Final = {**AEAD_SUITES, **CBC_SUITES}
GROUPS: Final = "X25519:P-256:P-384"
# Set here, so that the policy of the machine neither strengthens nor weakens it: 112 bits, RSA from 2048 bits.
SECURITY_LEVEL: Final = "@SECLEVEL=2"

SRTP_NAMES: Final = {
    SrtpProfile.AES128_CM_HMAC_SHA1_80: "SRTP_AES128_CM_SHA1_80",
    SrtpProfile.AEAD_AES_128_GCM: "SRTP_AEAD_AES_128_GCM",
    SrtpProfile.AEAD_AES_256_GCM: "SRTP_AEAD_AES_256_GCM",
}
"""OpenSSL's names."""

# OpenSSL asks for 228 bytes at least; below this a handshake has more headers than content.
MIN_MTU: Final = 256
MAX_MTU: Final = 16_384


@dataclass(frozen=True, kw_only=True)
class DtlsOptions:
    """What an endpoint is willing to do.

    `srtp_profiles` is the order of preference: AEAD before the one that everybody must know (RFC 8827 section 6.5);
    empty where there is no media. With `srtp_required` a peer with whom no profile is agreed on is refused; otherwise
    the connection has no keys for SRTP. `legacy_peers` adds the CBC suites behind the others. `mtu` is the largest UDP
    payload of a handshake, 1200 because it passes through any tunnel over IPv6. The handshake has `handshake_timeout`
    seconds from `start`: longer than any peer takes that will ever answer.
    """

    srtp_profiles: tuple[SrtpProfile, ...] = (
        SrtpProfile.AEAD_AES_128_GCM,
        SrtpProfile.AEAD_AES_256_GCM,
        SrtpProfile.AES128_CM_HMAC_SHA1_80,
    )
    srtp_required: bool = False
    legacy_peers: bool = False
    mtu: int = 1200
    handshake_timeout: Duration = 30.0

    def __post_init__(self) -> None:
        if not MIN_MTU <= self.mtu <= MAX_MTU:
            raise InvalidAccessError(f"mtu is {MIN_MTU} to {MAX_MTU} bytes, not {self.mtu}")
        if not 0 < self.handshake_timeout < float("inf"):
            raise InvalidAccessError("handshake_timeout is a positive number of seconds")
        if self.srtp_required and not self.srtp_profiles:
            raise InvalidAccessError("srtp_required needs srtp_profiles")

    @property
    def suite_list(self) -> str:
        """The cipher suites as OpenSSL reads them, in the order of preference."""
        suites = [*AEAD_SUITES, *(CBC_SUITES if self.legacy_peers else ())]
        return ":".join([*suites, SECURITY_LEVEL])

    @property
    def srtp_list(self) -> str:
        """The SRTP profiles as OpenSSL reads them, in the order of preference; empty when there are none."""
        return ":".join(SRTP_NAMES[profile] for profile in self.srtp_profiles)
