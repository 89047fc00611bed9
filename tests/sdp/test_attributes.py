"""What is checked while parsing, and the list of attributes."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute
from icelane.sdp.attributes import PARSERS, SINGULAR, check_attribute
from icelane.sdp.media import MediaDescription
from icelane.sdp.rtp_attributes import RtpMap


def section() -> MediaDescription:
    return MediaDescription(kind="audio", protocol="UDP/TLS/RTP/SAVPF", formats=["0"])


@pytest.mark.parametrize("name", PARSERS)
def test_an_attribute_that_is_known_needs_a_value_that_parses(name: str) -> None:
    for attribute in (Attribute(name), Attribute(name, ""), Attribute(name, " ")):
        with pytest.raises(MalformedError):
            check_attribute(attribute)


@pytest.mark.parametrize("attribute", [Attribute("x-new"), Attribute("x-new", "\u00e9 :;"), Attribute("rtcp-mux", "x")])
def test_what_is_not_known_may_have_any_value(attribute: Attribute) -> None:
    check_attribute(attribute)


def test_every_attribute_that_may_be_there_once_is_known() -> None:
    assert PARSERS.keys() >= SINGULAR


def test_attributes_are_added_in_order_typed_or_not() -> None:
    media = section()
    media.add(Attribute("mid", "a"), RtpMap(0, "PCMU", 8000), Attribute("rtcp-mux"))
    assert [str(attribute) for attribute in media.attributes] == ["mid:a", "rtpmap:0 PCMU/8000", "rtcp-mux"]


def test_replacing_keeps_the_place_and_drops_the_others() -> None:
    media = section()
    media.add(Attribute("x", "1"), Attribute("y"), Attribute("x", "2"), Attribute("x"))
    media.replace("x", "3")
    media.replace("z")
    assert [str(attribute) for attribute in media.attributes] == ["x:3", "y", "z"]


def test_values_are_found_by_name() -> None:
    media = section()
    media.add(Attribute("x", "1"), Attribute("y"), Attribute("x", "2"), Attribute("z", ""))
    assert (media.get("x"), media.get("y"), media.get("z"), media.get("w")) == ("1", "", "", None)
    assert (media.get_all("x"), media.get_all("y"), media.get_all("w")) == (["1", "2"], [""], [])
    assert media.has("y")
    assert not media.has("w")
    media.remove("x", "z", "w")
    assert media.attributes == [Attribute("y")]
