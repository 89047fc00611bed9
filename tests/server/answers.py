"""What a server answers, read byte by byte and without the product's parser: its shape, and whether anything is in it
that is not the asking client's business."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from tests.server.clients import Attribute, Client, Refused

Shape = tuple[object, ...]

# Differ from one answer to the next, whatever is said.
_ALWAYS_NEW: Final = {
    AttributeType.NONCE,
    AttributeType.MESSAGE_INTEGRITY,
    AttributeType.MESSAGE_INTEGRITY_SHA256,
    AttributeType.FINGERPRINT,
}
_HEADER: Final = 20
_WINDOW: Final = 6  # so many bytes in a row are no coincidence


class Listener(Client):
    """A client that keeps every frame it gets in `frames`, as it came."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__(username, password)
        self.frames: list[bytes] = []

    def _on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        super()._on_frame(frame)

    async def ask(self, method: Method, *attributes: Attribute, sign: bool = True) -> Shape:
        """The shape of the answer, success or error; without `sign` just as a stranger would ask."""
        try:
            await (self.request if sign else self.request_once)(method, *attributes)
        except Refused as refused:
            return shape_of(refused.message.raw)
        return shape_of(self.frames[-1])


def attributes_of(frame: bytes) -> list[tuple[int, bytes, bytes]]:
    """Type, value and padding of each attribute of a STUN message; ValueError when its lengths do not fit."""
    if len(frame) != _HEADER + int.from_bytes(frame[2:4], "big"):
        raise ValueError(f"{len(frame)} bytes with a header that says {int.from_bytes(frame[2:4], 'big')}")
    found, position = [], _HEADER
    while position < len(frame):
        kind, size = (int.from_bytes(frame[at : at + 2], "big") for at in (position, position + 2))
        value_end = position + 4 + size
        position = value_end + -size % 4
        if position > len(frame):
            raise ValueError(f"attribute {kind:#06x} ends behind its message")
        found.append((kind, frame[value_end - size : value_end], frame[value_end:position]))
    return found


def shape_of(frame: bytes) -> Shape:
    """What two answers that say the same have in common: all but the transaction and what is never the same twice."""
    attributes = [(kind, len(value) if kind in _ALWAYS_NEW else value) for kind, value, _ in attributes_of(frame)]
    return (frame[:2], *attributes)


def faults_of(frame: bytes, secrets: Iterable[bytes] = ()) -> list[str]:
    """Bytes in a frame from a server that have no business there: padding that is not zero, parts of `secrets`."""
    found = [f"a part of {secret!r} in {frame!r}" for secret in secrets if _holds_part(frame, secret)]
    if frame[0] & 0xC0 == 0x40:
        padding = frame[4 + int.from_bytes(frame[2:4], "big") :]
        return [*found, *([f"padding {padding!r} of ChannelData"] if any(padding) else [])]
    try:
        attributes = attributes_of(frame)
    except ValueError as malformed:
        return [*found, str(malformed)]
    return [*found, *(f"padding {padding!r} of {kind:#06x}" for kind, _, padding in attributes if any(padding))]


def _holds_part(frame: bytes, secret: bytes) -> bool:
    return any(secret[start : start + _WINDOW] in frame for start in range(len(secret) - _WINDOW + 1))
