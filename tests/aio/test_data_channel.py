"""RTCDataChannel on loopback: messages of every kind, how full it may be, and its end."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from typing import Any

import pytest

from icelane.aio.channel_port import ChannelPort
from icelane.aio.data_channel import DRAINED, RTCDataChannel
from icelane.aio.event_target import Event
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.session_description import RTCSessionDescription
from icelane.errors import (
    InvalidStateError,
    MessageTooLargeError,
    NotSupportedError,
    OperationError,
    TransportClosedError,
)
from tests.aio.peers import PATIENCE, channels, connect, exchange, pair, until
from tests.loops import Run

MIB = 1 << 20


async def next_of(channel: RTCDataChannel) -> str | bytes:
    return await asyncio.wait_for(channel.receive(), PATIENCE)


def test_messages_arrive_as_what_they_were_and_in_their_order(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            sent: list[str | bytes | bytearray | memoryview] = [
                "", b"", "\0", b"\0", "Grüße, 世界 🌍", b"bytes", bytearray(b"bytearray"),
                memoryview(b"a memoryview")[2:],
                memoryview(bytes(range(100)))[::2], "x" * 65_536, bytes(65_536),
            ]  # fmt: skip
            for message in sent:
                ours.send(message)
                theirs.send(message)
            for message in sent:
                expected = message if isinstance(message, str) else bytes(message)
                for end in (theirs, ours):
                    got = await next_of(end)
                    assert got == expected
                    assert type(got) is type(expected)

    run(main())


def test_what_is_sent_is_what_it_was_then_even_if_the_buffer_changes(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            buffer = bytearray(b"before")
            ours.send(buffer)
            buffer[:] = b"afters"
            assert await next_of(theirs) == b"before"

    run(main())


@pytest.mark.parametrize("options", [{"ordered": False}, {"maxRetransmits": 0}, {"maxPacketLifeTime": 500}])
def test_less_than_ordered_and_reliable_works_and_is_told_to_the_peer(run: Run, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with channels(protocol="soap", **options) as (ours, theirs):
            for end in (ours, theirs):
                assert end.label == "chat"
                assert end.protocol == "soap"
                assert end.ordered is options.get("ordered", True)
                assert end.maxRetransmits == options.get("maxRetransmits")
                assert end.maxPacketLifeTime == options.get("maxPacketLifeTime")
                assert end.negotiated is False
            assert ours.id == theirs.id
            for number in range(50):
                ours.send(str(number))
            assert {await next_of(theirs) for _ in range(50)} == {str(number) for number in range(50)}

    run(main())


def test_what_is_no_message_is_refused(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, _):
            for wrong in (7, None, [b"x"], object()):
                with pytest.raises(TypeError):
                    ours.send(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                ours.bufferedAmountLowThreshold = -1

    run(main())


def test_a_message_beyond_what_the_peer_takes_is_refused_and_the_channel_goes_on(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            theirs: list[RTCDataChannel] = []
            bob.on("datachannel", theirs.append)
            ours = alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            await bob.setLocalDescription()
            await bob.gathering_complete()
            assert bob.localDescription is not None
            answer = bob.localDescription.toJSON()
            before = answer["sdp"]
            limit = int(before.partition("a=max-message-size:")[2].partition("\r")[0])
            answer["sdp"] = before.replace(f"a=max-message-size:{limit}", "a=max-message-size:1000")
            await alice.setRemoteDescription(answer)
            await ours.opened()
            assert alice.sctp is not None
            assert alice.sctp.maxMessageSize == 1000
            with pytest.raises(MessageTooLargeError):
                ours.send(bytes(1001))
            with pytest.raises(MessageTooLargeError):
                ours.send("ü" * 501)
            ours.send(bytes(1000))
            await until(lambda: theirs)
            assert await next_of(theirs[0]) == bytes(1000)

    run(main())


def test_beyond_sixteen_mebibytes_nothing_more_is_taken_until_it_drains(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            piece = bytes(200_000)
            count = 0
            while ours.bufferedAmount + len(piece) <= 16 * MIB:
                ours.send(piece)
                count += 1
            with pytest.raises(OperationError):
                ours.send(piece)
            assert 16 * MIB - len(piece) <= ours.bufferedAmount <= 16 * MIB
            reading = asyncio.ensure_future(read(theirs, count * len(piece)))
            await ours.drain()
            assert ours.bufferedAmount <= DRAINED
            ours.send(b"again")
            await reading
            assert await next_of(theirs) == b"again"

    run(main())


async def read(channel: RTCDataChannel, size: int) -> bytes:
    """So many bytes; their hash."""
    digest = hashlib.sha256()
    while size > 0:
        message = await next_of(channel)
        assert isinstance(message, bytes)
        digest.update(message)
        size -= len(message)
    return digest.digest()


def test_drain_and_a_loop_carry_megabytes_unchanged(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            data = secrets.token_bytes(60_000)

            async def write() -> None:
                for _ in range(100):
                    ours.send(data)
                    await ours.drain()

            digest, _ = await asyncio.gather(read(theirs, 100 * len(data)), write())
            assert digest == hashlib.sha256(data * 100).digest()

    run(main())


def test_a_reader_that_is_slow_slows_the_sender(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            piece = bytes(60_000)
            sent = 0
            try:
                async with asyncio.timeout(1.0):
                    while sent < 200:
                        ours.send(piece)
                        sent += 1
                        await ours.drain()
            except TimeoutError:
                pass
            assert sent < 200  # 12 MB would be more than windows and queues hold
            held = sum(len(data) for data, _ in theirs._queue)
            assert held <= 6 * MIB
            for _ in range(sent):
                assert await next_of(theirs) == piece
            await ours.drain()

    run(main())


def test_bufferedamountlow_comes_at_the_threshold_also_after_a_drain(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            low: list[int] = []
            ours.on("bufferedamountlow", lambda: low.append(ours.bufferedAmount))
            reading = asyncio.ensure_future(read(theirs, 40 * 60_000))
            for _ in range(20):
                ours.send(bytes(60_000))
            await ours.drain()
            await until(lambda: low)
            assert low == [0]
            ours.bufferedAmountLowThreshold = 100_000
            assert ours.bufferedAmountLowThreshold == 100_000
            for _ in range(20):
                ours.send(bytes(60_000))
            await until(lambda: len(low) > 1)
            assert low[1] <= 100_000
            await reading
            await until(lambda: ours.bufferedAmount == 0)
            assert len(low) == 2

    run(main())


def test_a_loop_over_messages_ends_with_the_channel(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            for number in range(10):
                ours.send(str(number))
            ours.close()
            assert ours.readyState == "closing"
            with pytest.raises(InvalidStateError):
                ours.send("late")
            ours.close()
            assert [message async for message in theirs] == [str(number) for number in range(10)]
            assert theirs.readyState == "closed"
            await until(lambda: ours.readyState == "closed")
            with pytest.raises(InvalidStateError):
                theirs.send("late")
            with pytest.raises(TransportClosedError):
                await theirs.receive()
            ours.close()

    run(main())


def test_the_events_of_a_channel_come_in_their_order(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            happened: list[str] = []
            theirs: list[RTCDataChannel] = []
            bob.on("datachannel", theirs.append)
            ours = alice.createDataChannel("chat")
            for event in ours.EVENTS:
                ours.on(event, lambda *_, event=event: happened.append(event))
            await connect(alice, bob)
            await ours.opened()
            await until(lambda: theirs)
            theirs[0].send("hello")
            await until(lambda: "message" in happened)
            theirs[0].close()
            await until(lambda: ours.readyState == "closed")
            assert happened == ["open", "message", "closing", "close"]

    run(main())


def test_a_channel_that_is_created_later_opens_after_it_was_returned(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: dict[str, RTCDataChannel] = {}
            bob.on("datachannel", lambda channel: announced.setdefault(channel.label, channel))
            first = alice.createDataChannel("first")
            await connect(alice, bob)
            await first.opened()
            second = alice.createDataChannel("second")
            assert second.readyState == "connecting"
            opened: list[Event] = []
            second.onopen = opened.append
            await second.opened()
            assert [event.target for event in opened] == [second]
            second.send("at once")
            await until(lambda: "second" in announced)
            assert await next_of(announced["second"]) == "at once"
            third = bob.createDataChannel("third")
            await third.opened()
            assert first.id is not None
            assert third.id is not None
            assert second.id == first.id + 2
            assert third.id % 2 != first.id % 2

    run(main())


def test_one_channel_s_end_is_not_another_s_and_its_stream_can_be_used_again(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: list[RTCDataChannel] = []
            bob.on("datachannel", announced.append)
            kept = alice.createDataChannel("kept")
            await connect(alice, bob)
            await kept.opened()
            for number in range(20):
                passing = alice.createDataChannel(f"passing {number}")
                await passing.opened()
                passing.send(str(number))
                passing.close()
                await until(lambda passing=passing: passing.readyState == "closed")  # type: ignore[misc]
            await until(lambda: len(announced) == 21)
            for number, channel in enumerate(announced[1:]):
                assert await next_of(channel) == str(number)
            assert (await alice.getStats())["P"].dataChannelsClosed == 20
            kept.send("still here")
            assert await next_of(announced[0]) == "still here"
            assert len(alice._channels_by_number) == 1

    run(main())


def test_who_waits_for_a_channel_that_never_opens_is_told(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            never = alice.createDataChannel("never")
            waiting = [asyncio.ensure_future(wait) for wait in (never.opened(), never.receive())]
            await asyncio.sleep(0)
            with pytest.raises(InvalidStateError):
                never.send("early")
            await alice.close()
            for wait in waiting:
                with pytest.raises(TransportClosedError):
                    await wait
            await bob.close()

    run(main())


def test_a_reader_that_is_cancelled_takes_no_message_with_it(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            for _ in range(5):
                waiting = asyncio.ensure_future(theirs.receive())
                await asyncio.sleep(0)
                waiting.cancel()
            ours.send("one")
            assert await next_of(theirs) == "one"
            first, second = (asyncio.ensure_future(theirs.receive()) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            ours.send("two")
            assert await second == "two"

    run(main())


def test_channels_of_both_sides_before_the_connection_all_open(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: list[str] = []
            for pc in (alice, bob):
                pc.on("datachannel", lambda channel: announced.append(channel.label))
            ours = [alice.createDataChannel(f"a{number}") for number in range(10)]
            theirs = [bob.createDataChannel(f"b{number}") for number in range(10)]
            await exchange(alice, bob)
            await asyncio.gather(*(channel.opened() for channel in (*ours, *theirs)))
            await until(lambda: len(announced) == 20)
            assert len({channel.id for channel in (*ours, *theirs)}) == 20

    run(main())


def test_a_slow_asynchronous_handler_loses_nothing_and_slows_the_sender(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icelane.aio.data_channel.MAX_UNFINISHED", 8)

    async def main() -> None:
        async with channels() as (ours, theirs):
            go_on, most, running = asyncio.Event(), 0, 0
            handled: list[str | bytes] = []

            @theirs.on("message")
            async def slow(message: str | bytes) -> None:
                nonlocal most, running
                running += 1
                most = max(most, running)
                await go_on.wait()
                running -= 1
                handled.append(message)

            for number in range(200):
                ours.send(str(number))
            await until(lambda: running == 8)
            await asyncio.sleep(0.05)
            assert running == most == 8
            go_on.set()
            await until(lambda: len(handled) == 200)
            assert handled == [str(number) for number in range(200)]
            assert theirs.handler_errors == 0

    run(main())


def test_the_window_is_given_back_when_the_handler_has_ended_and_not_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            held = asyncio.Event()
            released: list[int] = []
            monkeypatch.setattr(ChannelPort, "release", lambda *call: released.append(call[-1]))

            @theirs.on("message")
            async def holds(message: str | bytes) -> None:
                await held.wait()

            ours.send("12345")
            await until(lambda: theirs._unfinished == 1)
            assert not released
            held.set()
            await until(lambda: released == [5])

    run(main())


def test_whoever_drains_is_told_when_the_end_came_before_the_last_byte_left(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            await ours.opened()
            for _ in range(64):
                ours.send(bytes(256 * 1024))
            draining = asyncio.ensure_future(ours.drain())
            await asyncio.sleep(0)
            await alice.close(0)
            with pytest.raises(TransportClosedError, match="have not left"):
                await draining
            assert ours.readyState == "closed"
            assert ours.bufferedAmount > DRAINED

    run(main())


def test_whoever_stops_draining_leaves_nothing_behind(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, _):
            for _ in range(64):
                ours.send(bytes(256 * 1024))
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ours.drain(), 0)
            assert not ours._drainers

    run(main())


def test_a_channel_that_the_peer_made_is_open_when_it_is_handed_over_and_says_so_afterwards(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            heard: list[str] = []

            def handed_over(event: Event) -> None:
                channel = event.channel
                assert isinstance(channel, RTCDataChannel)
                heard.append(f"datachannel, {channel.readyState}")
                channel.onopen = lambda _: heard.append("open")
                channel.onmessage = lambda event: heard.append(event.data)

            bob.ondatachannel = handed_over
            ours = alice.createDataChannel("chat")
            ours.on("open", lambda: ours.send("hello"))
            await connect(alice, bob)
            await until(lambda: len(heard) == 3)
            assert heard == ["datachannel, open", "open", "hello"]

    run(main())


def test_an_old_channel_reaches_into_no_later_association(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            theirs: list[RTCDataChannel] = []
            bob.on("datachannel", theirs.append)
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            await ours.opened()
            ours.send("left over")
            await until(lambda: theirs and theirs[0]._queue)
            await alice.close()
            await until(lambda: theirs[0].readyState == "closed")
            sctp = bob.sctp
            assert sctp is not None
            assert sctp.state == "closed"
            theirs[0].bufferedAmountLowThreshold = 1
            assert await theirs[0].receive() == "left over"
            assert bob._engine.channels is None
            assert bob.sctp is sctp

    run(main())


async def everything(channel: RTCDataChannel) -> list[str | bytes]:
    return [message async for message in channel]


async def fail_ice(pc: RTCPeerConnection) -> None:
    """Consent has expired: nothing more may be sent."""
    transport = pc._engine.transport
    assert transport is not None
    for session in transport.ice.agent._sessions():
        session.fail()
    pc._driver.run(pc._engine.handle_timeout)
    await until(lambda: pc.connectionState == "failed")


def test_a_loop_over_messages_waits_while_ice_has_failed_and_goes_on_after_a_restart(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            announced: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
            bob.on("datachannel", announced.set_result)
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            await ours.opened()
            theirs = await announced
            reading = asyncio.ensure_future(next_of(ours))
            await fail_ice(alice)
            assert not reading.done()
            assert ours.readyState == "open"
            alice.restartIce()
            await connect(alice, bob)
            theirs.send("again")
            assert await reading == "again"

    run(main())


@pytest.mark.parametrize("before", [True, False])
def test_within_until_failed_a_loop_over_messages_ends_by_an_error_when_ice_fails(run: Run, before: bool) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            ours = alice.createDataChannel("chat")
            await connect(alice, bob)
            await ours.opened()
            if before:
                await fail_ice(alice)
            failing = None if before else asyncio.ensure_future(fail_ice(alice))
            with pytest.raises(TransportClosedError, match="the connection has failed"):
                async with alice.until_failed():
                    await everything(ours)
            assert ours.readyState == "open"
            assert not alice.has_listener("connectionstatechange")
            if failing is not None:
                await failing

    run(main())


def test_until_failed_leaves_results_errors_timeouts_and_orderly_ends_alone(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            async with alice.until_failed():
                channel.send("hello")
            with pytest.raises(TimeoutError):
                async with alice.until_failed(), asyncio.timeout(0.01):
                    await channel.receive()
            with pytest.raises(TimeoutError):
                async with alice.until_failed():
                    raise TimeoutError
            async with alice.until_failed():
                await bob.close()
                assert await everything(channel) == []
            assert not alice.has_listener("connectionstatechange")

    run(main())


def test_a_loop_over_messages_ends_by_an_error_when_dtls_fails(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            ours = alice.createDataChannel("chat")
            told: list[object] = []
            ours.on("error", told.append)
            await exchange_with_a_wrong_fingerprint(alice, bob)
            with pytest.raises(TransportClosedError, match="DTLS has failed"):
                await everything(ours)
            assert ours.readyState == "closed"
            assert len(told) == 1
            with pytest.raises(TransportClosedError, match="DTLS has failed"):
                await ours.opened()

    run(main())


async def exchange_with_a_wrong_fingerprint(alice: RTCPeerConnection, bob: RTCPeerConnection) -> None:
    await alice.setLocalDescription()
    await alice.gathering_complete()
    assert alice.localDescription is not None
    await bob.setRemoteDescription(alice.localDescription)
    await bob.setLocalDescription()
    await bob.gathering_complete()
    assert bob.localDescription is not None
    sdp = re.sub(
        r"(?<=a=fingerprint:sha-256 )..", lambda byte: "FF" if byte[0] == "00" else "00", bob.localDescription.sdp
    )
    await alice.setRemoteDescription(RTCSessionDescription(sdp, "answer"))


def test_a_channel_that_is_made_after_the_peer_has_gone_tells_so_to_who_listens_then(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            first = alice.createDataChannel("chat")
            await connect(alice, bob)
            await first.opened()
            await bob.close(timeout=0)
            await until(lambda: first.readyState == "closed")
            late = alice.createDataChannel("late")
            told: list[object] = []
            late.on("error", told.append)
            late.on("close", lambda *_: told.append("closed"))
            with pytest.raises(TransportClosedError, match="DTLS has ended"):
                await asyncio.wait_for(late.opened(), PATIENCE)
            assert late.readyState == "closed"
            await until(lambda: len(told) == 2)

    run(main())


@pytest.mark.parametrize("way", ["handlers end", "the handler goes", "a reader takes the rest"])
def test_close_comes_behind_every_message_that_slow_handlers_were_still_to_get(
    run: Run, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("icelane.aio.data_channel.MAX_UNFINISHED", 8)

    async def main() -> None:
        async with channels() as (ours, theirs):
            go_on = asyncio.Event()
            heard: list[str | bytes] = []

            @theirs.on("message")
            async def slow(message: str | bytes) -> None:
                heard.append(message)
                await go_on.wait()

            theirs.on("close", lambda: heard.append("closed"))
            for number in range(100):
                ours.send(str(number))
            ours.close()
            await until(lambda: theirs.readyState == "closed")
            assert heard == [str(number) for number in range(8)]
            if way == "the handler goes":
                theirs.remove_listener("message", slow)
            elif way == "a reader takes the rest":
                assert [await theirs.receive() for _ in range(92)] == [str(number) for number in range(8, 100)]
                assert heard[-1] == "closed"
            go_on.set()
            await until(lambda: "closed" in heard)
            told = 100 if way == "handlers end" else 8
            assert heard == [*map(str, range(told)), "closed"]
            await asyncio.sleep(0)
            assert theirs.handler_errors == 0


def test_an_asynchronous_handler_of_a_new_channel_that_subscribes_at_once_hears_it_open(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            heard: list[str] = []

            @bob.on("datachannel")
            async def handed_over(channel: RTCDataChannel) -> None:
                channel.on("open", lambda: heard.append("open"))
                channel.on("message", lambda message: heard.append(str(message)))

            async def handed_over_as_w3c(event: Event) -> None:
                assert isinstance(event.channel, RTCDataChannel)
                event.channel.onopen = lambda _: heard.append("onopen")

            bob.ondatachannel = handed_over_as_w3c
            ours = alice.createDataChannel("chat")
            ours.on("open", lambda: ours.send("hello"))
            await connect(alice, bob)
            await until(lambda: len(heard) == 3)
            assert heard == ["open", "onopen", "hello"]

    run(main())


def test_binary_messages_are_bytes_and_nothing_else_can_be_asked_for(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            channel = alice.createDataChannel("chat")
            channel.binaryType = "arraybuffer"
            with pytest.raises(NotSupportedError):
                channel.binaryType = "blob"
            with pytest.raises(TypeError):
                channel.binaryType = "bytes"
            assert channel.binaryType == "arraybuffer"

    run(main())
