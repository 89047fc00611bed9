"""How the pages become a site: `make docs` puts it into build/docs. Every warning is an error, so that no link is dead.

The whole repository is the source, so that a page links to README, a program or a decision by the same relative path
as on a hosting platform; only pages are read, and whatever else is linked to is copied. Nothing comes from a network:
the theme has its style, its script and no font of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "icelane"
author = "the authors of icelane"
project_copyright = "the authors of icelane, BSD-3-Clause"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "build", "dist", "src", "tests", "benches", "fuzz", "demo", "examples", "deploy"]
source_suffix = {".md": "markdown"}

# Anchors as hosting platforms make them of headings, of every depth that pages have.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "icelane"
# The green of the pages that come with the server.
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f6b63", "color-brand-content": "#1f6b63"},
    "dark_css_variables": {"color-brand-primary": "#7fd6c9", "color-brand-content": "#7fd6c9"},
}
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_baseurl = ""
html_use_index = False
# The colours of code are Pygments', for light and for dark.
pygments_style = "friendly"
pygments_dark_style = "monokai"

LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+\.md)\)")
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def _with_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """The contents beside each page: what docs/index.md and the list of decisions link to."""
    folder = Path(app.srcdir, name).parent
    if name == root_doc:
        sections = SECTION.findall(source[0])
    elif name == "docs/decisions/README":
        sections = [("", source[0])]
    else:
        return
    for title, text in sections:
        pages = dict.fromkeys(
            (folder / link).resolve().relative_to(ROOT).with_suffix("") for link in LINK.findall(text)
        )
        if name != root_doc:
            pages = {page: None for page in pages if page.parent == Path("docs/decisions")}
        contents = "\n".join(f"/{page.as_posix()}" for page in pages)
        caption = f":caption: {title}\n" if title else ""
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n{caption}\n{contents}\n```\n"


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("source-read", _with_contents)
