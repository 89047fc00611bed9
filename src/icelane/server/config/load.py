"""The way in: read every source, validate, resolve."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from icelane.server.config.model import Config
from icelane.server.config.resolution import resolve
from icelane.server.config.sources import (
    BODY,
    Origin,
    Tree,
    add_environment,
    add_flags,
    add_toml,
    read_file,
)
from icelane.server.config.validation import refuse, validate
from icelane.server.machine import Machine

SEARCHED = (Path("icelane.toml"), Path("/etc/icelane/icelane.toml"))
"""Where a configuration is looked for when none is named; the first that exists counts."""


def load_config(
    file: Path | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    searched: tuple[Path, ...] = SEARCHED,
    machine: Machine | None = None,
    serving: bool = False,
) -> Config:
    """The settings from `file`, the environment and `flags` (dotted names), checked and complete.

    Without `file` the text in ICELANE_CONFIG_BODY counts, and without that the first existing file of `searched`. With
    `serving` it is an error that nobody could ever authenticate, so that a server would only refuse.

    Raises ConfigurationError that names every wrong key and where it stands, or where each is right alone what does not
    fit together; no error holds a value that may be secret.
    """
    environ = os.environ if environ is None else environ
    tree = Tree()
    folder = Path()
    path = _chosen(file, environ, searched)
    if path is not None:
        add_toml(tree, read_file(path), str(path))
        folder = path.parent
    elif BODY in environ:
        add_toml(tree, environ[BODY], BODY)
    add_environment(tree, environ, folder)
    add_flags(tree, flags or {})
    if serving:
        _require_credentials(tree)
    return _complete(tree, machine, folder)


def parse_config(document: Mapping[str, object], *, machine: Machine | None = None) -> Config:
    """The settings of a program's own table, shaped like the file, checked and complete. Raises ConfigurationError."""
    return _complete(Tree(values=dict(document)), machine, Path())


def _require_credentials(tree: Tree) -> None:
    """Report that nobody could authenticate, beside what is wrong with the values that are there."""
    if tree.problems:
        return  # what could not be read may be just that
    turn = tree.values.get("turn", {})
    if isinstance(turn, dict) and not any(turn.get(name) for name in ("users", "secrets", "auth")):
        text = "nobody could authenticate: neither users nor secrets are set. `openssl rand -base64 32` prints a secret"
        tree.problem(f"{text} for [[turn.secrets]]", Origin(name="turn.secrets"))


def _complete(tree: Tree, machine: Machine | None, folder: Path) -> Config:
    config = validate(tree)
    complete = resolve(
        config, machine or Machine.here(), folder, lambda path, message: tree.problem(message, tree.origin_of(path))
    )
    refuse(tree.problems)
    return complete


def _chosen(file: Path | str | None, environ: Mapping[str, str], searched: tuple[Path, ...]) -> Path | None:
    if file is not None:
        return Path(file)
    if BODY in environ:
        return None
    return next((path for path in searched if path.is_file()), None)
