"""The answer of an HTTP proxy to CONNECT: the same however it is cut, bounded, and what it tells is printable."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.aio.connect_method import MAX_HEAD, MAX_SCHEMES, AnswerReader
from icelane.errors import MalformedError

SEEDS = [
    b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01",
    b"HTTP/1.0 200 OK\nVia: 1.1 proxy\n\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
    b'HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm="a, b", nonce="c"\r\nProxy-Authenticate: NTLM, Basic\r\n\r\n',
]
DICTIONARY = [
    b"HTTP/1.", b" 200 ", b" 407 ", b" 100 ", b"\r\n", b"\n\n", b"\r\n\r\n", b"Proxy-Authenticate: ", b"Basic",
    b"Digest ", b'realm="', b'\\"', b", ", b"=", b"\t", b"\xff",
]  # fmt: skip


def parse(data: bytes, step: int) -> tuple[Hashable, bytes]:
    """The answer, or what is wrong, and what came behind it."""
    reader = AnswerReader()
    try:
        for start in range(0, len(data), step):
            reader.handle_bytes(data[start : start + step])
    except MalformedError as error:
        return f"malformed: {error}", b""
    if reader.answer is None:
        assert len(data) < MAX_HEAD
        return "unfinished", b""
    assert 100 < reader.answer.status < 600
    assert len(reader.answer.schemes) <= MAX_SCHEMES
    assert all(scheme.isascii() and scheme.isprintable() and " " not in scheme for scheme in reader.answer.schemes)
    assert data.endswith(reader.rest)
    return reader.answer, reader.rest


def run(data: bytes) -> Hashable:
    """The kind of answer."""
    whole = parse(data, max(1, len(data)))
    assert parse(data, 1) == whole, "an answer depends on how it was cut"
    answer = whole[0]
    return answer if isinstance(answer, str) else (getattr(answer, "status", 0), len(getattr(answer, "schemes", ())))
