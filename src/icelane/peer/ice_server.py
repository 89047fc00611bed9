"""How many STUN and TURN servers one connection asks: one bound for the configuration and for the engines."""

from __future__ import annotations

from typing import Final

# Every server costs time and packets, and browsers warn above a handful: a configuration that names more is refused.
MAX_URLS: Final = 32
# Each is reached over IPv4 and over IPv6. Names may still lead to more, by services of several transports; those beyond
# are not asked, and the program is told.
MAX_SERVERS: Final = 2 * MAX_URLS

TOO_MANY: Final = f"not asked: there are {MAX_SERVERS} servers already"
