"""The line that two people copy to each other for `icelane peer`: a description, deflated, in base64.

Mutations of base64 rarely inflate. So what begins with a brace is the document, and the line is made of it here.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Hashable

from icelane import RTCSessionDescription
from icelane.cli.peer_signaling import MAX_DESCRIPTION, encode_description, parse_description
from icelane.errors import MalformedError

_SDP = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"

SEEDS = [
    b'{"type": "offer", "sdp": "v=0\\r\\ns=-\\r\\n"}',
    b'{"type": "answer", "sdp": "\\ud800", "more": [1, null, {"a": 1e9}]}',
    b'{"type": "rollback"}',
    encode_description(RTCSessionDescription(_SDP, "offer")).encode(),
    encode_description(RTCSessionDescription(_SDP, "answer")).encode() + b"==\r\n",
    base64.urlsafe_b64encode(zlib.compress(bytes(4 * MAX_DESCRIPTION))),
    b"eN" + b"A" * 400,
]
DICTIONARY = [
    b'"type"', b'"sdp"', b'"offer"', b'"answer"', b'"pranswer"', b'"rollback"', b"{", b"}", b"[" * 200, b"null", b"NaN",
    b"9" * 400, b"\\ud800", b"\\u0000", b"\xff\xfe", b"eNp", b"eJ", b"=", b"==", b"-", b"_", b"+", b"/", b" ", b"\r\n",
    b"\0", b"\xc2\xa0",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """The type of what was accepted, and about how long it is."""
    line = data.decode("utf-8", "replace")
    if data[:1] == b"{":
        line = base64.urlsafe_b64encode(zlib.compress(data, 1)).decode()
    description = parse_description(line)
    assert len(description.sdp) <= MAX_DESCRIPTION
    again = encode_description(description)
    assert again.isascii()
    assert "\n" not in again
    # What is refused here was longer as JSON than we accept: escapes take up to six characters each.
    try:
        assert parse_description(again) == description, "printing and reading again gives another description"
    except MalformedError:
        assert len(description.sdp) * 6 > MAX_DESCRIPTION // 2
    return description.type, len(description.sdp).bit_length()
