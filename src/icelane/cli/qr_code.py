"""A QR code on a terminal: two modules in each character, dark on light whatever the terminal's colours are."""

from __future__ import annotations

from typing import Final

import segno
from rich.style import Style
from rich.text import Text

# ISO/IEC 18004 wants four modules of quiet around it; telephones are content with two.
_QUIET: Final = 2
_BLOCKS: Final = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_STYLE: Final = Style(color="#000000", bgcolor="#ffffff")


def qr_code(text: str) -> Text:
    """The code as lines. Raises ValueError for a text that is too long for one."""
    rows = [[bool(module) for module in row] for row in segno.make_qr(text, error="l").matrix_iter(border=_QUIET)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = [
        "".join(_BLOCKS[upper, lower] for upper, lower in zip(rows[index], rows[index + 1], strict=True))
        for index in range(0, len(rows), 2)
    ]
    return Text("\n").join(Text(line, style=_STYLE) for line in lines)
