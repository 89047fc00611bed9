"""What comes in: queues, what is not decoded, and frames and packets as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.receiver_pump import MAX_BACKLOG
from icelane.aio.rtp_receiver import RTCRtpReceiver
from icelane.errors import InvalidStateError
from icelane.media.codec import MediaKind
from icelane.media.codecs.capability import VP8
from icelane.media.codecs.default import default_registry
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.peer import payload_type
from icelane.rtp.header_extension import (
    CONTRIBUTING_AUDIO_LEVELS,
    TRANSPORT_SEQUENCE_NUMBER,
    encode_contributing_audio_levels,
)
from icelane.rtp.packet import TWO_BYTE_PROFILE, RtpPacket
from tests.aio.calls import EncodedTrack, call, encoded_pictures, hear, negotiate, pictures, read_clock, sounds
from tests.aio.peers import configured, connect, pair, until
from tests.loops import Run, run_in

pytestmark = pytest.mark.realtime


def test_a_track_that_nobody_reads_is_not_decoded(run: Run) -> None:
    """What waits is bounded, and who begins to read gets what is new."""

    async def main() -> None:
        async with call(ToneTrack(500), TestCardTrack(160, 120)) as made:
            audio, video = (receiver._pump for receiver in made.bob.getReceivers())
            await until(lambda: video.last is not None and audio.last is not None)
            await until(lambda: len(video._backlog) > 5)
            assert (audio.counts.frames_decoded, video.counts.frames_decoded) == (0, 0)
            assert len(video._backlog) <= MAX_BACKLOG[MediaKind.VIDEO]
            assert len(audio._backlog) <= MAX_BACKLOG[MediaKind.AUDIO]
            waiting = len(video._backlog)
            (first,), (heard,) = await asyncio.gather(pictures(made.bobs_tracks[1], 1), sounds(made.bobs_tracks[0], 1))
            assert video.counts.frames_decoded >= waiting
            assert (first.pts or 0) > 0
            # Both begin with what is new: a recorder that puts them where they arrive has them in step.
            assert (heard.pts or 0) > 0
            await hear(made.bobs_tracks[0], 500)

    run(main())


def test_a_backlog_of_pictures_that_overflows_is_let_go_and_a_key_frame_asked_for() -> None:
    async def main() -> None:
        async with call(TestCardTrack(160, 120, 60)) as made:
            receiver = made.bob.getReceivers()[0]
            await until(lambda: receiver._pump._needs_key_frame)
            assert len(receiver._pump._backlog) == 0
            await read_clock(made.bobs_tracks[0], 2)
            assert receiver._pump.counts.frames_decoded < 10
            (stats,) = (await made.bob.getStats()).of_type("inbound-rtp")
            assert stats.pliCount == 1

    run_in(asyncio.new_event_loop, main())


def test_with_latest_one_frame_waits_and_it_is_the_newest(run: Run) -> None:
    async def main() -> None:
        other = configured(track_policy="latest")
        async with call(TestCardTrack(160, 120), other=other) as made:
            (track,), read = made.bobs_tracks, []
            for _ in range(3):
                wanted = track.dropped + 5
                (picture,) = await pictures(track, 1)
                read.append(read_card(picture) or 0)
                while track.dropped <= wanted:  # noqa: ASYNC110  (whatever comes)
                    await asyncio.sleep(0.01)
            assert read[2] - read[1] > 5 * 30

    run(main())


def test_with_block_nothing_is_lost_and_decoding_waits(run: Run) -> None:
    async def main() -> None:
        other = configured(track_policy="block", track_capacity=2)
        source = EncodedTrack(encoded_pictures(200), MediaKind.VIDEO, VP8)
        async with call(source, other=other) as made:
            (track,) = made.bobs_tracks
            (first,) = await pictures(track, 1)
            await asyncio.sleep(0.3)
            decoded = made.bob.getReceivers()[0]._pump.counts.frames_decoded
            assert decoded <= 5
            numbers = [read_card(picture) for picture in [first, *await pictures(track, 8)]]
            assert numbers[0] is not None
            assert numbers == list(range(numbers[0], numbers[0] + 9))
            assert track.dropped == 0

    run(main())


def test_encoded_frames_are_handed_out_from_a_key_frame_on_and_not_decoded(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(), TestCardTrack(160, 120)) as made:
            audio, video = made.bob.getReceivers()
            await until(lambda: video._pump.last is not None)
            seen, heard = await asyncio.gather(_take(video.encoded_frames(), 10), _take(audio.encoded_frames(), 10))
            assert seen[0].is_key
            decoder = default_registry().decoder(video._transceiver.negotiated.receive_codecs[0].codec)  # type: ignore[union-attr]
            shown = [picture for one in seen for picture in decoder.decode(one)]
            numbers = [read_card(picture) for picture in shown if isinstance(picture, av.VideoFrame)]
            assert len(numbers) == 10
            assert None not in numbers
            assert heard[1].timestamp - heard[0].timestamp & 0xFFFFFFFF == 960
            assert heard[0].audio_level == pytest.approx(20, abs=3)
            assert (audio._pump.counts.frames_decoded, video._pump.counts.frames_decoded) == (0, 0)

    run(main())


async def _take(frames: object, count: int) -> list[EncodedFrame]:
    taken: list[EncodedFrame] = []
    async for frame in frames:  # type: ignore[attr-defined]
        taken.append(frame)
        if len(taken) == count:
            break
    await frames.aclose()  # type: ignore[attr-defined]
    return taken


def test_encoded_frames_and_packets_have_one_reader_each(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack()) as made:
            receiver = made.bob.getReceivers()[0]
            first = receiver.encoded_frames()
            await anext(first)
            with pytest.raises(InvalidStateError):
                await anext(receiver.encoded_frames())
            await first.aclose()  # type: ignore[attr-defined]
            await _take(receiver.encoded_frames(), 1)
            reading = asyncio.ensure_future(_all(receiver.encoded_frames()))
            await asyncio.sleep(0.05)
            await made.bob.close()
            assert await reading

    run(main())


def test_packets_can_be_read_in_the_middle_of_a_call_and_again_and_nothing_begins_anew(run: Run) -> None:
    """Whoever decodes beside it sees nothing of that, and when nobody reads packets none are kept."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            receiver = made.bob.getReceivers()[0]
            await read_clock(made.bobs_tracks[0], 3)
            for _ in range(2):
                packets = receiver.rtp_packets()
                numbers = [(await anext(packets)).sequence_number for _ in range(20)]
                assert [(number - numbers[0]) & 0xFFFF for number in numbers] == list(range(20))
                with pytest.raises(InvalidStateError):
                    await anext(receiver.rtp_packets())
                await packets.aclose()  # type: ignore[attr-defined]
                await read_clock(made.bobs_tracks[0], 3)
            (stats,) = (await made.bob.getStats()).of_type("inbound-rtp")
            assert stats.keyFramesDecoded == 1
            assert stats.pliCount == 0
            assert int(stats.packetsReceived) > 40
            stream = made.bob._media.port.inbound(made.bob.getTransceivers()[0]._transceiver)
            assert stream is not None
            assert stream.poll_packet() is None

    run(main())


def test_extensions_of_two_bytes_go_over_the_wire(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8285 section 4.3: an offer that numbers its extensions from 21 on."""
    numbers = payload_type._Numbers[str].get

    def numbered(self: payload_type.ExtensionIdentifiers, uri: str, *, taken: Iterable[int] = ()) -> int | None:
        return numbers(self._numbers, uri, taken, iter(range(21, 200)))

    monkeypatch.setattr(payload_type.ExtensionIdentifiers, "of", numbered)

    async def main() -> None:
        async with call(ToneTrack(500), TestCardTrack(160, 120)) as made:
            packets = made.bob.getReceivers()[1].rtp_packets()
            packet = await anext(packets)
            assert packet.extension_profile == TWO_BYTE_PROFILE
            assert min(number for number, _ in packet.extensions) > 20
            known = {one.uri: one.id for one in made.bob.getReceivers()[1].getParameters().headerExtensions}
            assert packet.extension(known[TRANSPORT_SEQUENCE_NUMBER]) is not None
            await packets.aclose()  # type: ignore[attr-defined]
            await read_clock(made.bobs_tracks[1], 3)
            await hear(made.bobs_tracks[0], 500)
            level = made.bob.getReceivers()[0].getSynchronizationSources()[0].audioLevel
            assert level is not None
            assert level > 0

    run(main())


async def _all(frames: object) -> list[EncodedFrame]:
    return [frame async for frame in frames]  # type: ignore[attr-defined]


def test_packets_are_passed_on_to_a_third_peer_without_decoding(run: Run) -> None:
    """A server in the middle: what Alice sends, Bob hands to Carol."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made, pair() as (server, carol):
            incoming = made.bob.getReceivers()[0]
            outgoing = server.addTransceiver("video", "sendonly")
            tracks: list[MediaStreamTrack] = []
            carol.on("track", tracks.append)
            outgoing.sender.on("keyframerequest", incoming.request_key_frame)

            async def forward() -> None:
                async for packet in incoming.rtp_packets():
                    assert isinstance(packet, RtpPacket)
                    outgoing.sender.send_packet(packet)

            forwarding = asyncio.ensure_future(forward())
            await connect(server, carol)
            assert all(0 <= late < 2_000 for late in await read_clock(tracks[0], 10))
            assert incoming._pump.counts.frames_decoded == 0
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)

    run(main())


def test_sources_are_those_that_were_heard_last(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(level=-20)) as made:
            receiver = made.bob.getReceivers()[0]
            assert receiver.getSynchronizationSources() == []
            await sounds(made.bobs_tracks[0], 5)
            (source,) = receiver.getSynchronizationSources()
            assert source.source == made.alice.getSenders()[0]._transceiver.sender.ssrc
            assert source.audioLevel == pytest.approx(0.1, rel=0.4)
            assert receiver.getContributingSources() == []
            packet = RtpPacket(96, 1, 0, 0, b"\xf8" + bytes(20))
            packet.csrcs = (7, 8, 9)
            known = {one.uri: one.id for one in receiver.getParameters().headerExtensions}
            levels = encode_contributing_audio_levels((20, 127))
            packet.set_extension(known[CONTRIBUTING_AUDIO_LEVELS], levels)
            stream = made.bob._engine.media.inbound(made.bob._engine.transceivers[0])
            assert stream is not None
            stream._note_contributing(packet, stream._heard_at)
            found = receiver.getContributingSources()
            assert [(one.source, one.audioLevel) for one in found] == [(7, pytest.approx(0.1)), (8, 0.0), (9, None)]

    run(main())


def test_the_jitter_buffer_holds_back_for_as_long_as_is_wanted(run: Run) -> None:
    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            receiver = made.bob.getReceivers()[0]
            await read_clock(made.bobs_tracks[0], 5)
            receiver.jitterBufferTarget = 400
            await pictures(made.bobs_tracks[0], 15)
            assert min(await read_clock(made.bobs_tracks[0], 5)) > 350
            assert receiver.jitterBufferTarget == 400
            with pytest.raises(ValueError, match="jitterBufferTarget"):
                receiver.jitterBufferTarget = 5_000

    run(main())


def test_parameters_and_capabilities_of_a_receiver(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack()) as made:
            receiver = made.bob.getReceivers()[0]
            assert receiver.getParameters().codecs[0].mimeType == "audio/opus"
            assert receiver.transport is made.bob.getSenders()[0].transport
            assert receiver.transport is not None
            assert receiver.transport.state == "connected"
            capabilities = RTCRtpReceiver.getCapabilities("audio")
            assert capabilities is not None
            assert capabilities.codecs[0].mimeType == "audio/opus"
        async with pair() as (alice, _):
            fresh = alice.addTransceiver("audio").receiver
            assert fresh.getParameters().codecs == []
            assert fresh.transport is None
            assert fresh.track.muted

    run(main())


def test_a_track_is_muted_while_the_peer_does_not_send(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(500)) as made:
            (track,), told = made.bobs_tracks, []
            for event in ("mute", "unmute", "ended"):
                track.on(event, lambda event=event: told.append(event))
            await hear(track, 500)
            assert told == ["unmute"]
            transceiver = made.alice.getTransceivers()[0]
            transceiver.direction = "inactive"
            await negotiate(made)
            assert transceiver.currentDirection == "inactive"
            assert track.muted
            transceiver.direction = "sendrecv"
            await negotiate(made)
            await hear(track, 500)
            transceiver.stop()
            await negotiate(made)
            assert track.readyState == "ended"
            assert transceiver.stopped
            assert told == ["unmute", "mute", "unmute", "ended"]
            assert made.alice.getTransceivers() == made.bob.getTransceivers() == []

    run(main())


def test_a_key_frame_is_asked_for_when_a_picture_does_not_decode(run: Run) -> None:
    async def main() -> None:
        frames = encoded_pictures(150)
        frames[10].data = b"\x11\x00"  # no picture, and no key frame
        source = EncodedTrack(frames, MediaKind.VIDEO, VP8)
        async with call(source) as made:
            reading = asyncio.ensure_future(pictures(made.bobs_tracks[0], 100))
            await until(lambda: source.asked)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert made.bob.getReceivers()[0]._pump.counts.failures == 1

    run(main())


def test_a_track_that_nobody_reads_any_more_is_not_decoded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.aio.receiver_pump.IDLE_TIME", 0.1)

    async def main() -> None:
        async with call(TestCardTrack(160, 120), other=configured(track_capacity=2)) as made:
            (track,), (receiver,) = made.bobs_tracks, made.bob.getReceivers()
            await pictures(track, 3)
            await until(lambda: track._read_at is None)
            decoded = receiver._pump.counts.frames_decoded
            await asyncio.sleep(0.3)
            assert receiver._pump.counts.frames_decoded <= decoded + 1
            assert all(0 <= late < 3_000 for late in await read_clock(track, 3))
            assert receiver._pump.counts.frames_decoded > decoded

    run(main())
