"""Audio and video between codec and network: what is in RTP packets, when it is played, what is asked for again.

Engines without time or sockets of their own, as everywhere below `aio`: packets and frames come in, packets, frames and
feedback come out. One RTP stream each way, and the RTCP of their transport:

    camera = OutboundStream(outbound_options, entropy=entropy, wall=clock, sequence=transport_sequence)
    theirs = InboundStream(inbound_options)
    reporter.add_outbound(camera, now)
    reporter.add_inbound(theirs, now)

    camera.send_frame(frame, now)                          what an encoder gave
    theirs.handle_packets(packets, now)                    what SRTP has opened, routed by SSRC or mid
    reporter.handle_rtcp(parse_rtcp(data), now)
    for engine in (camera, theirs):
        engine.handle_timeout(now)
    reporter.collect(now)

    camera.poll_packets(), camera.poll_event()             to protect and send; KeyFrameRequested and others
    theirs.poll_frame() or theirs.poll_playout()           for a decoder of video; of audio
    reporter.poll_rtcp()                                   to serialize, protect and send

Sources: RFC 3550 and 3551 (RTP and its audio/video profile), RFC 4585, 5104 and 5506 (feedback), RFC 4588
(retransmission), RFC 8834 (what WebRTC asks of all of them), and the drafts of REMB and of transport-wide feedback.
Left out on purpose: pacing and estimation of bandwidth, several layers of one source (simulcast, SVC) beyond passing
over upper temporal layers, FEC of its own streams (RED, FlexFEC), extended reports.
"""
