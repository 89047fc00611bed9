from __future__ import annotations

import json
from typing import Any

import pytest

from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription

LINE = "candidate:1 1 udp 2122260223 192.0.2.1 50000 typ srflx raddr 10.0.0.1 rport 5000 ufrag abcd"


def test_a_description_goes_through_json_and_back() -> None:
    description = RTCSessionDescription(sdp="v=0\r\n", type="answer")
    assert RTCSessionDescription.from_json(json.loads(json.dumps(description.toJSON()))) == description
    assert RTCSessionDescription.from_json({"type": "rollback"}) == RTCSessionDescription("", "rollback")


def test_the_password_is_not_in_the_repr() -> None:
    """IC-10: the text of a description holds it."""
    assert "secret" not in repr(RTCSessionDescription(sdp="a=ice-pwd:secret", type="offer"))


@pytest.mark.parametrize("text", [None, 5, b"v=0"])
def test_a_text_that_is_none_is_refused_before_anything_is_done_with_it(text: Any) -> None:
    with pytest.raises(TypeError, match="expected str"):
        RTCSessionDescription(sdp=text)
    with pytest.raises(TypeError, match="expected str"):
        RTCIceCandidate(candidate=text)


@pytest.mark.parametrize("body", [{}, {"sdp": "v=0"}, {"type": "maybe"}, {"type": "offer", "sdp": 7}, {"type": 7}])
def test_another_shape_of_a_description_is_a_type_error(body: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        RTCSessionDescription.from_json(body)


def test_a_type_that_w3c_does_not_have_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        RTCSessionDescription(type="question")


def test_a_candidate_goes_through_json_and_back() -> None:
    candidate = RTCIceCandidate(LINE, "0", 0, "abcd")
    assert RTCIceCandidate.from_json(json.loads(json.dumps(candidate.toJSON()))) == candidate
    assert RTCIceCandidate.from_json({"candidate": ""}) == RTCIceCandidate()


def test_a_candidate_tells_what_its_text_says() -> None:
    candidate = RTCIceCandidate(LINE)
    assert (candidate.address, candidate.port, candidate.type) == ("192.0.2.1", 50000, "srflx")
    assert (candidate.protocol, candidate.component, candidate.foundation) == ("udp", "rtp", "1")
    assert (candidate.relatedAddress, candidate.relatedPort) == ("10.0.0.1", 5000)
    assert (candidate.priority, candidate.tcpType) == (2122260223, None)
    for text in ("", "candidate:what"):
        nothing = RTCIceCandidate(text)
        assert (nothing.address, nothing.port, nothing.type, nothing.relatedAddress) == (None, None, None, None)


@pytest.mark.parametrize(
    "body", [{"candidate": 7}, {"sdpMid": 0}, {"sdpMLineIndex": "0"}, {"usernameFragment": b"x"}, {"candidate": None}]
)
def test_another_shape_of_a_candidate_is_a_type_error(body: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        RTCIceCandidate.from_json(body)
