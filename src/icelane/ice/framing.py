"""Datagrams in a TCP stream, each behind its length (RFC 4571 section 2, RFC 6544 section 3).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------------------------------------------------------+
    |             LENGTH            |  STUN, DTLS or RTP ...        |
    +---------------------------------------------------------------+

    framer = DatagramFramer()
    framer.handle_bytes(data)
    for datagram in framer.take_datagrams(): ...
    stream.write(encode_frame(datagram))

Checks and data go over the stream in the same frames. Any bytes are a stream of frames: what is no frame cannot be
told from one, and so whoever must not be believed is given a `limit`.
"""

from __future__ import annotations

from typing import Final

from icelane.errors import LocalProtocolError, MalformedError

LENGTH_SIZE: Final = 2
MAX_DATAGRAM: Final = 0xFFFF


def encode_frame(datagram: bytes) -> bytes:
    """`datagram` behind its length. Raises LocalProtocolError when it has more than MAX_DATAGRAM bytes."""
    if len(datagram) > MAX_DATAGRAM:
        raise LocalProtocolError(f"a frame holds {MAX_DATAGRAM} bytes, not {len(datagram)}")
    return len(datagram).to_bytes(LENGTH_SIZE, "big") + datagram


class DatagramFramer:
    """Collects bytes and gives back whole datagrams; an unfinished one of at most `limit` bytes waits.

    `limit` may be replaced at any time, and counts from the next frame on.
    """

    __slots__ = ("_failure", "_rest", "limit")

    def __init__(self, limit: int = MAX_DATAGRAM) -> None:
        self.limit = limit
        self._rest = b""
        self._failure: MalformedError | None = None

    def handle_bytes(self, data: bytes) -> None:
        """Bytes came in. After a failure they are dropped."""
        if self._failure is None:
            # What waits is less than a frame, unless it was not all taken: it is copied once for each chunk.
            self._rest = self._rest + data if self._rest else data

    def take_datagrams(self, most: int | None = None) -> list[bytes]:
        """The datagrams that are complete, `most` of them at most; empty ones, which keep streams alive, left out.

        Raises MalformedError for a frame that is longer than `limit`, and from then on always; what came before it is
        lost with it.
        """
        if self._failure is not None:
            raise self._failure
        taken: list[bytes] = []
        rest, start = self._rest, 0
        while (most is None or len(taken) < most) and len(rest) - start >= LENGTH_SIZE:
            size = rest[start] << 8 | rest[start + 1]
            if size > self.limit:
                self._rest = b""
                self._failure = MalformedError(f"a frame of {size} bytes where {self.limit} are the most")
                raise self._failure
            end = start + LENGTH_SIZE + size
            if end > len(rest):
                break
            if size:
                taken.append(rest[start + LENGTH_SIZE : end])
            start = end
        self._rest = rest[start:]
        return taken

    @property
    def buffered(self) -> int:
        """How many bytes wait."""
        return len(self._rest)
