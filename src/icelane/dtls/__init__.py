"""DTLS 1.2 (RFC 6347) for WebRTC over OpenSSL: RFC 5763, 5764, 8827.

Left out: DTLS 1.3, cookies (the peer is authenticated by ICE first)."""
