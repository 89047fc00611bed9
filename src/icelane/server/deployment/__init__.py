"""What runs the server on a machine: a unit for systemd, and files for a container. `icelane init` writes them.

They are templates in text, filled in here and nowhere else, so that what is written is what the tests have judged.
"""

from __future__ import annotations
