from __future__ import annotations

import pytest

from icelane.rtp.classify import is_rtcp, is_rtp


@pytest.mark.parametrize("second", range(256))
def test_the_second_byte_decides(second: int) -> None:
    """RFC 5761 section 4."""
    data = bytes((0x80, second)) + bytes(10)
    assert is_rtcp(data) == (192 <= second <= 223)
    assert is_rtp(data) == (not 192 <= second <= 223)


def test_what_is_too_short_or_of_another_version_is_neither() -> None:
    assert not is_rtcp(b"\x80")
    assert not is_rtp(b"\x80\x60" + bytes(9))
    assert not is_rtp(b"\x40\x60" + bytes(10))
