"""What `benches.profile` makes of the report of perf."""

from __future__ import annotations

from benches.profile import OTHER_KERNEL, group_of, parse

REPORT = """\
# Samples: 5K of event 'cpu-clock:ppp'
# Overhead  Shared Object                 Symbol
# ........  ............................  ........................................
    12.50%  [kernel.kallsyms]             [k] __dev_queue_xmit
     6.25%  [kernel.kallsyms]             [k] kmem_cache_free
     3.00%  core.cpython-311-x86.so       [.] relay_core_run
     2.00%  python3.11                    [.] _PyEval_EvalFrameDefault
     1.00%  [kernel.kallsyms]             [k] nobody_knows_it
"""


def test_symbols_are_put_together_by_what_they_do() -> None:
    shares, unknown = parse(REPORT)
    assert shares == {"sending": 0.125, "buffers": 0.0625, "our core in C": 0.03, "Python": 0.02, OTHER_KERNEL: 0.01}
    assert unknown == {"nobody_knows_it": 0.01}


def test_a_symbol_that_no_group_knows_is_shown_as_such() -> None:
    assert group_of("[kernel.kallsyms]", "k", "nobody_knows_it") is None
    assert group_of("libc.so.6", ".", "memcpy") == "the C library"
