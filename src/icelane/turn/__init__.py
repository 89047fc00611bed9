"""TURN: the relay's server and client engines, without sockets.

RFC 8656, RFC 6156 (both address families), RFC 6062 (TCP to peers), and the clients of RFC 5766. Left out: mobility
(RFC 8016) and third-party authorisation (RFC 7635).

The server engine decides and never relays. It tells its plane by commands which relay ports to bind and which routes to
install; the plane moves payload by those routes alone:

    server.handle_datagram(data, path, now)
    while (command := server.poll_command()) is not None:
        plane.execute(command)
    while (transmit := server.poll_transmit()) is not None:
        plane.send(transmit)
    while (event := server.poll_event()) is not None:
        log(event)
    plane.wake_at(server.next_timeout())
"""
