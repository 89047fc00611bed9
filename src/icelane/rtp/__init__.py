"""RTP and RTCP on the wire: packets, header extensions, reports and feedback, without sockets and without time.

RFC 3550 (RTP, RTCP), 8285 (header extensions) and the extensions of 5450, 6464, 6465, 8843, 8852; RFC 4585 and 5104
(NACK, PLI, FIR), 5506 (reduced-size RTCP), 5761 (both on one port), 3611 (extended reports, their blocks as they came);
REMB and transport-wide feedback as their drafts have them. Left out: APP packets beyond skipping them, the rules of
when RTCP is sent, slice and reference picture indications.

    if is_rtcp(datagram):
        for report in parse_rtcp(datagram):
            react(report)
    else:
        packet = parse_rtp_packet(datagram)
        play(packet.ssrc, packet.timestamp, packet.payload)
"""
