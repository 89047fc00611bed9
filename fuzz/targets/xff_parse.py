"""Who it is behind proxies (SG-5): never an address that only the client wrote, and never one that is none."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.net import canonical_host
from icelane.errors import MalformedError
from icelane.signaling.admission.forwarded import TrustedProxies, parse_forwarded
from icelane.signaling.admission.headers import Headers

PROXIES = TrustedProxies(("10.0.0.0/8", "2001:db8:1::/48"))
PROXY = "10.0.0.1"
CLIENT = "198.51.100.9"

SEEDS = [
    b"1.2.3.4, 198.51.100.1",
    b"[2001:db8::7]:80, 10.9.9.9:4711",
    b"::ffff:10.1.1.1, unknown",
    b'for="[2001:db8::17]:4711";proto=http, for=192.0.2.60',
    b'for=_hidden;by="a\\"b,c"',
]
DICTIONARY = [
    b",", b", ", b"unknown", b"::ffff:", b"[", b"]", b"]:", b"for=", b'"', b'\\"', b";", b"%eth0", b"10.", b":80",
    b"2001:db8:1::", b"0x7f.1",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """Whether a hop counted, and whether it parses as a Forwarded header."""
    text = data.decode("latin-1")
    found = PROXIES.client_of(PROXY, Headers([("X-Forwarded-For", text)]))
    assert canonical_host(found) == found
    assert not found.startswith("::ffff:") or "." not in found
    # Whatever stands left of the hop that our own proxy wrote changes nothing.
    assert PROXIES.client_of(PROXY, Headers([("X-Forwarded-For", f"{text}, {CLIENT}")])) == CLIENT
    # Of somebody who is no proxy, no header counts.
    assert PROXIES.client_of(CLIENT, Headers([("X-Forwarded-For", text), ("Forwarded", text)])) == CLIENT
    try:
        hops = len(parse_forwarded(text))
    except MalformedError:
        hops = -1
    PROXIES.client_of(PROXY, Headers([("Forwarded", text)]))
    return found == PROXY, min(hops, 3)
