"""Data channels over one SCTP association, without sockets: RFC 8831 and RFC 8832.

Left out: priorities between channels (RFC 8831 section 6.4); streams take turns, message by message.

    channels = DataChannels(SctpAssociation(entropy=SystemEntropy()))
    chat = channels.open("chat", now)
    channels.set_role(is_dtls_client, now)
    channels.connect(now)
    while True:
        channels.handle_batch(records_that_arrived, now)
        while (packet := channels.poll_transmit()) is not None:
            dtls.send(packet)
        while (event := channels.poll_event()) is not None:
            react(event)                                      # and release() what was read
        wake_at(channels.next_timeout())
"""
