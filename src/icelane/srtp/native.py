"""The native backend: `libcrypto` does everything about a packet."""

from __future__ import annotations

from icelane.srtp import libcrypto
from icelane.srtp.key_derivation import SessionKeys
from icelane.srtp.profile import ProtectionProfile


class NativeBackend:
    """The system's OpenSSL. Raises NotSupportedError when it is not here."""

    name = "native"

    def __init__(self) -> None:
        self.version = libcrypto.load()

    def open_sender(self, profile: ProtectionProfile, keys: SessionKeys) -> libcrypto.Sender:
        """See Backend."""
        return libcrypto.Sender(
            (keys.rtp.encryption, keys.rtp.authentication, keys.rtp.salt),
            (keys.rtcp.encryption, keys.rtcp.authentication, keys.rtcp.salt),
            aead=profile.is_aead,
        )

    def open_receiver(self, profile: ProtectionProfile, keys: SessionKeys) -> libcrypto.Receiver:
        """See Backend."""
        return libcrypto.Receiver(
            (keys.rtp.encryption, keys.rtp.authentication, keys.rtp.salt),
            (keys.rtcp.encryption, keys.rtcp.authentication, keys.rtcp.salt),
            aead=profile.is_aead,
        )
