"""A cursor over received bytes that raises rather than reads short."""

from __future__ import annotations

from icelane.errors import MalformedError


class Reader:
    """Reads big-endian fields from the front of `data`; every method raises MalformedError past the end.

    `data` is not copied and must not change while it is read.
    """

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = data
        self._position = 0
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """How many bytes have not been read."""
        return self._end - self._position

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        return self._position

    def take(self, size: int) -> bytes:
        """The next `size` bytes, copied."""
        start = self._advance(size)
        return bytes(self._data[start : start + size])

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        self._advance(size)

    def rest(self) -> bytes:
        """All that has not been read, copied."""
        return self.take(self._end - self._position)

    def uint8(self) -> int:
        """One byte."""
        return self._data[self._advance(1)]

    def uint16(self) -> int:
        """Two bytes, big-endian."""
        i = self._advance(2)
        data = self._data
        return data[i] << 8 | data[i + 1]

    def uint32(self) -> int:
        """Four bytes, big-endian."""
        i = self._advance(4)
        return int.from_bytes(self._data[i : i + 4], "big")

    def uint64(self) -> int:
        """Eight bytes, big-endian."""
        i = self._advance(8)
        return int.from_bytes(self._data[i : i + 8], "big")

    def _advance(self, size: int) -> int:
        start = self._position
        if size < 0 or size > self._end - start:
            raise MalformedError(f"{size} bytes wanted at offset {start}, {self._end - start} left")
        self._position = start + size
        return start
