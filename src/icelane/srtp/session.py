"""One SRTP session: both directions of one transport, under keys that are used for nothing else."""

from __future__ import annotations

from icelane.rtp.packet import RtpPacket
from icelane.srtp.backend import Backend, default_backend
from icelane.srtp.key_derivation import derive_session_keys
from icelane.srtp.profile import profile_of


class SrtpSession:
    """Protects and unprotects the packets of a transport. It knows no time and no addresses, and is for one thread.

    `profile` is a number of DTLS (ProtectionProfile or DTLS's own enumeration). All sources of a direction share its
    keys; each has its own rollover counter and replay window, from its first authentic packet on.
    Raises InvalidAccessError for an unknown profile and for keys of the wrong size.
    """

    def __init__(
        self,
        profile: int,
        *,
        local_key: bytes,
        local_salt: bytes,
        remote_key: bytes,
        remote_salt: bytes,
        backend: Backend | None = None,
    ) -> None:
        self.profile = profile_of(profile)
        self._backend = backend or default_backend()
        self._sender = self._backend.open_sender(self.profile, derive_session_keys(self.profile, local_key, local_salt))
        self._receiver = self._backend.open_receiver(
            self.profile, derive_session_keys(self.profile, remote_key, remote_salt)
        )

    # sending

    def protect(self, rtp: bytes) -> bytes:
        """The SRTP packet of an RTP packet.

        Raises InvalidAccessError for what is no RTP packet, or when there are too many streams, and InvalidStateError
        when a packet of this number was protected already: whoever sends a packet again keeps the protected one.
        """
        return self._sender.protect(rtp)

    def protect_rtcp(self, rtcp: bytes) -> bytes:
        """The SRTCP packet of an RTCP packet, which may be compound. Raises InvalidAccessError for what is none."""
        return self._sender.protect_rtcp(rtcp)

    def protect_batch(self, packets: list[bytes]) -> list[bytes]:
        """The protected form of each packet, RTP or RTCP, told apart as RFC 5761 has it.

        Raises as `protect` does for the first one that cannot be protected; those before it are lost.
        """
        return self._sender.protect_batch(packets)

    def protect_packets(self, packets: list[RtpPacket]) -> list[bytes]:
        """The SRTP packet of each RTP packet, from its fields to its tag in one go.

        Raises as `protect` and `serialize` do for the first one that cannot be protected; those before it are lost.
        """
        return self._sender.protect_packets(packets)

    # receiving

    def unprotect(self, srtp: bytes) -> bytes:
        """The RTP packet of an SRTP packet.

        Raises MalformedError, AuthenticationError, or ReplayError when it came already or is 1,024 packets behind the
        newest one of its source. Nothing but the counters changes then.
        """
        return self._receiver.unprotect(srtp)

    def unprotect_rtcp(self, srtcp: bytes) -> bytes:
        """The RTCP packet of an SRTCP packet. Raises as `unprotect` does; what is not encrypted is not authentic."""
        return self._receiver.unprotect_rtcp(srtcp)

    def unprotect_batch(self, packets: list[bytes]) -> list[bytes | None]:
        """What each packet was, RTP or RTCP, told apart as RFC 5761 has it; None for those that are refused."""
        return self._receiver.unprotect_batch(packets)

    def unprotect_packets(self, packets: list[bytes]) -> tuple[list[RtpPacket], list[bytes], int]:
        """RTP packets, and those of RTCP in the clear, each in their order; what is refused is left out and counted.

        The number is that of RTP packets that were authentic and cannot be parsed. Nothing is parsed before it is
        authentic.
        """
        return self._receiver.unprotect_packets(packets)

    # what is known

    @property
    def auth_failures(self) -> int:
        """Packets that were not the peer's, or not as the peer sent them."""
        return self._receiver.auth_failures

    @property
    def replays(self) -> int:
        """Packets that came already, or were too old to know."""
        return self._receiver.replays

    @property
    def malformed(self) -> int:
        """What is no SRTP or SRTCP packet."""
        return self._receiver.malformed

    @property
    def stream_count(self) -> int:
        """Sources of the peer's whose RTP is told apart, at most MAX_REMOTE_STREAMS."""
        return self._receiver.stream_count

    @property
    def backend(self) -> str:
        """The name of what does the work: `native` or `python`."""
        return self._backend.name
