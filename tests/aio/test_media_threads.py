"""The connections of a loop share their codec threads."""

from __future__ import annotations

import threading

from icelane.aio.media_threads import _SHARED, ThreadLease
from tests.loops import Run


def test_threads_are_shared_and_the_last_one_ends_them(run: Run) -> None:
    async def main() -> None:
        one, other = ThreadLease(), ThreadLease()
        assert not _SHARED
        first, second = one.lane(), other.lane()
        name = await first.run(lambda: threading.current_thread().name)
        assert name.startswith("media-worker")
        assert await second.run(lambda: 7) == 7
        assert len(_SHARED) == 1
        await first.close()
        await one.release()
        await one.release()
        assert await second.run(lambda: 8) == 8
        await second.close()
        await other.release()
        assert not _SHARED
        assert await one.lane().run(lambda: 9) == 9  # and it can begin anew
        await one.release()

    run(main())
