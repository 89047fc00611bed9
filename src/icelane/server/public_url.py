"""How clients reach this server by HTTP: what the configuration says, and never what a request says in `Host`."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from icelane.server.config import Config
from icelane.server.config.values import DEFAULT_HTTP_PORT, DEFAULT_HTTPS_PORT, WebListener
from icelane.stun.uri import is_ip_address


def public_url(config: Config, listening: Sequence[WebListener] = ()) -> str | None:
    """`server.public_url`, or what `turn.hostname` and the first `https://` listener come to; None without any.

    `listening` is what is bound, where the system may have chosen ports.
    """
    if config.server.public_url is not None:
        return config.server.public_url
    listeners = listening or config.server.listen
    listener = next((one for one in listeners if one.secure), None) or next(iter(listeners), None)
    if listener is None:
        return None
    host = config.turn.hostname or config.turn.external_addresses.get(listener.host, listener.host)
    shown = f"[{host}]" if is_ip_address(host) and ":" in host else host
    default = DEFAULT_HTTPS_PORT if listener.secure else DEFAULT_HTTP_PORT
    return f"{listener.scheme}://{shown}" + (f":{listener.port}" if listener.port != default else "")


def serves_in_clear(config: Config, listener: WebListener) -> bool:
    """Whether a listener without TLS has the application; else it sends everybody to `public_url` (SG-17)."""
    return config.server.dangerously_serve_in_clear or ipaddress.ip_address(listener.host).is_loopback
