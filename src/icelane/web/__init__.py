"""What browsers load: `icelane.js`, the client of signaling as one ES module without dependencies, and the pages.

app.mount("/static", StaticFiles(directory=icelane.web.FOLDER))        # /static/icelane.js
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""The folder to serve."""

MODULE: Final = FOLDER / "icelane.js"
"""The module itself."""

PAGES: Final = FOLDER / "pages"
"""The call page, the page of diagnosis, and what they load; `icelane serve` has them at `/` and `/pages/`."""
