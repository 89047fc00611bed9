from __future__ import annotations

import resource
import subprocess
import sys

PROGRAM = """
import resource
from icelane.server.descriptors import allow_many_descriptors
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
assert allow_many_descriptors() == hard
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
assert allow_many_descriptors() == hard
"""


def test_the_limit_on_descriptors_is_raised_as_far_as_it_goes() -> None:
    """In a process of its own, because the limit is the process's."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
