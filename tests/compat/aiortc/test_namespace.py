"""icelane.compat.aiortc has aiortc's names, and they take what aiortc's take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interop.interpreters import need_aiortc

HERE: Final = Path(__file__).parent
SCRIPT: Final = HERE / "describe_namespace.py"
FROZEN: Final = HERE / "namespace.json"

# What programs do not call, since a connection does it to its own parts.
LEFT_OUT: Final = {
    ("RTCRtpReceiver", "receive"),
    ("RTCRtpReceiver", "setTransport"),
    ("RTCRtpSender", "send"),
    ("RTCRtpSender", "setTransport"),
    ("RTCSctpTransport", "State"),
    ("RTCSctpTransport", "setTransport"),
    ("JitterBuffer", "add"),
    ("JitterBuffer", "remove"),
    ("JitterBuffer", "smart_remove"),
}
# Made by MediaPlayer alone.
OTHER_PARAMETERS: Final = {"PlayerStreamTrack"}


def described(interpreter: str, *arguments: str) -> dict[str, dict[str, Any]]:
    result = subprocess.run([interpreter, SCRIPT, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def ours() -> dict[str, dict[str, Any]]:
    return described(sys.executable, "ours")


def test_every_name_is_there_and_takes_what_aiortcs_takes(ours: dict[str, dict[str, Any]]) -> None:
    theirs: dict[str, dict[str, Any]] = json.loads(FROZEN.read_text())
    assert len(theirs["aiortc"]) == 42
    assert list(ours) == list(theirs)
    differences = [
        (module, name, difference)
        for module, names in theirs.items()
        for name, value in names.items()
        for difference in compare(name, value, ours[module].get(name))
    ]
    assert differences == []


def compare(name: str, theirs: Any, ours: Any) -> list[object]:
    """How one name is another thing."""
    if not isinstance(theirs, dict):
        return [] if theirs == ours else [(theirs, ours)]
    if not isinstance(ours, dict):
        return [(theirs, ours)]
    found: list[object] = []
    if name not in OTHER_PARAMETERS and theirs["parameters"] != ours["parameters"]:
        found.append((theirs["parameters"], ours["parameters"]))
    for member, value in theirs["members"].items():
        if (name, member) not in LEFT_OUT and ours["members"].get(member) != value:
            found.append((member, value, ours["members"].get(member)))
    return found


@pytest.mark.interop
@pytest.mark.once
def test_the_frozen_names_are_those_of_aiortc() -> None:
    assert described(need_aiortc()) == json.loads(FROZEN.read_text())
