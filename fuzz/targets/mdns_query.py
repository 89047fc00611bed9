"""Questions of the local network, and what is answered to them (RFC 6762)."""

from __future__ import annotations

from collections.abc import Hashable

import dns.message

from icelane.aio.mdns import parse_answer
from icelane.aio.mdns_names import MAX_DIRECT, MAX_QUESTIONS, MdnsNames, parse_query
from icelane.aio.mdns_socket import PORT
from icelane.core.clock import Instant

NAME = "6a1f4c1e-0000-4000-8000-000000000000.local"
ELSEWHERE = "6a1f4c1e-0000-4000-8000-000000000001.local"
HOSTS = {NAME: "192.0.2.7", ELSEWHERE: "2001:db8::7"}

SEEDS = [
    *(
        dns.message.make_query(f"{name}.", kind, flags=0, id=0).to_wire()
        for name in HOSTS
        for kind in ("A", "AAAA", "ANY")
    ),
    dns.message.make_query(f"{NAME}.", "A", flags=0, id=7).to_wire()[:-2] + b"\x80\x01",
    b"",
]
DICTIONARY = [b"\x05local\0", b"\xc0\x0c", b"\0\x01\0\x01", b"\0\x1c\x80\x01", b"\0\xff", b"\x84\0", b"\0\0\0\x78"]


def run(data: bytes) -> Hashable:
    """How many were asked for, and how many answers there were."""
    query = parse_query(data)
    assert len(query.questions) <= MAX_QUESTIONS
    answers = []
    for port in (PORT, 40_000):
        names = MdnsNames()
        names.publish(NAME, HOSTS[NAME], "here")
        names.publish(ELSEWHERE, HOSTS[ELSEWHERE], "elsewhere")
        replies = names.handle_query(data, port, "here", Instant(0.0))
        assert len([reply for reply in replies if reply.is_direct]) <= MAX_DIRECT
        assert len([reply for reply in replies if not reply.is_direct]) <= 1, "the group heard a name twice"
        for reply in replies:
            assert reply.link == "here"
            assert len(reply.data) <= 256
            assert all(found == (NAME, HOSTS[NAME]) for found in parse_answer(reply.data)), "what is on another link"
        answers.append(len(replies))
        assert len(names) == len(HOSTS), "a question made the table grow"
    return len(query.questions), *(min(count, 2) for count in answers)
