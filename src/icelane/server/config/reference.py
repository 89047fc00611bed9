"""Writes docs/reference/configuration.md from the model, so that the two cannot differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from icelane.server.config.model import Config, SharedSecret
from icelane.server.config.sources import BODY, PREFIX, RESERVED, KeyPath, settings, table_of
from icelane.server.config.values import DurationValue, PortRange

_INTRODUCTION = f"""# Configuration

Written by `icelane config docs`; do not edit.

Settings come from, in order of precedence: a flag of the command, the environment, a TOML file, the default. A key that
is set in a higher place replaces the lower one whole.

- The file is the one named with `-c`. Without that it is the text in `{BODY}`, then `icelane.toml` in the
  working directory, then `/etc/icelane/icelane.toml`; without any, the environment and the defaults count alone.
- In the environment `turn.quota.allocations_total` is `{PREFIX}TURN__QUOTA__ALLOCATIONS_TOTAL`. Lists and tables are
  JSON.
- A name that ends in `_FILE` names a file with the value, for keys that hold secrets. A relative path is relative to
  the configuration file.
- An unknown key, an unknown `{PREFIX}<SECTION>__<KEY>`, a wrong type or an inconsistent value stops the start. All
  mistakes are named at once.
- {", ".join(f"`{name}`" for name in sorted(RESERVED))} are not settings.
"""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One key as the reference shows it."""

    key: str
    variable: str
    kind: str
    default: str
    description: str


def reference() -> tuple[Setting, ...]:
    """Every key, in the order of the model."""
    found = []
    for path, info in settings():
        if table_of(info) is None:
            found.append(_setting(path, info))
        if path == ("turn", "secrets"):
            found += [_entry(path, name, below) for name, below in SharedSecret.model_fields.items()]
    return tuple(found)


def markdown() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    section = ""
    for setting in reference():
        above = setting.key.rpartition(".")[0].removesuffix("[]")
        if not setting.key.endswith("secrets") and above != section and above != "turn.secrets":
            section = above
            lines += [f"## {_title(section)}", ""]
        lines += _paragraph(setting)
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(setting: Setting) -> Iterator[str]:
    yield f"### `{setting.key}`"
    yield ""
    yield f"{setting.kind}; default: {setting.default}." + (
        f" Environment: `{setting.variable}`." if setting.variable else ""
    )
    yield ""
    yield setting.description
    yield ""


def _title(section: str) -> str:
    model: type[BaseModel] = Config
    for part in section.split("."):
        below = table_of(model.model_fields[part])
        assert below is not None
        model = below
    return str(model.__doc__).splitlines()[0].rstrip(".")


def _setting(path: KeyPath, info: FieldInfo) -> Setting:
    extra = _extra(info)
    variable = PREFIX + "__".join(part.upper() for part in path)
    return Setting(
        key=".".join(path),
        variable=f"{variable}` or `{variable}_FILE" if extra.get("secret") else variable,
        kind=_capitalised(str(extra["kind"])),
        default=str(extra["shown"]) if "shown" in extra else _default(info),
        description=str(info.description),
    )


def _entry(path: KeyPath, name: str, info: FieldInfo) -> Setting:
    return Setting(
        key=f"{'.'.join(path)}[].{name}",
        variable="",
        kind=_capitalised(str(_extra(info)["kind"])),
        default="none, it must be given",
        description=str(info.description),
    )


def _default(info: FieldInfo) -> str:
    value: object = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, PortRange | DurationValue):
        return f"`{value}`"
    if isinstance(value, Mapping):
        return "empty"
    if isinstance(value, tuple):
        return "empty"
    return f"`{json.dumps(value)}`"


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
