"""What an association is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from icelane.errors import InvalidAccessError
from icelane.sctp.congestion import CongestionController
from icelane.sctp.congestion.model import ModelController

# The smallest packet that every field of our own chunks fits into, with room for payload.
MIN_PACKET: Final = 256
MAX_PACKET: Final = 16_384  # what a DTLS record holds


@dataclass(frozen=True, kw_only=True)
class SctpOptions:
    """The parameters of one end. Raises InvalidAccessError for what contradicts itself."""

    local_port: int = 5000  # what RFC 8841 makes customary; nothing else shares the DTLS connection
    remote_port: int = 5000
    # What we take, as `a=max-message-size` tells the peer: 256 KiB, like browsers.
    max_message_size: int = 262_144
    # Bytes that may wait for the application or for a gap to be filled, with 128 more for each message and each piece
    # of one: 4 MiB is 640 Mbit/s at 50 ms.
    receive_window: int = 4 * 1024 * 1024
    # Bytes that may wait to be sent, over all streams; one message more is OperationError.
    send_buffer: int = 16 * 1024 * 1024
    # The largest packet: 1,200 bytes of UDP payload (RFC 8261 section 5) less 37 of a DTLS 1.2 record with AES-GCM.
    path_mtu: int = 1160
    streams: int = 65_535  # RFC 8831 section 6.2
    zero_checksum: bool = True  # RFC 9653: DTLS protects every packet better than CRC32c
    # Unanswered retransmissions in a row after which the peer is given up; None leaves that to the consent of ICE.
    max_retransmissions: int | None = None
    congestion: Callable[[int], CongestionController] = field(default=ModelController)  # called with the path MTU

    def __post_init__(self) -> None:
        if not MIN_PACKET <= self.path_mtu <= MAX_PACKET or self.path_mtu % 4:
            raise InvalidAccessError(f"path_mtu is a multiple of 4 from {MIN_PACKET} to {MAX_PACKET}")
        if not 1 <= self.streams <= 65_535:
            raise InvalidAccessError("streams is 1 to 65535")
        if not 1 <= self.max_message_size <= self.receive_window // 2:
            # A message that fills the window to the last byte could never be completed.
            raise InvalidAccessError("max_message_size is at most half of receive_window")
        if not self.max_message_size <= self.receive_window <= 0x7FFFFFFF:
            raise InvalidAccessError("receive_window is at most 2 GiB")
