"""Bodies with iceServers, as backends of anybody hand them out."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.diagnostics.ice_body import MAX_SERVERS, MAX_URLS_PER_SERVER, parse_ice_body
from icelane.stun.uri import parse_uri

SEEDS = [
    b'{"iceServers":[{"urls":["stun:turn.example.org:3478"]},{"urls":["turn:turn.example.org:3478?transport=udp",'
    b'"turns:turn.example.org:443?transport=tcp"],"username":"1795389600:k1:alice","credential":"c2VjcmV0"}],'
    b'"iceTransportPolicy":"all","ttl":600}',
    b'{"iceServers":[{"urls":"stun:[2001:db8::1]"}]}',
    b'{"iceServers":[]}',
]
DICTIONARY = [
    b'"iceServers":', b'"urls":', b'"username":', b'"credential":', b"null", b"[]", b"{}", b'"stun:', b'"turn:',
    b'"turns:', b"?transport=", b"\\u0000", b"\\ud800", b"1e999",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """How many URLs, and whether there is a credential."""
    found = parse_ice_body(data)
    assert len(found.urls) <= MAX_SERVERS * MAX_URLS_PER_SERVER
    assert all(str(parse_uri(url)) == url for url in found.urls), "a URL is written as it is read"
    return len(found.urls), found.login is not None
