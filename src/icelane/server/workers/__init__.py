"""Several processes that serve as one server, `turn.workers`.

    supervisor ── opens every listening socket and keeps it; starts, watches and restarts the workers; answers for all
      │  link: a Unix socket for each worker, with messages and descriptors
    worker 0..N-1 ── a TurnServer each, on sockets of its own and a share of the relay ports

What all of them must count together, allocations, connections and bandwidth, is in the `ledger`, memory that they
share. Nothing else is shared: a packet never crosses from one worker to another.
"""
