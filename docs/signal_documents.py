"""Writes the documents that describe signaling and HTTP to programs: `python -m docs.signal_documents`.

Into the reference, and into the package, where programs find them that have it installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from icelane.signaling.http.compatibility import SHAPES
from icelane.signaling.http.openapi import openapi
from icelane.signaling.http.surface import HttpSurface
from icelane.signaling.schema import Document, asyncapi, signal_schema

_HERE: Final = Path(__file__).parent
PLACES: Final = (_HERE / "reference", _HERE.parent / "src" / "icelane" / "signaling" / "documents")


def documents() -> dict[str, Document]:
    """Each by its name, of a server that has everything that can be switched on."""
    return {"asyncapi.json": asyncapi(), "signal.schema.json": signal_schema(), "openapi.json": openapi(_endpoints())}


def main() -> None:
    """Write them."""
    for name, document in documents().items():
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for place in PLACES:
            (place / name).write_text(text, encoding="utf-8")


def _endpoints() -> Any:
    # What the endpoints would ask is asked by nobody here.
    nobody: Any = object()
    surface = HttpSurface(
        callers=nobody,
        readiness=nobody,
        signal_url=lambda: "",
        ice=nobody,
        revoker=nobody,
        tokens=nobody,
        tickets=nobody,
        rooms=nobody,
        compat=SHAPES,
        pages=True,
        diagnosis=nobody,
    )
    return surface.endpoints()


if __name__ == "__main__":
    main()
