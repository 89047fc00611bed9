"""The `stun:`, `stuns:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065).

    stun:host[:port]              stuns:host[:port]
    turn:host[:port][?transport=udp|tcp]
    turns:host[:port][?transport=udp|tcp]

They are opaque URIs: no `//`, no user name, no path. An IPv6 address stands in brackets. Left out on purpose: host
names beyond ASCII (write the A-label), IPvFuture, transports other than UDP and TCP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from icelane.core.net import Transport, pack_host
from icelane.errors import MalformedError

DEFAULT_PORT: Final = 3478
DEFAULT_SECURE_PORT: Final = 5349

# A host name has at most 253 characters; the rest of a URI is short.
_MAX_LENGTH = 320
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class StunUri:
    """A STUN server. `host` is a lower-case name or an IP address without brackets; `port` is None when not written."""

    host: str
    port: int | None = None
    secure: bool = False

    @property
    def scheme(self) -> str:
        return "stuns" if self.secure else "stun"

    @property
    def port_or_default(self) -> int:
        """The written port, or the one of the scheme (RFC 7064 section 3.2)."""
        return _port_or_default(self.port, self.secure)

    def __str__(self) -> str:
        return f"{self.scheme}:{_authority(self.host, self.port)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnUri:
    """A TURN server. `transport` is what the query says, Transport.UDP or Transport.TCP, None when it says nothing.

    The transport is the one below a possible TLS: `turns:` with TCP is TLS over TCP, with UDP it is DTLS.
    """

    host: str
    port: int | None = None
    secure: bool = False
    transport: Transport | None = None

    @property
    def scheme(self) -> str:
        return "turns" if self.secure else "turn"

    @property
    def port_or_default(self) -> int:
        """The written port, or the one of the scheme (RFC 7065 section 3.2)."""
        return _port_or_default(self.port, self.secure)

    def __str__(self) -> str:
        query = f"?transport={self.transport.value}" if self.transport else ""
        return f"{self.scheme}:{_authority(self.host, self.port)}{query}"


def parse_uri(text: str) -> StunUri | TurnUri:
    """The server that `text` names. Schemes, hosts and transports are compared without regard to case.

    Raises MalformedError with the reason in plain words.
    """
    if len(text) > _MAX_LENGTH:
        raise MalformedError(f"the URI is longer than {_MAX_LENGTH} characters")
    if "@" in text:
        # The text is not repeated: what stands before the @ may be a password.
        raise MalformedError("the URI has a user name; STUN and TURN URIs carry no credentials")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise MalformedError(f"{text!r}: only printable ASCII without spaces belongs in a URI")
    scheme, colon, rest = text.lower().partition(":")
    if not colon or scheme not in ("stun", "stuns", "turn", "turns"):
        raise MalformedError(f"{text!r} does not begin with stun:, stuns:, turn: or turns:")
    authority, question, query = rest.partition("?")
    host, port = parse_authority(authority, text)
    secure = scheme.endswith("s")
    if scheme.startswith("turn"):
        return TurnUri(host=host, port=port, secure=secure, transport=_parse_query(query, text) if question else None)
    if question:
        raise MalformedError(f"{text!r}: a {scheme}: URI has no query")
    return StunUri(host=host, port=port, secure=secure)


def is_ip_address(host: str) -> bool:
    """Whether `host` is an IP address in text, without brackets or zone."""
    if "%" in host:
        return False
    try:
        pack_host(host)
    except MalformedError:
        return False
    return True


def parse_authority(authority: str, text: str) -> tuple[str, int | None]:
    """Host and port of `host[:port]`, in lower case. Raises MalformedError, which says that it stands in `text`."""
    if authority.startswith("//"):
        raise MalformedError(f"{text!r}: write the host right after the colon, without //")
    if authority.startswith("["):
        host, bracket, tail = authority[1:].partition("]")
        if not bracket or ":" not in host or not is_ip_address(host):
            raise MalformedError(f"{text!r}: no IPv6 address in the brackets")
    else:
        host, colon, tail = authority.partition(":")
        tail = colon + tail
        _check_host(host, text)
    if not tail:
        return host, None
    return host, _parse_port(tail, text)


def _check_host(host: str, text: str) -> None:
    if not host:
        raise MalformedError(f"{text!r} has no host")
    if is_ip_address(host):
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise MalformedError(f"{text!r}: {host!r} is neither a host name nor an IP address")
    # The C library would read "1.2.3" and "0x7f.1" as addresses; whoever checks addresses as text would not.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise MalformedError(f"{text!r}: {host!r} ends like an IPv4 address but is none")


def _parse_port(tail: str, text: str) -> int:
    digits = tail.removeprefix(":")
    if digits == tail or not digits.isdigit() or len(digits) > 5 or not 0 < int(digits) < 65536:
        raise MalformedError(f"{text!r}: after the host comes nothing, or a colon and a port from 1 to 65535")
    return int(digits)


def _parse_query(query: str, text: str) -> Transport:
    name, _, value = query.partition("=")
    if name != "transport" or value not in ("udp", "tcp"):
        raise MalformedError(f"{text!r}: the query is ?transport=udp or ?transport=tcp")
    return Transport(value)


def _port_or_default(port: int | None, secure: bool) -> int:
    if port is not None:
        return port
    return DEFAULT_SECURE_PORT if secure else DEFAULT_PORT


def _authority(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
