from __future__ import annotations

import base64

import pytest

from icelane.aio.connect_method import (
    MAX_FIELDS,
    MAX_HEAD,
    MAX_SCHEMES,
    AnswerReader,
    ProxyAnswer,
    encode_connect,
    parse_answer,
)
from icelane.errors import MalformedError


def read(data: bytes, step: int = 1 << 20) -> AnswerReader:
    reader = AnswerReader()
    for start in range(0, len(data), step):
        reader.handle_bytes(data[start : start + step])
    return reader


def test_the_request_names_the_server_twice_and_nobody_else() -> None:
    assert encode_connect("turn.example.org:443") == (
        b"CONNECT turn.example.org:443 HTTP/1.1\r\nHost: turn.example.org:443\r\n\r\n"
    )


def test_a_user_is_named_as_rfc_7617_has_it() -> None:
    request = encode_connect("[2001:db8::1]:443", "Müller", "a:b c")
    credentials = base64.b64encode("Müller:a:b c".encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode() in request
    assert request.startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\r\nServer: x\r\n\r\n",
        b"HTTP/1.1 204 \n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_an_answer_is_read_to_its_end_and_not_beyond_however_it_is_cut(head: bytes, step: int) -> None:
    reader = read(head + b"rest", step)
    assert reader.answer is not None
    assert reader.answer.is_open
    assert reader.rest == b"rest"
    for end in range(len(head)):
        assert read(head[:end]).answer is None


@pytest.mark.parametrize("status", [101, 301, 403, 407, 500, 502])
def test_every_other_answer_is_no_open_way(status: int) -> None:
    answer = read(b"HTTP/1.1 %d x\r\n\r\n" % status).answer
    assert answer == ProxyAnswer(status)
    assert not answer.is_open


@pytest.mark.parametrize(
    ("fields", "schemes"),
    [
        (b'Proxy-Authenticate: Basic realm="a, Negotiate"', ("Basic",)),
        (b'proxy-authenticate: Negotiate\r\nProxy-Authenticate: Basic realm="x"', ("Negotiate", "Basic")),
        (b'Proxy-Authenticate: Digest realm="a", nonce="b", qop=auth, Basic realm="c"', ("Digest", "Basic")),
        (b"Proxy-Authenticate: NTLM, Negotiate", ("NTLM", "Negotiate")),
        (b"Proxy-Authenticate: Negotiate abc==, Basic", ("Negotiate", "Basic")),
        (b"Proxy-Authenticate:", ()),
        (b"WWW-Authenticate: Basic", ()),
        (b"Proxy-Authenticate: \xff\x1b[31m", ()),
    ],
)
def test_a_407_says_which_authentications_it_wants(fields: bytes, schemes: tuple[str, ...]) -> None:
    assert parse_answer(b"HTTP/1.1 407 x\r\n" + fields).schemes == schemes


def test_what_is_told_of_authentications_is_bounded() -> None:
    names = b", ".join(b"a%d" % number + b"x" * 500 for number in range(100))
    schemes = parse_answer(b"HTTP/1.1 407 x\r\nProxy-Authenticate: " + names).schemes
    assert len(schemes) == MAX_SCHEMES
    assert max(map(len, schemes)) == 32


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 600 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + bytes(MAX_HEAD) + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD,
    ],
)
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_anything_else_is_malformed(data: bytes, step: int) -> None:
    with pytest.raises(MalformedError):
        read(data, step)


def test_what_cannot_become_an_answer_is_known_at_its_first_bytes() -> None:
    with pytest.raises(MalformedError):
        read(b"\x16\x03\x01")
