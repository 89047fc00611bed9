"""What several processes count together: allocations of users, connections of sources, and bandwidth.

One piece of shared memory. Who is counted is a row, found by a keyed hash of its name, and each worker has a column:

    head      of everybody: bandwidth cell; for each kind and worker, how many
    keys      16 bytes for each row; zero: never used
    cells     8 bytes for each row: the bandwidth cell of a user (icelane.server.bandwidth)
    counts    4 bytes for each row, worker after worker

A worker changes nothing but its own column, so that what a dead one had counted is taken back by clearing that. Rows
are found under a lock that the system takes from whoever dies with it. They are never moved: a plane holds on to a cell
for as long as its user has an allocation. A row that nobody is counted in is anybody's, once its bucket is full again.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from icelane.aio.system import monotonic
from icelane.core.entropy import Entropy
from icelane.server.bandwidth import Cell
from icelane.turn.quota import Limit

KEY_SIZE: Final = 16
SECRET_SIZE: Final = 32

# Where a name may stand: as many rows in a row. With a quarter of all in use, chance fills a window once in 10^9.
_WINDOW: Final = 32
_ROOM: Final = 4
_LINE: Final = 64
_CELL_SIZE: Final = 8
_COUNT_SIZE: Final = 4


class Kind:
    """What is counted, each for itself."""

    ALLOCATIONS: Final = 0
    CONNECTIONS: Final = 1
    ALL: Final = 2


class Ledger:
    """The memory, mapped here. `workers` and `names` are what it was made for, `secret` what its rows are found by."""

    def __init__(self, descriptor: int, *, workers: int, names: int, secret: bytes) -> None:
        """Map what `descriptor` leads to, which is this object's from then on."""
        self.workers = workers
        self.names = names
        self.secret = secret
        self._descriptor = descriptor
        self._windows = _windows(names)
        rows = self._rows = self._windows * _WINDOW
        self._keys_at = _head_size(workers)
        self._cells_at = self._keys_at + rows * KEY_SIZE
        self._counts_at = self._cells_at + rows * _CELL_SIZE
        self._memory = mmap.mmap(descriptor, _size(workers, rows))
        view = memoryview(self._memory)
        self._cell_of_all = view[:_CELL_SIZE].cast("d")
        self._totals = view[_LINE : _LINE + Kind.ALL * workers * _COUNT_SIZE].cast("I")
        self._cells = view[self._cells_at : self._counts_at].cast("d")
        counts = view[self._counts_at :].cast("I")
        self._counts = [counts[index * rows : (index + 1) * rows] for index in range(workers)]

    @classmethod
    def create(cls, *, workers: int, names: int, entropy: Entropy) -> Self:
        """New memory with room for `names` who are counted at a time. Raises OSError."""
        descriptor = os.memfd_create("icelane-ledger", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, _size(workers, _windows(names) * _WINDOW))
            return cls(descriptor, workers=workers, names=names, secret=entropy.token(SECRET_SIZE))
        except BaseException:
            os.close(descriptor)
            raise

    def fileno(self) -> int:
        """What another process maps it by."""
        return self._descriptor

    def total(self, kind: int) -> int:
        """How many are counted of that kind, in all workers."""
        first = kind * self.workers
        return sum(self._totals[first : first + self.workers])

    def enter(self, kind: int, worker: int, name: str, *, per_name: int, total: int) -> Limit | None:
        """Count one more of `name` in the worker's column, or nothing when a limit, 0 for none, is reached."""
        key = self._key(kind, name)
        with self._locked():
            row = self._find(key)
            if row is not None and per_name and self._count(row) >= per_name:
                return Limit.KEY
            if total and self.total(kind) >= total:
                return Limit.TOTAL
            if row is None:
                row = self._vacate(key)
                if row is None:
                    return Limit.TOTAL
                self._put_key(row, key)
            self._counts[worker][row] += 1
            self._totals[kind * self.workers + worker] += 1
            return None

    def leave(self, kind: int, worker: int, name: str) -> None:
        """Count one less of a name that has been counted by the worker."""
        key = self._key(kind, name)
        with self._locked():
            row = self._find(key)
            assert row is not None, "who is counted has a row"
            self._counts[worker][row] -= 1
            self._totals[kind * self.workers + worker] -= 1

    def count_of(self, kind: int, name: str) -> int:
        """How many are counted of one name, in all workers."""
        row = self._find(self._key(kind, name))
        return 0 if row is None else self._count(row)

    def cell_of_user(self, user_key: str) -> Cell:
        """The bandwidth cell of a user who has an allocation, good for as long as he has one."""
        row = self._find(self._key(Kind.ALLOCATIONS, user_key))
        assert row is not None, "who has an allocation has a row"
        return self._cells[row : row + 1]

    def cell_of_all(self) -> Cell:
        """The bandwidth cell of everybody."""
        return self._cell_of_all

    def clear(self, worker: int) -> bool:
        """That worker is gone: nothing is counted by it any more. False, at once, while somebody holds the lock."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            self._counts[worker][:] = memoryview(bytes(self._rows * _COUNT_SIZE)).cast("I")
            for kind in range(Kind.ALL):
                self._totals[kind * self.workers + worker] = 0
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Unmap it; again is harmless. Cells that are held keep the memory."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _key(self, kind: int, name: str) -> bytes:
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=KEY_SIZE, key=self.secret)
        return bytes((kind,)) + digest.digest()[1:]

    def _window(self, key: bytes) -> int:
        return int.from_bytes(key[8:], "big") % self._windows * _WINDOW

    def _find(self, key: bytes) -> int | None:
        first = self._window(key)
        begin = self._keys_at + first * KEY_SIZE
        end = begin + _WINDOW * KEY_SIZE
        at = self._memory.find(key, begin, end)
        while at >= 0 and (at - begin) % KEY_SIZE:
            at = self._memory.find(key, at + 1, end)  # across two rows
        return None if at < 0 else first + (at - begin) // KEY_SIZE

    def _vacate(self, key: bytes) -> int | None:
        first, now = self._window(key), monotonic()
        for row in range(first, first + _WINDOW):
            if not self._count(row) and self._cells[row] <= now:
                self._cells[row] = 0.0
                return row
        return None

    def _put_key(self, row: int, key: bytes) -> None:
        begin = self._keys_at + row * KEY_SIZE
        self._memory[begin : begin + KEY_SIZE] = key

    def _count(self, row: int) -> int:
        return sum(column[row] for column in self._counts)


class SharedTally:
    """One kind of a ledger, counted in the column of one worker: a `Tally`."""

    def __init__(self, ledger: Ledger, kind: int, worker: int) -> None:
        self._ledger = ledger
        self._kind = kind
        self._worker = worker

    @property
    def total(self) -> int:
        """How many are counted of all keys, in all workers."""
        return self._ledger.total(self._kind)

    def enter(self, key: str, *, per_key: int, total: int) -> Limit | None:
        """Count one more, or nothing when a limit is reached: then which."""
        return self._ledger.enter(self._kind, self._worker, key, per_name=per_key, total=total)

    def leave(self, key: str) -> None:
        """Count one less of a key that has been counted here."""
        self._ledger.leave(self._kind, self._worker, key)


class SharedCells:
    """The bandwidth cells of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of_user(self, user_key: str) -> Cell:
        """Of a user who has an allocation; for as long as he has one."""
        return self._ledger.cell_of_user(user_key)

    def of_all(self) -> Cell:
        """Of everybody."""
        return self._ledger.cell_of_all()


def _windows(names: int) -> int:
    return max(1, -(-names * _ROOM // _WINDOW))


def _head_size(workers: int) -> int:
    size = _LINE + Kind.ALL * workers * _COUNT_SIZE
    return -(-size // _LINE) * _LINE


def _size(workers: int, rows: int) -> int:
    return _head_size(workers) + rows * (KEY_SIZE + _CELL_SIZE + workers * _COUNT_SIZE)
