"""Codecs: which there are, what they look like in a description, and what turns frames into bytes and back.

    registry = default_registry()
    registry.codecs(MediaKind.VIDEO)                        # what to offer, by preference
    encoder = registry.encoder(codec, EncoderSettings(bitrate=500_000))
    for encoded in encoder.encode(frame):                   # frames are PyAV's
        ...
    for picture in registry.decoder(codec).decode(encoded):
        ...

Everything here is synchronous and for one thread at a time; who calls it keeps it off the event loop.

Sources: RFC 7587 (Opus), RFC 3551 (G.711 and G.722), RFC 4733 (tones), RFC 7741 (VP8), RFC 9628 (VP9), RFC 6184
(H.264), RFC 7798 (H.265), AOM's specification of AV1 over RTP, RFC 7742 and 7874 (what WebRTC asks of video and audio).
"""
