"""Whole descriptions: those of browsers survive, hostile ones are refused at once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import LocalProtocolError, MalformedError
from icelane.sdp.attribute import Attribute
from icelane.sdp.fields import Origin
from icelane.sdp.lines import decode_text
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import Direction
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.transport_attributes import Fingerprint, Group, IceCredentials, Setup
from icelane.sdp.validation import check_answer, check_description
from tests.sdp.captures import CAPTURES

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"

# The bounds, written out: a product whose bounds are broken on purpose must not make these texts endless.
MAX_SIZE = 262144
MAX_LINES = 8192
MAX_LINE = 16384
MAX_MEDIA = 256

# SD-1, in seconds of processor time.
PARSING_LIMIT = 0.050

HOSTILE = {
    "a line of 1 MB": HEAD + "a=" + "x" * 10**6,
    "a line of 1 MB without an end": "v" * 10**6,
    "100,000 lines": HEAD + "a=x\r\n" * 10**5,
    "100,000 empty lines": HEAD + "\r\n" * 10**5 + "a=x",
    "10,000 sections": HEAD + "m=audio 9 RTP/AVP 0\r\n" * 10**4,
    "10,000 sections in few bytes": HEAD + "m=a 9 b c\n" * 10**4,
    "one section too many": HEAD + "m=a 9 b c\n" * (MAX_MEDIA + 1),
    "a group of 100,000": HEAD + "a=group:BUNDLE" + " 0" * 10**5,
    "nested groups": HEAD + "a=group:BUNDLE " + "(" * 10**4,
    "as many groups as fit": HEAD + ("a=group:BUNDLE" + " 1" * 257 + "\n") * (MAX_SIZE // 600),
    "a NUL": HEAD + "a=x\0y\r\n",
    "a lone CR": HEAD + "a=x\ry\r\n",
    "half a character": HEAD + "a=\udc80\r\n",
    "a negative port": HEAD + "m=audio -9 RTP/AVP 0",
    "a huge port": HEAD + "m=audio " + "9" * 16000 + " RTP/AVP 0",
    "a huge session": HEAD.replace(" 1 ", " " + "1" * 16000 + " "),
    "a huge payload type": HEAD + DATA + "a=rtpmap:" + "1" * 16000 + " x/1",
    "a huge message": HEAD + DATA + "a=max-message-size:" + "1" * 16000,
    "a negative message": HEAD + DATA + "a=max-message-size:-1",
    "a fingerprint of 8 KB": HEAD + DATA + "a=fingerprint:sha-256 " + "00:" * 5000 + "00",
    "layers without end": HEAD + DATA + "a=simulcast:send " + "a;" * 8000,
    "formats without end": HEAD + "m=audio 9 RTP/AVP" + " 0" * 8000,
    "a second password": HEAD + DATA + "a=ice-pwd:x\r\na=ice-pwd:y\r\n",
}

# What parses and is as much as the bounds let through.
HEAVY = {
    "lines": HEAD + "a=x\n" * (MAX_LINES - 4),
    "text": HEAD + ("a=x:" + "y" * (MAX_LINE - 4) + "\n") * (MAX_SIZE // MAX_LINE - 1),
    "sections": HEAD + "m=a 9 b c\n" * MAX_MEDIA,
    "groups": HEAD + "a=group:BUNDLE 1\n" * (MAX_LINES - 4),
    "wide groups": HEAD + ("a=group:BUNDLE" + " 1" * 256 + "\n") * (MAX_SIZE // 600),
    "codecs": HEAD + DATA + "a=rtpmap:96 x/1\n" * (MAX_LINES - 6),
    "sources": HEAD + DATA + "a=ssrc-group:F 1 2 3 4 5 6\n" * (MAX_LINES - 6),
    "extensions": HEAD + DATA + ("a=extmap:1 u" + " x" * 8000 + "\n") * (MAX_SIZE // MAX_LINE - 1),
    "bundled sections": HEAD
    + f"a=fingerprint:sha-256 {bytes(32).hex(':')}\na=setup:active\na=ice-ufrag:abcd\na=ice-pwd:{'x' * 22}\n"
    + f"a=group:BUNDLE {' '.join(map(str, range(MAX_MEDIA)))}\n"
    + "".join(f"m=audio 9 RTP/AVP 0\na=mid:{i}\na=rtcp-mux\n" + "a=setup-x:y\n" * 28 for i in range(MAX_MEDIA)),
}  # fmt: skip


def seconds(text: str) -> float:
    """Processor time to parse and check `text`, the best of a few because a shared machine stops us at times."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        try:
            session = parse_session(text)
            check_description(session, is_offer=True)
            check_answer(session, session)
        except MalformedError:
            pass
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("name", CAPTURES)
def test_what_programs_write_survives_to_the_byte(name: str) -> None:
    """SD-1: the corpus."""
    text = CAPTURES[name]
    assert str(parse_session(text)) == text
    assert str(parse_session(text.replace("\r\n", "\n"))) == text
    assert parse_session(text) == parse_session(text.rstrip("\r\n"))


@pytest.mark.parametrize("name", CAPTURES)
def test_what_programs_write_parses_in_no_time(name: str) -> None:
    """SD-1: 10 KB within 5 ms, which is ten times less than what is demanded."""
    assert seconds(CAPTURES[name]) < PARSING_LIMIT / 10


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_is_malformed(name: str) -> None:
    """SD-1: only the family of ValueError, and none of it repeated at length."""
    with pytest.raises(MalformedError) as caught:
        parse_session(HOSTILE[name])
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_is_refused_in_no_time(name: str) -> None:
    """SD-1: within 50 ms."""
    assert seconds(HOSTILE[name]) < PARSING_LIMIT


@pytest.mark.parametrize("name", HEAVY)
def test_a_description_at_its_bounds_is_parsed_and_checked_in_time(name: str) -> None:
    """SD-1: within 50 ms, and what is checked afterwards too."""
    parse_session(HEAVY[name])
    assert seconds(HEAVY[name]) < PARSING_LIMIT


def test_bytes_that_are_no_text_are_refused() -> None:
    """SD-1: bad UTF-8."""
    with pytest.raises(MalformedError):
        parse_session(decode_text(HEAD.encode() + b"a=\xff\xfe\r\n"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("o=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n", "line 1"),
        (HEAD.replace("v=0", "v=1"), "line 1"),
        (HEAD.replace("s=-\r\n", ""), "0 lines s="),
        (HEAD.replace("t=0 0\r\n", ""), "no line t="),
        (HEAD + "o=- 1 2 IN IP4 127.0.0.1\n", "2 lines o="),
        (HEAD + "v=0\n", "2 lines v="),
        (HEAD + "c=IN IP4 ::\nc=IN IP4 ::\n", "2 lines c="),
        (HEAD + "m=audio 9\n", "line 5: "),
        (HEAD + DATA + "a=setup:maybe\n", "line 7: "),
        (HEAD + "a=ice-pwd\n", "line 5: a=ice-pwd needs a value"),
        (HEAD + DATA + "a=mid:0\na=mid:0\n", "line 8: a second a=mid"),
        (HEAD + DATA + "a=setup:active\na=x\na=setup:passive\n", "line 9: a second a=setup"),
    ],
)
def test_a_wrong_description_is_refused_with_the_place(text: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        parse_session(text)


def test_the_password_is_not_in_the_refusal() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_session(HEAD + DATA + "a=ice-pwd:hunter2 hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_sections_that_nobody_understands_keep_their_place() -> None:
    session = parse_session(CAPTURES["gateway_offer"])
    assert [media.kind for media in session.media] == ["image", "audio", "message", "application"]
    assert [media.is_rejected for media in session.media] == [False, False, True, True]
    assert (session.name, session.origin.username) == ("A seminar on sessions", "alice")
    assert session.is_ice_lite
    assert session.ice_options == ("trickle", "ice2")


def test_lines_out_of_order_are_put_in_order_once() -> None:
    text = (
        "v=0|s=-|o=- 1 2 IN IP4 127.0.0.1|a=x|z=0 0|q=?|b=AS:1|t=0 0|i=i|r=1 1|m=a 9 b c|a=y|b=AS:2|c=IN IP4 ::"
    ).replace("|", "\n")
    ordered = (
        "v=0|o=- 1 2 IN IP4 127.0.0.1|s=-|i=i|b=AS:1|t=0 0|z=0 0|r=1 1|q=?|a=x|m=a 9 b c|c=IN IP4 ::|b=AS:2|a=y|"
    ).replace("|", "\r\n")
    assert str(parse_session(text)) == ordered
    assert str(parse_session(ordered)) == ordered


def test_changing_one_line_changes_no_other() -> None:
    text = CAPTURES["firefox_media_offer"]
    session = parse_session(text)
    session.media[1].set_direction(Direction.RECVONLY)
    session.media[0].replace("setup", Setup.ACTIVE.value)
    before, after = text.split("\r\n"), str(session).split("\r\n")
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("a=setup:actpass", "a=setup:active"), ("a=sendrecv", "a=recvonly")]


def test_a_description_is_built_from_objects() -> None:
    session = SessionDescription(origin=Origin(7, 1))
    session.add(Group("BUNDLE", ("0",)), Attribute("ice-options", "trickle"))
    data = MediaDescription(kind="application", protocol="UDP/DTLS/SCTP", formats=["webrtc-datachannel"])
    data.add(Attribute("mid", "0"), Fingerprint("sha-256", bytes(32)), Attribute("setup", Setup.ACTPASS.value))
    session.media.append(data)
    assert str(session).split("\r\n") == [
        "v=0",
        "o=- 7 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=ice-options:trickle",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
        "a=setup:actpass",
        "",
    ]
    assert parse_session(str(session)) == session


def test_a_line_end_in_a_value_never_becomes_a_line() -> None:
    session = SessionDescription(origin=Origin(7, 1))
    session.add(Attribute("msid", "stream\r\na=ice-lite"))
    with pytest.raises(LocalProtocolError):
        str(session)


def test_what_is_said_for_the_session_holds_for_its_sections() -> None:
    session = parse_session(CAPTURES["gateway_offer"])
    image, audio, *_ = session.media
    assert session.ice_credentials(audio) == IceCredentials("8hhY", "asd88fgpdd777uzjYhagZg")
    assert [fingerprint.algorithm for fingerprint in session.fingerprints(image)] == ["sha-384"]
    assert session.setup(audio) is Setup.ACTPASS
    assert session.tls_id(audio) == "91bbf309c0990a6bec11e38ba2933cee"
    assert session.direction(audio) is Direction.SENDRECV


def test_a_section_may_say_it_for_itself() -> None:
    session = parse_session(
        HEAD
        + "a=ice-ufrag:sess\na=ice-pwd:sp\na=setup:actpass\na=inactive\n"
        + DATA
        + "a=ice-ufrag:mine\na=ice-pwd:mp\n"
        "a=setup:passive\na=recvonly\n" + DATA
    )
    first, second = session.media
    assert session.ice_credentials(first) == IceCredentials("mine", "mp")
    assert session.ice_credentials(second) == IceCredentials("sess", "sp")
    assert (session.setup(first), session.setup(second)) == (Setup.PASSIVE, Setup.ACTPASS)
    assert (session.direction(first), session.direction(second)) == (Direction.RECVONLY, Direction.INACTIVE)


def test_sections_are_found_by_mid_and_bundles_by_semantics() -> None:
    session = parse_session(CAPTURES["chromium_media_offer"].replace("\r\nm=audio", "\r\na=group:LS 0 1\r\nm=audio"))
    assert session.bundle_groups == [("0", "1", "2")]
    assert [group.semantics for group in session.groups] == ["BUNDLE", "LS"]
    assert session.section("1") is session.media[1]
    assert session.section("x") is None


def test_neither_keys_nor_addresses_are_in_the_repr() -> None:
    shown = repr(parse_session(CAPTURES["legacy_plan_b_offer"]))
    assert "IbF4Sc4kqmEGUDXhoLAz3xPf" not in shown
    assert "c0ffee" not in shown
    assert "203.0.113.7 56143" not in repr(parse_session(CAPTURES["safari_data_offer"]))


LINES = [line for text in CAPTURES.values() for line in text.split("\r\n")]


@given(st.lists(st.sampled_from(LINES) | st.from_regex(r"[a-z]=[ -~]*", fullmatch=True), max_size=40))
def test_whatever_parses_prints_as_what_parses_to_the_same(lines: list[str]) -> None:
    """SD-1: one typed error class, and printing is a fixed point."""
    try:
        session = parse_session(HEAD + "\n".join(lines))
    except MalformedError:
        return
    again = parse_session(str(session))
    assert again == session
    assert str(again) == str(session)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_parses_or_is_malformed(text: str) -> None:
    """SD-1: nothing but MalformedError."""
    for candidate in (text, HEAD + text, HEAD + DATA + "a=" + text):
        try:
            parse_session(candidate)
        except MalformedError:
            continue
