"""STUN: the messages, the authentication and the transactions that TURN and ICE are built on.

RFC 8489 (and RFC 5389 clients), RFC 7064 and RFC 7065 URIs, RFC 8445 attributes, RFC 5780 for clients (the server is in
`icelane.turn`). Left out on purpose: RFC 3489 clients without the magic cookie, and of RFC 5780 the tests of fragments
and of a mapping's lifetime.

    message = parse_message(datagram)
    if message.method == Method.BINDING and message.message_class == MessageClass.REQUEST:
        reply = MessageBuilder.response_to(message)
        reply.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(source, message.transaction_id))
        socket.sendto(reply.build(), source)
"""
