"""coturn's turnserver.conf as settings of icelane.

    lines = parse_turnserver(text)                 # raises TurnserverError that names every line that is wrong
    translation = translate(lines, surroundings)   # what is set, what needs no setting, what has no counterpart
    toml(translation, "turnserver.conf")           # the text of an icelane.toml

Every option that coturn has up to 4.17 stands in `options`, each with what becomes of it; none is passed over in
silence. Read `options` for that, `file` for the format and `translation` for how one becomes the other.
"""

from __future__ import annotations

from icelane.compat.coturn.file import Line, Problem, TurnserverError, parse_turnserver
from icelane.compat.coturn.toml import toml
from icelane.compat.coturn.translation import Fate, Remark, Setting, Surroundings, Translation, translate

__all__ = [
    "parse_turnserver",
    "Line",
    "Problem",
    "TurnserverError",
    "translate",
    "Translation",
    "Surroundings",
    "Setting",
    "Remark",
    "Fate",
    "toml",
]
