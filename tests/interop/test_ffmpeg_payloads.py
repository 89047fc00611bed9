"""FFmpeg reads our packets: its RTP demuxer gives the frames that were sent."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.payload.nal_unit import unit_spans
from icelane.media.payload.registry import packetizer_for
from tests.media.payload import bitstreams

pytestmark = [pytest.mark.interop, pytest.mark.once]

ROUNDS = 4
CLOCK_RATES = {"opus": "48000/2"}


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port & ~1  # RTP's is even, and RTCP's the next one


def description(name: str, kind: MediaKind, port: int) -> str:
    clock_rate = CLOCK_RATES.get(name, "90000")
    lines = [
        "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", f"m={kind.value} {port} RTP/AVP 96",
        f"a=rtpmap:96 {name}/{clock_rate}", "a=fmtp:96 packetization-mode=1", "",
    ]  # fmt: skip
    return "\r\n".join(lines)


def send(codec: RtpCodec, frames: Sequence[bytes], port: int, done: threading.Event) -> None:
    """The frames over and over, a little slower than the demuxer reads, until it has enough."""
    packetizer = packetizer_for(codec, 77)
    number = timestamp = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while not done.is_set():
            for frame in frames:
                timestamp += 3000
                payloads = packetizer.packetize(frame, 1188)
                for index, payload in enumerate(payloads):
                    marker = 0x80 if index == len(payloads) - 1 else 0
                    header = struct.pack(">BBHII", 0x80, 96 | marker, number & 0xFFFF, timestamp & 0xFFFFFFFF, 0x1234)
                    sock.sendto(header + payload, ("127.0.0.1", port))
                    number += 1
                    if number % 8 == 0 and done.wait(0.002):
                        return
                done.wait(0.005)


def content(codec: RtpCodec, frame: bytes) -> object:
    """What has to be the same: where there are start codes, they may have another length."""
    if codec.name in ("H264", "H265"):
        return tuple(frame[start:end] for start, end in unit_spans(frame))
    return frame


@pytest.mark.parametrize("name", [*bitstreams.IN_RTP_OF_FFMPEG, "opus"])
def test_ffmpeg_reads_the_frames_that_we_sent(name: str, tmp_path: Path) -> None:
    kind = MediaKind.VIDEO if name in bitstreams.VIDEO else MediaKind.AUDIO
    parameters = (("packetization-mode", "1"),) if name == "H264" else ()
    codec = RtpCodec(kind=kind, name=name, clock_rate=90_000, parameters=parameters)
    frames = bitstreams.video_frames(name) if kind is MediaKind.VIDEO else bitstreams.audio_frames(name)
    port = free_port()
    path = tmp_path / "call.sdp"
    path.write_text(description(name, kind, port))
    done = threading.Event()
    sender = threading.Thread(target=send, args=(codec, frames, port, done))
    sender.start()
    try:
        options = {
            "protocol_whitelist": "file,rtp,udp",
            "probesize": "32",
            "analyzeduration": "0",
            "localaddr": "127.0.0.1",
        }
        came: list[bytes] = []
        with av.open(str(path), options=options, timeout=10) as container:
            for packet in container.demux():
                came.append(bytes(packet))
                if len(came) > ROUNDS * len(frames):
                    break
    finally:
        done.set()
        sender.join()
    sent = [content(codec, frame) for frame in frames]
    numbers = [sent.index(content(codec, frame)) for frame in came[1:]]  # it came in at the middle of one
    assert numbers == [(numbers[0] + index) % len(sent) for index in range(len(numbers))]
