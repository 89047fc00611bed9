"""Cuts the plaintext handshake messages of a flight into other pieces, as a peer or a path might."""

from __future__ import annotations

import random
from collections.abc import Sequence

from icelane.dtls.record import ContentType, parse_fragments, parse_records
from tests.dtls.raw_peer import VERSION, vector


class Refragmenter:
    """For one direction: record numbers of epoch 0 are its own, everything else stays."""

    def __init__(self, size: int, *, overlap: int = 0, seed: int | None = None) -> None:
        self._size = size
        self._overlap = overlap
        self._shuffle = random.Random(seed).shuffle if seed is not None else None
        self._number = 0

    def cut(self, flight: Sequence[bytes]) -> list[bytes]:
        """One datagram for each record. Shuffled are the messages in plaintext; what protects itself stays behind."""
        pieces: list[bytes] = []
        rest: list[bytes] = []
        for datagram in flight:
            for record in parse_records(datagram):
                content = datagram[record.body : record.end]
                if record.epoch:
                    rest.append(datagram[record.start : record.end])
                elif record.content_type == ContentType.HANDSHAKE:
                    pieces += [self._record(ContentType.HANDSHAKE, piece) for piece in self._fragments(content)]
                else:
                    rest.append(self._record(record.content_type, content))
        if self._shuffle is not None:
            self._shuffle(pieces)
        return pieces + rest

    def _fragments(self, content: bytes) -> list[bytes]:
        pieces, start = [], 0
        for found in parse_fragments(content, 0, len(content)):
            head, body = content[start : start + 6], content[found.end - found.size : found.end]
            start = found.end
            for at in range(0, max(found.size, 1), self._size):
                piece = body[max(at - self._overlap, 0) : at + self._size]
                offset = found.offset + max(at - self._overlap, 0)
                pieces.append(head + offset.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece)
        return pieces

    def _record(self, content_type: int, content: bytes) -> bytes:
        sequence = self._number.to_bytes(8, "big")
        self._number += 1
        return bytes((content_type,)) + VERSION + sequence + vector(2, content)
