"""stun:, stuns:, turn: and turns: URIs (RFC 7064, RFC 7065)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.stun.uri import TurnUri, parse_uri

SEEDS = [
    b"stun:example.org",
    b"stuns:example.org:5349",
    b"turn:192.0.2.1:3478?transport=udp",
    b"turns:[2001:db8::1]:443?transport=tcp",
    b"turn:xn--bcher-kva.example?transport=tcp",
    b"turn:[::ffff:127.0.0.1]",
]
DICTIONARY = [
    b"stun:", b"stuns:", b"turn:", b"turns:", b"TURN:", b"//", b"?transport=", b"udp", b"tcp", b"&", b"#", b"@", b"[",
    b"]", b":", b"::", b"::1", b"%25eth0", b"%", b":0", b":65535", b":65536", b":+1", b":\xd9\xa1", b".", b"..", b"-",
    b"\0", b"\r\n", b" ", b"\xe2\x80\xae", b"127.1", b"0x7f.1", b"0177.0.0.1", b"2130706433", b"a" * 64, b"a." * 130,
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """Scheme, transport and shape of what was accepted."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8") from error
    uri = parse_uri(text)
    assert parse_uri(str(uri)) == uri, "printing and reading again gives another URI"
    assert 0 < uri.port_or_default < 65536
    assert uri.host
    assert uri.host.isascii()
    transport = uri.transport if isinstance(uri, TurnUri) else None
    return uri.scheme, transport, ":" in uri.host, uri.port is None
