"""What the documentation names exists: files, make targets, commands, test modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.audit.sources import ROOT, tracked_files

PAGES = {path.relative_to(ROOT).as_posix(): path for path in tracked_files() if path.suffix == ".md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE_TARGET = re.compile(r"`make ([a-z-]+)[^`]*`|^\s*(?:\$ )?make ([a-z-]+)", re.MULTILINE)
PROJECT_FILE = re.compile(r"`((?:src|tests|docs|benches|fuzz|demo)/[\w./-]+\.\w+)`")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

pages = pytest.mark.parametrize("page", PAGES or ["none"])


def text_of(page: str) -> str:
    """The page, empty when there are none yet."""
    return PAGES[page].read_text(encoding="utf-8") if page in PAGES else ""


@pages
def test_every_relative_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for link in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:|#", link):
            continue
        assert Path(folder, link.partition("#")[0]).exists(), link


@pages
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    named = {first or second for first, second in MAKE_TARGET.findall(text_of(page))}
    assert named - TARGETS <= {"sure", "it", "a", "the"}, "prose begins lines with make, too"


@pages
def test_every_project_file_that_a_page_names_exists(page: str) -> None:
    for name in PROJECT_FILE.findall(text_of(page)):
        assert (ROOT / name).exists(), name
