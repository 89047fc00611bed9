"""coturn's test client `turnutils_uclient`, run against a server, and the figures that it prints.

Its exit code is 0 whatever happened, so a run is judged by its totals alone. It prints them again and again while it
runs; only the last ones count:

    4: : start_mclient: msz=2, tot_send_msgs=8, tot_recv_msgs=8, tot_send_bytes ~ 800, tot_recv_bytes ~ 800
    4: : start_mclient: tot_send_msgs=20, tot_recv_msgs=20
    4: : Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

PACKAGE = "coturn"
TIMEOUT = 60.0  # seconds; a good run takes 2 to 7

# A run may end without giving all its allocations back. The next one has another address, and so no port of theirs.
_runs = count()

_TOTALS = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")
_LOST = re.compile(r"Total lost packets (-?\d+)")


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What one run sent, received and lost, in messages. `lost` is None when the run never came to count it."""

    sent: int
    received: int
    lost: int | None
    output: str

    @property
    def passed(self) -> bool:
        """Whether something was sent and all of it came back."""
        return self.sent == self.received > 0 and self.lost == 0


def parse_totals(output: str) -> Totals:
    """The last totals in what `turnutils_uclient` printed; zeros when it printed none."""
    totals = _TOTALS.findall(output)
    lost = _LOST.findall(output)
    sent, received = totals[-1] if totals else ("0", "0")
    return Totals(sent=int(sent), received=int(received), lost=int(lost[-1]) if lost else None, output=output)


def run_uclient(executable: str, host: str, port: int, flags: Sequence[str], *, timeout: float = TIMEOUT) -> Totals:
    """Run the client with `flags` against the server on `host` and `port`.

    What is not finished after `timeout` seconds is ended, and counts as far as it got; it cannot have passed.
    """
    run_number = next(_runs)
    source = ["-L", f"127.0.{1 + run_number // 250}.{1 + run_number % 250}"] if host == "127.0.0.1" else []
    command = [executable, *flags, *source, "-p", str(port), host]
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
    except subprocess.TimeoutExpired as expired:
        partial = (expired.output or b"").decode(errors="replace")
        return replace(parse_totals(partial), lost=None, output=f"{partial}\nended after {timeout:g} s")
    return parse_totals(run.stdout.decode(errors="replace"))
