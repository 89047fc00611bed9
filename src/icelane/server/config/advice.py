"""What is allowed and still probably a mistake: said by `icelane config check` and at the start of the server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from icelane.core.net import Transport
from icelane.server.config.admission import HOOK_KEYS
from icelane.server.config.model import Config, TurnSettings
from icelane.server.config.resolution import short_realm
from icelane.server.config.values import WILDCARDS
from icelane.server.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`key` is the dotted name of a setting, `message` says what will go wrong and what mends it."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


def advise(config: Config, machine: Machine | None = None) -> tuple[Advice, ...]:
    """Everything that looks wrong in a valid configuration."""
    return tuple(_all(config, machine or Machine.here()))


def _all(config: Config, machine: Machine) -> Iterator[Advice]:
    turn = config.turn
    if turn.realm is not None and not short_realm(turn.realm):
        yield Advice(key="turn.realm", message="longer than 16 bytes: challenges may exceed five times the request")
    if turn.dangerously_allow_loopback_peers:
        yield Advice(
            key="turn.dangerously_allow_loopback_peers",
            message="clients reach every service of this machine on loopback",
        )
    yield from _addresses(config, machine)
    yield from _admission(config)
    metrics = config.metrics.listen
    if metrics is not None and (metrics.host in WILDCARDS or ipaddress.ip_address(metrics.host).is_global):
        yield Advice(key="metrics.listen", message=f"{metrics} may be reached by everybody, without authentication")
    for listener in config.listeners:
        if listener.transport is Transport.UDP and listener.port in turn.relay_ports.ports:
            yield Advice(
                key="turn.listen" if listener in turn.listen else "stun.behavior_ports",
                message=f"{listener} takes a port of turn.relay_ports; move it, or shorten the range",
            )


def _admission(config: Config) -> Iterator[Advice]:
    auth, hooks = config.auth, config.hooks
    if config.server.listen and not (auth.jwt or auth.api_keys or hooks.before_connect):
        yield Advice(
            key="auth.jwt",
            message="nobody may enter signaling: no issuer is trusted, there is no API key and no hook."
            " `icelane keys new` prints an entry",
        )
    if auth.dangerously_accept_tokens_in_urls:
        yield Advice(
            key="auth.dangerously_accept_tokens_in_urls",
            message="tokens stand in the logs of every proxy on the way; a ticket of POST /v1/tickets does not",
        )
    if hooks.dangerously_post_in_clear:
        yield Advice(
            key="hooks.dangerously_post_in_clear",
            message="webhooks may carry tokens of users in clear; https:// does not",
        )
    for name in HOOK_KEYS:
        urls = [url for url in getattr(hooks, name) if "://" in url]
        if urls and hooks.secret is None:
            yield Advice(
                key=f"hooks.{name}",
                message="requests are not signed, so that anybody could send them; set hooks.secret",
            )


def _has_external(turn: TurnSettings, host: str) -> bool:
    return host in turn.external_addresses or turn.external_address_from is not None


def _addresses(config: Config, machine: Machine) -> Iterator[Advice]:
    turn = config.turn
    counting = {*turn.external_by_relay, *config.stun.behavior_addresses}
    for host in sorted(turn.external_addresses.keys() - counting):
        yield Advice(
            key=f"turn.external_addresses.{host}",
            message=f"{host} is not one of turn.relay_addresses ({', '.join(turn.relay_addresses)}), so nobody is told"
            " what stands for it; add it there, or take it out here",
        )
    hosts = [*(one.host for one in turn.listen), *(one.host for one in config.server.listen if one.secure)]
    reachable = not all(ipaddress.ip_address(host).is_loopback for host in hosts)
    for host in turn.relay_addresses:
        if host not in machine.addresses:
            yield Advice(
                key="turn.relay_addresses",
                message=f"{host} is not an address of this machine. Behind NAT put the machine's own address here, and"
                " the public one into turn.external_addresses",
            )
        elif reachable and not _has_external(turn, host) and ipaddress.ip_address(host).is_private:
            yield Advice(
                key="turn.relay_addresses",
                message=f"{host} is private: clients on other networks cannot reach it. Behind 1:1 NAT set"
                f' turn.external_addresses = {{ "{host}" = "your public address" }}',
            )
    for host in config.stun.behavior_addresses:
        if reachable and not _has_external(turn, host) and ipaddress.ip_address(host).is_private:
            yield Advice(
                key="stun.behavior_addresses",
                message=f"{host} is private: clients on other networks are told an address that they cannot reach."
                f' Behind 1:1 NAT set turn.external_addresses = {{ "{host}" = "your public address" }}',
            )
