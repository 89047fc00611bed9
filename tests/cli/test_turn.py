"""`icelane turn check` and `icelane stun` where no server answers as it should."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import authority_file
from tests.cli.conftest import Icelane

LOGIN = ("--user", "alice", "--password", "secret")


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of something that answers every connection by HTTP."""

    def serve() -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            with connected:
                connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while connected.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_port_without_tls_is_said_in_words_with_what_mends_it(
    icelane: Icelane, tmp_path: Path, web_server: int
) -> None:
    authority = str(authority_file(tmp_path))
    url = f"turns:localhost:{web_server}"
    result = icelane("turn", "check", url, *LOGIN, "--authority", authority, "--json")
    assert result.code == 4
    (problem,) = result.document["problems"]
    assert problem["message"] == f"127.0.0.1:{web_server}: what answers there does not speak TLS"
    assert "turn:HOST:PORT?transport=tcp" in problem["mend"]


@pytest.mark.parametrize("url", ["stuns:turn.example.org", "turns:turn.example.org:443"])
def test_tcp_is_not_silently_left_out_where_the_url_wants_tls(icelane: Icelane, url: str) -> None:
    result = icelane("stun", url, "--tcp", "--json")
    assert result.code == 2
    (problem,) = result.document["problems"]
    assert "is asked over TLS" in problem["message"]
    assert problem["mend"] == f"icelane stun {url}"


@pytest.mark.parametrize(
    ("answer", "message", "mend"),
    [
        (b"HTTP/1.1 403 x\r\n\r\n", "does not allow connections to turn.invalid:443: it answered 403", "port 443"),
        (
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
            "asks who we are, by Basic: it answered 407, and it does not take the user and password that it was given",
            "--proxy http://USER:PASSWORD@HOST:PORT",
        ),
        (b"HTTP/1.1 502 x\r\n\r\n", "cannot reach turn.invalid:443", "looks the name up"),
        (b"220 mail.example.org ESMTP\r\n", "does not speak HTTP as a proxy does", "curl -v -x"),
        (b"", "closed the connection instead of answering CONNECT", "curl -v -x"),
    ],
)
def test_what_a_proxy_does_wrong_is_said_with_what_mends_it_and_without_the_password(
    icelane: Icelane, answer: bytes, message: str, mend: str
) -> None:
    with answering(answer) as port:
        result = icelane(
            "turn", "check", "turns:turn.invalid:443", *LOGIN, "--json", ICELANE_PROXY=f"bob:hidden@127.0.0.1:{port}"
        )
    assert result.code == 4
    (problem,) = result.document["problems"]
    assert f"the proxy http://127.0.0.1:{port} {message}" in problem["message"]
    assert mend in problem["mend"]
    assert "hidden" not in result.out + result.err


def test_a_proxy_that_is_none_is_a_mistake_in_the_command(icelane: Icelane) -> None:
    for proxy in ("socks5://bob:hidden@127.0.0.1:1080", "http://bob:hidden@:3128"):
        result = icelane("turn", "check", "turns:turn.invalid:443", *LOGIN, "--proxy", proxy, "--json")
        assert result.code == 2
        assert "proxy" in result.document["problems"][0]["message"]
        assert "hidden" not in result.out + result.err


def test_the_environment_names_the_proxy_when_it_is_asked(icelane: Icelane) -> None:
    check = ("turn", "check", "turns:turn.invalid:443", *LOGIN, "--json", "--proxy", "environment")
    with answering(b"HTTP/1.1 403 x\r\n\r\n") as port:
        result = icelane(*check, HTTPS_PROXY=f"http://127.0.0.1:{port}", NO_PROXY="")
        assert "answered 403" in result.document["problems"][0]["message"]
    result = icelane(*check, HTTPS_PROXY="socks5://127.0.0.1", NO_PROXY="")
    assert result.code == 2
    assert result.document["problems"][0]["key"] == "HTTPS_PROXY"


def test_udp_is_said_to_go_around_the_proxy(icelane: Icelane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        place = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        result = icelane("turn", "check", "turn:127.0.0.1:9", *LOGIN, "--proxy", place, "--timeout", "0.3")
    assert result.code == 4
    assert "UDP does not go through a proxy" in result.err


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a proxy that gives one answer to everybody and hangs up."""

    def serve() -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            with connected:
                connected.recv(4096)
                connected.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
