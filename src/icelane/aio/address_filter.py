"""Which of this machine's addresses a connection may use, by the networks that they are in.

accepts = address_filter(["192.0.2.0/24", "2001:db8::/32"])     # these networks alone
accepts = address_filter(["!10.0.0.0/8", "!fd00::/8"])          # all but these
accepts = address_filter(lambda host: not host.startswith("10."))
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Sequence

from icelane.errors import SyntaxError_

_log = logging.getLogger(__name__)

AddressFilter = Sequence[str] | Callable[[str], bool]
"""Networks in CIDR notation, those with `!` in front left out; or what says of an address whether it is used."""


def address_filter(addresses: object) -> Callable[[str], bool]:
    """What says of an address in canonical text whether it may be used; None lets all of them.

    Where networks without `!` are named, an address has to be in one of them; in one with `!` it must never be. Their
    order means nothing. Raises TypeError for anything but networks or a function, and SyntaxError_ for text that is no
    network; both name it.
    """
    if addresses is None:
        return lambda _: True
    if callable(addresses):
        return lambda host: _ask(addresses, host)
    if isinstance(addresses, str) or not isinstance(addresses, Sequence):
        raise TypeError(f"addresses is a list of networks or a function, not {addresses!r}")
    wanted = [_network(text) for text in addresses if not _is_excluded(text)]
    unwanted = [_network(text[1:]) for text in addresses if _is_excluded(text)]

    def accepts(host: str) -> bool:
        address = ipaddress.ip_address(host)
        return not any(address in one for one in unwanted) and (not wanted or any(address in one for one in wanted))

    return accepts


def _is_excluded(text: object) -> bool:
    if not isinstance(text, str):
        raise TypeError(f"addresses is a list of networks, each a string, and {text!r} is none")
    return text.startswith("!")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise SyntaxError_(f"addresses: {text!r} is no network, such as 192.0.2.0/24: {error}") from None


def _ask(accepts: Callable[[str], object], host: str) -> bool:
    """An address of which the program's function can say nothing is not used: it may be there to be hidden."""
    try:
        return bool(accepts(host))
    except Exception:
        _log.exception("the function in RTCConfiguration.addresses failed; the address is not used")
        return False
