"""Frames on the wire."""

from __future__ import annotations

import contextlib
import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from icelane.errors import MalformedError
from icelane.signaling.limits import MAX_DEPTH, MAX_FRAME, MAX_META
from icelane.signaling.messages import (
    ClientFrame,
    Hello,
    IceServer,
    IceServersBody,
    Join,
    PeerJoined,
    SendMessage,
    SendSignal,
    ServerFrame,
    ServerSignal,
    SignalData,
    Welcome,
    encode_frame,
    encode_json,
    parse_client_frame,
    parse_json_object,
    parse_server_frame,
)


def test_the_frames_of_the_documentation_are_read() -> None:
    for text in (
        '{"type":"hello","id":1,"token":"t","client":{"name":"web","version":"1.2"},"resume":{"session":"s_","seq":41}}',
        '{"type":"join","id":2,"room":"demo","meta":{"a":1}}',
        '{"type":"signal","id":3,"to":"p_b","data":{"description":{"type":"offer","sdp":"v=0"}}}',
        '{"type":"message","to":"*","data":{"a":[1,2]}}',
    ):
        assert json.loads(encode_frame(parse_client_frame(text))) == json.loads(text)


def test_candidates_of_browsers_are_passed_on_as_they_are() -> None:
    data = '{"candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}'
    frame = parse_client_frame(f'{{"type":"signal","to":"p","data":{data}}}')
    assert isinstance(frame, SendSignal)
    assert json.loads(encode_frame(ServerSignal(seq=1, sender="p", data=frame.data)))["data"] == json.loads(data)
    end = parse_client_frame('{"type":"signal","to":"p","data":{"candidate":null}}')
    assert isinstance(end, SendSignal)
    assert '"candidate":null' in encode_frame(ServerSignal(seq=1, sender="p", data=end.data))


def test_what_is_missing_is_left_out_and_never_null() -> None:
    body = IceServersBody(ice_servers=(IceServer(urls=("stun:example.org",)),), ice_transport_policy="all")
    assert msgspec.json.encode(body) == b'{"iceServers":[{"urls":["stun:example.org"]}],"iceTransportPolicy":"all"}'
    for frame in (PeerJoined(seq=1, room="r", peer="p", identity="i", polite=True), Hello(id=1), Join(id=1, room="r")):
        assert "null" not in encode_frame(frame)


def test_what_nobody_knows_is_skipped() -> None:
    assert parse_client_frame('{"type":"join","id":1,"room":"r","more":{"a":[1]}}') == parse_client_frame(
        '{"room":"r","id":1,"type":"join"}'
    )


@given(st.integers(0, MAX_DEPTH + 5), st.sampled_from(["[]", '{"a":}']))
def test_depth_has_a_bound_that_strings_do_not_count_for(depth: int, kind: str) -> None:
    """SG-9: deep JSON."""
    opening, closing = kind[:-1], kind[-1]
    data = opening * depth + "1" + closing * depth
    text = f'{{"type":"message","to":"*","data":{data}}}'
    if depth <= MAX_DEPTH:
        assert isinstance(parse_client_frame(text), SendMessage)
    else:
        with pytest.raises(MalformedError):
            parse_client_frame(text)
    quoted = json.dumps("[" * 200 + "{" * 200)
    assert isinstance(parse_client_frame(f'{{"type":"message","to":"*","data":{quoted}}}'), SendMessage)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_but_malformed_error_comes_of_bytes(data: bytes) -> None:
    """SG-9: bad UTF-8 and worse."""
    for parse in (parse_client_frame, parse_server_frame):
        with contextlib.suppress(MalformedError):
            parse(data)


def test_lengths_have_bounds() -> None:
    """SG-8: also for whoever calls without a WebSocket."""
    with pytest.raises(MalformedError):
        parse_client_frame('{"type":"ping"}' + " " * MAX_FRAME)
    with pytest.raises(MalformedError):
        parse_json_object(Raw(b'{"a":"' + b"x" * MAX_META + b'"}'))
    with pytest.raises(MalformedError):
        parse_json_object(Raw(b"[]"))


def test_a_token_that_is_too_long_is_not_repeated_in_the_error() -> None:
    """SG-6, SG-7: nor is anything of one."""
    secret = "s3cret" * 5000
    with pytest.raises(MalformedError) as caught:
        parse_client_frame(f'{{"type":"hello","id":1,"token":"{secret}"}}')
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("frame", [*get_args(ClientFrame), *get_args(ServerFrame)])
def test_every_frame_comes_back_as_it_went(frame: type[Any]) -> None:
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(frame):
        if field.required:
            values[field.name] = _example(field.type, field.name)
    made = frame(**values)
    text = encode_frame(made)
    parse = parse_client_frame if frame in get_args(ClientFrame) else parse_server_frame
    again = parse(text)
    assert type(again) is frame
    assert encode_frame(again) == text
    assert text.startswith('{"type":"')


def _example(kind: Any, name: str) -> object:
    if name in ("data", "meta"):
        return SignalData(candidate=None) if kind is SignalData else encode_json({"a": 1})
    if name == "limits":
        return msgspec.convert(
            {
                "frame": 1, "framesPerSecond": 1.0, "frameBurst": 1, "rooms": 1, "peersPerRoom": 1,
                "resumeSeconds": 1.0, "resumePushes": 1,
            },
            kind,
        )  # fmt: skip
    examples: dict[str, object] = {
        "ice": IceServersBody(ice_servers=(), ice_transport_policy="all"), "peers": (), "reason": None, "polite": True,
        "locked": True, "resumed": False, "retryable": True, "reconnect": True, "ping": 25.0,
    }  # fmt: skip
    if name == "reason":
        return "x" if kind is str else next(iter(kind))
    if name in examples:
        return examples[name]
    return (
        "x"
        if name in ("room", "to", "peer", "token", "session", "identity", "you", "sender", "message")
        or (name == "code" and kind is str)
        else 1
    )


def test_a_welcome_says_where_counting_goes_on() -> None:
    welcome = parse_server_frame(
        '{"type":"welcome","re":1,"session":"s","peer":"p","identity":"i","ping":25,"resumed":true,"seq":41,'
        '"limits":{"frame":1,"framesPerSecond":1,"frameBurst":1,"rooms":1,"peersPerRoom":1,"resumeSeconds":60,'
        '"resumePushes":512}}'
    )
    assert isinstance(welcome, Welcome)
    assert (welcome.seq, welcome.rooms) == (41, ())
