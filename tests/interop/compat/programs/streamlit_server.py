"""`streamlit run streamlit_app.py` on the port that is given, with icelane where streamlit-webrtc expects aiortc."""

from __future__ import annotations

import sys
from pathlib import Path

import icelane.compat.aiortc

icelane.compat.aiortc.install()
icelane.compat.aiortc.DEFAULT_ICE_SERVERS.clear()

from streamlit.web.cli import main  # noqa: E402

app = Path(__file__).with_name("streamlit_app.py")
sys.argv = [
    "streamlit", "run", str(app), "--server.port", sys.argv[1], "--server.address", "127.0.0.1",
    "--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none",
]  # fmt: skip
sys.exit(main())
