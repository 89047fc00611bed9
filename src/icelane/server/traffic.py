"""What has been relayed and lost, summed so that a client or a socket that goes takes nothing away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Traffic:
    """What one client, or many, have relayed. Payload only; `dropped` are packets, for any reason."""

    packets_from_client: int = 0
    bytes_from_client: int = 0
    packets_to_client: int = 0
    bytes_to_client: int = 0
    dropped: int = 0

    def add(self, other: Traffic) -> None:
        """Take in what `other` has counted until now."""
        self.packets_from_client += other.packets_from_client
        self.bytes_from_client += other.bytes_from_client
        self.packets_to_client += other.packets_to_client
        self.bytes_to_client += other.bytes_to_client
        self.dropped += other.dropped


class LossySocket(Protocol):
    """What a UDP socket counts."""

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel had no room for."""
        ...

    @property
    def failed_sends(self) -> int:
        """Datagrams that it refused for any other reason."""
        ...

    @property
    def receive_errors(self) -> int:
        """What the kernel reported while it was read."""
        ...

    @property
    def refused_runs(self) -> int:
        """Runs that were sent once more, datagram by datagram."""
        ...

    def kernel_drops(self) -> int:
        """Datagrams that the kernel had no room for before they were read."""
        ...


@dataclass(slots=True)
class SocketLoss:
    """A sum of what UDP sockets have lost: not read in time, not sent for lack of room, not sent for another reason.

    And of what went wrong without a loss: errors while receiving, and runs that were sent once more, one by one.
    """

    kernel_drops: int = 0
    busy_sends: int = 0
    failed_sends: int = 0
    receive_errors: int = 0
    refused_runs: int = 0

    def add(self, udp: LossySocket) -> None:
        """Take in what `udp` has lost until now."""
        self.kernel_drops += udp.kernel_drops()
        self.busy_sends += udp.dropped
        self.failed_sends += udp.failed_sends
        self.receive_errors += udp.receive_errors
        self.refused_runs += udp.refused_runs
