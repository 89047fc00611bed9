"""Messages and descriptors between two processes of ours."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.server.workers import link as link_module
from icelane.server.workers.link import MAX_QUEUED, Link
from tests.loops import Run
from tests.server.clients import eventually


class End:
    """One end, and what it has heard."""

    def __init__(self, connected: socket.socket) -> None:
        self.heard: list[tuple[Any, list[bytes]]] = []
        self.closed = 0
        self.link = Link(connected, self._on_message, self._on_closed)

    def _on_message(self, message: Any, descriptors: list[int]) -> None:
        self.heard.append((message, [_read_all(descriptor) for descriptor in descriptors]))

    def _on_closed(self) -> None:
        self.closed += 1


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _file_with(content: bytes) -> int:
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def ends() -> tuple[End, End]:
    one, other = socket.socketpair()
    return End(one), End(other)


Sent = list[tuple[bytes, list[bytes]]]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.binary(max_size=300_000), st.lists(st.binary(min_size=1, max_size=20), max_size=5)), max_size=8
    )
)
def test_messages_and_their_descriptors_arrive_together_and_in_order(messages: Sent) -> None:
    async def scenario() -> None:
        one, other = ends()
        before = open_descriptors()
        for message, contents in messages:
            one.link.send(message, [_file_with(content) for content in contents])
        await eventually(lambda: len(other.heard) == len(messages))
        assert other.heard == [(message, list(contents)) for message, contents in messages]
        assert open_descriptors() == before
        one.link.close()
        await eventually(lambda: other.closed == 1)
        assert one.closed == 0

    asyncio.run(scenario())


def test_what_cannot_be_delivered_leaves_no_descriptor_behind(run: Run) -> None:
    async def scenario() -> None:
        before = open_descriptors()
        one, other = ends()
        other.link.close()
        for _ in range(3):
            one.link.send("nobody hears it", [_file_with(b"content")])
        await eventually(lambda: one.closed == 1)
        one.link.close()
        assert open_descriptors() == before

    run(scenario())


def test_an_end_that_reads_nothing_is_given_up(run: Run, monkeypatch: Any) -> None:
    """OP-5: its messages are not kept for ever."""
    monkeypatch.setattr(link_module, "MAX_QUEUED", 10)
    assert MAX_QUEUED > 10

    async def scenario() -> None:
        one, other = socket.socketpair()
        end = End(one)
        for _ in range(100):
            end.link.send(bytes(100_000))
        assert end.closed == 1
        other.close()

    run(scenario())


def test_a_message_whose_descriptors_were_lost_arrives_without_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel drops them where there is no descriptor to spare; what follows is whole again."""
    receive = socket.recv_fds
    lost: list[int] = []

    def without(connected: socket.socket, *rest: int) -> tuple[bytes, list[int], int, Any]:
        data, descriptors, flags, address = receive(connected, *rest)
        if descriptors and not lost:
            lost.extend(descriptors)
            descriptors = []
        return data, descriptors, flags, address

    monkeypatch.setattr(socket, "recv_fds", without)

    async def scenario() -> None:
        one, other = ends()
        one.link.send("first", [_file_with(b"lost")])
        one.link.send("second", [_file_with(b"there")])
        await eventually(lambda: len(other.heard) == 2)
        assert other.heard == [("first", []), ("second", [b"there"])]
        one.link.close()
        await eventually(lambda: other.closed == 1)
        os.close(lost[0])

    run(scenario())
