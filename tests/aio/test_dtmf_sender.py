"""Tones of a telephone's keys."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.rtp_parameters import ReceivedTone
from icelane.errors import InvalidAccessError, InvalidStateError
from tests.aio.calls import call, hear
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
