"""Interactive Connectivity Establishment: RFC 8445, 8838 (trickle), 8863 (patience), 7675 (consent), 8839 (candidates),
6544 (TCP).

One agent is one transport: rtcp-mux and BUNDLE leave one stream with one component. Gathering is the caller's: it hands
in candidates as it finds them. Left out on purpose: frozen pairs, since there is one component, and simultaneous open
of TCP.

    agent = IceAgent(role=IceRole.CONTROLLING, entropy=SystemEntropy())
    agent.add_local_candidate(candidate, base, now)
    agent.set_remote_credentials(credentials, now)
    agent.add_remote_candidate(parse_candidate(line), now)
    while (transmit := agent.poll_transmit()) is not None:
        sockets[transmit.path.local].sendto(transmit.data, transmit.path.remote)
    while (event := agent.poll_event()) is not None:
        react(event)
    timer.reschedule(agent.next_timeout())
"""
