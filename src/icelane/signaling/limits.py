"""Every bound of signaling, with its default and what happens there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration

# A frame has this many bytes of UTF-8 at most. The WebSocket layer refuses more with 1009 before it buffers them.
MAX_FRAME: Final = 65_536
# What a member says about himself; goes to everybody in the room.
MAX_META: Final = 4096
MAX_ROOM_NAME: Final = 128
MAX_IDENTITY: Final = 256
# What makes a repeat of a frame harmless.
MAX_KEY: Final = 64
# Reasons that somebody is given. In a frame a longer one is malformed; those of hooks and administrators are cut.
MAX_REASON: Final = 256
# JSON inside of `data` and `meta`: deeper is malformed. Nobody's parser should have to find out.
MAX_DEPTH: Final = 64

# Frames of one client per second, and how many at once. Above it: 4429.
FRAMES_PER_SECOND: Final = 50.0
FRAME_BURST: Final = 200
# Members of a room. The next one gets `room_full`.
MAX_PEERS_PER_ROOM: Final = 100
# Rooms that a session is in. The next one gets `too_many_rooms`.
MAX_ROOMS_PER_SESSION: Final = 32
# Sessions of one identity at a time. The oldest is superseded.
MAX_SESSIONS_PER_IDENTITY: Final = 1
# Connections that have said hello, and that have not yet. Above it a new one gets 4503.
MAX_SESSIONS: Final = 20_000
MAX_WAITING_FOR_HELLO: Final = 10_000

# Somebody who connects and says nothing.
HELLO_TIMEOUT: Final[Duration] = 10.0
# Below the 30 to 60 s after which proxies and NATs forget a connection on which nothing moves.
PING_INTERVAL: Final[Duration] = 25.0
# How long after a ping some sign of life must have come. Without: 4408, and the session waits for a resume.
PONG_TIMEOUT: Final[Duration] = 10.0

# How long a session outlives its connection, and how many pushes it keeps; whichever ends first.
RESUME_WINDOW: Final[Duration] = 60.0
MAX_REPLAY: Final = 512

# What waits for a client that does not read. Above either: 4413.
MAX_QUEUED_FRAMES: Final = 256
MAX_QUEUED_BYTES: Final = 1_048_576

# Frames of a connection behind one that waits for a hook, or for the engine. Above it: 4429.
MAX_WAITING_FRAMES: Final = 64
# How long a hook may take before the answer is no.
DECISION_TIMEOUT: Final[Duration] = 1.0

# Part of the life of TURN credentials after which a session gets fresh ones.
ICE_REFRESH: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalingLimits:
    """The bounds that an operator may move. What may differ for one user is in `AdmissionLimits`."""

    frames_per_second: float = FRAMES_PER_SECOND
    frame_burst: int = FRAME_BURST
    peers_per_room: int = MAX_PEERS_PER_ROOM
    rooms_per_session: int = MAX_ROOMS_PER_SESSION
    sessions_per_identity: int = MAX_SESSIONS_PER_IDENTITY
    sessions: int = MAX_SESSIONS
    waiting_for_hello: int = MAX_WAITING_FOR_HELLO
    hello_timeout: Duration = HELLO_TIMEOUT
    ping_interval: Duration = PING_INTERVAL
    pong_timeout: Duration = PONG_TIMEOUT
    resume_window: Duration = RESUME_WINDOW
    replay: int = MAX_REPLAY
    queued_frames: int = MAX_QUEUED_FRAMES
    queued_bytes: int = MAX_QUEUED_BYTES
    decision_timeout: Duration = DECISION_TIMEOUT
