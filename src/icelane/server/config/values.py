"""The values of settings, parsed from the text that people write. Every parser raises ValueError with a reason."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from icelane.core.net import SocketAddress, Transport, canonical_host, family_of
from icelane.core.secret_header import SECRET_HEADERS
from icelane.errors import MalformedError
from icelane.stun.preparation import opaque_string, saslprep
from icelane.stun.uri import StunUri, parse_uri
from icelane.turn.access_list import parse_access_entry
from icelane.turn.address_range import parse_address_range, parse_nat64_prefix, trusts_too_many
from icelane.turn.credentials import MAX_LEEWAY

DEFAULT_PORT = 3478
"""The port of STUN and TURN without TLS (RFC 8489 section 18.6)."""

DEFAULT_SECURE_PORT = 5349
"""The port of STUN and TURN over TLS; 443 passes where this one does not."""

DEFAULT_HTTPS_PORT = 443
DEFAULT_HTTP_PORT = 80

ENGINE_SCHEMES = ("memory",)
"""Of `engine.url`: those that `icelane.node.engine` makes an engine for."""

WILDCARDS = ("0.0.0.0", "::")
"""The hosts in a listening URL that stand for every address of the machine."""

# RFC 8489 section 14.9: fewer than 128 characters, at most 763 bytes.
_REALM_CHARACTERS = 127
_REALM_BYTES = 763

# RFC 8489 section 14.3 says fewer than 509 bytes; Chromium's constructor throws at 513.
USERNAME_BYTES = 508

_URL = re.compile(r"(?P<scheme>[a-z]+)://(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:/?#\[\]@]*))(?::(?P<port>[0-9]{1,5}))?/?")
_ADDRESS_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:/?#\[\]@]*)):(?P<port>[0-9]{1,5})")
_PLACE = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:/?#\[\]@\s]+))(?::(?P<port>[0-9]{1,5}))?")
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"\s*".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))
_RANGE = re.compile(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})")
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_IPV4_MAPPED = parse_address_range("::ffff:0:0/96")
_HTTP_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_LOOKS_EPHEMERAL = re.compile(r"[0-9]{1,12}:")


class Listener(NamedTuple):
    """Where the server takes clients: `udp://127.0.0.1:3478`. Port 0 lets the system pick one."""

    transport: Transport
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.value}://{self.address}"

    @property
    def address(self) -> SocketAddress:
        """Host and port together."""
        return SocketAddress(self.host, self.port)

    @property
    def wildcard(self) -> bool:
        """Whether the host stands for every address of the machine."""
        return self.host in WILDCARDS


class WebListener(NamedTuple):
    """Where HTTP is taken: `https://127.0.0.1:8443`, which takes WebSocket and TURN over TLS as well, or `http://`."""

    scheme: Literal["https", "http"]
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> SocketAddress:
        """Host and port together."""
        return SocketAddress(self.host, self.port)

    @property
    def wildcard(self) -> bool:
        """Whether the host stands for every address of the machine."""
        return self.host in WILDCARDS

    @property
    def secure(self) -> bool:
        """Whether it is behind TLS."""
        return self.scheme == "https"

    @property
    def turn(self) -> Listener:
        """The same as clients of TURN know it."""
        return Listener(Transport.TLS if self.secure else Transport.TCP, self.host, self.port)


@dataclass(frozen=True)
class PortRange:
    """Both ends belong to the range: `49152-65535`."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def ports(self) -> range:
        """Every port of the range."""
        return range(self.first, self.last + 1)


class DurationValue(float):
    """A length of time in seconds that is written as `10m`."""

    def __str__(self) -> str:
        left, parts = int(self), []
        for unit, size in _UNITS.items():
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


def parse_listener(value: object) -> Listener:
    """`udp://HOST[:PORT]`, `tcp://` or `tls://` with an IP address as host, IPv6 in brackets."""
    if isinstance(value, Listener):
        return value
    match = _URL.fullmatch(_text(value))
    if match is None:
        raise ValueError("not a listening URL; write udp://192.0.2.1:3478 or tls://[2001:db8::1]:443")
    host = _bound_host(match, "tcp://[2001:db8::1]:3478")
    transport = _listening_transport(match["scheme"])
    default = DEFAULT_SECURE_PORT if transport is Transport.TLS else DEFAULT_PORT
    port = int(match["port"]) if match["port"] else default
    if port > 65535:
        raise ValueError(f"port {port} is above 65535")
    return Listener(transport, host, port)


def parse_web_listener(value: object) -> WebListener:
    """`https://HOST[:PORT]` or `http://HOST[:PORT]` with an IP address as host, IPv6 in brackets."""
    if isinstance(value, WebListener):
        return value
    match = _URL.fullmatch(_text(value))
    if match is None or match["scheme"] not in ("https", "http"):
        raise ValueError("not a listening URL; write https://192.0.2.1:443 or https://[2001:db8::1]:443")
    host = _bound_host(match, "https://[2001:db8::1]:443")
    scheme: Literal["https", "http"] = "https" if match["scheme"] == "https" else "http"
    port = int(match["port"]) if match["port"] else (DEFAULT_HTTPS_PORT if scheme == "https" else DEFAULT_HTTP_PORT)
    if port > 65535:
        raise ValueError(f"port {port} is above 65535")
    return WebListener(scheme, host, port)


def parse_public_url(value: object) -> str:
    """`https://HOST[:PORT]` as clients write it, without a path; the host in ASCII."""
    text = _text(value).removesuffix("/")
    scheme, separator, place = text.partition("://")
    if scheme not in ("https", "http") or not separator:
        raise ValueError("write https://call.example.org")
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError("write https://call.example.org, without user, path and query")
    host = parse_hostname(match["v6"] if match["v6"] is not None else match["name"])
    if (match["v6"] is not None) != (":" in host):
        raise ValueError("IPv6 addresses stand in brackets")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("a port runs from 1 to 65535")
    shown = f"[{host}]" if ":" in host else host
    default = DEFAULT_HTTPS_PORT if scheme == "https" else DEFAULT_HTTP_PORT
    return f"{scheme}://{shown}" + (f":{port}" if port not in (None, default) else "")


def parse_http_address(value: object) -> SocketAddress:
    """`ADDRESS:PORT` for an HTTP listener, IPv6 in brackets. Port 0 lets the system pick one."""
    if isinstance(value, SocketAddress):
        return value
    match = _ADDRESS_AND_PORT.fullmatch(_text(value))
    if match is None:
        raise ValueError("not an address and port; write 127.0.0.1:9641 or [::1]:9641")
    host = _bound_host(match, "[::1]:9641")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"port {port} is above 65535")
    return SocketAddress(host, port)


def parse_duration(value: object) -> DurationValue:
    """Seconds out of `30s`, `10m`, `1h30m` or `2d`: whole numbers, each with its unit, the largest first."""
    if isinstance(value, DurationValue):
        return value
    text = _text(value).strip()
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("not a duration; write 30s, 10m, 1h30m or 2d")
    return DurationValue(sum(int(match[unit] or 0) * seconds for unit, seconds in _UNITS.items()))


def parse_address(value: object) -> SocketAddress:
    """`ADDRESS[:PORT]` of another server, IPv6 in brackets."""
    if isinstance(value, SocketAddress):
        return value
    match = _URL.fullmatch(f"any://{_text(value)}")
    if match is None:
        raise ValueError("not an address; write 192.0.2.1:3478 or [2001:db8::1]:3478")
    host = _address(match["v6"] if match["v6"] is not None else match["v4"])
    port = int(match["port"]) if match["port"] else DEFAULT_PORT
    if not 1 <= port <= 65535:
        raise ValueError("a port runs from 1 to 65535")
    return SocketAddress(host, port)


def parse_function_name(value: object) -> str:
    """`package.module:function`; it is imported when the server starts."""
    name = _text(value)
    if not _FUNCTION.fullmatch(name):
        raise ValueError("not the name of a function; write package.module:function")
    return name


def parse_interval(value: object) -> DurationValue:
    """A duration of at least a second."""
    duration = parse_duration(value)
    if duration < 1:
        raise ValueError("an interval has a second or more")
    return duration


def parse_leeway(value: object) -> DurationValue:
    """A duration of at most an hour."""
    duration = parse_duration(value)
    if duration > MAX_LEEWAY:
        raise ValueError("a leeway is an hour or less; set the issuer's clock, or give longer credentials")
    return duration


@dataclass(frozen=True)
class AddressSource:
    """Who knows the public address: `stun:HOST[:PORT]` asks a server, `command:PROGRAM ARGUMENT...` runs a program."""

    kind: Literal["stun", "command"]
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def command(self) -> list[str]:
        """The words of a command; no shell reads them."""
        return shlex.split(self.text.removeprefix("command:"))


def parse_address_source(value: object) -> AddressSource:
    """`stun:HOST[:PORT]`, `stuns:HOST[:PORT]` or `command:PROGRAM ARGUMENT...`."""
    if isinstance(value, AddressSource):
        return value
    text = _text(value).strip()
    if text.startswith("command:"):
        return _command_source(AddressSource("command", text))
    try:
        uri = parse_uri(text)
    except MalformedError:
        raise ValueError("write stun:stun.example.org or command:/usr/local/bin/public-address") from None
    if not isinstance(uri, StunUri):
        raise ValueError("a STUN server is asked; write stun:stun.example.org")
    return AddressSource("stun", text)


def _command_source(source: AddressSource) -> AddressSource:
    try:
        words = source.command
    except ValueError as error:
        raise ValueError(f"the command cannot be read: {error}") from None
    if not words or not words[0].startswith("/"):
        raise ValueError("the program needs its whole path, as in command:/usr/local/bin/public-address")
    return source


def parse_port_range(value: object) -> PortRange:
    """`FIRST-LAST`, both from 1 to 65535."""
    if isinstance(value, PortRange):
        return value
    match = _RANGE.fullmatch(_text(value).strip())
    if match is None:
        raise ValueError("not a port range; write 49152-65535")
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        raise ValueError("a port range runs upwards within 1 to 65535")
    return PortRange(first, last)


def parse_relay_address(value: object) -> str:
    """An IP address that a socket can be bound to and that a packet can come from."""
    host = _address(_text(value))
    address = ipaddress.ip_address(host)
    if host in WILDCARDS:
        raise ValueError("the wildcard address cannot be given to clients; name the addresses of this machine")
    if address.is_multicast:
        raise ValueError("a multicast address cannot be the source of a packet")
    if address.is_link_local and address.version == 6:
        raise ValueError("a link-local IPv6 address needs a zone and is of no use to clients elsewhere")
    return host


def parse_external_address(value: object) -> str:
    """The address that the world sees in place of one of `relay_addresses`."""
    return parse_relay_address(value)


def parse_behavior_port(value: object) -> int:
    """A port that clients can be told, so that the system cannot choose it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("should be a whole number")
    if not 1 <= value <= 65535:
        raise ValueError("a port runs from 1 to 65535")
    return value


def parse_realm(value: object) -> str:
    """A realm, without quotes and control characters, of at most 127 characters."""
    realm = _text(value)
    if not realm or len(realm) > _REALM_CHARACTERS or len(realm.encode()) > _REALM_BYTES:
        raise ValueError(f"a realm has 1 to {_REALM_CHARACTERS} characters")
    if not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ValueError("a realm has no control characters, quotes and backslashes")
    return realm


def parse_hostname(value: object) -> str:
    """A DNS name in ASCII, or an IP address without brackets."""
    name = _text(value).removesuffix(".")
    if "%" in name:
        raise ValueError("an address with a zone (%) cannot be used")
    try:
        return canonical_host(name)
    except MalformedError:
        pass
    if not name.isascii():
        raise ValueError("write an international name in its ASCII form, xn--...")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError("not a host name; write turn.example.org, without scheme and port")
    return name.lower()


def parse_kid(value: object) -> str:
    """The short public name of a secret; it travels inside user names, between colons."""
    kid = _text(value)
    if not _KID.fullmatch(kid):
        raise ValueError("a kid has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return kid


def parse_engine_url(value: object) -> str:
    """`memory://`. What is refused is not repeated: a URL may hold a password."""
    text = _text(value)
    scheme, separator, place = text.partition("://")
    if not separator or scheme not in ENGINE_SCHEMES:
        raise ValueError(f"there is no engine for this; write {' or '.join(f'{one}://' for one in ENGINE_SCHEMES)}")
    if scheme == "memory" and place:
        raise ValueError("write memory:// alone: this process is nowhere else")
    return text


def parse_node_name(value: object) -> str:
    """What this node is called beside others."""
    name = _text(value)
    if not _KID.fullmatch(name):
        raise ValueError("a node's name has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return name


def parse_username(value: object) -> str:
    """The name of a static user. A name in the form of an ephemeral credential would shadow real ones."""
    name = _text(value)
    if not name or len(name.encode()) > USERNAME_BYTES or not name.isprintable():
        raise ValueError(f"a user name has 1 to {USERNAME_BYTES} bytes and no control characters")
    if _LOOKS_EPHEMERAL.match(name):
        raise ValueError("a user name of digits and a colon would be taken for an ephemeral credential")
    opaque_string(name)
    return name


def check_password(password: str) -> None:
    """Raises ValueError, without the password in its text, when no client could ever send it."""
    if not password:
        raise ValueError("a password cannot be empty")
    for prepare in (saslprep, opaque_string):
        try:
            prepare(password)
        except MalformedError:
            continue
        return
    raise ValueError("the password has a character that no client can send, such as a control character")


def parse_peers(value: object) -> str:
    """An address, a CIDR block whose host bits are zero, or `FIRST-LAST`; kept as it is written."""
    text = _text(value)
    if _IPV4_MAPPED.contains(parse_address_range(text)):
        raise ValueError("IPv4-mapped addresses are never relayed to; write the IPv4 range")
    return text


def parse_nat64(value: object) -> str:
    """A NAT64 prefix of the network around us (RFC 6052 section 2.2); kept as it is written."""
    text = parse_peers(value)
    parse_nat64_prefix(text)
    return text


def parse_proxies(value: object) -> str:
    """Like `parse_peers`, for the proxies that may say whom they speak for."""
    return parse_peers(value)


def check_trusted_proxies(ranges: tuple[str, ...]) -> tuple[str, ...]:
    """Everybody cannot be a proxy, since everybody could then be anybody. Raises ValueError."""
    if trusts_too_many(map(parse_address_range, ranges)):
        raise ValueError("that trusts everybody, who could then be anybody; name your proxies")
    return ranges


def parse_access(value: object) -> str:
    """An entry of an access list; kept as it is written."""
    text = _text(value)
    parse_access_entry(text)
    return text


class HookNames(tuple[str, ...]):
    """Functions and URLs that are asked in turn, two at most. One value, which is mostly one text."""

    __slots__ = ()

    def __str__(self) -> str:
        return self[0] if len(self) == 1 else json.dumps(self)


def parse_hooks(value: object) -> HookNames:
    """`package.module:function`, a URL, or a list of two of them, which the environment writes as JSON."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return HookNames((_hook(value),))
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list | tuple) or len(value) > 2:
        raise ValueError("should be package.module:function, a URL, or a list of two of them")
    return HookNames(_hook(one) for one in value)


def _hook(value: object) -> str:
    text = _text(value)
    return parse_url(text) if "://" in text else parse_function_name(text)


def parse_url(value: object) -> str:
    """An `https://` or `http://` URL without a user in it, which would be in every log that has the URL."""
    text = _text(value)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("not a URL; write https://app.example.org/hook")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL has no name and password in it")
    return text


def parse_https_url(value: object) -> str:
    """A URL that is asked over TLS, or on this machine."""
    text = parse_url(value)
    if is_in_clear(text):
        raise ValueError("keys that come in clear are anybody's; write https://")
    return text


def is_in_clear(url: str) -> bool:
    """Whether what goes to a URL can be read on its way: without TLS, and not on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def parse_cookie_name(value: object) -> str:
    """A token of HTTP."""
    name = _text(value)
    if not _HTTP_TOKEN.fullmatch(name):
        raise ValueError("a cookie has a name such as __Host-icelane")
    return name


def parse_header_name(value: object) -> str:
    """The name of a header that carries no credential, in lower case."""
    name = _text(value).lower()
    if not _HTTP_TOKEN.fullmatch(name):
        raise ValueError("a header has a name such as User-Agent")
    if name in SECRET_HEADERS:
        raise ValueError(f"{name} carries credentials; the hook is told the token and the cookies that count")
    return name


def parse_cache_time(value: object) -> DurationValue:
    """A duration of at most a minute."""
    duration = parse_duration(value)
    if duration > 60:
        raise ValueError("an answer is remembered for a minute at most")
    return duration


def parse_path(value: object) -> Path:
    """The name of a file."""
    text = _text(value)
    if not text or "\0" in text:
        raise ValueError("not the name of a file")
    return Path(text)


def same_family(one: str, other: str) -> bool:
    """Whether both addresses are IPv4 or both are IPv6."""
    return family_of(one) is family_of(other)


def _listening_transport(scheme: str) -> Transport:
    if scheme == "udp":
        return Transport.UDP
    if scheme == "tcp":
        return Transport.TCP
    if scheme == "tls":
        return Transport.TLS
    if scheme == "dtls":
        raise ValueError("dtls:// listeners are not supported; use tls://")
    raise ValueError("a listener is udp://, tcp:// or tls://")


def _bound_host(match: re.Match[str], example: str) -> str:
    """The address of a listener."""
    host = _address(match["v6"] if match["v6"] is not None else match["v4"])
    if (match["v6"] is not None) != (":" in host):
        raise ValueError(f"IPv6 addresses stand in brackets, IPv4 addresses do not: {example}")
    return host


def _address(text: str) -> str:
    if "%" in text:
        raise ValueError("an address with a zone (%) cannot be used")
    try:
        return canonical_host(text)
    except MalformedError:
        raise ValueError("not an IP address; names are not looked up here") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("should be a string")
    return value
