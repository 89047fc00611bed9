"""A call to FastRTC: its stream is mounted on an ASGI application, and offers go there by HTTP."""

from __future__ import annotations

import icelane.compat.aiortc

icelane.compat.aiortc.install()
icelane.compat.aiortc.DEFAULT_ICE_SERVERS.clear()

import asyncio  # noqa: E402
import sys  # noqa: E402

import httpx  # noqa: E402
import numpy as np  # noqa: E402
from caller import Heard, call, report  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from fastrtc import AsyncStreamHandler, Stream, wait_for_item  # noqa: E402


class Echo(AsyncStreamHandler):
    """Says what it hears, as FastRTC's users write it."""

    def __init__(self) -> None:
        super().__init__(expected_layout="mono", input_sample_rate=24000, output_sample_rate=24000)
        self.queue: asyncio.Queue[tuple[int, np.ndarray]] = asyncio.Queue()

    def copy(self) -> Echo:
        return Echo()

    async def start_up(self) -> None:
        pass

    async def receive(self, frame: tuple[int, np.ndarray]) -> None:
        self.queue.put_nowait(frame)

    async def emit(self) -> tuple[int, np.ndarray] | None:
        return await wait_for_item(self.queue)


def turn_twice(image: np.ndarray) -> np.ndarray:
    """An image that went through numpy."""
    return np.flip(np.flip(image, axis=0), axis=0)


async def main(kind: str) -> None:
    handler = Echo() if kind == "audio" else turn_twice
    stream = Stream(handler=handler, modality=kind, mode="send-receive")
    app = FastAPI()
    stream.mount(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://fastrtc") as client:

        async def signal(offer: dict[str, str]) -> dict[str, str]:
            answer = await client.post("/webrtc/offer", json=offer | {"webrtc_id": "one"})
            return answer.raise_for_status().json()

        heard: Heard = await call(signal, audio=kind == "audio", video=kind == "video", greeting="hello")
    for _ in range(100):
        if not stream.pcs:
            break
        await asyncio.sleep(0.05)
    report(heard, left=len(stream.pcs))


asyncio.run(main(sys.argv[1]))
