"""Ends what runs in a lab when the program that has built it is gone, however it went.

    python -m icelane.testing.lab.watch MARK OWNER NAMESPACE...

MARK is the lab's, the others are descriptors: that of a process (pidfd_open), and those of network namespaces. The
kernel kills what a program has started itself (PR_SET_PDEATHSIG), but not the children of that. A namespace of process
ids would, at the price that the ids and signals of programs are no longer those of the processes that were started.
"""

from __future__ import annotations

import select
import sys

from icelane.testing.lab.processes import end_processes


def main(mark: str, owner: int, *namespaces: int) -> None:
    """Wait for the end of the owner."""
    ended = select.poll()
    ended.register(owner, select.POLLIN)
    ended.poll()
    end_processes(namespaces, mark)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
