"""The codec threads of an event loop: all its connections share them, and the last one that goes ends them.

lease = ThreadLease()
lane = lease.lane()                 # threads begin here
...
await lease.release()
"""

from __future__ import annotations

import asyncio

from icelane.aio.media_worker import MediaLane, MediaWorkers


class ThreadLease:
    """One connection's part in the threads. For the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._shared: _Shared | None = None

    def lane(self) -> MediaLane:
        """Where an encoder or a decoder works."""
        if self._shared is None:
            self._shared = _SHARED.setdefault(self._loop, _Shared())
            self._shared.leases += 1
        return self._shared.workers.lane()

    async def release(self) -> None:
        """Lanes are to be closed before. Idempotent."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.leases -= 1
        if not shared.leases:
            _SHARED.pop(self._loop, None)
            await shared.workers.close()


class _Shared:
    def __init__(self) -> None:
        self.workers = MediaWorkers()
        self.leases = 0


# An entry goes with the last lease of its loop.
_SHARED: dict[asyncio.AbstractEventLoop, _Shared] = {}
