"""A candidate line of SDP or of trickle (RFC 8839 section 5.1)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.ice.candidate import is_mdns_name, parse_candidate

SEEDS = [
    b"candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EEtu",
    b"a=candidate:0 1 UDP 2122252543 192.168.1.4 55600 typ host",
    b"1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 58096 typ host generation 0 network-cost 999",
    b"candidate:3 1 tcp 1518214911 2001:db8::1 9 typ host tcptype active",
    b"candidate:4 1 udp 8191 198.41.0.4 50000 typ relay raddr 203.0.113.9 rport 46154",
    b"candidate:5 2 udp 1862270975 fe80::1%eth0 9 typ prflx raddr :: rport 9",
]
DICTIONARY = [
    b"candidate:", b"a=", b" ", b"  ", b"typ", b" typ host", b"srflx", b"prflx", b"relay", b" raddr ", b" rport ",
    b" tcptype passive", b" ufrag ", b"udp", b"UDP", b"tcp", b"4294967296", b"65536", b"-1", b"+1", b"0x1", b"1e9",
    b".local", b"::ffff:127.0.0.1", b"%eth0", b"1.2.3", b"\xd9\xa1", b"\0", b"\r\n", b"\t", b"\xc2\xa0", b"a" * 254,
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """What was accepted, roughly."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8") from error
    candidate = parse_candidate(text)
    line = str(candidate)
    assert parse_candidate(line) == candidate, "printing and reading again gives another candidate"
    assert line.isascii()
    assert not set(line) & set("\r\n\0\t"), "a line that would end early"
    assert 0 <= candidate.port < 65536
    assert (candidate.host_name is None) != (candidate.host_name == candidate.host)
    mdns = is_mdns_name(candidate.host)
    assert not mdns or candidate.host_name is not None
    return candidate.type, candidate.transport, mdns, candidate.related is None, len(candidate.extensions)
