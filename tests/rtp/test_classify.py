from __future__ import annotations

import pytest

from icelane.rtp.classify import is_rtcp


@pytest.mark.parametrize("second", range(256))
def test_the_second_byte_decides(second: int) -> None:
    """RFC 5761 section 4."""
    data = bytes((0x80, second)) + bytes(10)
    assert is_rtcp(data) == (192 <= second <= 223)


def test_what_has_no_second_byte_is_not_rtcp() -> None:
    assert not is_rtcp(b"\x80")
