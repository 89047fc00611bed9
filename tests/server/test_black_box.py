"""What a stranger with an account finds out from outside: of the networks around a server, and of its memory."""

from __future__ import annotations

import re

import pytest

from tests.server.answers import attributes_of, faults_of, shape_of
from tests.server.namespaces import run_module

SECRET = b"nobody's business"
# USERNAME of five bytes with three of padding, in a Binding error response.
ANSWER = bytes.fromhex("0111 000c 2112a442") + bytes(range(12)) + bytes.fromhex("0006 0005") + b"alice" + bytes(3)

transports = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])


@transports
def test_a_scan_tells_no_open_port_from_a_closed_one_where_it_must_not_reach(transport: str) -> None:
    """TR-11: a sample of every closed range by CreatePermission, ChannelBind, Send, ChannelData and Connect, with
    services that would answer. Nothing leaves, and every answer is the same, with an account and without.

    The same scan of a public address does tell what is open there.
    """
    said = run_module("tests.server.scan", transport)
    assert int(said.split()[0]) > 4000, said


@transports
def test_no_byte_that_belongs_to_another_user_or_to_nobody_comes_back(transport: str) -> None:
    """TR-11: lengths that promise more than is sent, broken messages, and every kind of answer, while another user
    talks. What comes is whole, holds nothing of the other's, and its padding is zero."""
    said = run_module("tests.server.leak_probe", transport)
    frames, codes = re.findall(r"\d+", said)[0], set(map(int, re.findall(r"\d{3}", said.partition("errors")[2])))
    assert int(frames) > 200, said
    assert codes >= {400, 401, 403, 420, 437, 443}


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (ANSWER[:-1] + b"!", "padding"),
        (ANSWER[:20] + b"\0\x06\0\x09" + ANSWER[24:], "ends behind"),
        (ANSWER + bytes(4), "a header that says"),
        (ANSWER[:24] + SECRET[3:9] + bytes(2), "a part of"),
        (b"\x40\x00\x00\x01a\0\0z", "padding"),
        (b"\x40\x00\x00\x08" + SECRET[:8], "a part of"),
    ],
)
def test_a_byte_too_much_is_seen(frame: bytes, fault: str) -> None:
    """TR-11: the check itself, on frames that it must report."""
    assert any(fault in found for found in faults_of(frame, [SECRET])), faults_of(frame, [SECRET])


def test_an_answer_is_read_as_it_is() -> None:
    """TR-11: the check itself, on frames that it must not report."""
    assert attributes_of(ANSWER) == [(6, b"alice", bytes(3))]
    assert faults_of(ANSWER, [SECRET]) == faults_of(b"\x40\x00\x00\x01a\0\0\0", [SECRET]) == []
    assert shape_of(ANSWER) == shape_of(ANSWER[:8] + bytes(12) + ANSWER[20:]) != shape_of(ANSWER[:-4] + bytes(4))
