from __future__ import annotations

import logging
import socket

import pytest

from icelane.aio.device import Device, bind_to_device


def test_a_device_that_cannot_be_had_leaves_the_socket_as_it_was_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    if not hasattr(socket, "SO_BINDTODEVICE"):
        pytest.skip("sockets are bound to devices on Linux alone")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        with caplog.at_level(logging.WARNING):
            bind_to_device(opened, Device("missing0", 999))
        assert "missing0" in caplog.text
        assert "routes decide" in caplog.text
        opened.bind(("127.0.0.1", 0))
        opened.sendto(b"x", opened.getsockname())
        assert opened.recv(1) == b"x"


def test_without_a_device_nothing_is_done() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        bind_to_device(opened, None)
        if hasattr(socket, "SO_BINDTODEVICE"):
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\0") == b""
