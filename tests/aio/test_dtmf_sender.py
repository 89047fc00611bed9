"""Tones of a telephone's keys."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.rtp_parameters import ReceivedTone
from icelane.aio.rtp_sender import RTCRtpSender
from icelane.errors import InvalidAccessError, InvalidStateError
from tests.aio.calls import call, hear, negotiate
from tests.aio.peers import until
from tests.loops import Run

pytestmark = pytest.mark.realtime


def test_tones_go_both_ways_beside_sound(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(440), back=(ToneTrack(440),)) as made:
            told: list[str] = []
            got: dict[str, list[ReceivedTone]] = {"alice": [], "bob": []}
            made.alice.getReceivers()[0].on("tone", got["alice"].append)
            made.bob.getReceivers()[0].on("tone", got["bob"].append)
            await asyncio.gather(hear(made.alices_tracks[0], 440), hear(made.bobs_tracks[0], 440))
            ours, theirs = made.alice.getSenders()[0].dtmf, made.bob.getSenders()[0].dtmf
            assert ours is not None
            assert theirs is not None
            assert ours.canInsertDTMF
            ours.on("tonechange", told.append)
            ours.insertDTMF("15#", 60, 30)
            theirs.insertDTMF("d*", 100)
            assert ours.toneBuffer == "5#"
            await until(lambda: len(got["bob"]) == 3 and len(got["alice"]) == 2)
            assert [one.tone for one in got["bob"]] == ["1", "5", "#"]
            assert [one.tone for one in got["alice"]] == ["D", "*"]
            assert all(one.duration == pytest.approx(0.06, abs=0.005) for one in got["bob"])
            await until(lambda: told[-1:] == [""])
            assert told == ["1", "5", "#", ""]
            assert ours.toneBuffer == ""
            # Sound goes on.
            await hear(made.bobs_tracks[0], 440)

    run(main())


def test_tones_follow_the_clock_of_another_codec(run: Run) -> None:
    """RFC 4733 section 2.1: behind a change from Opus to PCMU they have 8 kHz, and last as long as before."""

    async def main() -> None:
        async with call(ToneTrack(440)) as made:
            got: list[ReceivedTone] = []
            made.bob.getReceivers()[0].on("tone", got.append)
            tones = made.alice.getSenders()[0].dtmf
            assert tones is not None
            await hear(made.bobs_tracks[0], 440)
            tones.insertDTMF("1", 100)
            await until(lambda: len(got) == 1)
            stream = made.alice._engine.media.outbound(made.alice._engine.transceivers[0])
            assert stream is not None
            before = stream.options.telephone_event
            capabilities = RTCRtpSender.getCapabilities("audio")
            assert capabilities is not None
            wanted = [one for one in capabilities.codecs if "opus" not in one.mimeType and "G722" not in one.mimeType]
            made.alice.getTransceivers()[0].setCodecPreferences(wanted)
            await negotiate(made)
            await hear(made.bobs_tracks[0], 440)
            after = stream.options.telephone_event
            assert before is not None
            assert after is not None
            assert (before.codec.clock_rate, after.codec.clock_rate) == (48_000, 8_000)
            tones.insertDTMF("2", 100)
            await until(lambda: len(got) == 2)
            assert [one.duration for one in got] == [pytest.approx(0.1, abs=0.005)] * 2
            await hear(made.bobs_tracks[0], 440)

    run(main())


def test_tones_are_refused_where_they_cannot_be_sent(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(), TestCardTrack(160, 120)) as made:
            (audio, video) = made.alice.getSenders()
            assert video.dtmf is None
            assert audio.dtmf is not None
            with pytest.raises(InvalidAccessError):
                audio.dtmf.insertDTMF("1x")
            made.alice.getTransceivers()[0].stop()
            assert not audio.dtmf.canInsertDTMF
            with pytest.raises(InvalidStateError):
                audio.dtmf.insertDTMF("1")

    run(main())


def test_arguments_that_are_no_tones_or_durations_are_refused_and_sending_goes_on(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(440)) as made:
            got: list[ReceivedTone] = []
            made.bob.getReceivers()[0].on("tone", got.append)
            tones = made.alice.getSenders()[0].dtmf
            assert tones is not None
            await hear(made.bobs_tracks[0], 440)
            wrong: list[tuple[object, object, object]]
            wrong = [(b"1", 100, 70), (1, 100, 70), ("1", "100", 70), ("1", 100, None), ("1", True, 70)]
            for arguments in wrong:
                with pytest.raises(TypeError):
                    tones.insertDTMF(*arguments)  # type: ignore[arg-type]
            tones.insertDTMF("1", float("nan"), float("nan"))
            await until(lambda: len(got) == 1)
            assert got[0].duration == pytest.approx(0.04, abs=0.005)
            await hear(made.bobs_tracks[0], 440)

    run(main())
