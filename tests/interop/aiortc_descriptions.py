"""Run by an interpreter that has aiortc: reads a JSON list of descriptions, writes what aiortc makes of each.

A list with one object for each section, or a text that says how it was refused.
"""

from __future__ import annotations

import importlib
import json
import sys


def understood(text: str) -> object:
    """What aiortc reads in `text`, in the words of `tests/interop/test_aiortc_descriptions.py`."""
    library = importlib.import_module("aiortc.sdp")
    try:
        session = library.SessionDescription.parse(text)
    except Exception as error:  # whatever it is, it is how aiortc refuses
        return type(error).__name__
    return [
        {
            "kind": media.kind,
            "port": media.port,
            "protocol": media.profile,
            "formats": [str(name) for name in media.fmt],
            "mid": media.rtp.muxId,
            "ufrag": media.ice.usernameFragment,
            "pwd": media.ice.password,
            "fingerprints": [f"{one.algorithm} {one.value}".upper() for one in media.dtls.fingerprints]
            if media.dtls
            else [],
            "role": media.dtls.role if media.dtls else None,
            "direction": media.direction,
            "codecs": {codec.payloadType: [codec.name, codec.clockRate] for codec in media.rtp.codecs},
            "extensions": [[extension.id, extension.uri] for extension in media.rtp.headerExtensions],
            "candidates": len(media.ice_candidates),
            "complete": media.ice_candidates_complete,
            "sctp_port": media.sctp_port or next(iter(media.sctpmap), None),
        }
        for media in session.media
    ]


if __name__ == "__main__":
    json.dump([understood(text) for text in json.load(sys.stdin)], sys.stdout)
