"""What `benches.allocation_profile` makes of the report of perf."""

from __future__ import annotations

from benches.allocation_profile import group_of, parse

REPORT = """\
# Samples: 5K of event 'cpu-clock:ppp'
# Overhead  Shared Object                 Symbol
# ........  ............................  ........................................
    12.50%  [kernel.kallsyms]             [k] __dev_queue_xmit
     6.25%  [kernel.kallsyms]             [k] kmem_cache_free
     3.00%  server.cpython-311-x86.so     [.] __pyx_f_handle_datagram
     2.00%  libpython3.11.so.1.0          [.] gc_collect_main
     1.00%  libpython3.11.so.1.0          [.] dict_traverse
     1.00%  libcrypto.so.3                [.] SHA1_Update
"""


def test_symbols_are_put_together_by_where_they_are() -> None:
    shares, symbols = parse(REPORT)
    assert shares == {
        "the kernel": 0.1875,
        "our modules, compiled": 0.03,
        "looking for garbage": 0.03,
        "hashing": 0.01,
    }
    assert symbols["the kernel"] == ["__dev_queue_xmit", "kmem_cache_free"]


def test_our_module_that_calls_a_library_is_not_taken_for_it() -> None:
    assert group_of("libcrypto.cpython-311-x86_64-linux-gnu.so", ".", "_mac") == "our modules, compiled"
    assert group_of("libcrypto.so.3", ".", "SHA256_Final") == "hashing"
    assert group_of("_socket.cpython-311-x86_64-linux-gnu.so", ".", "sock_sendto") == "other programs and libraries"
    assert group_of("python3.11", ".", "_PyEval_EvalFrameDefault") == "Python"
