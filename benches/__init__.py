"""Benchmarks: our servers beside the ones that people run today, measured in CPU time per unit of work.

- `python -m benches.relay`: CPU-seconds per million relayed packets, loss and latency.
- `python -m benches.allocate`: allocations per CPU-second and memory per idle allocation.

Nothing here imports `icelane`: what is measured takes no part in the measuring.
"""
