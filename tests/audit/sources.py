"""The project's own files, for checks that read instead of run."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "icelane"
_NOT_OURS: Final = {".git", ".venv", ".venv-build", ".venv-peers", "build", "dist", "findings", "__pycache__"}


def product_modules() -> dict[str, ast.Module]:
    """The syntax tree of every module of the package but `testing`, by its path below `src/icelane`."""
    return {
        path.relative_to(PACKAGE).as_posix(): _tree(path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "testing"
    }


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def tracked_files() -> list[Path]:
    """Every file under version control, or what an unpacked archive holds; without binary files."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
        paths = [ROOT / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not _NOT_OURS & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def imported_modules(tree: ast.Module) -> list[tuple[int, str]]:
    """Line and full name of everything that a module imports, `from` imports with the name."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def dotted_name(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain, "" for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted_name(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""
