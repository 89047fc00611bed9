"""Reports that people share: what was found, with addresses cut to networks, kept for some days."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections import OrderedDict
from typing import Final, NamedTuple

from icelane.core.clock import Duration, Instant, later
from icelane.core.entropy import Entropy

MAX_REPORTS: Final = 500
"""Kept at a time, by default; the oldest goes for one more."""
MAX_REPORTS_PER_USER: Final = 20
"""Of one user; his oldest goes for one more, so that nobody drives out those of all others."""
MAX_REPORT: Final = 32_768
"""Bytes of one."""
LIFETIME: Final[Duration] = 7 * 86_400.0

_ID_BYTES: Final = 16

# Whatever an address may be part of, words before it and ports behind it too; `ipaddress` decides.
_RUN = re.compile(r"[0-9A-Fa-f:.]{3,}")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
# An IPv6 address without `::` has so many colons at least, where its end is written as IPv4.
_COLONS: Final = 6
# Characters of the longest one.
_LONGEST: Final = 45


class _Kept(NamedTuple):
    user: str
    body: bytes
    until: Instant


class SharedReports:
    """In memory, by ids that nobody guesses; a restart forgets them."""

    def __init__(self, entropy: Entropy, *, limit: int = MAX_REPORTS, lifetime: Duration = LIFETIME) -> None:
        self._entropy = entropy
        self._limit = limit
        self._lifetime = lifetime
        # All live equally long, so the oldest is the first to expire.
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, body: bytes, user: str, now: Instant) -> str:
        """Keep a report of `user`, MAX_REPORT bytes at most, which the caller sees to; the id to ask for it by."""
        assert len(body) <= MAX_REPORT, "whoever takes it in has looked"
        self._drop_expired(now)
        mine = [name for name, kept in self._kept.items() if kept.user == user]
        if len(mine) >= MAX_REPORTS_PER_USER:
            del self._kept[mine[0]]
        elif len(self._kept) >= self._limit:
            self._kept.popitem(last=False)
        name = base64.urlsafe_b64encode(self._entropy.token(_ID_BYTES)).rstrip(b"=").decode()
        self._kept[name] = _Kept(user, body, later(now, self._lifetime))
        return name

    def get(self, name: str, now: Instant) -> bytes | None:
        """A report; None when there is none, or not any more."""
        self._drop_expired(now)
        kept = self._kept.get(name)
        return None if kept is None else kept.body

    def _drop_expired(self, now: Instant) -> None:
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)


def masked(text: str) -> str:
    """The same with every address cut to its network: /24 of IPv4, /48 of IPv6. Ports stay.

    What may be an IPv6 address but does not read as one is cut whole.
    """
    return _RUN.sub(lambda found: _masked_run(found[0]), text)


def _masked_run(run: str) -> str:
    if not _may_be_ipv6(run):
        return _IPV4.sub(lambda found: _cut(found[0]) or found[0], run)
    # A word with a colon may stand before it, never an address: `host:2001:db8::5`.
    before = ":" if run[0] == ":" != run[1] else ""
    rest = run[len(before) :]
    for end in range(min(len(rest), _LONGEST), 1, -1):
        cut = _cut(rest[:end]) if ":" in rest[:end] else None
        if cut is not None:
            behind = rest[end:]
            return before + cut + ("x" if _may_be_ipv6(behind) else behind)
    return "x"


def _may_be_ipv6(run: str) -> bool:
    return "::" in run or run.count(":") >= _COLONS


def _cut(text: str) -> str | None:
    """The network that an address is in; None for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified:
        return text
    prefix = 24
    if address.version == 6:
        if address.ipv4_mapped is not None:
            return f"::ffff:{_cut(str(address.ipv4_mapped))}"
        # 6to4 has a whole IPv4 address in its first 48 bits (RFC 3056 section 2).
        prefix = 48 if address.sixtofour is None else 40
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address).rstrip("0") + "x"
