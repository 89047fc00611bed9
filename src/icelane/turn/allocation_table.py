"""The live allocations, and the one clock that ends them and what belongs to them.

Every change of a permission or channel becomes a command to the plane here, and nowhere else; so what the plane relays
by is always what this table holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.core.garbage import untracked
from icelane.core.net import AddressFamily, Path, SocketAddress
from icelane.turn.allocation import Allocation, Channel, EndReason, Permission, Relay
from icelane.turn.allocation_alarms import AllocationAlarms
from icelane.turn.credentials import Credential
from icelane.turn.peer_policy import PeerPolicy, Verdict
from icelane.turn.routes import (
    AssignRelayPort,
    Command,
    InstallChannelRoute,
    InstallPermissionRoute,
    RemoveChannelRoute,
    RemovePermissionRoute,
)

E = TypeVar("E", Permission, Channel)

CredentialEnd = Callable[[Credential, Instant], Instant | None]
"""When a credential's end ends its allocation; None for never."""


class AllocationTable:
    """Allocations by client. `release` takes back a relayed address, `on_end` hears of every allocation's end."""

    def __init__(
        self,
        *,
        permission_lifetime: Duration,
        channel_lifetime: Duration,
        credential_end: CredentialEnd,
        commands: deque[Command],
        release: Callable[[SocketAddress], None],
        on_end: Callable[[Allocation, EndReason], None],
    ) -> None:
        self._permission_lifetime = permission_lifetime
        self._channel_lifetime = channel_lifetime
        self._credential_end = credential_end
        self._commands = commands
        self._release = release
        self._on_end = on_end
        self._allocations_by_client: dict[Path, Allocation] = {}
        self._alarms = AllocationAlarms()

    def __len__(self) -> int:
        return len(self._allocations_by_client)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self._allocations_by_client.values())

    def get(self, client: Path) -> Allocation | None:
        """The allocation of a client, or None."""
        return self._allocations_by_client.get(client)

    def authorised(self, client: Path, now: Instant) -> Allocation | None:
        """The allocation of a client, or None; one whose credential has ended is ended now.

        Its timer does that too, but the calendar may have been set ahead since it was armed.
        """
        allocation = self._allocations_by_client.get(client)
        if allocation is None or self._watch_credential(allocation, now):
            return allocation
        self.end(client, EndReason.CREDENTIAL_EXPIRED)
        return None

    @property
    def timers(self) -> int:
        """How many deadlines there are, but for those of credentials; visits every allocation."""
        return sum(
            len(one.relays) + len(one.permissions_by_host) + len(one.channels_by_number)
            for one in self._allocations_by_client.values()
        )

    # Inputs

    def handle_timeout(self, now: Instant) -> None:
        """Expire what is due."""
        while (allocation := self._alarms.pop_due(now)) is not None:
            self._expire(allocation, now)

    # Commands

    def add(self, allocation: Allocation, relays: Iterable[Relay], lifetime: Duration, now: Instant) -> None:
        """A client has got its relayed addresses."""
        self._allocations_by_client[allocation.client] = allocation
        for relay in relays:
            allocation.relays[relay.local.family] = relay
            self._commands.append(AssignRelayPort(relay.local, allocation.client, allocation.credential.user_key))
            self._set_expiry(allocation, relay, later(now, lifetime))
        self._watch_credential(allocation, now)

    def refresh(self, allocation: Allocation, relays: Iterable[Relay], lifetime: Duration, now: Instant) -> None:
        """Give these relayed addresses a new lifetime, or with 0 end them."""
        for relay in list(relays):
            if lifetime:
                self._set_expiry(allocation, relay, later(now, lifetime))
            else:
                self._end_relay(allocation, relay.local.family, EndReason.REFRESHED_TO_ZERO)

    def permit(self, allocation: Allocation, peer_host: str, relay: Relay, verdict: Verdict, now: Instant) -> None:
        """Install a permission, or refresh it, of which the plane need not hear: it ends when it is removed."""
        expires_at = later(now, self._permission_lifetime)
        permissions = allocation.permissions_by_host
        permission = permissions.pop(peer_host, None)
        if permission is not None and permission.relay is relay and permission.verdict == verdict:
            permission.expires_at = expires_at
        else:
            permission = untracked(Permission(peer_host, relay, verdict, expires_at))
            self._install(allocation, permission)
        permissions[peer_host] = permission  # the last of them to expire
        self._alarms.watch(allocation, expires_at)

    def bind_channel(
        self, allocation: Allocation, number: int, peer: SocketAddress, relay: Relay, verdict: Verdict, now: Instant
    ) -> None:
        """Bind or refresh a channel, and the permission that comes with it (RFC 8656 section 12.2)."""
        self.permit(allocation, peer.host, relay, verdict, now)
        expires_at = later(now, self._channel_lifetime)
        wire_peer = peer if peer.host == verdict.wire_host else SocketAddress(verdict.wire_host, peer.port)
        channel = untracked(Channel(number, untracked(peer), wire_peer, relay, expires_at))
        channels = allocation.channels_by_number
        if number in channels:
            del channels[number]
        channels[number] = channel
        allocation.channels_by_peer[peer] = channel
        self._alarms.watch(allocation, expires_at)
        self._commands.append(InstallChannelRoute(channel.route(allocation.client)))

    def watch_credentials(self, now: Instant) -> None:
        """Judge every credential's end anew, since what it ends may have changed."""
        for allocation in list(self._allocations_by_client.values()):
            if not self._watch_credential(allocation, now):
                self.end(allocation.client, EndReason.CREDENTIAL_EXPIRED)

    def apply_policy(self, policy: PeerPolicy) -> None:
        """End every channel and permission that `policy` refuses."""
        for allocation in self._allocations_by_client.values():
            for channel in list(allocation.channels_by_number.values()):
                if not policy.check(channel.peer, channel.relay.local.family).allowed:
                    self._remove_channel(allocation, channel)
            for permission in list(allocation.permissions_by_host.values()):
                verdict = policy.check_host(permission.peer_host, permission.relay.local.family)
                if not verdict.allowed:
                    self._remove_permission(allocation, permission)
                elif verdict != permission.verdict:
                    permission.verdict = verdict
                    self._install(allocation, permission)

    def end(self, client: Path, reason: EndReason) -> None:
        """End the allocation of a client, if it has one."""
        allocation = self._allocations_by_client.get(client)
        if allocation is not None:
            for family in list(allocation.relays):
                self._end_relay(allocation, family, reason)

    # Outputs

    def next_timeout(self) -> Instant | None:
        """The earliest deadline."""
        return self._alarms.next()

    # Privates

    def _set_expiry(self, allocation: Allocation, relay: Relay, at: Instant) -> None:
        relay.expires_at = at
        self._alarms.watch(allocation, at)

    def _watch_credential(self, allocation: Allocation, now: Instant) -> bool:
        """Arm the timer of a credential whose end ends the allocation; False when it has come.

        The calendar may have been set back since the timer was armed, so it is asked again.
        """
        allocation.credential_ends_at = NEVER
        if allocation.credential.valid_until is None:
            return True
        end = self._credential_end(allocation.credential, now)
        if end is None:
            return True
        if end <= now:
            return False
        allocation.credential_ends_at = end
        self._alarms.watch(allocation, end)
        return True

    def _expire(self, allocation: Allocation, now: Instant) -> None:
        """End what is due of an allocation, and watch the rest."""
        for permission in _due(allocation.permissions_by_host.values(), now):
            self._remove_permission(allocation, permission)
        for channel in _due(allocation.channels_by_number.values(), now):
            self._remove_channel(allocation, channel)
        for family in [family for family, relay in allocation.relays.items() if relay.expires_at <= now]:
            self._end_relay(allocation, family, EndReason.EXPIRED)
        if not allocation.relays:
            return
        if self._watch_credential(allocation, now):
            self._alarms.watch(allocation, allocation.next_expiry())
        else:
            self.end(allocation.client, EndReason.CREDENTIAL_EXPIRED)

    def _install(self, allocation: Allocation, permission: Permission) -> None:
        if not allocation.tcp:
            self._commands.append(InstallPermissionRoute(permission.route(allocation.client)))

    def _remove_permission(self, allocation: Allocation, permission: Permission) -> None:
        del allocation.permissions_by_host[permission.peer_host]
        if not allocation.tcp:
            self._commands.append(RemovePermissionRoute(permission.route(allocation.client)))

    def _remove_channel(self, allocation: Allocation, channel: Channel) -> None:
        del allocation.channels_by_number[channel.number]
        del allocation.channels_by_peer[channel.peer]
        self._commands.append(RemoveChannelRoute(channel.route(allocation.client)))

    def _end_relay(self, allocation: Allocation, family: AddressFamily, reason: EndReason) -> None:
        """End one relayed address and what goes through it, and with the last one the allocation."""
        relay = allocation.relays[family]
        for channel in [c for c in allocation.channels_by_number.values() if c.relay is relay]:
            self._remove_channel(allocation, channel)
        for permission in [p for p in allocation.permissions_by_host.values() if p.relay is relay]:
            self._remove_permission(allocation, permission)
        del allocation.relays[family]
        self._release(relay.local)
        if not allocation.relays:
            del self._allocations_by_client[allocation.client]
            self._alarms.forget(allocation)
            self._on_end(allocation, reason)


def _due(entries: Iterable[E], now: Instant) -> list[E]:
    """Those that are over, of some that are in the order of their expiry."""
    due = []
    for entry in entries:
        if entry.expires_at > now:
            break
        due.append(entry)
    return due
