"""Whom a TURN client may talk to: its permissions and channels, and when each is renewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
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
    renewed: bool = True  # otherwise it is forgotten when it expires
    expires_at: Instant = _LONG_AGO


@dataclass(slots=True)
class Channel:
    """`number` belongs to `peer`; the server knows it once `bound`. One that is not `renewed` runs out."""

    number: int
    peer: SocketAddress
    bound: bool = False
    renewed: bool = True
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
        # But for the same peer, to whom the server may still have bound it. There are no more of them than numbers.
        self._numbers_by_peer: dict[SocketAddress, int] = {}
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
        while (due := self._renewals.pop_due(now)) is not None:
            if due.number:
                channel = self.channels_by_number[due.number]
                if channel.renewed:
                    return channel
                self._numbers_by_peer[channel.peer] = channel.number
                self.drop_channel(channel)
            elif self._permissions_by_host[due.host].renewed:
                return self._due_together(due.host, now)
            else:
                self.drop_hosts((due.host,))
        return None

    def _due_together(self, first: str, now: Instant) -> tuple[str, ...]:
        hosts = [first]
        for host, permission in self._permissions_by_host.items():
            if not permission.renewed:
                continue
            deadline = self._renewals.deadline(_Renewal(host=host))
            if len(hosts) < MAX_HOSTS_PER_REQUEST and deadline is not None and deadline <= later(now, RENEWAL_BATCH):
                self._renewals.cancel(_Renewal(host=host))
                hosts.append(host)
        return tuple(hosts)

    def keep(self, peers: Collection[SocketAddress]) -> None:
        """Renew what is for others no more: it is there until the server has let it run out.

        So long the server sends on a channel what comes from its peer, which is nobody's without the number.
        """
        hosts = {peer.host for peer in peers}
        for host, permission in self._permissions_by_host.items():
            if host not in hosts and permission.renewed:
                permission.renewed = False
                if permission.granted:
                    self._renewals.set(_Renewal(host=host), permission.expires_at)
        for channel in self.channels_by_number.values():
            if channel.peer not in peers and channel.renewed:
                channel.renewed = False
                self._discount(channel.peer.host)  # the permission that it installed ends before it
                if channel.bound:
                    self._renewals.set(_Renewal(number=channel.number), channel.expires_at)

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
        for host in hosts:
            self._permissions_by_host.setdefault(host, _Permission()).renewed = True

    def grant_hosts(self, hosts: tuple[str, ...], now: Instant) -> None:
        """The server granted all of them, for PERMISSION_LIFETIME from now."""
        for host in hosts:
            permission = self._permissions_by_host.setdefault(host, _Permission())
            permission.granted = True
            permission.expires_at = later(now, PERMISSION_LIFETIME)
            renew_at = later(now, RENEWAL_INTERVAL) if permission.renewed else permission.expires_at
            self._renewals.set(_Renewal(host=host), renew_at)

    def has_granted(self, host: str) -> bool:
        """Whether the server has granted the permission for `host`."""
        permission = self._permissions_by_host.get(host)
        return permission is not None and permission.granted

    def renewed(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Those of which we still want the permission."""
        return tuple(host for host in hosts if (known := self._permissions_by_host.get(host)) is None or known.renewed)

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
        channel = Channel(self._numbers_by_peer.pop(peer, self._next_number), peer)
        if channel.number == self._next_number:
            self._next_number += 1
        self.channels_by_number[channel.number] = self.channels_by_peer[peer] = channel
        self._channel_count_by_host[peer.host] += 1
        return channel

    def want_channel(self, channel: Channel) -> None:
        """Renew it again, from when the server is asked once more."""
        channel.renewed = True
        self._channel_count_by_host[channel.peer.host] += 1

    def bind_channel(self, channel: Channel, now: Instant) -> None:
        """The server bound it, for CHANNEL_LIFETIME from now."""
        channel.bound = True
        channel.expires_at = later(now, CHANNEL_LIFETIME)
        renew_at = later(now, RENEWAL_INTERVAL) if channel.renewed else channel.expires_at
        self._renewals.set(_Renewal(number=channel.number), renew_at)

    def postpone_channel(self, channel: Channel, now: Instant) -> bool:
        """Try again later; False when it does not live long enough."""
        retry_at = later(now, RETRY_DELAY)
        if not channel.bound or channel.expires_at <= retry_at:
            return False
        if not channel.renewed:
            return True
        self._renewals.set(_Renewal(number=channel.number), retry_at)
        return True

    def drop_channel(self, channel: Channel) -> None:
        """The server refused it."""
        del self.channels_by_number[channel.number]
        del self.channels_by_peer[channel.peer]
        self._renewals.cancel(_Renewal(number=channel.number))
        if channel.renewed:
            self._discount(channel.peer.host)

    def _discount(self, host: str) -> None:
        self._channel_count_by_host[host] -= 1
        if not self._channel_count_by_host[host]:
            del self._channel_count_by_host[host]
