"""aiortc and icelane read the same in a description; where one refuses what the other takes, the reason is known."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from icelane.errors import MalformedError
from icelane.sdp.media import MediaDescription
from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.transport_attributes import Setup
from tests.interop.interpreters import need_aiortc
from tests.sdp.captures import CAPTURES

pytestmark = [pytest.mark.interop, pytest.mark.once]

SCRIPT: Final = Path(__file__).with_name("aiortc_descriptions.py")
ROLES: Final = {Setup.ACTPASS: "auto", Setup.ACTIVE: "client", Setup.PASSIVE: "server"}

BASE: Final = CAPTURES["firefox_media_offer"]
HEAD: Final = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
VARIANTS: Final = {
    **CAPTURES,
    "line ends by LF": BASE.replace("\r\n", "\n"),
    "no line end at the end": BASE.rstrip("\r\n"),
    "an unknown attribute": BASE + "a=x-new:1 2 3\r\n",
    "an unknown type of line": BASE + "q=1\r\n",
    "no v=": BASE.removeprefix("v=0\r\n"),
    "no o=": "\r\n".join(line for line in BASE.split("\r\n") if not line.startswith("o=")),
    "an empty line in the middle": BASE.replace("\r\nm=video", "\r\n\r\nm=video"),
    "a lone CR": BASE.replace("a=mid:1", "a=mid:1\ra=ice-lite"),
    "a NUL": BASE.replace("a=mid:1", "a=mid:\x001"),
    "an unknown kind": HEAD + "m=image 9 udptl t38\r\n",
    "a port that is none": BASE.replace("m=audio 9", "m=audio x"),
    "a negative port": BASE.replace("m=audio 9", "m=audio -9"),
    "a port beyond 65535": BASE.replace("m=audio 9", "m=audio 65536"),
    "a codec without a clock rate": BASE.replace("a=rtpmap:109 opus/48000/2", "a=rtpmap:109 opus"),
    "a payload type that is none": BASE.replace("a=rtpmap:109", "a=rtpmap:x"),
    "a payload type beyond 127": BASE.replace("a=rtpmap:109", "a=rtpmap:1090"),
    "an extension without a number": BASE.replace("a=extmap:1 ", "a=extmap:x "),
    "a role that is none": BASE.replace("a=setup:actpass", "a=setup:both"),
    "a fingerprint in one part": BASE.replace("a=fingerprint:sha-256 ", "a=fingerprint:"),
    "a fingerprint that is too short": BASE.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-512 "),
    "two mids in a section": BASE.replace("a=mid:1", "a=mid:1\r\na=mid:7"),
    "an SCTP port that is none": BASE.replace("a=sctp-port:5000", "a=sctp-port:x"),
    "an endless number": BASE.replace("a=max-message-size:", "a=max-message-size:" + "9" * 5000),
    "300 sections": HEAD + "m=audio 9 RTP/AVP 0\r\n" * 300,
    "a line of 100 KB": BASE + "a=x:" + "y" * 100_000 + "\r\n",
}  # fmt: skip

DIFFERENT: Final = {
    "gateway_offer": "aiortc knows audio, video and application only",
    "an unknown kind": "aiortc knows audio, video and application only",
    "no v=": "aiortc asks for no line in particular; RFC 8866 has v=, o=, s= and t= always",
    "no o=": "the same",
    "an empty line in the middle": "RFC 8866 has none, and a text that was pasted together may be two",
    "a lone CR": "Python's line ends are more than SDP's, and a reader of the other sort misses the second line",
    "a NUL": "RFC 8866 section 9 forbids it in every value",
    "a port beyond 65535": "aiortc keeps it as a number",
    "a fingerprint that is too short": "aiortc compares it as text when DTLS is up; we can say it at once",
    "two mids in a section": "two readers would take two different ones",
    "300 sections": "our bound",
    "a line of 100 KB": "our bound",
}
"""Where exactly one of the two refuses, and why that is well."""


@pytest.fixture(scope="module")
def understood() -> dict[str, object]:
    """What aiortc makes of each variant."""
    interpreter = need_aiortc()
    result = subprocess.run(
        [interpreter, str(SCRIPT)],
        input=json.dumps(list(VARIANTS.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(VARIANTS, json.loads(result.stdout), strict=True))


def parsed(text: str) -> SessionDescription | None:
    try:
        return parse_session(text)
    except MalformedError:
        return None


def ours(session: SessionDescription, media: MediaDescription) -> dict[str, object]:
    """What we read in a section, in the words of `tests/interop/aiortc_descriptions.py`."""
    credentials = session.ice_credentials(media) if media.ice_ufrag else None
    setup = media.setup
    return {
        "kind": media.kind,
        "port": media.port,
        "protocol": media.protocol,
        "formats": media.formats,
        "mid": media.mid or "",
        "ufrag": credentials.ufrag if credentials else None,
        "pwd": credentials.password if credentials else None,
        # aiortc gives those of the session to sections that have a role, which rejected ones have not.
        "fingerprints": [str(fingerprint).upper() for fingerprint in session.fingerprints(media) if setup],
        "role": ROLES[setup] if setup else None,
        "direction": media.direction.value if media.direction else None,
        "codecs": {str(number): [codec.encoding, codec.clock_rate] for number, codec in media.rtp_maps.items()},
        "extensions": [[extension.id, extension.uri] for extension in media.header_extensions],
        "candidates": len(media.candidates),
        "complete": media.end_of_candidates,
        "sctp_port": media.sctp_port,
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_one_refuses_what_the_other_takes_only_for_a_known_reason(name: str, understood: dict[str, object]) -> None:
    """SD-5: aiortc's accept set against ours."""
    agree = (parsed(VARIANTS[name]) is None) == isinstance(understood[name], str)
    assert agree == (name not in DIFFERENT), understood[name]


@pytest.mark.parametrize("name", CAPTURES)
def test_both_read_the_same(name: str, understood: dict[str, object]) -> None:
    """SD-5: what both take means the same to both."""
    theirs = understood[name]
    if isinstance(theirs, str):
        assert name in DIFFERENT
        return
    session = parse_session(CAPTURES[name])
    assert theirs == [ours(session, media) for media in session.media]
