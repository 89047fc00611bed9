"""SCTP for data channels, without sockets: one association over one DTLS connection.

RFC 9260 (SCTP), 3758 (partial reliability), 6525 (stream reset), 7053 (SACK-IMMEDIATELY), 8985 (RACK and tail loss
probes, of TCP), 9653 (zero checksum), as RFC 8261 and RFC 8831 ask for. Left out: multihoming, interleaving (RFC 8260),
restart, dynamic addresses, path MTU discovery, adding streams.

    association = SctpAssociation(entropy=SystemEntropy())
    association.connect(now)                                  # both ends do
    while True:
        association.begin_batch()
        for record in records_that_arrived:
            association.handle_datagram(record, now)
        association.end_batch(now)                            # one SACK for all of them
        while (packet := association.poll_transmit()) is not None:
            dtls.send(packet)
        while (event := association.poll_event()) is not None:
            react(event)                                      # and release() what was read
        wake_at(association.next_timeout())
"""
