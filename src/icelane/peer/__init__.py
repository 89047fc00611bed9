"""The WebRTC peer connection without sockets: ICE transport, negotiation (RFC 9429), statistics.

Left out: media, which has a layer of its own."""
