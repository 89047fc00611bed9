"""Whom our client believes over TLS, and whom it does not."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import cast

import pytest

from icelane.aio.client_tls import client_context
from icelane.aio.resolver import ServiceRecord
from icelane.aio.stun_client import binding
from icelane.aio.turn_client import connect_turn
from icelane.core.net import SocketAddress, Transport
from icelane.errors import (
    CertificateRefusedError,
    ConfigurationError,
    LocalProtocolError,
    ResolutionError,
    TlsHandshakeError,
    TransactionTimeoutError,
    TransportClosedError,
)
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from tests import certificates
from tests.certificates import NAME, Pair, authority_file
from tests.loops import Run, close_later

USER = "alice"
PASSWORD = "correct-horse-battery"


class OnLoopback:
    """Every name is this machine."""

    async def service_records(self, name: str) -> list[ServiceRecord]:
        return []

    async def addresses(self, host: str) -> list[str]:
        return ["127.0.0.1"]


def tls_server(pair: Pair, *more: str) -> TurnServer:
    turn = {
        "realm": "example.org",
        "listen": ["tls://127.0.0.1:0", *more],
        "relay_addresses": ["127.0.0.1"],
        "dangerously_allow_loopback_peers": True,
        "users": {USER: PASSWORD},
    }
    return TurnServer(parse_config({"turn": turn, "tls": pair.section()}))


async def connect(server: TurnServer, authority: Path | None, name: str = NAME) -> None:
    """Allocate over TLS and give it back."""
    url = f"turns:{name}:{server.listening[0].port}"
    async with await connect_turn(
        url, username=USER, password=PASSWORD, authority=authority, lookup=OnLoopback()
    ) as relay:
        assert relay.path.transport is Transport.TLS


@pytest.mark.parametrize("chain", [False, True], ids=["leaf", "chain"])
def test_a_certificate_for_the_name_from_the_private_authority_is_believed(
    run: Run, tmp_path: Path, chain: bool
) -> None:
    """TL-5: and with the chain that the server sends."""
    make = certificates.with_intermediate if chain else certificates.good

    async def scenario() -> None:
        async with tls_server(make(tmp_path)) as server:
            await connect(server, authority_file(tmp_path))
            url = f"stuns:{NAME}:{server.listening[0].port}"
            found = await binding(url, authority=authority_file(tmp_path), lookup=OnLoopback())
            assert found.transport is Transport.TLS

    run(scenario())


@pytest.mark.parametrize("kind", certificates.BAD)
def test_any_other_certificate_is_refused_before_a_request_is_sent(run: Run, tmp_path: Path, kind: str) -> None:
    """TL-5: expired, self-signed, wrong name, wrong usage, incomplete, unknown, for an address."""

    async def scenario() -> None:
        async with tls_server(certificates.BAD[kind](tmp_path)) as server:
            with pytest.raises(CertificateRefusedError, match=NAME):
                await connect(server, authority_file(tmp_path))
            with pytest.raises(CertificateRefusedError):
                await binding(
                    f"stuns:{NAME}:{server.listening[0].port}",
                    authority=authority_file(tmp_path),
                    lookup=OnLoopback(),
                )
            assert not len(server.allocations)

    run(scenario())


class Silent(asyncio.Protocol):
    """Takes connections and says nothing."""

    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        close_later(transport)


class WebServer(Silent):
    """Answers whatever comes by HTTP."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class HangsUp(Silent):
    """Does not like what comes."""

    def data_received(self, data: bytes) -> None:
        self.transport.close()


async def listen(kind: type[Silent], context: ssl.SSLContext | None = None) -> int:
    """The port of such a server."""
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, ssl=context)
    close_later(server)
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (Silent, "connected by TCP, and no TLS handshake within 0"),
        (WebServer, "what answers there does not speak TLS"),
        (HangsUp, "the connection ended during the TLS handshake"),
    ],
    ids=["silent", "http", "hangs-up"],
)
def test_a_port_without_tls_is_told_from_one_that_cannot_be_reached(
    run: Run, tmp_path: Path, plain: type[Silent], words: str
) -> None:
    async def scenario() -> None:
        port = await listen(plain)
        timeout = 0.3 if plain is Silent else 20.0
        authority = authority_file(tmp_path)
        with pytest.raises(TlsHandshakeError, match=f"^127.0.0.1:{port}: {words}"):
            await connect_turn(
                f"turns:{NAME}:{port}", authority=authority, lookup=OnLoopback(), timeout=timeout, username=USER
            )
        with pytest.raises(TlsHandshakeError, match=f"^127.0.0.1:{port}: {words}"):
            await binding(f"stuns:{NAME}:{port}", authority=authority, lookup=OnLoopback(), timeout=timeout)

    run(scenario())


def test_a_server_that_is_silent_after_the_handshake_speaks_tls(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = certificates.good(tmp_path)
        context.load_cert_chain(pair.certificate, pair.key)
        url = f"stuns:{NAME}:{await listen(Silent, context)}"
        with pytest.raises(TransactionTimeoutError):
            await binding(url, authority=authority_file(tmp_path), lookup=OnLoopback(), timeout=0.5)

    run(scenario())


def test_the_name_that_counts_is_the_one_in_the_uri(run: Run, tmp_path: Path) -> None:
    """TL-5: SNI and the check use it, wherever the name leads to."""

    async def scenario() -> None:
        async with tls_server(certificates.good(tmp_path)) as server:
            with pytest.raises(CertificateRefusedError, match=r"other\.example\.org"):
                await connect(server, authority_file(tmp_path), "other.example.org")

    run(scenario())


def test_the_authorities_of_the_machine_count_when_none_is_named(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with tls_server(certificates.good(tmp_path)) as server:
            with pytest.raises(CertificateRefusedError):
                await connect(server, None)

    run(scenario())


def test_no_environment_variable_changes_whom_we_believe(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TL-5: neither OpenSSL's variables nor Python's nor those of other HTTP clients."""
    private = str(authority_file(tmp_path))
    keys = tmp_path / "keys.log"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, private)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))

    async def scenario() -> None:
        async with tls_server(certificates.good(tmp_path)) as server:
            with pytest.raises(CertificateRefusedError):
                await connect(server, None)
            await connect(server, Path(private))

    run(scenario())
    assert not keys.exists()


def test_a_secure_uri_never_falls_back_to_plain_text(run: Run, tmp_path: Path) -> None:
    """TL-5: not even where the same port speaks TURN over TCP."""

    async def scenario() -> None:
        heard: list[bytes] = []

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(5))
            writer.close()

        plain = await asyncio.start_server(on_connection, "127.0.0.1", 0)
        port = plain.sockets[0].getsockname()[1]
        async with plain:
            for _ in range(2):
                with pytest.raises(TransportClosedError):
                    await connect_turn(f"turns:{NAME}:{port}", username=USER, password=PASSWORD, lookup=OnLoopback())
            with pytest.raises(TransportClosedError):
                await binding(f"stuns:{NAME}:{port}", lookup=OnLoopback())
        assert [first[:2] for first in heard] == [b"\x16\x03"] * 3  # a ClientHello each time, and nothing else

    run(scenario())


def test_tls_needs_a_name(run: Run) -> None:
    """TL-5: an address is reached over TLS in no way."""

    async def scenario() -> None:
        address = SocketAddress("127.0.0.1", 5349)
        with pytest.raises(LocalProtocolError, match="name"):
            await connect_turn(address, transport=Transport.TLS)
        with pytest.raises(LocalProtocolError, match="name"):
            await binding(address, transport=Transport.TLS)
        with pytest.raises(ResolutionError, match="name"):
            await connect_turn("turns:127.0.0.1")

    run(scenario())


def test_an_authority_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    for path in (garbage, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError) as caught:
            client_context(path)
        assert (caught.value.key, caught.value.file) == ("authority", str(path))


def test_a_context_verifies_everything_and_writes_no_keys(tmp_path: Path) -> None:
    context = client_context(authority_file(tmp_path))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.keylog_filename
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1
