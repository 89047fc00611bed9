"""A Streamlit page with a streamlit-webrtc component: what the camera shows comes back in one colour.

Writes what it saw into the file that CALL_LOG names, a line for each picture.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import streamlit as st
from streamlit_webrtc import WebRtcMode, webrtc_streamer

LOG = Path(os.environ["CALL_LOG"])
BLUE = (32, 64, 208)


def colour(frame: av.VideoFrame) -> av.VideoFrame:
    """A picture of the same size in one colour."""
    image = frame.to_ndarray(format="rgb24")
    red, green, blue = (int(value) for value in image.reshape(-1, 3).mean(axis=0))
    with LOG.open("a") as log:
        log.write(f"{frame.width} {frame.height} {red} {green} {blue}\n")
    return av.VideoFrame.from_ndarray(np.full_like(image, BLUE), format="rgb24")


st.title("Call")
webrtc_streamer(
    key="call",
    mode=WebRtcMode.SENDRECV,
    rtc_configuration={"iceServers": []},
    video_frame_callback=colour,
    media_stream_constraints={"video": True, "audio": True},
    async_processing=True,
)
