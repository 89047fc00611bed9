"""Where settings come from: a TOML file or text, the environment, flags; merged key by key, with their origin.

    flag  >  ICELANE_<SECTION>__<KEY>  >  file, or ICELANE_CONFIG_BODY  >  default

A key that is set in a higher place replaces the lower one whole: lists and tables are not blended.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from icelane.errors import ConfigurationError
from icelane.server.config.model import Config

PREFIX = "ICELANE_"

BODY = "ICELANE_CONFIG_BODY"
"""The environment variable that holds the text of a whole file."""

RESERVED = frozenset({"ICELANE_PURE", "ICELANE_REQUIRE_COMPILED", "ICELANE_REQUIRE_INTEROP", BODY})
"""Names that start like settings and are none."""

# A configuration file is read whole; more than this is a mistake, such as the path of a log.
_FILE_BYTES = 1 << 20

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")

KeyPath = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value was found: `name` as an error calls it, `file` when it stands in one."""

    name: str
    file: str | None = None


@dataclass(kw_only=True)
class Tree:
    """Raw values by key path, their origins, and what went wrong while they were read."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[ConfigurationError] = field(default_factory=list)

    def put(self, path: KeyPath, value: object, origin: Origin) -> None:
        """Set one key, over whatever a lower source said."""
        table = self.values
        for part in path[:-1]:
            below = table.get(part)
            if not isinstance(below, dict):
                below = table[part] = {}
            table = below
        table[path[-1]] = value
        self.origins[path] = origin

    def problem(self, message: str, origin: Origin) -> None:
        """Remember an error and go on, so that one run names them all."""
        self.problems.append(ConfigurationError(message, key=origin.name, file=origin.file))

    def origin_of(self, path: KeyPath) -> Origin:
        """The origin of the key that `path` is or lies inside, named down to the place itself."""
        for length in range(len(path), 0, -1):
            origin = self.origins.get(path[:length])
            if origin is not None:
                return Origin(name=_named(origin.name, path[length:]), file=origin.file)
        return Origin(name=dotted(path))


def dotted(path: KeyPath) -> str:
    """`turn.secrets[0].kid` for `("turn", "secrets", "0", "kid")`."""
    return _named(path[0], path[1:]) if path else ""


def read_file(path: Path) -> str:
    """The text of a configuration or secret file. Raises ConfigurationError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"cannot be read: {reason}", key="", file=str(path)) from None
    if len(raw) > _FILE_BYTES:
        raise ConfigurationError("larger than 1 MiB, so not a configuration", key="", file=str(path))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass  # raised below: the exception would carry the file's bytes along
    raise ConfigurationError("not UTF-8 text", key="", file=str(path))


def add_toml(tree: Tree, text: str, file: str) -> None:
    """Put every key of a TOML text into `tree`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        tree.problem(f"not TOML: {error}", Origin(name="file", file=file))
        return
    for path, value in _leaves(document, Config):
        tree.put(path, value, Origin(name=dotted(path), file=file))


def add_environment(tree: Tree, environ: Mapping[str, str], folder: Path) -> None:
    """Put every `ICELANE_<SECTION>__<KEY>` of `environ` into `tree`; an unknown one is a problem.

    `..._FILE` after a key that holds secrets names a file with the value; a relative path is relative to `folder`.
    """
    known = dict(environment_names())
    # Whole tables first, so that a more precise name wins over them.
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        if not name.startswith(PREFIX) or "__" not in name or name in RESERVED:
            continue
        origin = Origin(name=name)
        path, from_file = known.get(name), False
        if path is None and name.endswith("_FILE"):
            path, from_file = known.get(name.removesuffix("_FILE")), True
            if path is not None and not _is_secret(path):
                path = None
        if path is None:
            tree.problem(_unknown(name, known), origin)
            continue
        if from_file and name.removesuffix("_FILE") in environ:
            tree.problem(f"is set beside {name.removesuffix('_FILE')}; only one of them can count", origin)
            continue
        _add_variable(tree, path, environ[name], origin, folder if from_file else None)


def add_flags(tree: Tree, flags: Mapping[str, object]) -> None:
    """Put values by dotted name (`turn.realm`) into `tree`, above everything else."""
    for name, value in flags.items():
        tree.put(tuple(name.split(".")), value, Origin(name=name))


def environment_names() -> Iterator[tuple[str, KeyPath]]:
    """Each environment variable that is a setting, with the path of its key."""
    for path, _info in settings():
        if len(path) > 1:
            yield PREFIX + "__".join(part.upper() for part in path), path


def settings(model: type[BaseModel] = Config, above: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Each key of the model and its description, tables before what they contain."""
    for name, info in model.model_fields.items():
        path = (*above, name)
        yield path, info
        table = table_of(info)
        if table is not None:
            yield from settings(table, path)


def table_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a key that is a table of settings, None for any other key."""
    annotation = info.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def entry_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model of the entries of a key that is a list of tables, None for any other key."""
    inside = get_args(info.annotation)[:1] if get_origin(info.annotation) is tuple else ()
    kind = inside[0] if inside else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _add_variable(tree: Tree, path: KeyPath, text: str, origin: Origin, folder: Path | None) -> None:
    if folder is not None:
        try:
            text = read_file(folder / text).strip()
        except ConfigurationError as error:
            tree.problem(f"names a file that {error.message}", Origin(name=origin.name, file=error.file))
            return
    try:
        value = _decode(path, text)
    except ValueError as error:
        reason = str(error)
    else:
        for leaf, below in _leaves_of(path, value):
            tree.put(leaf, below, Origin(name=_named(origin.name, leaf[len(path) :])))
        return
    tree.problem(reason, origin)


def _decode(path: KeyPath, text: str) -> object:
    """The value that an environment variable spells. Raises ValueError, whose text never repeats the variable."""
    info = _info(path)
    kind = info.annotation
    if table_of(info) is not None or _holds_many(kind):
        return _decode_json(text)
    if kind is bool:
        return _decode_switch(text)
    if kind is int:
        if not _INTEGER.fullmatch(text.strip()):
            raise ValueError("should be a whole number")
        return int(text)
    return text


def _decode_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pass  # raised below: a JSONDecodeError carries the whole text along
    raise ValueError('should be JSON, such as ["a", "b"] for a list or {"a": "b"} for a table')


def _decode_switch(text: str) -> bool:
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
    if value is None:
        raise ValueError("should be true or false")
    return value


def _holds_many(kind: object) -> bool:
    return get_origin(kind) in (tuple, Mapping)


def _info(path: KeyPath) -> FieldInfo:
    return next(info for known, info in settings() if known == path)


def _is_secret(path: KeyPath) -> bool:
    extra = _info(path).json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _leaves(
    document: Mapping[str, object], model: type[BaseModel], above: KeyPath = ()
) -> Iterator[tuple[KeyPath, Any]]:
    """The keys of a document: tables of settings are opened, every other value is one key."""
    for name, value in document.items():
        path = (*above, name)
        info = model.model_fields.get(name)
        table = table_of(info) if info is not None else None
        if table is not None and isinstance(value, dict):
            yield from _leaves(value, table, path)
        else:
            yield path, value


def _leaves_of(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, Any]]:
    table = table_of(_info(path))
    if table is not None and isinstance(value, dict):
        return _leaves(value, table, path)
    return iter([(path, value)])


def _named(name: str, parts: KeyPath) -> str:
    return name + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)


def _unknown(name: str, known: Mapping[str, KeyPath]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"unknown setting; did you mean {near[0]}?" if near else "unknown setting"
