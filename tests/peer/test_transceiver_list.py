"""What the application does with transceivers, rule by rule of W3C webrtc-pc section 5.1."""

from __future__ import annotations

import pytest

from icelane.errors import InvalidAccessError, InvalidModificationError, InvalidStateError, NotSupportedError
from icelane.media.codec import RtpCodec
from icelane.peer.transceiver import Transceiver
from icelane.peer.transceiver_list import TransceiverList
from icelane.sdp.rtp_attributes import Direction
from icelane.testing.entropy import SeededEntropy
from tests.peer.media import AUDIO, CAPABILITIES, G722, OPUS, RTX, TONES, VIDEO, VP8, media_pair
from tests.peer.negotiating import exchange


def transceivers() -> TransceiverList:
    return TransceiverList(SeededEntropy(1), CAPABILITIES)


def test_a_track_gets_a_transceiver_that_sends_and_receives() -> None:
    every = transceivers()
    made = every.add_track("mic", AUDIO, ["one", "two", "one"])
    assert list(every) == [made]
    assert made.direction is Direction.SENDRECV
    assert made.sender.track_id == made.sender.label == "mic"
    assert made.sender.stream_ids == ("one", "two")
    assert made.mid is None
    assert made.current_direction is None
    assert len({made.sender.ssrc, made.sender.rtx_ssrc, 0}) == 3


def test_a_track_that_is_sent_already_is_refused() -> None:
    every = transceivers()
    every.add_track("mic", AUDIO)
    with pytest.raises(InvalidAccessError):
        every.add_track("mic", AUDIO)
    assert len(every) == 1


def test_a_track_takes_a_transceiver_that_only_receives_and_has_never_sent() -> None:
    every = transceivers()
    video = every.add(VIDEO, Direction.RECVONLY)
    silent = every.add(AUDIO, Direction.INACTIVE)
    assert every.add_track("mic", AUDIO, ["s"]) is silent
    assert silent.direction is Direction.SENDONLY
    assert every.add_track("cam", VIDEO) is video
    assert video.direction is Direction.SENDRECV
    assert len(every) == 2


def test_a_track_does_not_take_a_transceiver_that_has_sent() -> None:
    one, other = media_pair()
    first = one.add_track("mic")
    exchange(one, other)
    every = one.negotiation.media.transceivers
    every.remove_track(first)
    exchange(one, other)
    assert first.current_direction is Direction.INACTIVE
    assert every.add_track("again", AUDIO) is not first


def test_a_track_does_not_take_a_transceiver_that_is_stopped() -> None:
    every = transceivers()
    stopped = every.add(AUDIO, Direction.RECVONLY)
    every.stop(stopped)
    assert every.add_track("mic", AUDIO) is not stopped


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Direction.SENDRECV, Direction.RECVONLY),
        (Direction.SENDONLY, Direction.INACTIVE),
        (Direction.RECVONLY, Direction.RECVONLY),
    ],
)
def test_removing_a_track_takes_sending_from_the_direction(before: Direction, after: Direction) -> None:
    every = transceivers()
    transceiver = every.add(AUDIO, before, track_id="mic")
    every.remove_track(transceiver)
    assert transceiver.direction is after
    assert transceiver.sender.track_id is None
    every.remove_track(transceiver)
    assert transceiver.direction is after


def test_replacing_a_track_keeps_the_label_that_the_peer_knows() -> None:
    every = transceivers()
    transceiver = every.add_track("mic", AUDIO)
    every.replace_track(transceiver, "other")
    assert (transceiver.sender.label, transceiver.sender.track_id) == ("mic", "other")
    every.replace_track(transceiver, None)
    assert transceiver.direction is Direction.SENDRECV


def test_a_stopped_transceiver_can_only_be_stopped_again() -> None:
    every = transceivers()
    transceiver = every.add_track("mic", AUDIO)
    assert every.stop(transceiver)
    assert not every.stop(transceiver)
    with pytest.raises(InvalidStateError):
        every.replace_track(transceiver, "other")
    with pytest.raises(InvalidStateError):
        every.set_direction(transceiver, Direction.INACTIVE)
    with pytest.raises(InvalidStateError):
        every.set_streams(transceiver, ["s"])
    every.remove_track(transceiver)
    assert transceiver.sender.track_id == "mic"


def test_a_transceiver_of_another_connection_is_refused() -> None:
    stranger = transceivers().add(AUDIO)
    with pytest.raises(InvalidAccessError):
        transceivers().set_direction(stranger, Direction.INACTIVE)


@pytest.mark.parametrize("preferred", [[G722], [OPUS, TONES], [TONES, G722, OPUS, G722]])
def test_preferred_codecs_are_kept_in_their_order(preferred: list[RtpCodec]) -> None:
    every = transceivers()
    transceiver = every.add(AUDIO)
    every.set_codec_preferences(transceiver, preferred)
    assert transceiver.preferred_codecs == tuple(dict.fromkeys(preferred))
    every.set_codec_preferences(transceiver, [])
    assert every.codecs_for(AUDIO, transceiver) == CAPABILITIES.audio


@pytest.mark.parametrize("preferred", [[VP8], [TONES], [RtpCodec(kind=AUDIO, name="speex", clock_rate=8_000)]])
def test_preferred_codecs_that_cannot_be_used_are_refused(preferred: list[RtpCodec]) -> None:
    every = transceivers()
    transceiver = every.add(AUDIO)
    with pytest.raises(InvalidModificationError):
        every.set_codec_preferences(transceiver, preferred)
    assert transceiver.preferred_codecs == ()


def test_retransmission_alone_carries_no_media() -> None:
    every = transceivers()
    with pytest.raises(InvalidModificationError):
        every.set_codec_preferences(every.add(VIDEO), [RTX])


@pytest.mark.parametrize("text", ["", "a b", "a\r\na=evil:1", "ü"])
def test_what_a_description_cannot_say_is_refused(text: str) -> None:
    every = transceivers()
    with pytest.raises(InvalidAccessError):
        every.add_track(text, AUDIO)
    with pytest.raises(InvalidAccessError):
        every.add_track("mic", AUDIO, [text])
    assert len(every) == 0


def test_without_capabilities_there_are_no_transceivers() -> None:
    every = TransceiverList(SeededEntropy(1), None)
    with pytest.raises(NotSupportedError):
        every.add_track("mic", AUDIO)


def test_no_two_streams_have_one_ssrc() -> None:
    every = transceivers()
    made: list[Transceiver] = [every.add(AUDIO) for _ in range(50)]
    assert len({ssrc for one in made for ssrc in (one.sender.ssrc, one.sender.rtx_ssrc)}) == 100
