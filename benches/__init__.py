"""Benchmarks: our servers beside the ones that people run today, measured in CPU time per unit of work.

- `python -m benches.relay`: CPU-seconds per million relayed packets, loss and latency.
- `python -m benches.allocate`: allocations per CPU-second and memory per idle allocation.
- `python -m benches.allocation_profile`: where the time of an allocation goes.
- `python -m benches.datachannel`: data channels beside other people's, CPU-seconds per GB of each end.
- `python -m benches.media`: calls beside aiortc, packets and streams per CPU-second of each end, latency.

These import nothing of `icelane` but `testing`, which makes networks: what is measured takes no part in the measuring.
"""
