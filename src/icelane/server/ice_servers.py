"""The `iceServers` body: what a program puts into `new RTCPeerConnection(body)` to use this server.

Browsers are unforgiving here: one URL that they cannot parse, an empty `urls`, a null or a user name above 512 bytes
makes the constructor throw, so every rule below is kept by construction.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NotRequired, TypedDict

from icelane.core.net import Transport
from icelane.server.config import Config, Listener
from icelane.server.credentials import IssuedCredential
from icelane.stun.uri import is_ip_address

# Every URL costs gathering time, and Firefox warns above a handful of servers.
MAX_HOSTS = 2
MAX_URLS = 6

# Browsers try them in this order; TLS comes last because it is the slowest and works where nothing else does.
_ORDER = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 2}

# Of several ports with TLS this one comes last, because every network lets it out.
_HTTPS_PORT = 443

# Browsers refuse to contact it.
_DNS_PORT = 53


class IceServer(TypedDict):
    """One entry, in the spelling of RTCIceServer (W3C WebRTC section 4.2.2)."""

    urls: list[str]
    username: NotRequired[str]
    credential: NotRequired[str]


class IceServersBody(TypedDict):
    """Goes straight into the constructor, which ignores the keys that it does not know."""

    iceServers: list[IceServer]
    iceTransportPolicy: str
    ttl: NotRequired[int]
    expiresAt: NotRequired[str]


def ice_servers_body(config: Config, credential: IssuedCredential, policy: str = "all") -> IceServersBody:
    """The body for one client. `policy` is `all` or `relay`. A key without a value is left out, never null."""
    servers: list[IceServer] = []
    listeners = advertised(config)
    stun = _distinct(_stun_url(listener) for listener in listeners if listener.transport is Transport.UDP)
    turn = _distinct(turn_url(listener) for listener in listeners)
    if stun:
        servers.append({"urls": stun})
    if turn:
        servers.append({"urls": turn, "username": credential.username, "credential": credential.password})
    body: IceServersBody = {"iceServers": servers, "iceTransportPolicy": policy}
    if credential.ttl is not None and credential.expires_at is not None:
        body["ttl"] = credential.ttl
        body["expiresAt"] = datetime.fromtimestamp(credential.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return body


def advertised(config: Config) -> list[Listener]:
    """The listeners as clients should call them: by host name or outside address, best first.

    TLS only by host name, because a browser checks the certificate against it; and a name that not every device of a
    network finds, such as laptop.local, is for TLS alone.
    """
    shared = [listener.turn for listener in config.server.listen if listener.secure]
    usable = [listener for listener in (*config.turn.listen, *shared) if listener.port not in (0, _DNS_PORT)]
    if config.turn.hostname is None or is_ip_address(config.turn.hostname):
        usable = [listener for listener in usable if listener.transport is not Transport.TLS]
    name = config.turn.hostname
    if name is not None and not _is_local_name(name):
        named = [listener._replace(host=name) for listener in usable]
    else:
        outside = [listener._replace(host=_outside(config, listener.host)) for listener in usable]
        hosts = _best_hosts(_distinct(listener.host for listener in outside))
        named = [listener for host in hosts for listener in outside if listener.host == host]
        if name is not None:
            named = [one._replace(host=name) if one.transport is Transport.TLS else one for one in named]
    best_first = sorted(dict.fromkeys(named), key=_order)
    # The last one is the one that passes where nothing else does.
    return best_first if len(best_first) <= MAX_URLS else [*best_first[: MAX_URLS - 1], best_first[-1]]


def _order(listener: Listener) -> tuple[int, bool]:
    return _ORDER[listener.transport], listener.port == _HTTPS_PORT


def _is_local_name(name: str) -> bool:
    """RFC 6762 section 3, RFC 6761 section 6.3."""
    return name == "localhost" or name.endswith(".local")


def _outside(config: Config, host: str) -> str:
    return config.turn.external_addresses.get(host, host)


def _best_hosts(hosts: list[str]) -> list[str]:
    """Addresses that more clients can reach come first; loopback only where there is nothing else."""
    elsewhere = [host for host in hosts if not ipaddress.ip_address(host).is_loopback]
    return sorted(elsewhere or hosts, key=lambda host: not ipaddress.ip_address(host).is_global)[:MAX_HOSTS]


def _stun_url(listener: Listener) -> str:
    # A transport on stun: makes the constructor throw (RFC 7064 has none).
    return f"stun:{listener.address}"


def turn_url(listener: Listener) -> str:
    """The URI of an advertised listener."""
    if listener.transport is Transport.TLS:
        return f"turns:{listener.address}?transport=tcp"
    return f"turn:{listener.address}?transport={listener.transport.value}"


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
