"""The site: what its builder is told, and that a dead link fails it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.sources import ROOT

with_sphinx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="Sphinx is not installed: pip install --group docs",
)


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does it."""
    recipe = re.search(r"^\t\$\(PYTHON\) (-m sphinx .*) -c docs \. build/docs$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe is not None
    command = [sys.executable, *recipe[1].split(), "-c", str(source / "docs"), str(source), str(target)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=300)


@with_sphinx
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[gone](nowhere.md)", "nowhere.md"),
        ("[gone](../README.md#nothing-of-that-name)", "nothing-of-that-name"),
        ("[gone](../examples/nothing.py)", "nothing.py"),
        ("![gone](images/nothing.png)", "nothing.png"),
        ("", ""),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_site(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/conf.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text("# One\n\n## Two words, three\n")
    fine = "[one](../README.md), [two](../README.md#two-words-three)"
    (tmp_path / "docs/index.md").write_text(f"# Index\n\n{text}\n\n## Learn\n\n- {fine}\n")
    done = build(tmp_path, tmp_path / "out")
    assert (done.returncode != 0) is bool(text), done.stderr
    assert complaint in done.stderr


@pytest.mark.skipif(not (ROOT / "build/docs/docs/index.html").exists(), reason="nobody has built it: make docs")
def test_nothing_of_the_site_comes_from_elsewhere() -> None:
    """Scripts, styles, fonts and pictures are in it, so that it works offline and tells nobody who reads what."""
    for page in (ROOT / "build/docs").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"([^\"]+)\"", page.read_text(encoding="utf-8")
        )
        assert [url for url in loaded if re.match(r"(?:https?:)?//", url)] == [], page
    for style in (ROOT / "build/docs").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")), style
