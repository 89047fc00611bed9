"""Tracks that are made here."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.media.synthetic import NoiseTrack, TestCardTrack, ToneTrack
from icelane.errors import LocalProtocolError, MediaStreamError
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone
from tests.loops import Run


def test_a_test_card_shows_the_loops_clock(run: Run) -> None:
    async def scenario() -> None:
        track, loop = TestCardTrack(320, 240, 50), asyncio.get_running_loop()
        for index in range(4):
            card = await track.recv()
            now = int(loop.time() * 1000)
            assert isinstance(card, av.VideoFrame)
            number = read_card(card)
            assert number is not None
            assert 0 <= (now - number) % 2**32 < 200
            assert card.pts == index * 1_800
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()

    run(scenario())


def test_a_test_card_shows_what_it_is_told(run: Run) -> None:
    async def scenario() -> None:
        numbers = iter([5, 2**32 + 6])
        track = TestCardTrack(number=lambda: next(numbers))
        cards = [await track.recv() for _ in range(2)]
        assert [read_card(card) for card in cards if isinstance(card, av.VideoFrame)] == [5, 6]

    run(scenario())


def test_tone_and_noise_come_at_their_time_and_level(run: Run) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for track, level in ((ToneTrack(1_000, level=-12), -12), (NoiseTrack(level=-30, channels=1), -30)):
            frames = [await track.recv() for _ in range(6)]
            sounds = [frame for frame in frames if isinstance(frame, av.AudioFrame)]
            assert [sound.pts for sound in sounds] == [index * 960 for index in range(6)]
            assert measure_tone(sounds).level == pytest.approx(level, abs=0.5)
            track.stop()
            with pytest.raises(MediaStreamError):
                await track.recv()
        assert loop.time() - start > 0.19

    run(scenario())


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        TestCardTrack(10, 10)
    with pytest.raises(LocalProtocolError):
        TestCardTrack(frame_rate=0)
