"""Every way in which a certificate is bad is told apart, as OpenSSL tells it, and what is good passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from icelane.core.clock import UnixSeconds
from icelane.diagnostics import Cause, CheckResult, CheckStatus
from icelane.diagnostics.certificate_check import SOON, check_certificate
from icelane.diagnostics.site import FixedLookup
from tests import certificates
from tests.certificates import NAME, Pair
from tests.interop.running import free_port

LOOKUP = FixedLookup({NAME: "127.0.0.1"})


def diagnosed(folder: Path, pair: Pair, *, ahead: float = 0.0) -> CheckResult:
    """What the check says of a server with that certificate."""
    authority = str(certificates.authority_file(folder))

    async def run() -> CheckResult:
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificates.serving(pair)
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            now = UnixSeconds(time.time() + ahead)
            return await check_certificate(NAME, port, now, authority=authority, lookup=LOOKUP)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("make", "cause", "said"),
    [
        (certificates.expired, Cause.CERTIFICATE_EXPIRED, "1.0 days ago"),
        (certificates.misnamed, Cause.CERTIFICATE_WRONG_NAME, "elsewhere.example.org"),
        (certificates.for_an_address, Cause.CERTIFICATE_WRONG_NAME, "127.0.0.1"),
        (certificates.unknown, Cause.CERTIFICATE_UNKNOWN_AUTHORITY, "does not trust"),
        (certificates.self_signed, Cause.CERTIFICATE_UNKNOWN_AUTHORITY, "signed itself"),
        (certificates.without_intermediate, Cause.CERTIFICATE_UNKNOWN_AUTHORITY, "the server's file lacks it"),
        (certificates.for_clients_only, Cause.CERTIFICATE_REFUSED, "purpose"),
    ],
)
def test_a_bad_certificate_is_named(tmp_path: Path, make: Callable[[Path], Pair], cause: Cause, said: str) -> None:
    result = diagnosed(tmp_path, make(tmp_path))
    assert result.status is CheckStatus.FAILED
    assert result.cause is cause, result
    assert said in result.detail
    assert result.mend


@pytest.mark.parametrize("make", [certificates.good, certificates.with_intermediate])
def test_a_good_certificate_passes(tmp_path: Path, make: Callable[[Path], Pair]) -> None:
    assert diagnosed(tmp_path, make(tmp_path)).status is CheckStatus.PASSED


def test_one_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    ends = 900_000 * 86_400  # the authority's, far away
    result = diagnosed(tmp_path, certificates.good(tmp_path), ahead=ends)
    assert result.cause is Cause.CERTIFICATE_ENDS_SOON
    assert SOON > 86_400


def test_a_port_that_speaks_no_tls_is_named(tmp_path: Path) -> None:
    async def run() -> CheckResult:
        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.org\r\n")
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await check_certificate(NAME, port, UnixSeconds(time.time()), lookup=LOOKUP)

    assert asyncio.run(run()).cause is Cause.NOT_TLS


def test_a_closed_port_is_named() -> None:
    result = asyncio.run(check_certificate(NAME, free_port(), UnixSeconds(time.time()), lookup=LOOKUP))
    assert result.cause is Cause.HTTPS_SILENT
    assert "ufw allow" in (result.mend or "")
