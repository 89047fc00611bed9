"""The demo's table and JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from demo.paths import CarriedResult, Outcome, PathResult, SecurityResult, skipped
from demo.report import print_json, print_table

RESULTS = [
    PathResult(
        path="two clients",
        outcome=Outcome.CARRIED,
        set_up=0.0123,
        round_trip=0.0004,
        bytes_sent=2_400_000,
        bytes_received=2_400_000,
        packets=2000,
    ),
    PathResult(
        path="two peers",
        outcome=Outcome.CARRIED,
        set_up=1.2345,
        security=SecurityResult(
            protocol="DTLSv1.2",
            cipher_suite="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            srtp_profile="SRTP_AES128_CM_HMAC_SHA1_80",
            path="relay to relay, TURN over TLS",
            caller_fingerprint="sha-256 " + ":".join(["AB"] * 32),
            callee_fingerprint="sha-256 " + ":".join(["0C"] * 32),
            code="0678 6633 9755 5148 4617",
        ),
        carried=CarriedResult(
            codecs=("VP8", "opus"),
            files_forth=2_097_152,
            files_back=2_097_152,
            pictures_forth=1_000_000,
            pictures_back=31,
            bytes_forth=1_002_351_284,
            bytes_back=1_002_349_824,
        ),
    ),
    skipped("two pages", "not installed: apt-get install chromium"),
]


def test_the_table_says_figures_reasons_and_the_verdict() -> None:
    output = io.StringIO()
    print_table(RESULTS, output)
    text = output.getvalue()
    for said in ("12.3 ms", "0.4 ms", "2,400,000", "0 %", "apt-get install chromium", "1 skipped", "1,234 ms"):
        assert said in text


def test_the_table_says_how_a_call_was_protected_and_cuts_nothing_off() -> None:
    output = io.StringIO()
    print_table(RESULTS, output)
    text = output.getvalue()
    for said in (
        "two peers",
        "DTLSv1.2",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "SRTP_AES128_CM_HMAC_SHA1_80",
        "0678 6633 9755 5148 4617",
        "VP8, opus",
        "2,097,152 bytes forth",
        "31 back",
        "relay to relay, TURN over TLS",
        "sha-256 AB:AB:AB:AB ... AB:AB:AB:AB",
    ):
        assert said in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_table_says_that_no_srtp_profile_was_agreed_on() -> None:
    security = RESULTS[1].security
    assert security is not None
    output = io.StringIO()
    print_table([replace(RESULTS[1], security=replace(security, srtp_profile=None))], output)
    line = next(line for line in output.getvalue().splitlines() if "SRTP profile" in line)
    assert line.split() == ["SRTP", "profile", "-"]


def test_json_has_the_verdict_and_every_figure() -> None:
    output = io.StringIO()
    print_json(RESULTS, output)
    document = json.loads(output.getvalue())
    assert document["carried"] is True
    assert document["paths"][0]["bytes_received"] == 2_400_000
    assert document["paths"][1]["security"]["caller_fingerprint"].count("AB") == 32
    assert document["paths"][1]["security"]["srtp_profile"] == "SRTP_AES128_CM_HMAC_SHA1_80"
    assert document["paths"][2]["outcome"] == "skipped"
    assert document["paths"][2]["set_up"] is None
    assert document["paths"][1]["carried"]["pictures_back"] == 31
    assert document["paths"][2]["security"] is None
