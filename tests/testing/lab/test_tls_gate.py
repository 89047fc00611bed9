"""The gate lets TLS pass and cuts everything else."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.testing.lab import Firewall, Host, Lab, Network, build
from icelane.testing.lab.splice import CutError
from icelane.testing.lab.tls_gate import CLIENT_HELLO, SERVER_HELLO, RecordFilter
from tests import certificates
from tests.testing.lab.sockets import connect, echoing, is_reset, need_lab

HELLO = bytes.fromhex("16 03 01 00 05 01 00 00 01 00")
DATA = bytes.fromhex("17 03 03 00 03 aa bb cc")
STUN = bytes.fromhex("00 01 00 00 21 12 a4 42") + bytes(12)


def filtered(*pieces: bytes, hello: int = CLIENT_HELLO) -> bytes:
    """What passes until the cut."""
    passes, passed = RecordFilter(hello), b""
    for piece in pieces:
        try:
            passed += passes(piece)
        except CutError:
            return passed + b"CUT"
    return passed


@given(st.lists(st.integers(0, 18), max_size=6))
def test_records_pass_however_they_are_cut_into_pieces(cuts: list[int]) -> None:
    stream = HELLO + DATA
    edges = sorted({0, *cuts, len(stream)})
    assert filtered(*(stream[begin:end] for begin, end in itertools.pairwise(edges))) == stream


def test_only_what_is_known_to_be_good_has_passed() -> None:
    assert filtered(HELLO[:5]) == b""
    assert filtered(HELLO + DATA[:4]) == HELLO


@pytest.mark.parametrize(
    "stream",
    [
        STUN,
        b"CONNECT turn.example.org:443 HTTP/1.1\r\n\r\n",
        DATA,
        bytes.fromhex("16 03 01 00 05 02"),
        bytes.fromhex("16 03 09"),
        bytes.fromhex("16 02"),
        bytes.fromhex("16 03 01 ff ff"),
        bytes.fromhex("16 03 01 00 00"),
        bytes.fromhex("15 03 01 00 02"),
    ],
)
def test_a_client_that_begins_with_anything_but_a_client_hello_is_cut(stream: bytes) -> None:
    assert filtered(stream) == b"CUT"


def test_what_follows_a_hello_and_is_no_record_is_cut() -> None:
    assert filtered(HELLO, DATA, STUN) == HELLO + DATA + b"CUT"


def test_a_server_begins_with_a_server_hello_or_an_alert() -> None:
    assert filtered(b"\x16\x03\x03\x00\x01\x02", hello=SERVER_HELLO) == b"\x16\x03\x03\x00\x01\x02"
    assert filtered(b"\x15\x03\x03\x00\x02\x02\x28", hello=SERVER_HELLO) == b"\x15\x03\x03\x00\x02\x02\x28"
    assert filtered(HELLO, hello=SERVER_HELLO) == b"CUT"
    assert filtered(STUN, hello=SERVER_HELLO) == b"CUT"


@given(st.binary(max_size=200))
def test_nothing_but_a_cut_comes_of_bytes_that_nobody_expects(data: bytes) -> None:
    assert set(filtered(data)) <= set(data) | set(b"CUT")


# -- in a lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    need_lab()
    with build(Host("server"), Network("office", Host("alice"), firewall=Firewall.ONLY_TLS)) as built:
        yield built


def host_of(lab: Lab, name: str) -> str:
    host = lab[name].ipv4
    assert host is not None
    return host


def test_nothing_leaves_before_the_client_has_said_hello(lab: Lab) -> None:
    with echoing(lab["server"], 443) as came:
        for data in (STUN, b"GET / HTTP/1.1\r\n\r\n"):
            opened = connect(lab["alice"], host_of(lab, "server"), 443)
            assert opened is not None
            with opened:
                assert is_reset(opened, data)
    assert came == []


def test_a_server_that_speaks_something_else_is_cut(lab: Lab) -> None:
    """It echoes the ClientHello, which no server of TLS says."""
    with echoing(lab["server"], 443) as came:
        opened = connect(lab["alice"], host_of(lab, "server"), 443)
        assert opened is not None
        with opened:
            assert is_reset(opened, HELLO)
    assert [host for host, _ in came] == [host_of(lab, "office")]


def test_stun_behind_a_handshake_is_cut(lab: Lab, tmp_path: Path) -> None:
    pair = certificates.good(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with echoing(lab["server"], 443, context):
        opened = connect(lab["alice"], host_of(lab, "server"), 443)
        assert opened is not None
        with opened:
            secured = certificates.trusting().wrap_socket(opened, server_hostname=certificates.NAME)
            secured.sendall(b"good")
            assert secured.recv(4) == b"good"
            with socket.socket(fileno=secured.detach()) as plain:
                plain.settimeout(5)
                assert is_reset(plain, STUN)


def test_where_nobody_listens_the_connection_ends(lab: Lab) -> None:
    opened = connect(lab["alice"], host_of(lab, "server"), 443)
    assert opened is not None
    with opened:
        assert is_reset(opened, HELLO)
