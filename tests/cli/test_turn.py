"""`icelane turn check` and `icelane stun` where no server answers as it should."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
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
