"""How much a session keeps and takes at most."""

from __future__ import annotations

from typing import Final

# Sources whose packets are told apart in one direction of a session, for RTP and for RTCP each. Of the peer's the one
# heard longest ago makes room for a new one, which has to be authentic for that; a new one of ours is refused, because
# forgetting its numbers would mean to use one twice.
MAX_REMOTE_STREAMS: Final = 1024
MAX_LOCAL_STREAMS: Final = 1024
# A UDP payload cannot be larger.
MAX_PACKET_SIZE: Final = 65_535
# RFC 3711 section 9.2: after as many SRTCP packets the keys are used up.
MAX_RTCP_PACKETS: Final = 1 << 31
