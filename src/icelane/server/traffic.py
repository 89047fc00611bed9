"""What has been relayed and lost, summed so that a client or a socket that goes takes nothing away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Counted(Protocol):
    """A client, or a sum of clients. Payload only; `dropped` are packets, for any reason."""

    packets_from_client: int
    bytes_from_client: int
    packets_to_client: int
    bytes_to_client: int
    dropped: int


@dataclass(slots=True)
class Traffic:
    """A sum of what clients have counted."""

    packets_from_client: int = 0
    bytes_from_client: int = 0
    packets_to_client: int = 0
    bytes_to_client: int = 0
    dropped: int = 0

    def add(self, counted: Counted) -> None:
        """Take in what `counted` has counted until now."""
        self.packets_from_client += counted.packets_from_client
        self.bytes_from_client += counted.bytes_from_client
        self.packets_to_client += counted.packets_to_client
        self.bytes_to_client += counted.bytes_to_client
        self.dropped += counted.dropped


class LossySocket(Protocol):
    """What a UDP socket counts."""

    dropped: int
    failed_sends: int

    def kernel_drops(self) -> int:
        """Datagrams that the kernel had no room for before they were read."""
        ...


@dataclass(slots=True)
class SocketLoss:
    """A sum of what UDP sockets have lost: not read in time, not sent for lack of room, not sent for another reason."""

    kernel_drops: int = 0
    busy_sends: int = 0
    failed_sends: int = 0

    def add(self, udp: LossySocket) -> None:
        """Take in what `udp` has lost until now."""
        self.kernel_drops += udp.kernel_drops()
        self.busy_sends += udp.dropped
        self.failed_sends += udp.failed_sends
