"""What may be set about a peer connection, and that it has its effect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icelane import RTCConfiguration, RTCPeerConnection
from icelane.errors import TransportClosedError


@pytest.mark.parametrize("patience", [0, -1.0, float("inf"), float("nan")])
def test_patience_is_a_positive_number_of_seconds(patience: float) -> None:
    with pytest.raises(TypeError, match="patience"):
        RTCConfiguration(patience=patience).check()


def test_without_patience_a_peer_that_is_not_there_is_given_up_at_once() -> None:
    async def run() -> float:
        here: Any = {"interfaces": ["lo"], "patience": 0.2}
        async with RTCPeerConnection(RTCConfiguration(**here)) as caller:
            callee = RTCPeerConnection(RTCConfiguration(**here))
            caller.createDataChannel("chat")
            await caller.setLocalDescription()
            await caller.gathering_complete()
            assert caller.localDescription is not None
            await callee.setRemoteDescription(caller.localDescription)
            await callee.setLocalDescription()
            await callee.gathering_complete()
            answer = callee.localDescription
            assert answer is not None
            await callee.close(0)
            begun = asyncio.get_running_loop().time()
            await caller.setRemoteDescription(answer)
            with pytest.raises(TransportClosedError):
                await caller.connected(10.0)
            return asyncio.get_running_loop().time() - begun

    assert 0.2 <= asyncio.run(run()) < 5.0


def test_patience_does_not_change_in_mid_connection() -> None:
    async def run() -> None:
        async with RTCPeerConnection() as pc:
            with pytest.raises(Exception, match="the patience of a connection does not change"):
                pc.setConfiguration(RTCConfiguration(patience=5.0))

    asyncio.run(run())
