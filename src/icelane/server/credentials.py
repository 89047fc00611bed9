"""Credentials out of the configuration: who may use the server, and new ephemeral ones for clients."""

from __future__ import annotations

from dataclasses import dataclass, field

from icelane.core.clock import Duration, UnixSeconds
from icelane.errors import ConfigurationError
from icelane.server.config import Config, SharedSecret
from icelane.turn.credentials import (
    DEFAULT_TTL,
    MAX_TTL,
    MIN_TTL,
    CredentialStore,
    RestCredentials,
    Secret,
    StaticUsers,
    mint,
)


@dataclass(frozen=True, kw_only=True)
class IssuedCredential:
    """What a client authenticates with. `ttl` and `expires_at` are None for a static user, who does not expire."""

    username: str
    password: str = field(repr=False)
    ttl: int | None = None
    expires_at: UnixSeconds | None = None


def credential_store(config: Config) -> CredentialStore:
    """Everybody whom the configuration lets in: static users and the holders of ephemeral credentials."""
    users = {name: password.get_secret_value() for name, password in config.turn.users.items()}
    secrets = [_secret(entry) for entry in config.turn.secrets]
    return CredentialStore(StaticUsers(users), RestCredentials(secrets, leeway=config.turn.expiry_leeway))


def issue(config: Config, user: str | None, ttl: Duration, unix_time: UnixSeconds) -> IssuedCredential:
    """A credential for `user`: the password of a static user, otherwise an ephemeral one of the first secret.

    `ttl` is clamped to 1 second to one day. Without `user` any will do: an ephemeral `guest`, or the first static user.
    Raises ConfigurationError when the configuration has no way to make one.
    """
    turn = config.turn
    name = user if user is not None else _anybody(config)
    if name in turn.users:
        return IssuedCredential(username=name, password=turn.users[name].get_secret_value())
    if not turn.secrets:
        raise ConfigurationError(f"there is no user {name!r}, and no secret to sign with", key="turn.users")
    seconds = int(min(max(ttl, MIN_TTL), MAX_TTL))
    minted = mint(_secret(turn.secrets[0]), name, seconds, unix_time)
    return IssuedCredential(
        username=minted.username,
        password=minted.password,
        ttl=seconds,
        expires_at=UnixSeconds(float(int(unix_time) + seconds)),
    )


def _anybody(config: Config) -> str:
    if config.turn.secrets or not config.turn.users:
        return "guest"
    return next(iter(config.turn.users))


def _secret(entry: SharedSecret) -> Secret:
    return Secret(kid=entry.kid, secret=entry.secret.get_secret_value())


__all__ = ["DEFAULT_TTL", "IssuedCredential", "credential_store", "issue"]
