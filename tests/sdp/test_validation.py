"""What WebRTC demands of offers and answers."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.transport_attributes import Fingerprint
from icelane.sdp.validation import check_answer, check_description
from tests.sdp.captures import ANSWERED, CAPTURES

HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
SHA_256 = "a=fingerprint:" + str(Fingerprint("sha-256", bytes(32))) + "\n"
SHA_1 = "a=fingerprint:" + str(Fingerprint("sha-1", bytes(20))) + "\n"
MD5 = "a=fingerprint:" + str(Fingerprint("md5", bytes(16))) + "\n"
CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"
ICE = "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuv\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:a\na=rtcp-mux\n"
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:d\na=sctp-port:5000\n"


def section(media: str = AUDIO, setup: str = "actpass") -> str:
    return f"{media}{ICE}{SHA_256}a=setup:{setup}\n"


def offer(*sections: str, session: str = "") -> SessionDescription:
    return parse_session(HEAD + session + "".join(sections or (section(), section(DATA))))


def answer(*sections: str, session: str = "") -> SessionDescription:
    return parse_session(HEAD + session + "".join(sections or (section(setup="active"), section(DATA, "active"))))


def refused(description: SessionDescription, reason: str, *, is_offer: bool = True) -> str:
    with pytest.raises(MalformedError, match=reason) as caught:
        check_description(description, is_offer=is_offer)
    return str(caught.value)


def refused_answer(offered: SessionDescription, answered: SessionDescription, reason: str) -> None:
    check_description(offered, is_offer=True)
    with pytest.raises(MalformedError, match=reason):
        check_answer(offered, answered)


@pytest.mark.parametrize("name", CAPTURES)
def test_what_programs_write_is_accepted(name: str) -> None:
    check_description(parse_session(CAPTURES[name]), is_offer=name.endswith("_offer"))


@pytest.mark.parametrize(("answered", "offered"), ANSWERED)
def test_the_answers_of_programs_fit_their_offers(answered: str, offered: str) -> None:
    check_answer(parse_session(CAPTURES[offered]), parse_session(CAPTURES[answered]))


def test_a_minimal_offer_and_its_answer_are_accepted() -> None:
    check_description(offer(), is_offer=True)
    check_answer(offer(), answer())


# -- keys


def test_a_section_without_a_fingerprint_is_refused() -> None:
    """SD-3: no fingerprint."""
    text = refused(offer(section(), section(DATA).replace(SHA_256, "")), "no a=fingerprint")
    assert text.startswith("m-line 1 (application, mid d): ")
    refused(answer(section(setup="active").replace(SHA_256, "")), "no a=fingerprint", is_offer=False)


@pytest.mark.parametrize("weak", [SHA_1, MD5, SHA_1 + MD5, "a=fingerprint:unheard-of 00:11\n"])
def test_fingerprints_that_can_be_forged_are_not_enough(weak: str) -> None:
    """SD-3: only weak fingerprints are as good as none."""
    refused(offer(section().replace(SHA_256, weak)), "only fingerprints by")
    check_description(offer(section().replace(SHA_256, weak + SHA_256)), is_offer=True)


def test_keys_in_the_description_are_no_keys() -> None:
    """SD-3: SDES a=crypto without DTLS."""
    refused(offer(section().replace(SHA_256, CRYPTO)), "SDES")
    sdes = (
        section(AUDIO.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"))
        .replace(SHA_256, CRYPTO)
        .replace("a=setup:actpass\n", "")
    )
    refused(offer(sdes), "SDES")
    check_description(offer(section().replace(SHA_256, CRYPTO + SHA_256)), is_offer=True)


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVP"])
def test_every_name_of_rtp_needs_dtls(protocol: str) -> None:
    """SD-3: the name of the protocol does not switch the keys off."""
    media = section(AUDIO.replace("UDP/TLS/RTP/SAVPF", protocol))
    check_description(offer(media), is_offer=True)
    refused(offer(media.replace(SHA_256, "")), "no a=fingerprint")


# -- roles


def test_a_section_without_a_dtls_role_is_refused() -> None:
    """SD-3: a=setup missing."""
    refused(offer(section().replace("a=setup:actpass\n", "")), "no a=setup")
    refused(answer(section(setup="active").replace("a=setup:active\n", "")), "no a=setup", is_offer=False)


@pytest.mark.parametrize("is_offer", [True, False])
def test_a_held_connection_is_refused(is_offer: bool) -> None:
    """SD-3: a=setup:holdconn."""
    refused(offer(section(setup="holdconn")), "holdconn", is_offer=is_offer)
    refused(offer(section(setup="HOLDCONN")), "holdconn", is_offer=is_offer)


def test_an_answer_has_to_choose_its_role() -> None:
    """SD-3: actpass is no answer."""
    refused(offer(section()), "actpass in an answer", is_offer=False)


@pytest.mark.parametrize(("wanted", "chosen"), [("active", "active"), ("passive", "passive")])
def test_both_ends_cannot_have_one_role(wanted: str, chosen: str) -> None:
    refused_answer(offer(section(setup=wanted)), answer(section(setup=chosen)), "no answer to a=setup")


@pytest.mark.parametrize(("wanted", "chosen"), [("active", "passive"), ("passive", "active"), ("actpass", "passive")])
def test_roles_that_fit_are_accepted(wanted: str, chosen: str) -> None:
    check_answer(offer(section(setup=wanted)), answer(section(setup=chosen)))


# -- ICE and RTCP


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", "not both there"),
        ("a=ice-ufrag:abcd\n", "not both there"),
        ("a=ice-pwd:abcdefghijklmnopqrstuv\n", "not both there"),
        ("a=ice-ufrag:abc\na=ice-pwd:abcdefghijklmnopqrstuv\n", "ufrag has 3"),
        ("a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstu\n", "password has 21"),
    ],
)
def test_ice_credentials_that_can_be_guessed_are_refused(lines: str, reason: str) -> None:
    """SD-3: ICE pwd below 22 characters, ufrag below 4."""
    text = refused(offer(section().replace(ICE, lines)), reason)
    assert "abcdefgh" not in text
    refused(answer(section(setup="active").replace(ICE, lines)), reason, is_offer=False)


def test_credentials_of_the_session_are_held_to_the_same() -> None:
    """SD-3: wherever the password stands."""
    bare = section().replace(ICE, "")
    check_description(offer(bare, session=ICE), is_offer=True)
    refused(offer(bare, session="a=ice-ufrag:abcd\na=ice-pwd:short\n"), "password has 5")


def test_media_without_rtcp_mux_is_refused() -> None:
    """SD-3: rtcp-mux absent."""
    refused(offer(section().replace("a=rtcp-mux\n", "")), "rtcp-mux")
    refused(answer(section(setup="active").replace("a=rtcp-mux\n", "")), "rtcp-mux", is_offer=False)
    check_description(offer(section().replace("a=rtcp-mux\n", "a=rtcp-mux-only\n")), is_offer=True)


# -- sections that need not hold to it


def test_rejected_sections_may_say_what_they_like() -> None:
    check_description(offer("m=audio 0 RTP/AVP 0\na=setup:holdconn\n", section(DATA)), is_offer=True)


def test_a_section_that_only_goes_bundled_is_not_rejected() -> None:
    """SD-3: port 0 with a=bundle-only is no way around."""
    bare = section().replace("audio 9", "audio 0").replace(SHA_256, "")
    check_description(offer(bare), is_offer=True)
    refused(offer(bare + "a=bundle-only\n"), "no a=fingerprint")


def test_protocols_that_are_none_of_webrtc_s_are_for_the_answerer_to_reject() -> None:
    check_description(offer("m=image 54111 udptl t38\n", section()), is_offer=True)


# -- bundles


def test_two_sections_cannot_have_one_mid() -> None:
    text = refused(offer(section(), section()), "same mid")
    assert text.startswith("m-line 1 (audio, mid a)")


@pytest.mark.parametrize(
    "group", ["a=group:BUNDLE a x\n", "a=group:BUNDLE a a\n", "a=group:BUNDLE a\na=group:BUNDLE d a\n"]
)
def test_a_bundle_has_sections_of_the_description_and_each_once(group: str) -> None:
    refused(offer(section(), section(DATA), session=group), "BUNDLE")


def test_bundled_sections_may_leave_the_transport_to_the_first() -> None:
    group = "a=group:BUNDLE a d\n"
    check_description(offer(section(), DATA + "a=bundle-only\n", session=group), is_offer=True)
    check_answer(offer(session=group), answer(section(setup="active"), DATA, session=group))


@pytest.mark.parametrize(
    "own",
    [
        "a=ice-ufrag:efgh\n",
        "a=ice-pwd:zzzzzzzzzzzzzzzzzzzzzzzz\n",
        "a=setup:passive\n",
        "a=tls-id:zzzzzzzzzzzzzzzzzzzzzzzz\n",
        SHA_256.replace("00:00", "00:01"),
    ],
)
def test_bundled_sections_cannot_have_two_transports(own: str) -> None:
    group = "a=group:BUNDLE a d\n"
    bundled = answer(section(setup="active"), DATA + own, session=group)
    refused(bundled, "bundled with", is_offer=False)
    check_description(
        offer(section(), section(DATA).replace(ICE, ICE.replace("abcd", "efgh")), session=group), is_offer=True
    )
    bundle_only = offer(section(), DATA.replace(" 9 ", " 0 ") + "a=bundle-only\n" + own, session=group)
    refused(bundle_only, "bundled with")


def test_a_bundle_of_the_answer_is_within_one_of_the_offer() -> None:
    offered = offer(session="a=group:BUNDLE a\na=group:BUNDLE d\n")
    refused_answer(offered, answer(session="a=group:BUNDLE a d\n"), "not within one of the offer")
    refused_answer(offer(), answer(session="a=group:BUNDLE a d\n"), "not within one of the offer")
    check_answer(offer(session="a=group:BUNDLE a d\n"), answer(session="a=group:BUNDLE a\n"))


def test_what_was_offered_bundled_only_is_accepted_bundled_only() -> None:
    group = "a=group:BUNDLE a d\n"
    offered = offer(section(), DATA.replace(" 9 ", " 0 ") + "a=bundle-only\n", session=group)
    refused_answer(offered, answer(), "without BUNDLE")
    check_answer(offered, answer(session=group))


# -- answers


def test_an_answer_has_the_sections_of_the_offer() -> None:
    refused_answer(offer(), answer(section(setup="active")), "1 sections, the offer 2")
    refused_answer(offer(), answer(section(DATA, "active"), section(setup="active")), "the offer has 'audio' here")


@pytest.mark.parametrize(
    "protocol", ["RTP/AVP", "RTP/AVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/XYZ", "UDP/DTLS/SCTP"]
)
def test_a_protocol_is_answered_with_itself(protocol: str) -> None:
    """SD-3: RTP/AVP in answer to SAVPF, with the keys of DTLS or without."""
    for answered in (section(setup="active"), section(setup="active").replace(SHA_256, CRYPTO)):
        with pytest.raises(MalformedError):
            check_answer(offer(section()), answer(answered.replace("UDP/TLS/RTP/SAVPF", protocol)))
    refused_answer(
        offer(section()),
        answer(section(setup="active").replace("UDP/TLS/RTP/SAVPF", protocol)),
        f"'{protocol}' is no answer",
    )


def test_a_protocol_of_the_drafts_answers_data_channels() -> None:
    legacy = section(DATA.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"), "active")
    check_answer(offer(section(DATA)), answer(legacy))


def test_an_answer_keeps_the_mids() -> None:
    refused_answer(offer(section()), answer(section(setup="active").replace("mid:a", "mid:b")), "mid here is 'a'")
    refused_answer(offer(section()), answer(section(setup="active").replace("a=mid:a\n", "")), "mid here is 'a'")
    without = section().replace("a=mid:a\n", "")
    refused_answer(offer(without), answer(section(setup="active")), "mid here is none")


def test_a_rejecting_answer_may_leave_everything_out() -> None:
    check_answer(offer(), answer("m=audio 0 RTP/AVP 0\n", section(DATA, "active")))


def test_what_the_offer_switched_off_stays_off() -> None:
    offered = offer(section().replace("audio 9", "audio 0"))
    refused_answer(offered, answer(section(setup="active")), "switched off")


def test_an_answer_is_checked_for_itself_first() -> None:
    """SD-3: the answer's own keys."""
    refused_answer(offer(section()), answer(section(setup="active").replace(SHA_256, "")), "no a=fingerprint")


def test_a_refusal_is_short_whatever_the_peer_wrote() -> None:
    long = "x" * 5000
    media = f"m={long} 9 UDP/TLS/RTP/SAVPF 0\na=mid:{long}\n"
    assert len(refused(offer(media), "no a=fingerprint")) < 200
    algorithms = "".join(f"a=fingerprint:{'y' * 100}{i} 00\n" for i in range(50))
    assert len(refused(offer(section(setup="active").replace(SHA_256, algorithms)), "only fingerprints")) < 300


def test_what_was_added_with_a_wrong_value_is_refused_too() -> None:
    session = offer(section())
    session.media[0].attributes.insert(0, Attribute("setup", "maybe"))
    refused(session, "'maybe' is not")
