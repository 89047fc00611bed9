"""What a running server takes over from a changed configuration, and what has to wait for a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from icelane.server.config import Config
from icelane.server.config.sources import KeyPath, dotted, settings, table_of

# Whatever is not here is bound, imported or told to clients at the start. A key that is new in the model is not here
# until somebody has made it so.
RELOADABLE: Final = frozenset({
    "turn.hostname",
    "turn.users",
    "turn.secrets",
    "turn.strict_expiry",
    "turn.expiry_leeway",
    "turn.unauthenticated_replies_per_second",
    "turn.dangerously_allow_loopback_peers",
    "turn.revoked_file",
    "turn.drain_deadline",
    "turn.alternate_server",
    "turn.alternate_domain",
    "turn.peers.allow",
    "turn.peers.deny",
    "turn.peers.nat64_prefixes",
    "turn.quota.allocations_per_user",
    "turn.quota.allocations_total",
    "turn.quota.bytes_per_second_per_allocation",
    "turn.quota.bytes_per_second_per_user",
    "turn.quota.bytes_per_second_total",
    "turn.quota.connections_total",
    "turn.quota.connections_per_source",
    "tls.certificate",
    "tls.key",
    "server.public_url",
    "server.hsts",
    "server.trusted_proxies",
    "server.allowed_origins",
    "auth.api_keys",
    "auth.jwt",
    "auth.cookie",
    "auth.dangerously_accept_tokens_in_urls",
    "hooks.before_connect",
    "hooks.before_join",
    "hooks.before_message",
    "hooks.before_ice",
    "hooks.on_connected",
    "hooks.on_left",
    "hooks.secret",
    "hooks.headers",
    "hooks.cache",
    "lists.allow",
    "lists.deny",
    "lists.allow_file",
    "lists.deny_file",
    "lists.countries",
    "limits.connects_per_minute_per_address",
    "limits.connects_per_second",
    "limits.connections_per_address",
    "limits.connects_per_minute_per_identity",
    "limits.credentials_per_minute_per_identity",
    "limits.messages_per_second_per_room",
    "limits.joins_per_second",
    "log.format",
    "log.level",
    "log.addresses",
    "metrics.ready_load_percent",
})  # fmt: skip


# Who does not name them any more has no tls:// listener in the file. The running ones need them until the restart.
_FILES_OF_LISTENERS: Final = frozenset({"tls.certificate", "tls.key"})


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """What became of a reload.

    `changed` are the keys that count now, `restart` those whose new value waits for a restart; `ended` counts the
    allocations that ended by it. `certificate` is False when the TLS certificate cannot be used and the old one stays.
    """

    changed: tuple[str, ...]
    restart: tuple[str, ...]
    ended: int
    certificate: bool


def changed_keys(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys whose values differ: those that a running server takes over, and those that need a restart."""
    taken_over: list[str] = []
    waiting: list[str] = []
    for path in _leaves():
        key, value = dotted(path), _value(new, path)
        if value != _value(old, path):
            waits = key not in RELOADABLE or (key in _FILES_OF_LISTENERS and value is None)
            (waiting if waits else taken_over).append(key)
    return tuple(taken_over), tuple(waiting)


def with_values_of(old: Config, new: Config, keys: Iterable[str]) -> Config:
    """`old` with the values that `keys` have in `new`."""
    merged: BaseModel = old
    for key in keys:
        path = tuple(key.split("."))
        merged = _with(merged, path, _value(new, path))
    assert isinstance(merged, Config)
    return merged


def _leaves() -> Iterable[KeyPath]:
    return (path for path, info in settings() if table_of(info) is None)


def _value(config: BaseModel, path: KeyPath) -> object:
    value: object = config
    for part in path:
        value = getattr(value, part)
    return value


def _with(model: BaseModel, path: KeyPath, value: object) -> BaseModel:
    name, *below = path
    if below:
        value = _with(getattr(model, name), tuple(below), value)
    return model.model_copy(update={name: value})
