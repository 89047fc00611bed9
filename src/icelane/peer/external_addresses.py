"""1:1 NAT: public addresses that somebody else translates to ours, port by port, as clouds do.

known = external_addresses({"10.0.0.5": "203.0.113.5"}, "host")
known.of("10.0.0.5")        # "203.0.113.5"
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icelane.core.net import AddressFamily, canonical_host, family_of
from icelane.errors import MalformedError, SyntaxError_

_TYPES: Final = ("host", "srflx")
_BROADCAST: Final = "255.255.255.255"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalAddresses:
    """Which public address stands for which of ours: one by one, or one for all of its family.

    With `replaces` the peer is told of the public address in place of ours, otherwise of both.
    """

    by_host: Mapping[str, str] = field(default_factory=dict)
    by_family: Mapping[AddressFamily, str] = field(default_factory=dict)
    replaces: bool = True

    def of(self, host: str) -> str | None:
        """The public address for `host`, one of ours; None when it is reached as it is."""
        return self.by_host.get(host) or self.by_family.get(family_of(host))


def external_addresses(given: object, kind: object) -> ExternalAddresses:
    """What a program says: a mapping of our addresses to public ones, or one public address for all of its family.

    `kind` is how the peer is told of them: `host`, in place of ours, or `srflx`, beside ours. Raises TypeError for
    anything else, and for a kind of `srflx` of nothing; SyntaxError_ for what is no address, for a public one that
    nobody is reached at, and for pairs of different families; both name it.
    """
    if kind not in _TYPES:
        raise TypeError(f"external_address_type is one of {', '.join(_TYPES)}, not {kind!r}")
    replaces = kind == "host"
    if given is None:
        if not replaces:
            raise TypeError("external_address_type says how peers are told of external_addresses, and there are none")
        return ExternalAddresses(replaces=replaces)
    if isinstance(given, str):
        host = _public(given)
        return ExternalAddresses(by_family={family_of(host): host}, replaces=replaces)
    if not isinstance(given, Mapping):
        raise TypeError(f"external_addresses is a mapping of addresses to public ones, or one of these, not {given!r}")
    by_host = {_address(local): _public(public) for local, public in given.items()}
    for local, public in by_host.items():
        if family_of(local) is not family_of(public):
            raise SyntaxError_(f"external_addresses: {local} and {public} are of different families")
    return ExternalAddresses(by_host=by_host, replaces=replaces)


def _public(text: object) -> str:
    host = _address(text)
    found = ipaddress.ip_address(host)
    if found.is_unspecified or found.is_multicast or found.is_loopback or found.is_link_local or host == _BROADCAST:
        raise SyntaxError_(f"external_addresses: nobody is reached from elsewhere at {host}")
    return host


def _address(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"external_addresses holds addresses, each a string, and {text!r} is none")
    try:
        return canonical_host(text)
    except MalformedError:
        raise SyntaxError_(f"external_addresses: {text!r} is no IP address") from None
