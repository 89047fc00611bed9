"""Audio and video between codec and network: what is in RTP packets, when it is played, what is asked for again.

Engines without time or sockets of their own, as everywhere below `aio`: packets and frames come in, packets, frames and
feedback come out.

Sources: RFC 3550 and 3551 (RTP and its audio/video profile), RFC 4585 and 5104 (feedback), RFC 4588 (retransmission),
RFC 8834 (what WebRTC asks of all of them).
"""
