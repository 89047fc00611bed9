"""Where a server may send a client by ALTERNATE-SERVER, in a 300 (RFC 8489 section 10) or in the 508 of its end.

The response that redirects may be unsigned, so it must not turn a client into a probe of networks that its sender
cannot reach: hosts of the client's own machine, link or private network.
"""

from __future__ import annotations

from typing import Final

from icelane.core.net import AddressFamily, SocketAddress
from icelane.errors import RemoteProtocolError
from icelane.turn.address_range import RangeTable, number_of, parse_address_range
from icelane.turn.peer_policy import EMBEDDED_IPV4, HARD, SPECIAL_PURPOSE

# IC-12: honest clusters need one hop; a chain is a mistake or an attack.
MAX_REDIRECTS: Final = 3

_RULES: Final = [(parse_address_range(rule.prefix), rule.reason) for rule in (*EMBEDDED_IPV4, *HARD, *SPECIAL_PURPOSE)]
_TABLES: Final = {family: RangeTable(family, _RULES) for family in AddressFamily}


def check_redirect(visited: list[SocketAddress], target: SocketAddress, *, is_proxied: bool = False) -> None:
    """Raises RemoteProtocolError when a client must not follow from `visited` to `target`.

    `visited` are the servers so far, first the one that the user named. Refused are more than MAX_REDIRECTS hops, a
    server that was asked already, another address family, port 0, and an address of special purpose unless the first
    server has the same purpose. With `is_proxied`, `visited` are a proxy's addresses, which say nothing about those of
    the servers: then every address of special purpose is refused, since the proxy would connect to its own network.
    """
    if len(visited) > MAX_REDIRECTS:
        raise RemoteProtocolError(f"the server redirects more than {MAX_REDIRECTS} times")
    if target in visited and not is_proxied:
        raise RemoteProtocolError(f"the servers redirect in a circle, back to {target}")
    first = visited[0]
    if target.family is not first.family and not is_proxied:
        raise RemoteProtocolError(f"the server redirects to another address family: {target}")
    if target.port == 0:
        raise RemoteProtocolError("the server redirects to port 0")
    purpose = _purpose(target)
    if purpose is not None and (is_proxied or purpose != _purpose(first)):
        raise RemoteProtocolError(f"the server redirects to {target}, which is {purpose}")


def _purpose(address: SocketAddress) -> str | None:
    return _TABLES[address.family].label(number_of(address.host))
