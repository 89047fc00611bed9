"""Descriptions of data channels in the forms that other programs write; those of `tests/sdp/captured` are whole ones.

These are written out after what libdatachannel, pion and an aiortc of before RFC 8841 print, and browsers that are told
to bundle at any price. `{setup}` is the DTLS role.
"""

from __future__ import annotations

from typing import Final

from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType
from tests.sdp.captures import CAPTURES

_FINGERPRINT: Final = ":".join(f"{byte:02X}" for byte in range(100, 132))

# The transport stands in the session, and a comma between the ICE options.
LIBDATACHANNEL: Final = f"""v=0
o=rtc 3041846718 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=group:LS 0
a=msid-semantic:WMS *
a=ice-options:ice2,trickle
a=fingerprint:sha-256 {_FINGERPRINT}
a=setup:{{setup}}
a=ice-ufrag:jmNS
a=ice-pwd:8qOR7YfEgGkmV0Hrbqnqxz
m=application 59442 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.20
a=mid:0
a=sendrecv
a=sctp-port:5000
a=max-message-size:262144
a=candidate:1 1 UDP 2122317823 192.0.2.20 59442 typ host
a=candidate:2 1 UDP 1686109439 203.0.113.20 59442 typ srflx raddr 0.0.0.0 rport 0
a=end-of-candidates
"""

# Candidates of a second component too, and attributes of media in the section.
PION: Final = f"""v=0
o=- 6398572931840262118 1732629600 IN IP4 0.0.0.0
s=-
t=0 0
a=msid-semantic:WMS*
a=fingerprint:sha-256 {_FINGERPRINT}
a=extmap-allow-mixed
a=group:BUNDLE 0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=setup:{{setup}}
a=mid:0
a=sendrecv
a=sctp-port:5000
a=max-message-size:1073741823
a=ice-ufrag:xsjhNWMpgzvFyKPX
a=ice-pwd:fNVuWfbSYxqAtYJWKhiDTXbRuCSpxzXg
a=candidate:3628985204 1 udp 2130706431 192.0.2.21 43210 typ host
a=candidate:3628985204 2 udp 2130706431 192.0.2.21 43210 typ host
a=end-of-candidates
"""

# Drafts of before RFC 8841: the port is where the format is now.
LEGACY: Final = f"""v=0
o=- 3773250318 3773250318 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE data
a=msid-semantic:WMS *
m=application 40443 DTLS/SCTP 5000
c=IN IP4 192.0.2.22
a=mid:data
a=sctpmap:5000 webrtc-datachannel 65535
a=max-message-size:65536
a=candidate:0b27fdb4b3a5bc3ee5ac7d3ad6d3b3ef 1 udp 2130706431 192.0.2.22 40443 typ host
a=end-of-candidates
a=ice-ufrag:9889
a=ice-pwd:m7pnJuNVkWNVfVTXzOKdLX
a=fingerprint:sha-256 {_FINGERPRINT}
a=setup:{{setup}}
"""

# max-bundle: the section of data has no port, and its transport is where the audio is, which is rejected.
MAX_BUNDLE: Final = f"""v=0
o=- 5120934127310983741 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a d
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 192.0.2.23 50123 typ host generation 0 ufrag Ab12 network-cost 999
a=end-of-candidates
a=ice-ufrag:Ab12
a=ice-pwd:gXhqbmVMTDnAfbFGYz2tXWvq
a=ice-options:trickle
a=fingerprint:sha-256 {_FINGERPRINT}
a=setup:{{setup}}
a=mid:a
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=application 0 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=bundle-only
a=mid:d
a=sctp-port:5000
a=max-message-size:262144
"""


def _wired(text: str, setup: str) -> str:
    return text.format(setup=setup).replace("\n", "\r\n")


OFFERS: Final = {name: text for name, text in CAPTURES.items() if name.endswith("_offer")} | {
    "libdatachannel_data_offer": _wired(LIBDATACHANNEL, "actpass"),
    "pion_data_offer": _wired(PION, "actpass"),
    "max_bundle_offer": _wired(MAX_BUNDLE, "actpass"),
    "legacy_data_offer": _wired(LEGACY, "actpass"),
}
"""Every offer, by `program_situation_offer`."""

DATA_ANSWERS: Final = {name: text for name, text in CAPTURES.items() if name.endswith("_data_answer")} | {
    "libdatachannel_data_answer": _wired(LIBDATACHANNEL, "active"),
    "pion_data_answer": _wired(PION, "active"),
    "pion_passive_answer": _wired(PION, "passive"),
    # Old programs answer in their own form, whatever they were offered.
    "legacy_data_answer": _wired(LEGACY, "active").replace("mid:data", "mid:0").replace("BUNDLE data", "BUNDLE 0"),
}
"""Every answer to a first offer of data channels; all of them call the section 0, as we do."""


MEDIA_ANSWERS: Final = {name: text for name, text in CAPTURES.items() if name.endswith("_media_answer")}
"""Every answer to a first offer of audio, video and data in this order, which call them 0, 1 and 2, as we do."""


def offer(name: str) -> Description:
    """One of OFFERS."""
    return Description(DescriptionType.OFFER, OFFERS[name])


def answer(name: str) -> Description:
    """One of DATA_ANSWERS."""
    return Description(DescriptionType.ANSWER, DATA_ANSWERS[name])
