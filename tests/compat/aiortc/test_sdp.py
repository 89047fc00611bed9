"""Descriptions of browsers, gateways and other libraries, read by aiortc's names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.compat.aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp, candidate_to_sdp
from tests.interop.interpreters import need_aiortc
from tests.interop.test_aiortc_descriptions import SCRIPT, VARIANTS
from tests.sdp.captures import CAPTURES

# The same script, with icelane where it looks for aiortc.
OURS: Final = (
    "import icelane.compat.aiortc, runpy, sys; icelane.compat.aiortc.install(); "
    "runpy.run_path(sys.argv[1], run_name='__main__')"
)
LINES: Final = sorted({line for text in CAPTURES.values() for line in text.splitlines()})


def fields(media: MediaDescription) -> dict[str, object]:
    return {name: repr(value) for name, value in vars(media).items()}


@pytest.mark.parametrize("name", CAPTURES)
def test_what_is_written_reads_the_same(name: str) -> None:
    session = SessionDescription.parse(CAPTURES[name])
    again = SessionDescription.parse(str(session))
    assert [fields(media) for media in again.media] == [fields(media) for media in session.media]
    assert (again.origin, again.group, again.msid_semantic) == (session.origin, session.group, session.msid_semantic)


@pytest.mark.parametrize("name", VARIANTS)
def test_what_cannot_be_read_is_a_valueerror(name: str) -> None:
    try:
        SessionDescription.parse(VARIANTS[name])
    except ValueError:
        assert name not in CAPTURES


@given(st.lists(st.sampled_from(LINES), max_size=40))
def test_any_lines_are_read_or_a_valueerror(lines: list[str]) -> None:
    text = "".join(f"{line}\r\n" for line in ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", *lines])
    try:
        session = SessionDescription.parse(text)
    except ValueError:
        return
    for media in session.media:
        session.webrtc_track_id(media)


@pytest.mark.parametrize(
    "line",
    [
        "1 1 udp 2122260223 192.0.2.7 54321 typ host",
        "1 1 udp 1 2001:db8::1 54321 typ srflx raddr 10.0.0.1 rport 1234",
        "abc 1 tcp 1 192.0.2.7 9 typ host tcptype active",
    ],
)
def test_candidates_are_read_and_written(line: str) -> None:
    assert candidate_to_sdp(candidate_from_sdp(line)) == line
    assert candidate_from_sdp(f"candidate:{line} generation 0 ufrag x") == candidate_from_sdp(line)


@pytest.mark.parametrize("line", ["", "1 1 udp", "1 x udp 1 192.0.2.7 5 typ host", "1 1 udp 1 192.0.2.7 5 kind host"])
def test_what_is_no_candidate_is_a_valueerror(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        candidate_from_sdp(line)


@pytest.mark.interop
@pytest.mark.once
def test_both_read_the_same() -> None:
    theirs, ours = read(need_aiortc(), str(SCRIPT)), read(sys.executable, "-c", OURS, str(SCRIPT))
    # aiortc refuses kinds that it does not know; of what has no DTLS it reads fingerprints otherwise.
    compared = [name for name in CAPTURES if isinstance(theirs[name], list)]
    assert len(compared) > len(CAPTURES) // 2
    assert {name: ours[name] for name in compared} == {name: theirs[name] for name in compared}


def read(interpreter: str | Path, *arguments: str) -> dict[str, Any]:
    given = json.dumps(list(CAPTURES.values()))
    result = subprocess.run([interpreter, *arguments], input=given, capture_output=True, text=True, check=True)
    return dict(zip(CAPTURES, json.loads(result.stdout), strict=True))
