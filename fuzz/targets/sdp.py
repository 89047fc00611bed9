"""Session descriptions: whatever parses prints as a text that parses to the same, and every property can be read."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from icelane.errors import MalformedError
from icelane.sdp.lines import decode_text
from icelane.sdp.media import MediaDescription
from icelane.sdp.privacy import without_host_information
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.validation import check_answer, check_description

CAPTURED = Path(__file__).parents[2] / "tests" / "sdp" / "captured"
HEAD = b"v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"

# Those of the tests, when they are there: an installed package has none.
SEEDS = [
    *(path.read_bytes() for path in sorted(CAPTURED.glob("*.sdp"))),
    HEAD,
    HEAD + b"a=group:BUNDLE 0 1\nm=audio 0 RTP/AVP 0\na=mid:0\nm=application 9 DTLS/SCTP 5000\na=mid:1\n",
    HEAD
    + b"c=IN IP6 ::\nb=AS:1\nr=1 1\nk=x\ni=x\nm=video 9/2 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\nc=IN IP4 ::\nb=X:1\n",
    HEAD + b"m=video 9 RTP/SAVPF 96\na=rid:a recv pt=96\na=simulcast:recv ~a,b;c send d\na=extmap:1/sendonly u x\n",
]
DICTIONARY = [
    b"\r\n", b"\n", b"\r", b"\0", b"a=", b"m=", b"c=", b"v=0", b"=", b":", b";", b",", b"~", b"/", b" ", b"  ", b"*",
    b"a=group:BUNDLE ", b"a=mid:", b"a=bundle-only", b"a=setup:", b"actpass", b"holdconn", b"a=fingerprint:sha-256 ",
    b"a=ice-ufrag:", b"a=ice-pwd:", b"a=candidate:", b"a=rtcp-mux", b"a=crypto:", b"a=sctp-port:", b"a=sctpmap:",
    b"a=rtpmap:", b"a=fmtp:", b"a=rtcp-fb:", b"a=extmap:", b"a=msid:", b"a=ssrc:", b"a=ssrc-group:", b"a=rid:",
    b"a=simulcast:", b"a=ptime:", b"a=sendonly", b"a=max-message-size:", b"a=tls-id:", b"RTP/AVP", b"DTLS/SCTP", b"0",
    b"-1", b"65536", b"4294967296", b"18446744073709551616", b"9" * 5000, b"\xd9\xa1", b"\xff", b"\xe2\x80\xa8",
    b"m=a 0 b c\n",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """What kinds of sections there are, and why WebRTC would refuse them."""
    session = parse_session(decode_text(data))
    try:
        look_at(session)
    except MalformedError as error:
        raise AssertionError("what was parsed is malformed afterwards") from error
    return (
        tuple((media.kind, media.is_rejected) for media in session.media)[:4],
        len(session.bundle_groups),
        refusal(session),
    )


def look_at(session: SessionDescription) -> None:
    """Print it, parse it again, read all of it."""
    text = str(session)
    again = parse_session(text)
    assert again == session, "printing and reading again gives another description"
    assert str(again) == text
    for media in session.media:
        read(session, media)
    parse_session(str(without_host_information(session)))


def read(session: SessionDescription, media: MediaDescription) -> None:
    """Every property that reads an attribute: what was parsed raises nothing."""
    for name in dir(type(media)):
        if isinstance(getattr(type(media), name), property):
            getattr(media, name)
    transport = session.transport(media)
    assert transport.speaker is media or transport.speaker.port
    assert (transport.setup, transport.tls_id) == (session.setup(media), session.tls_id(media))
    assert all(fingerprint.value for fingerprint in transport.fingerprints)


def refusal(session: SessionDescription) -> str:
    """The reason in a few words, "" for none."""
    try:
        check_description(session, is_offer=True)
        check_answer(session, session)
    except MalformedError as error:
        return str(error).rpartition(": ")[2][:30]
    return ""
