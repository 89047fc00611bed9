"""The programs of docs/howto/media.md, run as they stand there, between two peers on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from icelane import EncodedFrame, MediaRecorder, RTCPeerConnection
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from tests.aio.calls import encoded_pictures
from tests.aio.peers import connect, pair, until
from tests.docs.test_documentation import blocks


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """What the page defines."""
    scope: dict[str, Any] = {}
    for code in blocks("docs/howto/media.md", "python"):
        exec(code, scope)
    return scope


def test_signals_are_sent_recorded_and_dialled(written: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "call.mkv"

    async def main() -> None:
        async with pair() as (alice, bob):
            written["send_test_signals"](alice)
            recorder: MediaRecorder = written["record"](bob, str(file))
            dialled: list[str] = []
            await connect(alice, bob)
            bob.getReceivers()[0].on("tone", lambda tone: dialled.append(tone.tone))
            await recorder.start()
            await written["be_small"](alice.getSenders()[1])
            await until(lambda: alice.getSenders()[0].dtmf.canInsertDTMF)  # type: ignore[union-attr]
            await written["dial"](alice.getSenders()[0], "19")
            await until(lambda: dialled == ["1", "9"])
            await asyncio.sleep(1)
            await recorder.stop()

    asyncio.run(main())
    with av.open(str(file)) as recording:
        cards = [read_card(frame) for frame in recording.decode(video=0)]
        assert len([card for card in cards if card is not None]) > 5
        assert {stream.type for stream in recording.streams} == {"audio", "video"}


class Encoder:
    """What a program has that makes frames elsewhere."""

    def __init__(self) -> None:
        self.asked = 0

    def make_key_frame(self) -> None:
        self.asked += 1

    def set_bitrate(self, bitrate: int) -> None:
        raise AssertionError("nobody limits it")


def test_frames_are_fed_forwarded_and_counted(written: dict[str, Any]) -> None:
    async def main() -> None:
        async with pair() as (alice, bob), pair() as (server, carol):
            encoder = Encoder()
            sender = written["feed"](alice, encoder)
            await connect(alice, bob)
            outgoing = server.addTransceiver("video", "sendonly").sender
            forwarding = asyncio.ensure_future(written["forward"](bob.getReceivers()[0], outgoing))
            await connect(server, carol)
            counting = asyncio.ensure_future(written["count_bytes"](carol.getReceivers()[0]))
            await asyncio.sleep(0.05)
            frames = encoded_pictures(30)
            await _feed(sender, frames)
            await until(lambda: _frames(carol) == 30)
            await carol.close()
            assert await counting == sum(len(frame.data) for frame in frames)
            assert encoder.asked <= 2
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)

    asyncio.run(main())


async def _feed(sender: Any, frames: list[EncodedFrame]) -> None:
    for frame in frames:
        assert sender.send_encoded(frame)
        await asyncio.sleep(0.01)


def _frames(pc: RTCPeerConnection) -> int:
    stream = pc._engine.media.inbound(pc._engine.transceivers[0])
    return stream.statistics.frames_received if stream is not None else 0
