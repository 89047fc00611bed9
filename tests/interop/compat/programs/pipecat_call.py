"""A call to a pipecat pipeline behind its SmallWebRTC transport: sound and pictures that come in go out again."""

from __future__ import annotations

import icelane.compat.aiortc

icelane.compat.aiortc.install()
icelane.compat.aiortc.DEFAULT_ICE_SERVERS.clear()

import asyncio  # noqa: E402
import json  # noqa: E402

from caller import call, report  # noqa: E402
from pipecat.frames.frames import (  # noqa: E402
    Frame,
    InputAudioRawFrame,
    InputImageRawFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # noqa: E402
from pipecat.transports.base_transport import TransportParams, VideoInSourceParams  # noqa: E402
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection  # noqa: E402
from pipecat.transports.smallwebrtc.request_handler import (  # noqa: E402
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402


class Echo(FrameProcessor):
    """What comes in goes out."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            out = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
            await self.push_frame(out, direction)
        elif isinstance(frame, InputImageRawFrame):
            await self.push_frame(OutputImageRawFrame(frame.image, frame.size, frame.format), direction)
        else:
            await self.push_frame(frame, direction)


async def main() -> None:
    handler, events = SmallWebRTCRequestHandler(), []
    runner, tasks = WorkerRunner(handle_sigint=False), []

    async def connected(connection: SmallWebRTCConnection) -> None:
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=16000,
            audio_out_sample_rate=16000,
            video_in_enabled=True,
            video_in_sources={"camera": VideoInSourceParams(framerate=15)},
            video_out_enabled=True,
            video_out_is_live=True,
            video_out_width=320,
            video_out_height=240,
        )
        transport = SmallWebRTCTransport(webrtc_connection=connection, params=params)

        @transport.event_handler("on_client_connected")
        async def on_client_connected(transport: SmallWebRTCTransport, client: object) -> None:
            events.append("connected")

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(transport: SmallWebRTCTransport, client: object) -> None:
            events.append("disconnected")
            await task.cancel()

        @transport.event_handler("on_app_message")
        async def on_app_message(transport: SmallWebRTCTransport, message: object, *_: object) -> None:
            events.append(f"message {message}")
            connection.send_app_message({"type": "echo", "message": message})

        task = PipelineWorker(
            Pipeline([transport.input(), Echo(), transport.output()]), params=PipelineParams(), enable_rtvi=False
        )
        await runner.add_workers(task)
        tasks.append(asyncio.ensure_future(runner.run()))

    async def signal(offer: dict[str, str]) -> dict[str, str]:
        answer = await handler.handle_web_request(SmallWebRTCRequest(**offer), connected)
        assert answer is not None
        return answer

    greeting = json.dumps({"type": "greeting", "text": "hello"})
    heard = await call(signal, audio=True, video=True, greeting=greeting)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    await handler.close()
    report(heard, events=events)


asyncio.run(main())
