"""Which HTTP proxy leads to a TURN server, if any.

    find_proxy("http://alice:secret@proxy.example.org:3128", host, port)      always this one
    find_proxy("environment", host, port)     HTTPS_PROXY, else ALL_PROXY, but for whom NO_PROXY names
    find_proxy(None, host, port)              none

Through a proxy go TCP and TLS. The proxy looks the server's name up, because behind one the own name service often
knows the names of the own network alone; so the name is not looked up here, nor are service records asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # no stub

from icelane.aio.resolver import RESOLUTION_TIMEOUT, Lookup, NamedTarget, Target, proxied_target, resolve
from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.core.net import NamedPlace, Transport
from icelane.errors import ConfigurationError, MalformedError
from icelane.stun.uri import TurnUri, parse_authority

ENVIRONMENT: Final = "environment"
# A user name and a password fit many times.
MAX_URL_LENGTH: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpProxy:
    """A proxy: `host` is a name or an IP address without brackets, `secure` one that is reached over TLS itself."""

    host: str
    port: int
    secure: bool = False
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.place}"

    @property
    def place(self) -> str:
        """Host and port."""
        return str(NamedPlace(self.host, self.port))


def parse_proxy(text: str) -> HttpProxy:
    """The proxy of `http://[USER:PASSWORD@]HOST[:PORT]`, or of `https:`; without a scheme it is `http:`.

    What stands for user and password may be percent-encoded. Raises MalformedError, which repeats nothing of the text.
    """
    if len(text) > MAX_URL_LENGTH:
        raise MalformedError(f"the URL of the proxy is longer than {MAX_URL_LENGTH} characters")
    scheme, separator, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if separator else ("http", text)
    if scheme not in _DEFAULT_PORTS:
        raise MalformedError("the URL of the proxy begins with http:// or https://; no other kind is supported")
    userinfo, at, authority = rest.removesuffix("/").rpartition("@")
    try:
        host, port = parse_authority(authority.lower(), "")
    except MalformedError:
        raise MalformedError(
            "the URL of the proxy is http://USER:PASSWORD@HOST:PORT, or the same without user and password"
        ) from None
    username, password = _parse_userinfo(userinfo) if at else (None, "")
    return HttpProxy(
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        secure=scheme == "https",
        username=username,
        password=password,
    )


def find_proxy(setting: str | None, host: str, port: int) -> HttpProxy | None:
    """The proxy that leads to `host` and `port` by `setting`, which is a URL, ENVIRONMENT or None.

    Raises MalformedError for a bad URL, ConfigurationError for a bad one in the environment.
    """
    if setting != ENVIRONMENT:
        return parse_proxy(setting) if setting is not None else None
    proxies = getproxies_environment()
    name = next((name for name in ("https", "all") if proxies.get(name)), None)
    if name is None or _is_exempt(host, port, proxies):
        return None
    try:
        return parse_proxy(proxies[name])
    except MalformedError as error:
        raise ConfigurationError(str(error), key=f"{name.upper()}_PROXY") from None


async def resolve_by_proxy(
    uri: TurnUri,
    setting: str | None,
    *,
    transport: Transport | None = None,
    lookup: Lookup | None = None,
    entropy: Entropy | None = None,
    timeout: Duration = RESOLUTION_TIMEOUT,
) -> Sequence[Target | NamedTarget]:
    """As `resolve`; a server that a proxy leads to keeps its name.

    Raises ResolutionError, and what `find_proxy` does.
    """
    target = proxied_target(uri, transport)
    if target is not None and find_proxy(setting, *target.address) is not None:
        return [target]
    return await resolve(uri, transport=transport, lookup=lookup, entropy=entropy, timeout=timeout)


def _parse_userinfo(userinfo: str) -> tuple[str, str]:
    """RFC 7617 section 2: no control characters, and no colon in the user name; UTF-8 is what proxies take."""
    username, _, password = userinfo.partition(":")
    try:
        decoded = [unquote_to_bytes(part).decode() for part in (username, password)]
    except UnicodeError:
        raise MalformedError("user and password of the proxy are not UTF-8") from None
    if ":" in decoded[0] or not all(part.isprintable() for part in decoded):
        raise MalformedError("user and password of the proxy have no control characters, and the user has no colon")
    return decoded[0], decoded[1]


def _is_exempt(host: str, port: int, proxies: dict[str, str]) -> bool:
    """Whether NO_PROXY names it: the rules of Python's standard library, which look for names and ends of names."""
    return bool(
        proxy_bypass_environment(f"{host}:{port}", proxies) or proxy_bypass_environment(f"[{host}]:{port}", proxies)
    )
