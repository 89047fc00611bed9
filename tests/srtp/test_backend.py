"""Which backend runs, and that another one takes over."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from icelane.errors import InvalidAccessError
from icelane.srtp.backend import Backend
from icelane.srtp.profile import ProtectionProfile

WHICH = """
import sys
if len(sys.argv) > 1:
    from icelane.srtp import libcrypto
    libcrypto.LIBRARY = sys.argv[1]
from icelane.srtp.backend import default_backend
print(default_backend().name)
"""


def test_each_backend_says_what_it_is(native: Backend, python: Backend) -> None:
    assert native.name == "native"
    assert native.version.startswith("OpenSSL 3")
    assert python.name == "python"
    assert python.version.startswith("cryptography ")


@pytest.mark.parametrize("library", ["libcrypto.so.nowhere", "libc.so.6"])
def test_without_a_library_that_can_be_used_python_takes_over(native: Backend, library: str) -> None:
    """Nothing is linked: neither a missing library nor another one keeps icelane from running."""
    finished = subprocess.run([sys.executable, "-c", WHICH, library], check=True, capture_output=True, text=True)
    assert finished.stdout.split() == ["python"]


def test_without_the_compiled_module_python_takes_over() -> None:
    environment = {**os.environ, "ICELANE_PURE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", WHICH], check=True, capture_output=True, text=True, env=environment
    )
    assert finished.stdout.split() == ["python"]


def test_the_compiled_module_looks_at_sizes_itself(native: Backend) -> None:
    """A key that is too short would be read past its end."""
    from icelane.srtp import libcrypto

    good = (bytes(16), b"", bytes(12))
    for bad in ((bytes(15), b"", bytes(12)), (bytes(16), b"", bytes(14)), (bytes(16), bytes(20), bytes(12))):
        with pytest.raises(InvalidAccessError):
            libcrypto.Sender(bad, good, aead=True)
        with pytest.raises(InvalidAccessError):
            libcrypto.Receiver(good, bad, aead=True)
    for bad in ((bytes(32), bytes(20), bytes(14)), (bytes(16), bytes(19), bytes(14)), good):
        with pytest.raises(InvalidAccessError):
            libcrypto.Sender(bad, bad, aead=False)


def test_a_batch_is_of_bytes(native: Backend) -> None:
    from icelane.srtp import libcrypto

    keys = (bytes(16), b"", bytes(12))
    sender, receiver = libcrypto.Sender(keys, keys, aead=True), libcrypto.Receiver(keys, keys, aead=True)
    for wrong in (None, "text", bytearray(20)):
        with pytest.raises(TypeError):
            sender.protect_batch([wrong])  # type: ignore[list-item]  # that is the point
        with pytest.raises(TypeError):
            receiver.unprotect_batch([wrong])  # type: ignore[list-item]  # that is the point


def test_profiles_are_those_of_dtls() -> None:
    assert [int(profile) for profile in ProtectionProfile] == [1, 7, 8]
