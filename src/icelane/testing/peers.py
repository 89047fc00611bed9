"""Peer addresses that a relay must refuse, and some that it must not: the vectors of the peer-address policy.

Every TURN method is tested with all of them. `ISATAP`, NAT64 and the other encodings hide loopback, metadata and public
addresses; `ipaddress.is_global` calls a third of the list global.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# No configuration opens these (but the loopback switch, which opens 127.0.0.0/8 and ::1).
REFUSED_ALWAYS: Final = _words("""
    0.0.0.0 0.1.2.3
    127.0.0.1 127.255.255.254
    169.254.169.254 169.254.170.2
    192.0.0.192
    192.88.99.1
    224.0.0.1 239.1.1.1
    240.0.0.1 255.255.255.255
    :: ::1
    ::127.0.0.1
    ::ffff:127.0.0.1 ::ffff:0.0.0.0 ::ffff:169.254.169.254 ::ffff:10.0.0.1
    ::ffff:8.8.8.8
    ::ffff:0:127.0.0.1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808
    64:ff9b:1::7f00:1
    2002:7f00:1:: 2002:a9fe:a9fe:: 2002:808:808::
    2001:0:7f00:1:: 2001::80ff:fffe
    fe80::5efe:7f00:1 2606:4700::200:5efe:7f00:1
    fe80::1 fec0::1
    fd00:ec2::254 fd20:ce::254
    ff02::1 ff05::1:3 ff0e::1
""")

# Refused unless `turn.peers.allow` names them.
REFUSED_BY_DEFAULT: Final = _words("""
    10.0.0.1 172.16.0.1 192.168.0.1
    100.64.0.1 100.100.100.200
    168.63.129.16
    192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1
    fc00::1
    2001:db8::1 3fff::1 100::1 5f00::1 2001:20::1
""")

ALLOWED: Final = _words("8.8.8.8 2606:4700::1111")

# The addresses just outside closed ranges: all allowed.
ALLOWED_NEIGHBOURS: Final = _words("""
    1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17
    169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0
    192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0
    203.0.112.255 203.0.114.0 223.255.255.255
    2000:: 2001:200:: 2001:db7:ffff:: 2001:db9:: 2001:ffff:: 2003:: 3ffe:ffff:: 3fff:1000::
    2606:4700::300:5efe:7f00:1 2606:4700::5eff:7f00:1
""")
