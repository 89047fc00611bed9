"""Chromium over `turns:` by host name: with a certificate that it trusts, and with ones that it must not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from demo.call import CallReport
from demo.chromium import PACKAGE, CallFailedError, relayed_call
from demo.trust import PACKAGE as TRUST_PACKAGE
from demo.trust import environment_that_trusts
from tests import certificates
from tests.certificates import NAME
from tests.interop.conftest import need_program
from tests.interop.relay_server import PASSWORD, USER, RelayServer, icelane_serve

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAYLOAD = 1 << 20  # bytes each way
FRAMES = 30
PATIENCE = 15.0  # seconds; a good call is set up in two

# Chromium's alert is the same for each of them, so we add what we know ourselves.
REFUSED = {
    "another name": (certificates.misnamed, "tls.name_not_covered"),
    "expired": (certificates.expired, "tls.certificate_expired"),
    "unknown authority": (certificates.unknown, "client-refuses-certificate"),
}


def call(server: RelayServer, folder: Path, *, timeout: float) -> CallReport:
    """Two pages, relay-only, over TLS, in a browser that trusts the tests' authority."""
    need_program("chromium", PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    home = folder / "home"
    home.mkdir()
    entry = {
        "urls": [f"turns:{NAME}:{server.tls_port}?transport=tcp"],
        "username": USER,
        "credential": PASSWORD,
    }
    return asyncio.run(
        relayed_call(
            [entry],
            payload=PAYLOAD,
            frames=FRAMES,
            timeout=timeout,
            extra_arguments=[f"--host-resolver-rules=MAP {NAME} {server.host}"],
            environment=environment_that_trusts(server.authority, home),
        )
    )


def test_data_and_video_flow_over_a_certificate_that_is_trusted(icelane_server: RelayServer, tmp_path: Path) -> None:
    report = call(icelane_server, tmp_path, timeout=60)
    for end in report.ends:
        assert (end.local_candidate, end.remote_candidate) == ("relay", "relay")
        assert end.relay_protocol == "tls"
        assert end.payload_received == PAYLOAD
        assert end.payload_intact
        assert end.frames_decoded >= FRAMES
        assert end.video_packets_received > 0


@pytest.mark.parametrize("kind", REFUSED)
def test_nothing_flows_over_any_other_certificate_and_our_log_says_why(tmp_path: Path, kind: str) -> None:
    """TL-5, from the other side: the operator reads the reason here, because the user cannot."""
    make, reason = REFUSED[kind]
    with icelane_serve(tmp_path, make(tmp_path)) as server:
        with pytest.raises(CallFailedError):
            call(server, tmp_path, timeout=PATIENCE)
        said = server.program.said()
    assert "reason=client-refuses-certificate" in said
    assert reason in said
    assert "turn.allocated" not in said
