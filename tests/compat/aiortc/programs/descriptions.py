"""What a program reads in descriptions and candidates."""

from aiortc.sdp import (
    SessionDescription,
    candidate_from_sdp,
    candidate_to_sdp,
    parameters_from_sdp,
    parameters_to_sdp,
)

LINE = "1 1 udp 2122260223 192.0.2.7 54321 typ srflx raddr 10.0.0.1 rport 1234"
TEXT = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:stream track
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=ssrc:1234 cname:name
a=candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host
a=end-of-candidates
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")


def described(session):
    return [
        [
            media.kind, media.port, media.profile, media.fmt, media.direction, media.host, media.rtcp_port,
            media.rtcp_host, media.rtcp_mux, str(media.rtp), str(media.ssrc), media.sctp_port, str(media.dtls),
            str(media.sctpCapabilities), str(media.ice), str(media.ice_candidates), media.ice_candidates_complete,
            session.webrtc_track_id(media),
        ]
        for media in session.media
    ]  # fmt: skip


async def main():
    session = SessionDescription.parse(TEXT)
    found = [session.origin, session.name, session.time, str(session.group), str(session.msid_semantic)]
    candidate = candidate_from_sdp(LINE)
    parameters = parameters_from_sdp("minptime=10;useinbandfec=1;profile-level-id=42e01f;flag")
    return [
        found,
        described(session),
        described(SessionDescription.parse(str(session))) == described(session),
        str(candidate),
        candidate_to_sdp(candidate) == LINE,
        parameters,
        parameters_to_sdp(parameters),
    ]
