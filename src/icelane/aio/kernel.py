"""Whether the kernel below is Linux, for what has a number there and no name in Python.

Where Python has a name, such as `socket.SO_REUSEPORT`, whoever uses it asks whether the name is there. Many options
have none, and trying their numbers does not tell: elsewhere a number is another option, which is set without a word. 10
at the level of IP chooses how the path's MTU is found on Linux, and on BSD and Windows how far multicast goes.
"""

from __future__ import annotations

import sys
from typing import Final

IS_LINUX: Final = sys.platform in ("linux", "android")
