"""Writes the documents that describe signaling to programs: `python -m docs.signal_documents`."""

from __future__ import annotations

import json
from pathlib import Path

from icelane.signaling.schema import asyncapi, signal_schema

REFERENCE = Path(__file__).parent / "reference"


def main() -> None:
    """Write docs/reference/asyncapi.json and signal.schema.json."""
    for name, document in (("asyncapi.json", asyncapi()), ("signal.schema.json", signal_schema())):
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
