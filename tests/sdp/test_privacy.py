"""Descriptions that do not tell where their writer is."""

from __future__ import annotations

import re

import pytest

from icelane.sdp.attribute import Attribute
from icelane.sdp.privacy import without_host_information
from icelane.sdp.session import parse_session
from tests.sdp.captures import CAPTURES

RELAY = "3 1 udp 41885439 198.51.100.5 50000 typ relay raddr 192.168.1.7 rport 5001 generation 0 ufrag abcd"
RELAY_6 = "4 1 udp 41885439 2001:db8::5 50000 typ relay raddr fd12::7 rport 5001"
HOST = "1 1 udp 2122260223 192.168.1.7 5001 typ host"
SRFLX = "2 1 udp 1686052607 203.0.113.9 5001 typ srflx raddr 192.168.1.7 rport 5001"
LYING = "5 1 udp 1 192.168.1.7 5001 typ host x typ relay"


@pytest.mark.parametrize("name", CAPTURES)
def test_no_address_of_a_host_is_left(name: str) -> None:
    concealed = str(without_host_information(parse_session(CAPTURES[name])))
    without_codecs = re.sub(r"a=(extmap|rtpmap|fmtp|fingerprint|msid|ssrc).*", "", concealed)
    addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+|\S+::\S*|\S+\.local", without_codecs))
    assert addresses <= {"127.0.0.1", "0.0.0.0"}
    assert set(re.findall(r"m=\S+ (\d+)", concealed)) <= {"0", "9"}
    assert "candidate" not in concealed.replace("end-of-candidates", "")


def test_nothing_else_changes() -> None:
    text = CAPTURES["chromium_media_offer"]
    kept = re.sub(r"a=candidate:.*\r\n", "", text)
    assert str(without_host_information(parse_session(text))) == kept


def test_relayed_candidates_stay_without_their_bases() -> None:
    session = parse_session(CAPTURES["chromium_data_offer"])
    media = session.media[0]
    media.remove("candidate")
    media.add(*(Attribute("candidate", value) for value in (HOST, RELAY, SRFLX, RELAY_6, LYING, "", "typ relay")))
    assert without_host_information(session).media[0].candidates == [
        "candidate:3 1 udp 41885439 198.51.100.5 50000 typ relay raddr 0.0.0.0 rport 9 generation 0 ufrag abcd",
        "candidate:4 1 udp 41885439 2001:db8::5 50000 typ relay raddr :: rport 9",
    ]
    assert len(media.candidates) == 7


def test_a_person_is_not_named_either() -> None:
    concealed = without_host_information(parse_session(CAPTURES["gateway_offer"]))
    assert "alice" not in str(concealed)
    assert "555" not in str(concealed)
    assert concealed.origin.session_id == 2890844526
