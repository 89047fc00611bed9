"""Whom a TURN client may talk to: its permissions and channels, and when each is renewed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from icelane.core.clock import Instant, TimerTable, later
from icelane.core.net import SocketAddress
from icelane.errors import LocalProtocolError
from icelane.turn.channel_data import MAX_CHANNEL_NUMBER, MIN_CHANNEL_NUMBER

# Our own caller grows these, so one more raises LocalProtocolError. Servers hold about as many for one client.
MAX_PERMISSIONS: Final = 1024
MAX_CHANNELS: Final = 1024
# So that a CreatePermission request for IPv6 peers fits into any path's MTU.
MAX_HOSTS_PER_REQUEST: Final = 16

# RFC 8656 sections 9 and 12. The permission that a ChannelBind installs lives no longer than any other, so channels are
# renewed as often as permissions.
PERMISSION_LIFETIME: Final = 300.0
CHANNEL_LIFETIME: Final = 600.0
RENEWAL_INTERVAL: Final = 240.0
# Permissions that are due within this time are renewed together.
RENEWAL_BATCH: Final = 30.0
# After a failure that may pass, a renewal is tried again this much later, until what it renews has expired.
RETRY_DELAY: Final = 5.0

_LONG_AGO: Final = Instant(0.0)


@dataclass(slots=True)
class _Permission:
    granted: bool = False
    expires_at: Instant = _LONG_AGO


@dataclass(slots=True)
class Channel:
    """`number` belongs to `peer`; the server knows it once `bound`."""

    number: int
    peer: SocketAddress
    bound: bool = False
    expires_at: Instant = _LONG_AGO


class _Renewal(NamedTuple):
    """Of the permission for `host`, or of the channel with `number`."""

    host: str = ""
    number: int = 0


class PeerTable:
    """Permissions by host and channels by number and peer. Decides nothing about requests."""

    def __init__(self) -> None:
        self.channels_by_number: dict[int, Channel] = {}
        self.channels_by_peer: dict[SocketAddress, Channel] = {}
        self._permissions_by_host: dict[str, _Permission] = {}
        self._channel_count_by_host: Counter[str] = Counter()
        # Numbers are never used again: RFC 8656 section 12 forbids another peer until five minutes after expiry.
        self._next_number = MIN_CHANNEL_NUMBER
        self._renewals: TimerTable[_Renewal] = TimerTable()

    def __len__(self) -> int:
        return len(self._permissions_by_host) + len(self.channels_by_number)

    def permits(self, host: str) -> bool:
        """Whether a permission for `host`, or a channel to it, was asked for and has not been refused."""
        return host in self._permissions_by_host or host in self._channel_count_by_host

    def next_renewal(self) -> Instant | None:
        """When something is to be renewed, or None."""
        return self._renewals.next()

    def pop_due(self, now: Instant) -> tuple[str, ...] | Channel | None:
        """A channel to renew, or hosts to renew together, at most MAX_HOSTS_PER_REQUEST; None when nothing is due."""
        due = self._renewals.pop_due(now)
        if due is None:
            return None
        if due.number:
            return self.channels_by_number[due.number]
        hosts = [due.host]
        for host in self._permissions_by_host:
            deadline = self._renewals.deadline(_Renewal(host=host))
            if len(hosts) < MAX_HOSTS_PER_REQUEST and deadline is not None and deadline <= later(now, RENEWAL_BATCH):
                self._renewals.cancel(_Renewal(host=host))
                hosts.append(host)
        return tuple(hosts)

    def clear(self) -> None:
        """Forget everything but which channel numbers were used."""
        self.channels_by_number.clear()
        self.channels_by_peer.clear()
        self._permissions_by_host.clear()
        self._channel_count_by_host.clear()
        self._renewals.clear()

    # Permissions

    def want_hosts(self, hosts: tuple[str, ...]) -> None:
        """Let data from `hosts` in while the server is asked. Raises LocalProtocolError at MAX_PERMISSIONS."""
        missing = [host for host in hosts if host not in self._permissions_by_host]
        if len(self._permissions_by_host) + len(missing) > MAX_PERMISSIONS:
            raise LocalProtocolError(f"an allocation has at most {MAX_PERMISSIONS} permissions")
        for host in missing:
            self._permissions_by_host[host] = _Permission()

    def grant_hosts(self, hosts: tuple[str, ...], now: Instant) -> None:
        """The server granted all of them, for PERMISSION_LIFETIME from now."""
        for host in hosts:
            permission = self._permissions_by_host.setdefault(host, _Permission())
            permission.granted = True
            permission.expires_at = later(now, PERMISSION_LIFETIME)
            self._renewals.set(_Renewal(host=host), later(now, RENEWAL_INTERVAL))

    def has_granted(self, host: str) -> bool:
        """Whether the server has granted the permission for `host`."""
        permission = self._permissions_by_host.get(host)
        return permission is not None and permission.granted

    def postpone_hosts(self, hosts: tuple[str, ...], now: Instant) -> tuple[str, ...]:
        """Try those again later that live long enough; returns the rest."""
        retry_at = later(now, RETRY_DELAY)
        rest = []
        for host in hosts:
            permission = self._permissions_by_host.get(host)
            if permission is not None and permission.granted and permission.expires_at > retry_at:
                self._renewals.set(_Renewal(host=host), retry_at)
            else:
                rest.append(host)
        return tuple(rest)

    def drop_hosts(self, hosts: tuple[str, ...]) -> None:
        """The server refused: data from them is not let in any more."""
        for host in hosts:
            self._permissions_by_host.pop(host, None)
            self._renewals.cancel(_Renewal(host=host))

    # Channels

    def add_channel(self, peer: SocketAddress) -> Channel:
        """A new channel, not bound yet. Raises LocalProtocolError at MAX_CHANNELS and when the numbers are used up."""
        if len(self.channels_by_number) == MAX_CHANNELS or self._next_number > MAX_CHANNEL_NUMBER:
            raise LocalProtocolError(f"an allocation has at most {MAX_CHANNELS} channels")
        channel = Channel(self._next_number, peer)
        self._next_number += 1
        self.channels_by_number[channel.number] = self.channels_by_peer[peer] = channel
        self._channel_count_by_host[peer.host] += 1
        return channel

    def bind_channel(self, channel: Channel, now: Instant) -> None:
        """The server bound it, for CHANNEL_LIFETIME from now."""
        channel.bound = True
        channel.expires_at = later(now, CHANNEL_LIFETIME)
        self._renewals.set(_Renewal(number=channel.number), later(now, RENEWAL_INTERVAL))

    def postpone_channel(self, channel: Channel, now: Instant) -> bool:
        """Try again later; False when it does not live long enough."""
        retry_at = later(now, RETRY_DELAY)
        if not channel.bound or channel.expires_at <= retry_at:
            return False
        self._renewals.set(_Renewal(number=channel.number), retry_at)
        return True

    def drop_channel(self, channel: Channel) -> None:
        """The server refused it."""
        del self.channels_by_number[channel.number]
        del self.channels_by_peer[channel.peer]
        self._renewals.cancel(_Renewal(number=channel.number))
        self._channel_count_by_host[channel.peer.host] -= 1
        if not self._channel_count_by_host[channel.peer.host]:
            del self._channel_count_by_host[channel.peer.host]
