"""DTLS 1.2 (RFC 6347) for WebRTC over OpenSSL, without sockets: RFC 5763, 5764, 8122, 8827; RFC 5705, 5746, 7627.

Left out: DTLS 1.3; cookies, because ICE has authenticated the peer's address before; resumption and tickets, because a
certificate is for one connection; renegotiation.

    connection = DtlsConnection(Certificate.generate(now=wall), role=DtlsRole.CLIENT)
    connection.set_remote_fingerprints([("sha-256", value)], now)      # from the session description
    connection.start(now)
    ...
    connection.handle_datagram(data, now)                              # or handle_timeout(now), send(payload, now)
    while (datagram := connection.poll_transmit()) is not None:
        path.send(datagram)
    while (event := connection.poll_event()) is not None:              # HandshakeCompleted has the keys for SRTP
        react(event)
    while (payload := connection.poll_data()) is not None:
        association.handle_datagram(payload, now)
    timer.reschedule(connection.next_timeout())
"""
