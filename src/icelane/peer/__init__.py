"""The WebRTC peer connection without sockets: ICE transport, negotiation (RFC 9429), media over SRTP, statistics.

Left out: simulcast and other layered coding, bandwidth estimation, codecs and devices."""
