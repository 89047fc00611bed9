"""What browsers load: `icelane.js`, the client of signaling as one ES module without dependencies.

app.mount("/static", StaticFiles(directory=icelane.web.FOLDER))        # /static/icelane.js
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""The folder to serve."""

MODULE: Final = FOLDER / "icelane.js"
"""The module itself."""
