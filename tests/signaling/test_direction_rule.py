"""Which way media may go in what somebody describes, as the most lenient and the strictest reader find it."""

from __future__ import annotations

import pytest

from icelane.signaling.admitted import Grant
from icelane.signaling.direction_rule import missing_grant

LISTENER = frozenset({Grant.JOIN, Grant.SUBSCRIBE})


def described(*attributes: str, media: str = "audio 9 UDP/TLS/RTP/SAVPF 0", session: tuple[str, ...] = ()) -> str:
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", *session, f"m={media}", "c=IN IP4 0.0.0.0", *attributes]
    return "".join(f"{line}\r\n" for line in lines)


@pytest.mark.parametrize("attributes", [("a=recvonly",), ("a=inactive",)])
def test_who_only_listens_says_so(attributes: tuple[str, ...]) -> None:
    assert missing_grant(described(*attributes), LISTENER) is None
    assert missing_grant(described(session=attributes), LISTENER) is None


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        ("a=sendrecv",),
        ("a=recvonly", "a=sendonly"),
        ("a=recvonly", "a=SENDRECV"),
        ("a=recvonly", "a=SendOnly"),
        ("a=recvonly", "a=sendrecv:x"),
        ("a=recvonly:x",),
        ("a=recvonly:",),
        ("a=RECVONLY",),
    ],
)
def test_whatever_a_reader_may_take_for_sending_needs_the_grant(attributes: tuple[str, ...]) -> None:
    assert missing_grant(described(*attributes), LISTENER) is Grant.PUBLISH
    assert missing_grant(described(session=attributes), LISTENER) is Grant.PUBLISH


@pytest.mark.parametrize("protocol", ["UDP/TLS/RTP/SAVPF", "udp/tls/rtp/savpf", "RTP/AVP"])
def test_media_is_media_whatever_its_section_is_called(protocol: str) -> None:
    assert missing_grant(described(media=f"application 9 {protocol} 0"), LISTENER) is Grant.PUBLISH


def test_data_channels_are_in_no_grant() -> None:
    text = described("a=sctp-port:5000", media="application 9 UDP/DTLS/SCTP webrtc-datachannel")
    assert missing_grant(text, frozenset()) is None
