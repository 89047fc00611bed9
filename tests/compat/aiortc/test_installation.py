"""`install` makes `import aiortc` give icelane, in programs of their own: it lasts for as long as the process does."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import icelane.compat.aiortc as ours
{before}
ours.install()
ours.install()
import aiortc, aiortc.contrib.media, aiortc.rtcrtpreceiver
from aiortc.mediastreams import MediaStreamError
assert aiortc is ours and aiortc.contrib.media.MediaStreamError is MediaStreamError
assert aiortc.rtcrtpreceiver.RemoteStreamTrack.__module__ == "icelane.compat.aiortc.rtcrtpreceiver"
print("installed")
"""


def run(before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)], capture_output=True, text=True, check=False
    )


def test_every_module_is_icelanes() -> None:
    assert run().stdout == "installed\n"


def test_it_refuses_where_the_real_one_is_imported() -> None:
    # A module of that name is what an import leaves behind.
    result = run("import types; sys.modules['aiortc.sdp'] = types.ModuleType('aiortc.sdp')")
    assert result.returncode != 0
    assert "InvalidStateError: aiortc itself is imported already (aiortc.sdp)" in result.stderr
