"""The server's certificate: loaded, proven, swapped; and what a scan of the port finds."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from icelane.core.net import SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server.config import Config, parse_config
from icelane.server.tls import ServerTls, load_certificate
from icelane.server.turn_server import TurnServer
from icelane.stun.message import MessageBuilder, MessageClass, Method
from tests import certificates
from tests.certificates import NAME, Pair, trusting
from tests.loops import Run, close_later
from tests.scale import scaled
from tests.server.clients import Client, Peer, address_on, eventually, settings

CHANNEL = 0x4000
BINDING = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(range(12))).build()


def tls_settings(pair: Pair, **turn: object) -> Config:
    """`settings` with a TLS listener and this certificate."""
    chosen = {"listen": ["tls://127.0.0.1:0", "udp://127.0.0.1:0"], **turn}
    # What `settings` fills in is a checked configuration; the table of it is read again, with the section beside it.
    plain = settings().turn
    return parse_config(
        {
            "turn": {
                "realm": plain.realm,
                "relay_addresses": ["127.0.0.1"],
                "dangerously_allow_loopback_peers": True,
                "users": {name: secret.get_secret_value() for name, secret in plain.users.items()},
                **chosen,
            },
            "tls": pair.section(),
        }
    )


async def shown(address: SocketAddress, context: ssl.SSLContext | None = None, name: str | None = NAME) -> int:
    """Shake hands; returns the serial number of the certificate that the server shows."""
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context or trusting(), server_hostname=name
        )
        close_later(writer)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
    return x509.load_der_x509_certificate(certificate).serial_number


def serial(pair: Pair) -> int:
    """The serial number of the certificate in the file."""
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


def install(new: Pair, at: Pair) -> None:
    """Put the files of one pair in place of the other's."""
    at.certificate.write_bytes(new.certificate.read_bytes())
    at.key.write_bytes(new.key.read_bytes())


def alarms(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The reports of certificates that could not be used."""
    return [record for record in caplog.records if record.message == "tls.certificate_rejected"]


# Loading


def test_a_pair_that_is_loaded_tells_its_names_and_its_end(tmp_path: Path) -> None:
    pair = certificates.good(tmp_path, NAME, "www.example.org")
    loaded = load_certificate(pair.certificate, pair.key)
    written = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    assert loaded.names == (NAME, "www.example.org")
    assert datetime.fromtimestamp(loaded.expires_at, UTC) == written.not_valid_after_utc


def broken_pairs(folder: Path) -> dict[str, tuple[Pair, str, str]]:
    """Pairs that cannot be used, the key that is to blame and a word of the reason."""
    one, other = certificates.good(folder, file="one"), certificates.good(folder, file="other")
    garbage = folder / "garbage.pem"
    garbage.write_text("-----" + "BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    encrypted = folder / "encrypted.key"
    encrypted.write_text("-----" + "BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    missing = folder / "missing.pem"
    return {
        "another key": (Pair(certificate=one.certificate, key=other.key), "tls.key", "does not belong"),
        "no certificate": (Pair(certificate=garbage, key=one.key), "tls.certificate", "no PEM certificate"),
        "a key in place of the certificate": (Pair(certificate=one.key, key=one.key), "tls.certificate", "no PEM"),
        "no key": (Pair(certificate=one.certificate, key=garbage), "tls.key", "no PEM private key"),
        "an unreadable key": (Pair(certificate=one.certificate, key=encrypted), "tls.key", "private key"),
        "a missing certificate": (Pair(certificate=missing, key=one.key), "tls.certificate", "No such file"),
        "a missing key": (Pair(certificate=one.certificate, key=missing), "tls.key", "No such file"),
        "a directory": (Pair(certificate=folder, key=one.key), "tls.certificate", "directory"),
    }


BROKEN = (
    "another key",
    "no certificate",
    "a key in place of the certificate",
    "no key",
    "an unreadable key",
    "a missing certificate",
    "a missing key",
    "a directory",
)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_pair_that_cannot_be_used_names_the_key_and_the_file(tmp_path: Path, kind: str) -> None:
    """OP-4: before anybody is shown it; and the text never holds what the file held."""
    pair, key, reason = broken_pairs(tmp_path)[kind]
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load_certificate(pair.certificate, pair.key)
    assert caught.value.key == key
    assert caught.value.file in (str(pair.certificate), str(pair.key))
    assert "PRIVATE KEY-" not in str(caught.value)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    """A server that asks on the terminal never starts."""
    from cryptography.hazmat.primitives import serialization

    pair = certificates.good(tmp_path)
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigurationError, match="encrypted") as caught:
        load_certificate(pair.certificate, pair.key)
    assert caught.value.key == "tls.key"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_pair_keeps_the_old_one_and_raises_an_alarm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """OP-4: bad PEM, key mismatch, missing file."""
    caplog.set_level(logging.INFO)
    pair = certificates.good(tmp_path)
    tls = ServerTls(pair.certificate, pair.key)
    before = tls.certificate
    broken, key, _ = broken_pairs(tmp_path)[kind]
    assert not tls.reload(broken.certificate, broken.key)
    assert tls.certificate is before
    (alarm,) = alarms(caplog)
    assert alarm.levelno == logging.ERROR
    assert getattr(alarm, "key", None) == key
    assert tls.reload()
    assert tls.certificate is not before
    assert len(alarms(caplog)) == 1


def test_an_expired_certificate_does_not_replace_a_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """OP-4: it would turn every client away."""
    pair = certificates.good(tmp_path)
    tls = ServerTls(pair.certificate, pair.key)
    install(certificates.expired(tmp_path), pair)
    assert not tls.reload()
    assert len(alarms(caplog)) == 1


def test_a_server_starts_with_an_expired_certificate_and_says_so(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with TurnServer(tls_settings(certificates.expired(tmp_path))):
            pass

    run(scenario())
    assert "tls.certificate_expired" in [record.message for record in caplog.records]


def test_a_server_does_not_start_with_a_broken_pair_and_leaves_nothing_open(run: Run, tmp_path: Path) -> None:
    pair, key, _ = broken_pairs(tmp_path)["another key"]

    async def scenario() -> None:
        before = len(os.listdir("/proc/self/fd"))
        server = TurnServer(tls_settings(pair, listen=["udp://127.0.0.1:0", "tls://127.0.0.1:0"]))
        with pytest.raises(ConfigurationError) as caught:
            await server.start()
        assert caught.value.key == key
        await server.close()
        assert len(os.listdir("/proc/self/fd")) == before

    run(scenario())


# Swapping


def test_new_connections_get_the_new_certificate_and_old_ones_live_on(run: Run, tmp_path: Path) -> None:
    """OP-4: with and without a name, and while a client relays."""
    pair = certificates.good(tmp_path)
    first = serial(pair)

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            address = address_on(server, Transport.TLS)
            client = await Client.allocated(address, Transport.TLS)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            assert await shown(address) == first
            install(certificates.good(tmp_path, file="new"), pair)
            assert await shown(address) == first
            assert server.reload_certificates()
            assert server.certificate_expires_at is not None
            second = await shown(address)
            assert second == serial(pair) != first
            nameless = trusting()
            nameless.check_hostname = False
            assert await shown(address, nameless, "") == second
            client.send_on(CHANNEL, b"still here")
            assert (await peer.inbox.take())[0] == b"still here"
            await client.refresh(600)

    run(scenario())


def test_a_session_of_before_is_not_resumed_with_the_old_certificate(run: Run, tmp_path: Path) -> None:
    """OP-4: TLS 1.2 has sessions by number, whose client is shown no certificate and keeps the one that it saw."""
    pair = certificates.good(tmp_path)
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def dial(address: SocketAddress, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, int]:
        plain = socket.create_connection((address.host, address.port), timeout=5)
        with context.wrap_socket(plain, server_hostname=NAME, session=session) as secure:
            certificate = secure.getpeercert(binary_form=True)
            assert certificate is not None
            found = secure.session
            secure.unwrap().close()  # OpenSSL forgets the session of a connection that was not closed properly
            return found, x509.load_der_x509_certificate(certificate).serial_number

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            address = address_on(server, Transport.TLS)
            session, first = await asyncio.to_thread(dial, address, None)
            assert first == serial(pair)
            install(certificates.good(tmp_path, file="new"), pair)
            assert server.reload_certificates()
            _, second = await asyncio.to_thread(dial, address, session)
            assert second == serial(pair) != first

    run(scenario())


def test_handshakes_succeed_while_certificates_change(run: Run, tmp_path: Path) -> None:
    """OP-4: 1,000 handshakes and 100 reloads, every third of them of a pair that does not match."""
    pair = certificates.good(tmp_path)
    one, other = certificates.good(tmp_path, file="one"), certificates.good(tmp_path, file="other")
    mismatched = Pair(certificate=one.certificate, key=other.key)
    expected = {serial(pair), serial(one), serial(other)}
    context = trusting()

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            address = address_on(server, Transport.TLS)
            client = await Client.allocated(address, Transport.TLS)
            waiting = scaled(1000)
            seen: set[int] = set()

            async def visitor() -> None:
                nonlocal waiting
                while waiting > 0:
                    waiting -= 1
                    seen.add(await shown(address, context))

            async def administrator() -> None:
                turn = 0
                while waiting > 0:
                    install((one, other, mismatched)[turn % 3], pair)
                    assert server.reload_certificates() == (turn % 3 != 2)
                    turn += 1
                    await asyncio.sleep(0.01)

            await asyncio.gather(*(visitor() for _ in range(8)), administrator())
            assert seen <= expected
            await client.refresh(600)

    run(scenario())


def test_two_reloads_at_once_leave_one_whole_pair(run: Run, tmp_path: Path) -> None:
    """OP-4."""
    pair = certificates.good(tmp_path)

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            loop = asyncio.get_running_loop()
            install(certificates.good(tmp_path, file="new"), pair)
            for _ in range(2):
                loop.call_soon(server.reload_certificates)
            found = await asyncio.gather(*(shown(address_on(server, Transport.TLS)) for _ in range(4)))
            assert found[-1] == serial(pair)

    run(scenario())


def test_a_failing_choice_of_certificate_fails_the_handshake(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """TL-7: CVE-2026-27448."""
    pair = certificates.good(tmp_path)

    def fail(self: ServerTls) -> None:
        raise RuntimeError("no choice")

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            address = address_on(server, Transport.TLS)
            with monkeypatch.context() as patched:
                patched.setattr(ServerTls, "certificate", property(fail))
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await shown(address)
            assert await shown(address) == serial(pair)

    run(scenario())
    assert "tls.callback_failed" in [record.message for record in caplog.records]


def test_a_callback_that_raises_past_us_fails_the_handshake_too(run: Run, tmp_path: Path) -> None:
    """TL-7: the outer context has no certificate to go on with."""
    pair = certificates.good(tmp_path)

    def fail(*_: object) -> None:
        raise RuntimeError("no choice")

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            tls = server._entrance.tls
            assert tls is not None
            unraisable: list[object] = []
            hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
            try:
                tls.context.sni_callback = fail
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await shown(address_on(server, Transport.TLS))
                tls.context.sni_callback = None
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await shown(address_on(server, Transport.TLS))
            finally:
                sys.unraisablehook = hook
            assert len(unraisable) == 1

    run(scenario())


# The scan


def client_of(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that speaks this version alone, however old."""
    context = trusting()
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    return context


async def accepts(address: SocketAddress, context: ssl.SSLContext) -> bool:
    try:
        await shown(address, context)
    except (ssl.SSLError, ConnectionError):
        return False
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_modern_versions_and_ciphers_are_accepted(run: Run, tmp_path: Path) -> None:
    """TL-4: TLS 1.0 and 1.1, CBC, static RSA, finite-field DH, NULL, PSK, RC4 and 3DES are refused."""
    v1_2, v1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    known = {str(cipher["name"]) for cipher in client_of(v1_2).get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    good = {name for name in known if re.fullmatch("ECDHE-(ECDSA|RSA)-(AES.*GCM.*|CHACHA20-POLY1305)", name)}

    async def scenario() -> None:
        for pair, kind in ((certificates.good(tmp_path), "ECDSA"), (rsa_pair(tmp_path), "RSA")):
            async with TurnServer(tls_settings(pair)) as server:
                address = address_on(server, Transport.TLS)
                assert await accepts(address, client_of(v1_3))
                assert await accepts(address, client_of(v1_2))
                assert not await accepts(address, client_of(ssl.TLSVersion.TLSv1_1))
                assert not await accepts(address, client_of(ssl.TLSVersion.TLSv1))
                found = {name for name in known if await accepts(address, client_of(v1_2, f"{name}:@SECLEVEL=0"))}
                assert found == {name for name in good if f"-{kind}-" in name}

    run(scenario())


def rsa_pair(folder: Path) -> Pair:
    """What most public authorities still issue."""
    import trustme

    leaf = certificates.authority().issue_cert(NAME, key_type=trustme.KeyType.RSA)
    return certificates.write_pair(folder, leaf, "rsa")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_there_are_no_tickets_no_compression_and_no_early_data(
    run: Run, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """TL-4."""

    async def scenario() -> None:
        async with TurnServer(tls_settings(certificates.good(tmp_path))) as server:
            address = address_on(server, Transport.TLS)
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=client_of(version), server_hostname=NAME
            )
            close_later(writer)
            writer.write(BINDING)
            await reader.readexactly(20)  # tickets of TLS 1.3 would have come before
            connection = writer.get_extra_info("ssl_object")
            assert connection.compression() is None
            assert connection.session is None or not connection.session.has_ticket

    run(scenario())


def test_renegotiation_is_refused(run: Run, tmp_path: Path) -> None:
    """TL-4: a client that asks for it may make the server work for it again and again."""

    async def scenario() -> None:
        async with TurnServer(tls_settings(certificates.good(tmp_path))) as server:
            address = address_on(server, Transport.TLS)
            command = ("openssl", "s_client", "-connect", str(address), "-servername", NAME, "-tls1_2")
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdin is not None
            process.stdin.write(b"R\n")
            await process.stdin.drain()
            assert process.stdout is not None
            output = b""
            async with asyncio.timeout(10):
                while b"no renegotiation" not in output and (line := await process.stdout.readline()):
                    output += line
            if process.returncode is None:
                process.kill()
            await process.communicate()
            assert b"no renegotiation" in output, output.decode(errors="replace")
            assert b"Compression: NONE" in output
            await eventually(lambda: len(server._entrance.limit) == 0)

    run(scenario())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["stun.turn"], "stun.turn"),
        (["h2", "stun.turn"], "stun.turn"),
        (["stun.nat-discovery"], "stun.nat-discovery"),
        (["h2", "http/1.1"], None),
        ([], None),
    ],
)
def test_the_protocol_of_rfc_7443_is_chosen_and_others_are_no_obstacle(
    run: Run, tmp_path: Path, offered: list[str], chosen: str | None
) -> None:
    """TL-6: ALPN stun.turn is honoured."""

    async def scenario() -> None:
        async with TurnServer(tls_settings(certificates.good(tmp_path))) as server:
            address = address_on(server, Transport.TLS)
            context = trusting()
            if offered:
                context.set_alpn_protocols(offered)
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=NAME)
            close_later(writer)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        ("turn.example.org", True),
        ("TURN.example.org", True),
        ("a.wild.example.org", True),
        ("a.b.wild.example.org", False),
        ("wild.example.org", False),
        ("example.org", False),
    ],
)
def test_a_certificate_covers_its_names_and_one_label_of_a_wildcard(tmp_path: Path, asked: str, covered: bool) -> None:
    pair = certificates.good(tmp_path, NAME, "*.wild.example.org")
    assert load_certificate(pair.certificate, pair.key).covers(asked) == covered


def test_a_name_that_we_are_not_gets_the_certificate_that_we_have(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """TL-6: the client decides; a scanner learns no more than it does without a name, and fills no log."""
    pair = certificates.good(tmp_path)

    async def scenario() -> None:
        async with TurnServer(tls_settings(pair)) as server:
            context = trusting()
            context.check_hostname = False
            address = address_on(server, Transport.TLS)
            for number in range(40):
                assert await shown(address, context, f"{number // 2}.example.net") == serial(pair)

    run(scenario())
    asked = [getattr(record, "asked", "") for record in caplog.records if record.message == "tls.name_not_covered"]
    assert asked == [f"{number}.example.net" for number in range(16)]
