"""A picture with a number in it that can be read after compression, scaling and loss.

    +--+--+--+--+--+--+--+--+--+--+--+--+
    |black|white| 12 by 4 blocks, black | \\
    |  or white, each a bit: two to know |  > upper half
    |  black from white, 32 of the       |
    |  number, 14 of its check           | /
    +------------------------------------+
    |  eight bars of colour, and a bar   | \\
    |  of light that moves with the      |  > lower half
    |  number                            | /
    +------------------------------------+

The number is what the caller likes: mostly milliseconds of a clock.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import Final

from icelane.errors import LocalProtocolError
from icelane.media.pyav import av

MAX_NUMBER: Final = 2**32 - 1
# Smaller ones have blocks that compression blurs.
MIN_WIDTH: Final = 96
MIN_HEIGHT: Final = 64

_COLUMNS: Final = 12
_ROWS: Final = 4
_CHECK_BITS: Final = 14
_BLACK: Final = 16
_WHITE: Final = 235
_NEUTRAL: Final = 128

# Luma and both chromas of white, yellow, cyan, green, magenta, red, blue and black (BT.601, three quarters of full).
_BARS: Final = (
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (16, 128, 128),
)
_LIGHT: Final = 225
# The moving bar goes once across in so many steps of the number.
_PERIOD: Final = 4096


def draw_card(
    width: int, height: int, number: int, *, pts: int = 0, time_base: Fraction | None = None
) -> av.VideoFrame:
    """A picture in I420 that shows `number`, from 0 to MAX_NUMBER.

    `time_base` is that of `pts`, 1/90000 when None. Raises LocalProtocolError for odd sides, and for such as are too
    small to be read.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT or width % 2 or height % 2:
        raise LocalProtocolError(f"a test card has even sides, {MIN_WIDTH} and {MIN_HEIGHT} at least")
    frame = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = frame.planes
    luma.update(_luma(width, height, number & MAX_NUMBER, luma.line_size)[: luma.buffer_size])
    for index, plane in enumerate(chroma):
        plane.update(_chroma(width // 2, height // 2, index, plane.line_size)[: plane.buffer_size])
    frame.pts = pts
    frame.time_base = time_base or Fraction(1, 90_000)
    return frame


def read_card(frame: av.VideoFrame) -> int | None:
    """The number that a picture shows, None where none can be read, such as from one that is turned."""
    picture = frame if frame.format.name in ("yuv420p", "yuvj420p") else frame.reformat(format="yuv420p")
    plane = picture.planes[0]
    pixels = memoryview(plane)
    levels = [
        _block_level(pixels, plane.line_size, picture.width, picture.height, row, column)
        for row in range(_ROWS)
        for column in range(_COLUMNS)
    ]
    black, white = levels[:2]
    if white - black < 40:
        return None
    middle = (black + white) / 2
    value = 0
    for level in levels[2:]:
        value = value << 1 | (level > middle)
    number, check = value >> _CHECK_BITS, value & ((1 << _CHECK_BITS) - 1)
    return number if check == _check(number) else None


def _check(number: int) -> int:
    return zlib.crc32(number.to_bytes(4, "big")) >> (32 - _CHECK_BITS)


def _luma(width: int, height: int, number: int, line_size: int) -> bytes:
    bits = number << _CHECK_BITS | _check(number)
    total = _ROWS * _COLUMNS
    levels = [_BLACK, _WHITE, *(_WHITE if bits >> (total - 3 - i) & 1 else _BLACK for i in range(total - 2))]
    lines = []
    for row in range(_ROWS):
        line = _stripes(levels[row * _COLUMNS : (row + 1) * _COLUMNS], width, line_size)
        lines.append(line * (_edge(row + 1, _ROWS, height // 2) - _edge(row, _ROWS, height // 2)))
    bars = bytearray(_stripes([bar[0] for bar in _BARS], width, line_size))
    start = (number % _PERIOD) * width // _PERIOD
    end = min(width, start + max(2, width // 16))
    bars[start:end] = bytes([_LIGHT]) * (end - start)
    lines.append(bytes(bars) * (height - height // 2))
    return b"".join(lines)


def _chroma(width: int, height: int, index: int, line_size: int) -> bytes:
    bars = _stripes([bar[1 + index] for bar in _BARS], width, line_size)
    return bytes([_NEUTRAL]) * (line_size * (height // 2)) + bars * (height - height // 2)


def _stripes(levels: list[int], width: int, line_size: int) -> bytes:
    count = len(levels)
    line = b"".join(
        bytes([level]) * (_edge(i + 1, count, width) - _edge(i, count, width)) for i, level in enumerate(levels)
    )
    return line.ljust(line_size, bytes([_BLACK]))


def _edge(index: int, count: int, size: int) -> int:
    return index * size // count


def _block_level(pixels: memoryview, line_size: int, width: int, height: int, row: int, column: int) -> float:
    """The mean of the middle of a block: its edges are blurred."""
    left, right = _edge(column, _COLUMNS, width), _edge(column + 1, _COLUMNS, width)
    top, bottom = _edge(row, _ROWS, height // 2), _edge(row + 1, _ROWS, height // 2)
    x_margin, y_margin = (right - left) // 3, (bottom - top) // 3
    step = max(1, (bottom - top - 2 * y_margin) // 4)
    total = count = 0
    for y in range(top + y_margin, bottom - y_margin, step):
        line = pixels[y * line_size + left + x_margin : y * line_size + right - x_margin]
        total += sum(line)
        count += len(line)
    return total / count if count else 0.0
