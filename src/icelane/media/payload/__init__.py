"""Payload formats: how an encoded frame lies in RTP packets, one module for each codec.

    packetizer = packetizer_for(codec, first_picture_id)       sending
    payloads = packetizer.packetize(frame.data, 1200)          the marker goes on the last of them

    depacketizer = depacketizer_for(codec)                     receiving
    fragment = depacketizer.parse(payload)                     one for each packet, in any order
    data = depacketizer.assemble(fragments)                    those of one frame, in the order of sequence numbers

Sources: RFC 7587 (Opus), RFC 3551 (G.711, G.722), RFC 4733 (telephone events), RFC 7741 (VP8), RFC 9628 (VP9), RFC 6184
(H.264), RFC 7798 (H.265), RTP Payload Format For AV1 1.0 of the Alliance for Open Media, RFC 4588 (retransmission).
Left out on purpose: interleaving (RFC 6184 mode 2, RFC 7798 with sprop-max-don-diff above 0), PACI packets of RFC 7798,
VP9 written in flexible mode, several layers written by any codec.
"""
