"""A call to streamlit-webrtc's worker, which runs it from other threads than that of the event loop."""

from __future__ import annotations

import icelane.compat.aiortc

icelane.compat.aiortc.install()
icelane.compat.aiortc.DEFAULT_ICE_SERVERS.clear()

import asyncio  # noqa: E402

import av  # noqa: E402
from caller import call, report  # noqa: E402
from streamlit_webrtc.config import compile_rtc_configuration  # noqa: E402
from streamlit_webrtc.relay import MediaRelay  # noqa: E402
from streamlit_webrtc.webrtc import WebRtcMode, WebRtcWorker  # noqa: E402

seen = {"audio": 0, "video": 0}


def video_callback(frame: av.VideoFrame) -> av.VideoFrame:
    """As streamlit-webrtc's users write it: a picture through numpy."""
    seen["video"] += 1
    return av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")


def audio_callback(frame: av.AudioFrame) -> av.AudioFrame:
    """Half as loud."""
    seen["audio"] += 1
    new = av.AudioFrame.from_ndarray(frame.to_ndarray() // 2, format=frame.format.name, layout=frame.layout.name)
    new.sample_rate = frame.sample_rate
    return new


async def main() -> None:
    loop = asyncio.get_running_loop()
    relay = MediaRelay()

    def make() -> WebRtcWorker:
        return WebRtcWorker(
            mode=WebRtcMode.SENDRECV,
            rtc_configuration=compile_rtc_configuration({"iceServers": []}),
            source_video_track=None,
            source_audio_track=None,
            sink_video_track=None,
            sink_audio_track=None,
            player_factory=None,
            in_recorder_factory=None,
            out_recorder_factory=None,
            video_frame_callback=video_callback,
            audio_frame_callback=audio_callback,
            queued_video_frames_callback=None,
            queued_audio_frames_callback=None,
            on_video_ended=None,
            on_audio_ended=None,
            video_processor_factory=None,
            audio_processor_factory=None,
            async_processing=True,
            video_receiver_size=4,
            audio_receiver_size=4,
            sendback_video=True,
            sendback_audio=True,
            loop=loop,
            relay=relay,
        )

    # Streamlit's scripts run on a thread of their own.
    worker = await asyncio.to_thread(make)

    async def signal(offer: dict[str, str]) -> dict[str, str]:
        answer = await asyncio.to_thread(worker.process_offer, offer["sdp"], offer["type"], 20)
        return {"sdp": answer.sdp, "type": answer.type}

    heard = await call(signal, audio=True, video=True, channel=False)
    for _ in range(100):
        if worker.pc.connectionState == "closed":
            break
        await asyncio.sleep(0.05)
    await asyncio.to_thread(worker.stop)
    report(heard, seen=seen, ended=worker.pc.connectionState)


asyncio.run(main())
