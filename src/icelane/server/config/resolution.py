"""Fills in what depends on the machine, and checks what can only be judged then."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path

from icelane.core.net import AddressFamily, Transport, family_of
from icelane.server.config.admission import HOOK_KEYS, AuthSettings, HookSettings, ListSettings
from icelane.server.config.model import (
    DEFAULT_BEHAVIOR_PORTS,
    DEFAULT_LISTEN,
    DEFAULT_REALM,
    Config,
    ServerSettings,
    StunSettings,
    TlsSettings,
    TurnSettings,
)
from icelane.server.config.sources import KeyPath
from icelane.server.config.values import WILDCARDS, Listener, WebListener, is_in_clear, parse_listener, same_family
from icelane.server.machine import Machine

# A challenge with a realm of up to 16 bytes stays within five times the smallest request.
_SHORT_REALM = 16

Report = Callable[[KeyPath, str], None]
"""Takes the path of a key and what is wrong with it."""


def resolve(config: Config, machine: Machine, folder: Path, report: Report) -> Config:
    """`config` with a realm, listeners on real addresses and relay addresses; errors go to `report`.

    Files are those of `folder` where their names are relative.
    """
    turn = config.turn
    nowhere = "listen" in turn.model_fields_set and not turn.listen
    relay_addresses = turn.relay_addresses or _relay_addresses(turn, machine, report)
    turn = turn.model_copy(
        update={
            "realm": turn.realm or _realm(turn.hostname),
            "listen": _listeners(turn.listen, machine, report) if not nowhere else (),
            "relay_addresses": relay_addresses,
            "revoked_file": turn.revoked_file and folder / turn.revoked_file,
        }
    )
    _check_external_addresses(turn, report)
    _check_address_source(turn, report)
    _check_behavior(config.stun, turn, report)
    stun = config.stun
    if stun.behavior_addresses:
        stun = stun.model_copy(update={"behavior_ports": stun.behavior_ports or DEFAULT_BEHAVIOR_PORTS})
    tls = config.tls.model_copy(
        update={name: folder / path for name, path in config.tls if isinstance(path, Path)},
    )
    server = config.server.model_copy(update={"listen": _web_listeners(config.server.listen, machine, report)})
    _check_tls(turn, server, tls, report)
    _check_clear(server, report)
    _check_hooks(config.hooks, report)
    _check_shared_ports(turn, server, report)
    if nowhere and not any(listener.secure for listener in server.listen):
        text = "the list is empty, and no https:// listener of server.listen takes clients in its place"
        report(("turn", "listen"), f"{text}; add one, or leave the key out for the default")
    admin = config.admin.model_copy(update={"socket": config.admin.socket and folder / config.admin.socket})
    auth, lists = _beside(config.auth, config.lists, folder)
    return config.model_copy(
        update={
            "turn": turn,
            "stun": stun,
            "server": server,
            "tls": tls,
            "admin": admin,
            "auth": auth,
            "lists": lists,
        }
    )


def _beside(auth: AuthSettings, lists: ListSettings, folder: Path) -> tuple[AuthSettings, ListSettings]:
    """The same with the files of `folder`."""
    entries = tuple(
        entry.model_copy(update={name: folder / path for name, path in entry if isinstance(path, Path)})
        for entry in auth.jwt
    )
    files = {name: folder / path for name, path in lists if isinstance(path, Path)}
    return auth.model_copy(update={"jwt": entries}), lists.model_copy(update=files)


def short_realm(realm: str) -> bool:
    """Whether challenges that carry `realm` stay within five times the request."""
    return len(realm.encode()) <= _SHORT_REALM


def _realm(hostname: str | None) -> str:
    return hostname if hostname is not None and short_realm(hostname) else DEFAULT_REALM


def _listeners(asked: tuple[Listener, ...], machine: Machine, report: Report) -> tuple[Listener, ...]:
    given = bool(asked)
    found: list[Listener] = []
    for index, listener in enumerate(asked or map(parse_listener, DEFAULT_LISTEN)):
        concrete = _spread(listener, machine)
        if not concrete and given:
            report(("turn", "listen", str(index)), f"this machine has no address that {listener.host} could stand for")
        found += concrete
    return tuple(dict.fromkeys(found))


def _web_listeners(asked: tuple[WebListener, ...], machine: Machine, report: Report) -> tuple[WebListener, ...]:
    found: list[WebListener] = []
    for index, listener in enumerate(asked):
        hosts = _hosts(listener.host, machine)
        if not hosts:
            report(("server", "listen", str(index)), f"this machine has no address that {listener.host} could mean")
        found += [listener._replace(host=host) for host in hosts]
    return tuple(dict.fromkeys(found))


def _spread(listener: Listener, machine: Machine) -> list[Listener]:
    return [listener._replace(host=host) for host in _hosts(listener.host, machine)]


def _hosts(host: str, machine: Machine) -> tuple[str, ...]:
    """A socket on the wildcard address may answer from another address than the one that was asked."""
    return tuple(machine.of_family(family_of(host))) if host in WILDCARDS else (host,)


def _relay_addresses(turn: TurnSettings, machine: Machine, report: Report) -> tuple[str, ...]:
    if machine.preferred:
        return machine.preferred
    if turn.dangerously_allow_loopback_peers:
        return tuple(host for host in machine.addresses if ipaddress.ip_address(host).is_loopback)
    report(("turn", "relay_addresses"), "this machine has no address besides loopback; name the addresses to relay on")
    return ()


def _check_tls(turn: TurnSettings, server: ServerSettings, tls: TlsSettings, report: Report) -> None:
    secure: Listener | WebListener | None = next(
        (listener for listener in turn.listen if listener.transport is Transport.TLS), None
    ) or next((listener for listener in server.listen if listener.secure), None)
    for name, path, example in (
        ("certificate", tls.certificate, "fullchain.pem"),
        ("key", tls.key, "privkey.pem"),
    ):
        if path is None and (secure is not None or tls != TlsSettings()):
            user = str(secure) if secure is not None else "[tls]"
            report(("tls", name), f'{user} needs it; write tls.{name} = "{example}", the name of a PEM file')


def _check_clear(server: ServerSettings, report: Report) -> None:
    """SG-17: in clear only on loopback, unless somebody says that he means it; elsewhere `http://` sends to HTTPS."""
    if server.dangerously_serve_in_clear:
        return
    if server.public_url is not None and server.public_url.startswith("http:"):
        report(("server", "public_url"), "clients come by https:// only; server.dangerously_serve_in_clear is off")
    elsewhere = [one for one in server.listen if not (one.secure or ipaddress.ip_address(one.host).is_loopback)]
    if elsewhere and not any(listener.secure for listener in server.listen) and server.public_url is None:
        report(
            ("server", "listen"),
            f"{elsewhere[0]} would carry tokens in clear; add an https:// listener, or say where that is in"
            " server.public_url, or mean it with server.dangerously_serve_in_clear",
        )


def _check_hooks(hooks: HookSettings, report: Report) -> None:
    """SG-7: what a webhook is told has the user's token in it, and its answer lets him in."""
    if hooks.dangerously_post_in_clear:
        return
    for key in HOOK_KEYS:
        for url in getattr(hooks, key):
            if is_in_clear(url):
                text = "tokens of users would travel in clear; write https://, or mean it with"
                report(("hooks", key), f"{url}: {text} hooks.dangerously_post_in_clear")


def _check_shared_ports(turn: TurnSettings, server: ServerSettings, report: Report) -> None:
    streams = {one.address: one for one in turn.listen if one.transport is not Transport.UDP and one.port}
    for listener in server.listen:
        other = streams.get(listener.address)
        if other is not None:
            text = f"{listener} has the address of {other} in turn.listen"
            report(("server", "listen"), f"{text}; https:// takes TURN over TLS by itself, so take that one out there")


def _check_external_addresses(turn: TurnSettings, report: Report) -> None:
    for inner, outer in turn.external_addresses.items():
        path = ("turn", "external_addresses", inner)
        if not same_family(inner, outer):
            report(path, f"{outer} is of the other address family")
    for inner, outer in turn.external_by_relay.items():
        if _ambiguous(turn, inner, outer):
            report(("turn", "external_addresses", inner), f"{outer} stands for more than one relay address")


def _check_address_source(turn: TurnSettings, report: Report) -> None:
    """A program prints addresses without saying whose they are."""
    source = turn.external_address_from
    if source is None or source.kind != "command":
        return
    families = [family_of(host) for host in turn.relay_addresses if host not in turn.external_addresses]
    if len(set(families)) != len(families):
        text = "a command can only tell one address of each family; name the others in turn.external_addresses"
        report(("turn", "external_address_from"), text)


def _check_behavior(stun: StunSettings, turn: TurnSettings, report: Report) -> None:
    """RFC 5780 needs two addresses that differ for the client too, and the same two ports on both."""
    ports, addresses = stun.behavior_ports, stun.behavior_addresses
    if ports and not addresses:
        report(("stun", "behavior_ports"), "means nothing without stun.behavior_addresses; set it, or take this out")
    if ports and len(ports) != 2:
        report(("stun", "behavior_ports"), f"two ports are needed, and here is {_counted(len(ports))}")
    path = ("stun", "behavior_addresses")
    for family in AddressFamily:
        hosts = [host for host in addresses if family_of(host) is family]
        if len(hosts) not in (0, 2):
            report(path, f"two addresses of a family are needed, and of {family.name} here is {_counted(len(hosts))}")
        outside = [turn.external_addresses.get(host, host) for host in hosts]
        for host, outer in zip(hosts, outside, strict=True):
            others = dict(zip(hosts, hosts, strict=True)) | dict(turn.external_addresses)
            del others[host]
            if outer in others.values():
                report(path, f"{outer} stands for {host} and for {_inner(others, outer)}, which cannot be told apart")
    if turn.external_address_from is not None:
        for host in addresses:
            if host not in turn.relay_addresses and host not in turn.external_addresses:
                text = f"turn.external_address_from asks for turn.relay_addresses alone, and {host} is none of them"
                report(path, f"{text}; add it there, or name its public address in turn.external_addresses")


def _inner(external: Mapping[str, str], outer: str) -> str:
    return next(inner for inner, name in external.items() if name == outer)


def _counted(count: int) -> str:
    return "one" if count == 1 else str(count)


def _ambiguous(turn: TurnSettings, inner: str, outer: str) -> bool:
    others = [*turn.relay_addresses, *(o for i, o in turn.external_by_relay.items() if i != inner)]
    return outer != inner and outer in others
