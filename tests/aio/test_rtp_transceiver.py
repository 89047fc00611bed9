"""Directions, preferences and the end of a transceiver."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream import MediaStream
from icelane.aio.rtp_parameters import RTCRtpCodec, RTCRtpEncodingParameters
from icelane.aio.rtp_sender import RTCRtpSender
from icelane.errors import InvalidModificationError, InvalidStateError
from tests.aio.calls import call, hear, negotiate, pictures
from tests.aio.peers import connect, exchange, pair
from tests.loops import Run


def test_directions_are_what_is_wanted_and_what_was_agreed(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            transceiver = alice.addTransceiver("audio", "sendonly", streams=[MediaStream()])
            assert (transceiver.kind, str(transceiver.mid), transceiver.direction) == ("audio", "None", "sendonly")
            assert str(transceiver.currentDirection) == "None"
            await connect(alice, bob)
            assert (transceiver.mid, transceiver.currentDirection) == ("0", "sendonly")
            (other,) = bob.getTransceivers()
            assert (other.direction, other.currentDirection) == ("recvonly", "recvonly")
            with pytest.raises(TypeError):
                transceiver.direction = "stopped"  # type: ignore[assignment]
            transceiver.stop()
            transceiver.stop()
            assert (transceiver.direction, str(transceiver.currentDirection)) == ("stopped", "sendonly")
            assert [one.stopped for one in alice.getTransceivers()] == [False]
            with pytest.raises(InvalidStateError):
                transceiver.direction = "inactive"
            with pytest.raises(InvalidStateError):
                await transceiver.sender.replaceTrack(ToneTrack())
            await exchange(alice, bob)  # nothing is left that would need a transport
            assert transceiver.stopped
            assert "stopped" in repr(transceiver)

    run(main())


@pytest.mark.parametrize("name", ["VP9", "H264", "AV1"])
def test_the_preferred_codec_is_used(run: Run, name: str) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            tracks: list[TestCardTrack] = []
            bob.on("track", tracks.append)
            capabilities = RTCRtpSender.getCapabilities("video")
            assert capabilities is not None
            wanted = [codec for codec in capabilities.codecs if codec.mimeType in (f"video/{name}", "video/rtx")]
            if len(wanted) < 2:
                pytest.skip(f"no {name} here")
            alice.addTransceiver(TestCardTrack(320, 240)).setCodecPreferences(wanted)
            await connect(alice, bob)
            assert {(one.width, one.height) for one in await pictures(tracks[0], 3)} == {(320, 240)}
            (stats,) = (await alice.getStats()).of_type("codec")
            assert stats.mimeType == f"video/{name}"

    run(main())


@pytest.mark.parametrize("name", ["G722", "PCMU", "PCMA"])
def test_sound_goes_by_every_codec(run: Run, name: str) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            tracks: list[ToneTrack] = []
            bob.on("track", tracks.append)
            capabilities = RTCRtpSender.getCapabilities("audio")
            assert capabilities is not None
            wanted = [codec for codec in capabilities.codecs if codec.mimeType == f"audio/{name}"]
            alice.addTransceiver(ToneTrack(700, level=-15)).setCodecPreferences(wanted)
            await connect(alice, bob)
            await hear(tracks[0], 700, level=-15)

    run(main())


def test_a_codec_may_change_in_a_call(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(600)) as made:
            await hear(made.bobs_tracks[0], 600)
            capabilities = RTCRtpSender.getCapabilities("audio")
            assert capabilities is not None
            wanted = [codec for codec in capabilities.codecs if codec.mimeType == "audio/PCMU"]
            made.alice.getTransceivers()[0].setCodecPreferences(wanted)
            await negotiate(made)
            await asyncio.sleep(0.2)
            await hear(made.bobs_tracks[0], 600)
            (codec,) = (await made.bob.getStats()).of_type("codec")
            assert codec.mimeType == "audio/PCMU"

    run(main())


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_the_codec_that_comes_to_be_preferred_in_a_call_is_sent(run: Run, who: str) -> None:
    """The one before stays negotiated: both sides send what is first in the answer."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            await pictures(made.bobs_tracks[0], 3)
            capabilities = RTCRtpSender.getCapabilities("video")
            assert capabilities is not None
            for first, second in (("H264", "VP8"), ("VP8", "H264")):
                kinds = ("video/" + first, "video/" + second, "video/rtx")
                wanted = [codec for kind in kinds for codec in capabilities.codecs if codec.mimeType == kind]
                getattr(made, who).getTransceivers()[0].setCodecPreferences(wanted)
                await negotiate(made)
                await pictures(made.bobs_tracks[0], 30)
                report = await made.alice.getStats()
                (sent,) = report.of_type("outbound-rtp")
                assert report[str(sent.codecId)].mimeType == f"video/{first}"
                (received,) = (await made.bob.getStats()).of_type("codec")
                assert received.mimeType == f"video/{first}"

    run(main())


def test_what_cannot_be_preferred_is_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            transceiver = alice.addTransceiver("video", sendEncodings=[RTCRtpEncodingParameters(maxBitrate=100_000)])
            assert transceiver.sender.getParameters().encodings[0].maxBitrate == 100_000
            with pytest.raises(InvalidModificationError):
                transceiver.setCodecPreferences([RTCRtpCodec("video/VP7", 90_000)])
            transceiver.setCodecPreferences([])

    run(main())
