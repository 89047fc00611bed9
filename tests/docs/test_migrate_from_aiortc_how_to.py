"""The program of docs/howto/migrate-from-aiortc.md, called by icelane itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icelane import MediaStreamTrack, RTCPeerConnection, ToneTrack
from icelane.compat.aiortc import DEFAULT_ICE_SERVERS
from tests.aio.calls import hear
from tests.docs.test_documentation import blocks

PAGE = "docs/howto/migrate-from-aiortc.md"


def test_the_answer_of_the_page_echoes(monkeypatch: pytest.MonkeyPatch) -> None:
    # `install` is for programs of their own: it changes what `import aiortc` means for all that runs here.
    monkeypatch.setattr("icelane.compat.aiortc.install", lambda: None)
    known, scope = list(DEFAULT_ICE_SERVERS), dict[str, Any]()
    try:
        for code in blocks(PAGE, "python"):
            exec(code, scope)
        assert DEFAULT_ICE_SERVERS == []
        asyncio.run(call(scope["answer"]))
    finally:
        DEFAULT_ICE_SERVERS[:] = known


async def call(answer: Any) -> None:
    async with RTCPeerConnection() as pc:
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        pc.on("track", tracks.put_nowait)
        pc.addTrack(ToneTrack(500))
        await pc.setLocalDescription()
        await pc.gathering_complete()
        assert pc.localDescription is not None
        await pc.setRemoteDescription(await answer(pc.localDescription.toJSON()))
        await hear(await tracks.get(), 500)
