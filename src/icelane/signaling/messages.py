"""The frames of `icelane.signal.v1`, one JSON object each.

    client -> server     hello  refresh                        who I am
                         join  leave  update                   where I am, and what I say about myself
                         signal  message                       to a peer, or to all of a room
                         kick  lock  close                     needs the grant `moderate`
                         ping  pong
    server -> client     welcome  joined  ok  error            answers: `re` is the `id` of what they answer
                         peer-joined  peer-updated  peer-left  pushes: `seq` counts them, from 1 in each session,
                         signal  message  room-updated  left   and what a resumed session missed comes again
                         ice  ping  pong  goodbye              about the connection itself; never repeated

Whatever may be missing is omitted, never null; but `candidate: null`, which is W3C's end of candidates. What we do not
know is skipped. Types come out of here as JSON Schema: `icelane.signaling.schema`.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from icelane.core.clock import UnixSeconds
from icelane.errors import MalformedError
from icelane.signaling.limits import MAX_DEPTH, MAX_FRAME, MAX_IDENTITY, MAX_KEY, MAX_META, MAX_REASON, MAX_ROOM_NAME

SUBPROTOCOL: Final = "icelane.signal.v1"
# Where servers have the WebSocket.
SIGNAL_PATH: Final = "/v1/signal"
EVERYBODY: Final = "*"

_MAX_SAFE_INTEGER: Final = 2**53 - 1
# A token travels in a header or in hello; whoever makes longer ones puts a photograph into them.
MAX_TOKEN: Final = 16_384
EMPTY_OBJECT: Final = Raw(b"{}")
JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]

FrameId = Annotated[int, Meta(ge=1, le=_MAX_SAFE_INTEGER, description="Chosen by the client; `re` of the answer.")]
Sequence = Annotated[int, Meta(ge=0, le=_MAX_SAFE_INTEGER, description="Counts the pushes of a session, from 1.")]
# The end is spelled so that Python, which lets a newline follow `$`, and JavaScript, which has no `\Z`, both mean it.
RoomName = Annotated[str, Meta(min_length=1, max_length=MAX_ROOM_NAME, pattern=r"^[^\x00-\x1f\x7f*]+(?![\s\S])")]
PeerId = Annotated[str, Meta(min_length=1, max_length=64)]
SessionId = Annotated[str, Meta(min_length=1, max_length=64)]
Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY, description="A repeat inside the window is harmless.")]
Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN)]
Reason = Annotated[str, Meta(max_length=MAX_REASON)]
ShortText = Annotated[str, Meta(max_length=MAX_IDENTITY)]


def _empty_object() -> Raw:
    """A factory rather than a default, because JSON Schema has no words for a Raw."""
    return EMPTY_OBJECT


class _Struct(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, rename="camel"):
    """Names are in camel case on the wire; whatever has its default is left out."""


def _tag(name: str) -> str:
    """`PeerJoined` is `peer-joined`; what only our names tell apart is not on the wire."""
    for prefix in ("Send", "Client", "Server"):
        name = name.removeprefix(prefix)
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


class _Frame(_Struct, kw_only=True, frozen=True, tag_field="type", tag=_tag):
    """`type` tells frames apart."""


# What travels inside of frames.


class IceServer(_Struct, kw_only=True, frozen=True):
    """W3C `RTCIceServer`. `urls` is never empty."""

    urls: tuple[str, ...]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"IceServer({', '.join(self.urls)})"


class IceServersBody(_Struct, kw_only=True, frozen=True):
    """Goes into `new RTCPeerConnection()` as it is. `ttl` is in seconds; `expires_at` the same as ISO 8601 in UTC."""

    ice_servers: tuple[IceServer, ...]
    ice_transport_policy: str
    ttl: int | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    nodes: tuple[str, ...] | UnsetType = UNSET


class DescriptionType(enum.Enum):
    """W3C `RTCSdpType`."""

    OFFER = "offer"
    ANSWER = "answer"
    PRANSWER = "pranswer"
    ROLLBACK = "rollback"


class Description(_Struct, kw_only=True, frozen=True):
    """W3C `RTCSessionDescriptionInit`."""

    type: DescriptionType
    sdp: str = ""


class CandidateInit(_Struct, kw_only=True, frozen=True):
    """W3C `RTCIceCandidateInit`. Browsers write null for what they do not know."""

    candidate: str
    sdp_mid: str | UnsetType | None = msgspec.field(default=UNSET, name="sdpMid")
    sdp_m_line_index: int | UnsetType | None = msgspec.field(default=UNSET, name="sdpMLineIndex")
    username_fragment: str | UnsetType | None = msgspec.field(default=UNSET, name="usernameFragment")


class SignalData(_Struct, kw_only=True, frozen=True):
    """What perfect negotiation sends: a description, or a candidate, or null for the end of candidates."""

    description: Description | UnsetType = UNSET
    candidate: CandidateInit | UnsetType | None = UNSET


class ClientInfo(_Struct, kw_only=True, frozen=True):
    """Which program it is."""

    name: ShortText = ""
    version: ShortText = ""


class Resume(_Struct, kw_only=True, frozen=True):
    """A session that is to go on, and the last push that its client has seen."""

    session: SessionId
    seq: Sequence


class ServerLimits(_Struct, kw_only=True, frozen=True):
    """What a client should know about its bounds, so that it does not meet them."""

    frame: int
    frames_per_second: float
    frame_burst: int
    rooms: int
    peers_per_room: int
    resume_seconds: float
    resume_pushes: int


class PeerInfo(_Struct, kw_only=True, frozen=True):
    """Somebody in a room. `polite` is the part that *this* peer plays in negotiation; the receiver plays the other."""

    peer: str
    identity: str
    polite: bool
    meta: JsonObject = msgspec.field(default_factory=_empty_object)
    name: str | UnsetType = UNSET


class RoomState(_Struct, kw_only=True, frozen=True):
    """A room as it is: all others in it. What a resync replaces a client's picture with."""

    room: str
    you: str
    peers: tuple[PeerInfo, ...]
    locked: bool = False
    ice_transport_policy: str | UnsetType = UNSET


class LeftReason(enum.Enum):
    """Why somebody is in a room no more."""

    CLOSED = "closed"
    """He left, or closed his connection."""
    TIMEOUT = "timeout"
    """His connection broke and he did not come back in time."""
    KICKED = "kicked"
    NODE_LOST = "node-lost"
    EXPIRED = "expired"
    """What he was granted is over."""
    SUPERSEDED = "superseded"
    ROOM_CLOSED = "room-closed"


# Client to server.


class Hello(_Frame, kw_only=True, frozen=True):
    """The first frame. Answered by `welcome`, or by `goodbye`. `data` is for the before-connect hook."""

    id: FrameId
    token: Token | UnsetType = UNSET
    ticket: Token | UnsetType = UNSET
    client: ClientInfo | UnsetType = UNSET
    resume: Resume | UnsetType = UNSET
    data: Raw | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"Hello(id={self.id}, client={self.client}, resume={self.resume is not UNSET})"


class Refresh(_Frame, kw_only=True, frozen=True):
    """A fresh token for the same identity, before the old one expires. Answered by `ok` with `expiresAt`."""

    id: FrameId
    token: Token

    def __repr__(self) -> str:
        return f"Refresh(id={self.id})"


class Join(_Frame, kw_only=True, frozen=True):
    """Enter a room. Answered by `joined`, also when the session is in it already."""

    id: FrameId
    room: RoomName
    meta: JsonObject = msgspec.field(default_factory=_empty_object)


class Leave(_Frame, kw_only=True, frozen=True):
    """Answered by `ok`, also when the session is not in it."""

    id: FrameId
    room: RoomName


class Update(_Frame, kw_only=True, frozen=True):
    """Replace what others see as `meta`. Answered by `ok`; others get `peer-updated`."""

    id: FrameId
    room: RoomName
    meta: JsonObject


class SendSignal(_Frame, kw_only=True, frozen=True):
    """To one peer that is in a room with the sender. Answered by `ok` when it has an `id`, by `error` in any case."""

    to: PeerId
    data: SignalData
    id: FrameId | UnsetType = UNSET
    key: Key | UnsetType = UNSET


class SendMessage(_Frame, kw_only=True, frozen=True):
    """To a peer, or with `*` to all others of a room; `room` may be left out by whoever is in one room only."""

    to: PeerId
    data: Raw
    id: FrameId | UnsetType = UNSET
    room: RoomName | UnsetType = UNSET
    key: Key | UnsetType = UNSET


class Kick(_Frame, kw_only=True, frozen=True):
    """Remove a peer from a room. Answered by `ok`."""

    id: FrameId
    room: RoomName
    peer: PeerId
    reason: Reason = ""


class Lock(_Frame, kw_only=True, frozen=True):
    """Let nobody in any more, or again. Answered by `ok`; all get `room-updated`."""

    id: FrameId
    room: RoomName
    locked: bool = True


class Close(_Frame, kw_only=True, frozen=True):
    """Remove everybody from a room. Answered by `ok`."""

    id: FrameId
    room: RoomName
    reason: Reason = ""


class ClientPing(_Frame, kw_only=True, frozen=True):
    """Answered by `pong`."""

    id: FrameId | UnsetType = UNSET


class ClientPong(_Frame, kw_only=True, frozen=True):
    """The answer to the server's `ping`; any frame does."""


ClientFrame: TypeAlias = (
    Hello | Refresh | Join | Leave | Update | SendSignal | SendMessage | Kick | Lock | Close | ClientPing | ClientPong
)

# Server to client: answers.


class Welcome(_Frame, kw_only=True, frozen=True):
    """The session is there. `ping` is in seconds.

    `resumed` with true: the pushes after the client's `seq` follow. With false after a `resume`: whatever was missed is
    gone; `seq` is where counting goes on, and `rooms` all that the session is in now, when it is in any.
    """

    re: int
    session: str
    peer: str
    identity: str
    ping: float
    resumed: bool
    limits: ServerLimits
    seq: int = 0
    rooms: tuple[RoomState, ...] = ()
    name: str | UnsetType = UNSET
    ice: IceServersBody | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    node: str | UnsetType = UNSET


class Joined(_Frame, kw_only=True, frozen=True):
    """`peers` are all others; `polite` beside each is the part that *that* peer plays, the receiver plays the other."""

    re: int
    room: str
    you: str
    peers: tuple[PeerInfo, ...]
    locked: bool = False
    ice_transport_policy: str | UnsetType = UNSET


class Ok(_Frame, kw_only=True, frozen=True):
    """What was asked for is done."""

    re: int
    expires_at: str | UnsetType = UNSET


class Error(_Frame, kw_only=True, frozen=True):
    """What was asked for is not done. `code` is for programs, `message` for people; `after` is in seconds."""

    code: str
    message: str
    retryable: bool
    re: int | UnsetType = UNSET
    after: float | UnsetType = UNSET


# Server to client: pushes.


class PeerJoined(_Frame, kw_only=True, frozen=True):
    """Somebody entered."""

    seq: int
    room: str
    peer: str
    identity: str
    polite: bool
    meta: JsonObject = msgspec.field(default_factory=_empty_object)
    name: str | UnsetType = UNSET


class PeerUpdated(_Frame, kw_only=True, frozen=True):
    """Somebody says something else about himself."""

    seq: int
    room: str
    peer: str
    meta: JsonObject = msgspec.field(default_factory=_empty_object)


class PeerLeft(_Frame, kw_only=True, frozen=True):
    """Somebody is gone."""

    seq: int
    room: str
    peer: str
    reason: LeftReason


class ServerSignal(_Frame, kw_only=True, frozen=True):
    """From a peer; `from` is written by the server and by nobody else."""

    seq: int
    sender: str = msgspec.field(name="from")
    data: SignalData


class ServerMessage(_Frame, kw_only=True, frozen=True):
    """From a peer, or from the server itself: then there is no `from`. `room` is there when it was for all of it."""

    seq: int
    data: Raw
    sender: str | UnsetType = msgspec.field(name="from", default=UNSET)
    room: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class RoomUpdated(_Frame, kw_only=True, frozen=True):
    """A room was locked or opened, or what its receiver may tell and hear of addresses in it is different now."""

    seq: int
    room: str
    locked: bool
    ice_transport_policy: str | UnsetType = UNSET


class Left(_Frame, kw_only=True, frozen=True):
    """The receiver is in this room no more, and did not ask for it."""

    seq: int
    room: str
    reason: LeftReason
    message: str = ""


# Server to client: about the connection.


class Ice(_Frame, kw_only=True, frozen=True):
    """Fresh servers, for `pc.setConfiguration()`."""

    ice: IceServersBody


class ServerPing(_Frame, kw_only=True, frozen=True):
    """Say something."""


class ServerPong(_Frame, kw_only=True, frozen=True):
    """The answer to the client's `ping`."""

    re: int | UnsetType = UNSET


class Goodbye(_Frame, kw_only=True, frozen=True):
    """The last frame before a close with `code`. `after` is in seconds; `url` is where to go instead."""

    code: int
    reason: str
    reconnect: bool
    message: str = ""
    after: float | UnsetType = UNSET
    url: str | UnsetType = UNSET


Push: TypeAlias = PeerJoined | PeerUpdated | PeerLeft | ServerSignal | ServerMessage | RoomUpdated | Left
ServerFrame: TypeAlias = Welcome | Joined | Ok | Error | Push | Ice | ServerPing | ServerPong | Goodbye

_ENCODER: Final = msgspec.json.Encoder()
_CLIENT: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
_SERVER: Final[msgspec.json.Decoder[ServerFrame]] = msgspec.json.Decoder(ServerFrame)
_ANYTHING: Final = msgspec.json.Decoder()
_TYPES: Final = {frame: str(frame.__struct_config__.tag) for frame in (*get_args(ClientFrame), *get_args(ServerFrame))}
_TOO_DEEP: Final = "nested too deeply"


CLIENT_TYPES: Final = tuple(_TYPES[frame] for frame in get_args(ClientFrame))
"""Every word that `type` may be in a frame of a client."""

SERVER_TYPES: Final = tuple(_TYPES[frame] for frame in get_args(ServerFrame))
"""The same of the server."""


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """The text of a frame."""
    return _ENCODER.encode(frame).decode()


def frame_type(frame: ClientFrame | ServerFrame) -> str:
    """The word of `type`."""
    return _TYPES[type(frame)]


def parse_client_frame(text: str | bytes) -> ClientFrame:
    """A frame of a client. Raises MalformedError, whose text says where and may go back to the sender, nowhere else."""
    if len(text) > MAX_FRAME:
        raise MalformedError("a frame is too long")
    try:
        frame = _CLIENT.decode(text)
        return _checked(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise MalformedError(_said(error)) from None


def parse_server_frame(text: str | bytes) -> ServerFrame:
    """A frame of a server. Raises MalformedError."""
    try:
        return _SERVER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise MalformedError(_said(error)) from None


def parse_json_object(raw: Raw, limit: int = MAX_META) -> dict[str, object]:
    """An object of at most `limit` bytes. Raises MalformedError."""
    if len(bytes(raw)) > limit:
        raise MalformedError(f"more than {limit} bytes")
    try:
        value = _read(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise MalformedError(_said(error)) from None
    if not isinstance(value, dict):
        raise MalformedError("not an object")
    return value


def encode_json(value: object) -> Raw:
    """A JSON value as it stands in a frame."""
    return Raw(_ENCODER.encode(value))


def iso_time(when: UnixSeconds) -> str:
    """`2026-11-22T21:10:00Z`, as `expiresAt` has it. Raises OverflowError, ValueError or OSError after 9999."""
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(raw: Raw) -> object:
    value: object = _ANYTHING.decode(raw)
    text = bytes(raw)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _said(error: Exception) -> str:
    return _TOO_DEEP if isinstance(error, RecursionError) else str(error)


def _checked(frame: ClientFrame) -> ClientFrame:
    """The frame with `data` and `meta` read and written again, so that what others get is JSON that everybody reads."""
    if isinstance(frame, Join | Update):
        return msgspec.structs.replace(frame, meta=encode_json(parse_json_object(frame.meta)))
    if isinstance(frame, SendMessage):
        return msgspec.structs.replace(frame, data=encode_json(_read(frame.data)))
    if isinstance(frame, SendSignal) and frame.data.description is UNSET and frame.data.candidate is UNSET:
        raise MalformedError("a signal has neither a description nor a candidate")
    if isinstance(frame, Hello) and frame.data is not UNSET:
        return msgspec.structs.replace(frame, data=encode_json(_read(frame.data)))
    return frame
