from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.header_extension import (
    ABSOLUTE_SEND_TIME,
    MID,
    AudioLevel,
    ExtensionMap,
    PlayoutDelay,
    VideoOrientation,
    encode_absolute_send_time,
    encode_audio_level,
    encode_contributing_audio_levels,
    encode_playout_delay,
    encode_token,
    encode_transport_sequence_number,
    encode_video_orientation,
    parse_absolute_send_time,
    parse_audio_level,
    parse_contributing_audio_levels,
    parse_playout_delay,
    parse_token,
    parse_transport_sequence_number,
    parse_video_orientation,
    value_of,
)
from icelane.rtp.packet import RtpPacket


@pytest.mark.parametrize(
    ("encoded", "data"),
    [
        (encode_token("audio-0"), b"audio-0"),
        (encode_absolute_send_time(1.0), b"\x04\x00\x00"),
        (encode_absolute_send_time(64.0 + 0.5), b"\x02\x00\x00"),
        (encode_transport_sequence_number(0x1FFFF), b"\xff\xff"),
        (encode_audio_level(AudioLevel(127, voice=True)), b"\xff"),
        (encode_audio_level(AudioLevel(30)), b"\x1e"),
        (encode_contributing_audio_levels((0, 127)), b"\x00\x7f"),
        (encode_playout_delay(PlayoutDelay(0.1, 40.95)), b"\x00\xaf\xff"),
        (encode_video_orientation(VideoOrientation(270, flip=True, back_camera=True)), b"\x0f"),
    ],
)
def test_values_stand_on_the_wire_as_their_documents_have_them(encoded: bytes, data: bytes) -> None:
    assert encoded == data


@given(st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0189-_.!~#$%&'*+^`{|}", min_size=1, max_size=255))
def test_tokens_come_back(value: str) -> None:
    assert parse_token(encode_token(value)) == value


@given(st.floats(0, 1e9))
def test_send_times_come_back_within_the_circle(seconds: float) -> None:
    assert abs(parse_absolute_send_time(encode_absolute_send_time(seconds)) - seconds % 64) % 64 < 1e-5


@given(st.integers(0, 4095), st.integers(0, 4095))
def test_playout_delays_come_back(one: int, other: int) -> None:
    delay = PlayoutDelay(min(one, other) / 100, max(one, other) / 100)
    assert parse_playout_delay(encode_playout_delay(delay)) == delay


@given(st.integers(0, 127), st.booleans(), st.sampled_from([0, 90, 180, 270]), st.booleans(), st.booleans())
def test_levels_and_orientations_come_back(level: int, voice: bool, rotation: int, flip: bool, back: bool) -> None:
    assert parse_audio_level(encode_audio_level(AudioLevel(level, voice))) == AudioLevel(level, voice)
    turned = VideoOrientation(rotation, flip, back)
    assert parse_video_orientation(encode_video_orientation(turned)) == turned
    assert parse_contributing_audio_levels(encode_contributing_audio_levels((level, 0))) == (level, 0)


def test_bytes_behind_a_value_are_ignored() -> None:
    assert parse_transport_sequence_number(b"\x01\x02\x03") == 0x0102
    assert parse_audio_level(b"\x8a\x00") == AudioLevel(10, voice=True)


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (parse_token, b""),
        (parse_token, b"two words"),
        (parse_token, b"\xc3\xa9"),
        (parse_token, b"line\n"),
        (parse_token, bytes(256)),
        (parse_absolute_send_time, bytes(2)),
        (parse_transport_sequence_number, b"\x01"),
        (parse_audio_level, b""),
        (parse_contributing_audio_levels, b""),
        (parse_contributing_audio_levels, bytes(16)),
        (parse_playout_delay, b"\xff\xf0\x00"),
        (parse_video_orientation, b""),
    ],
)
def test_what_is_no_value_is_malformed(parse: Callable[[bytes], object], data: bytes) -> None:
    """SR-5: header extensions."""
    with pytest.raises(MalformedError):
        parse(data)


def test_a_packet_without_the_element_or_with_a_malformed_one_says_nothing() -> None:
    packet = RtpPacket(extensions=[(1, b"\x8a"), (2, b"")])
    assert value_of(packet, 1, parse_audio_level) == AudioLevel(10, voice=True)
    assert [value_of(packet, identifier, parse_audio_level) for identifier in (2, 3, None)] == [None] * 3


@pytest.mark.parametrize(
    "encode",
    [
        lambda: encode_token(""),
        lambda: encode_token("x" * 256),
        lambda: encode_token("é"),
        lambda: encode_token("a b"),
        lambda: encode_audio_level(AudioLevel(128)),
        lambda: encode_contributing_audio_levels(()),
        lambda: encode_contributing_audio_levels((0,) * 16),
        lambda: encode_contributing_audio_levels((-1,)),
        lambda: encode_playout_delay(PlayoutDelay(2, 1)),
        lambda: encode_playout_delay(PlayoutDelay(0, 41)),
        lambda: encode_video_orientation(VideoOrientation(45)),
    ],
)
def test_what_does_not_fit_is_refused(encode: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidAccessError):
        encode()


def test_a_map_knows_both_ways() -> None:
    extensions = ExtensionMap()
    extensions.add(3, MID)
    extensions.add(14, ABSOLUTE_SEND_TIME)
    extensions.add(3, MID)
    assert extensions.identifier_of(MID) == 3
    assert extensions.uri_of(14) == ABSOLUTE_SEND_TIME
    assert extensions.identifier_of("urn:x") is None
    assert extensions.uri_of(1) is None
    assert list(extensions) == [(3, MID), (14, ABSOLUTE_SEND_TIME)]
    assert len(extensions) == 2


@pytest.mark.parametrize(("two_byte", "largest"), [(False, 14), (True, 255)])
def test_a_map_is_full_when_its_identifiers_are_used_up(two_byte: bool, largest: int) -> None:
    extensions = ExtensionMap(two_byte=two_byte)
    for number in range(1, largest + 1):
        extensions.add(number, f"urn:{number}")
    for number in (0, largest + 1, -1):
        with pytest.raises(InvalidAccessError):
            extensions.add(number, "urn:more")
    with pytest.raises(InvalidAccessError):
        extensions.add(1, "urn:other")
    with pytest.raises(InvalidAccessError):
        extensions.add(2, "urn:1")
    assert len(extensions) == largest
