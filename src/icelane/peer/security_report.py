"""How a connection is protected, for people and programs: `str()` of it is a table.

    protocol              DTLSv1.2
    cipher suite          TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    SRTP profile          none
    our fingerprint       sha-256 6B:0C:...
    peer's fingerprint    sha-256 1F:E2:...
    path                  relayed by turns:turn.example.org, 192.0.2.1:4321 <-> 198.51.100.7:6000

A lock in a window proves little; two people who compare the fingerprints aloud, or the shorter
`security_code()` that is made of both, know that nobody is between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icelane.core.net import Path, Transport
from icelane.peer.security_code import security_code

if TYPE_CHECKING:
    from icelane.peer.connection import PeerConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityReport:
    """None stands for what is not negotiated yet. Fingerprints are as SDP writes them, in upper case."""

    protocol: str | None
    cipher_suite: str | None
    srtp_profile: str | None
    local_fingerprint: str
    remote_fingerprint: str | None
    local_candidate_type: str | None
    remote_candidate_type: str | None
    selected_pair: str | None
    relay_url: str | None

    @classmethod
    def of(cls, connection: PeerConnection) -> SecurityReport:
        """What holds now."""
        transport = connection.transport
        security = transport.security if transport is not None else None
        selected = transport.ice.in_use if transport is not None else None
        relay = transport.ice.relay_of(selected.path.local) if transport is not None and selected is not None else None
        return cls(
            protocol=security.protocol if security else None,
            cipher_suite=security.cipher_suite if security else None,
            srtp_profile=security.srtp_profile.iana_name if security and security.srtp_profile is not None else None,
            local_fingerprint=format_fingerprint("sha-256", connection.certificate.fingerprint("sha-256")),
            remote_fingerprint=format_fingerprint("sha-256", security.remote_fingerprint) if security else None,
            local_candidate_type=selected.local.type.value if selected else None,
            remote_candidate_type=selected.remote.type.value if selected else None,
            selected_pair=(
                _describe(selected.path._replace(local=transport.ice.shown_base(selected.path.local)))
                if transport is not None and selected is not None
                else None
            ),
            relay_url=relay.url if relay else None,
        )

    def __str__(self) -> str:
        return "\n".join(f"{name:20}  {value}" for name, value in self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """The table, as pairs of a name and what holds."""
        known = (
            ("protocol", self.protocol),
            ("cipher suite", self.cipher_suite),
            ("SRTP profile", self.srtp_profile or "none"),
            ("our fingerprint", self.local_fingerprint),
            ("peer's fingerprint", self.remote_fingerprint),
            ("path", self._path()),
        )
        return [(name, value or "not connected") for name, value in known]

    def security_code(self) -> str | None:
        """Digits that the peer has as well if nobody is between the two: see `icelane.security_code`."""
        return (
            None if self.remote_fingerprint is None else security_code(self.local_fingerprint, self.remote_fingerprint)
        )

    def as_json(self) -> dict[str, str | None]:
        """For programs, in camelCase."""
        return {
            "protocol": self.protocol,
            "cipherSuite": self.cipher_suite,
            "srtpProfile": self.srtp_profile,
            "localFingerprint": self.local_fingerprint,
            "remoteFingerprint": self.remote_fingerprint,
            "localCandidateType": self.local_candidate_type,
            "remoteCandidateType": self.remote_candidate_type,
            "selectedPair": self.selected_pair,
            "relayUrl": self.relay_url,
        }

    def _path(self) -> str | None:
        if self.selected_pair is None:
            return None
        how = f"relayed by {self.relay_url}" if self.relay_url else f"{self.local_candidate_type}"
        return f"{how} to {self.remote_candidate_type}, {self.selected_pair}"


def _describe(path: Path) -> str:
    """UDP, the usual one, goes without saying."""
    ends = f"{path.local} <-> {path.remote}"
    return f"tcp {ends}" if path.transport is Transport.TCP else ends


def format_fingerprint(algorithm: str, value: bytes) -> str:
    """As SDP writes it (RFC 8122 section 5)."""
    return f"{algorithm} {value.hex(':').upper()}"
