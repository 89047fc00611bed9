"""A program chooses the codec."""

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.sdp import SessionDescription
from calling import connection, negotiate

from media import ColourTrack, ToneTrack


async def main():
    found = []
    for kind, wanted, track in (("video", "video/H264", ColourTrack(90)), ("audio", "audio/PCMU", ToneTrack())):
        caller, callee = connection(), connection()
        sender = caller.addTrack(track)
        codecs = RTCRtpSender.getCapabilities(kind).codecs
        transceiver = next(one for one in caller.getTransceivers() if one.sender == sender)
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == wanted])
        await negotiate(caller, callee)
        session = SessionDescription.parse(callee.localDescription.sdp)
        found.append(sorted({codec.mimeType for codec in session.media[0].rtp.codecs if codec.name != "rtx"}))
        refused = False
        codecs[0].clockRate = 1
        try:
            transceiver.setCodecPreferences([codecs[0]])
        except ValueError:
            refused = True
        found.append(refused)
        await caller.close()
        await callee.close()
    known = [codec.mimeType for codec in RTCRtpReceiver.getCapabilities("audio").codecs]
    found.append([one in known for one in ("audio/opus", "audio/G722", "audio/PCMU", "audio/PCMA")])
    return found
