"""How often this process looks for cyclic garbage."""

from __future__ import annotations

import gc
from typing import Final

# The default of 700 suits programs that drop what they make. Here most of what is made lives as long as its allocation,
# and is visited once more by every look.
_NEW_OBJECTS: Final = 10_000


def look_for_garbage_rarely() -> None:
    """Leave what exists now, which is there for good, out of every look, and look less often.

    For a program, once it serves. All that was imported is a hundred thousand objects, and Python visits the whole heap
    whenever it has grown by a quarter: while clients came, that took a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
