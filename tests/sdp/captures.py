"""Descriptions as programs write them.

Those of Chromium, Firefox and aiortc were taken from running ones, between two connections of the same program.
Safari's and pion's follow what these programs print; `legacy_plan_b` is of 2014, and `gateway` has what no browser
writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

CAPTURES: Final = {
    path.stem: path.read_text(encoding="utf-8").replace("\n", "\r\n")
    for path in sorted((Path(__file__).parent / "captured").glob("*.sdp"))
}
"""The text with CRLF, by `program_situation_offer` or `program_situation_answer`."""

ANSWERED: Final = [
    (name, name.replace("_answer", "_offer"))
    for name in CAPTURES
    if name.endswith("_answer") and name.replace("_answer", "_offer") in CAPTURES
]
"""Each answer with its offer."""
