"""Writes docs/reference/configuration.md from the model, so that the two cannot differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from icelane.server.config.model import Config
from icelane.server.config.presentation import Plain, plain
from icelane.server.config.sources import BODY, PREFIX, RESERVED, KeyPath, entry_of, settings, table_of
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
  wrong keys are named at once; what does not fit together is named once each key is right.
- {", ".join(f"`{name}`" for name in sorted(RESERVED))} are not settings.
"""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One key as the reference shows it. Texts are Markdown; `value` is the default where it is always the same.

    `file_variable` may name a file with the value instead; a name that is empty does not exist.
    """

    key: str
    variable: str = ""
    file_variable: str = ""
    kind: str
    value: Plain | None = None
    default: str
    description: str

    @property
    def variables(self) -> tuple[str, ...]:
        """The names in the environment."""
        return tuple(name for name in (self.variable, self.file_variable) if name)

    def as_json(self) -> dict[str, object]:
        """For programs: values are values, and texts have no Markdown."""
        return {
            "key": self.key,
            "variable": self.variable or None,
            "fileVariable": self.file_variable or None,
            "kind": _unmarked(self.kind),
            "default": self.value,
            "defaultText": _unmarked(self.default),
            "description": _unmarked(self.description),
        }


def reference() -> tuple[Setting, ...]:
    """Every key, in the order of the model."""
    found = []
    for path, info in settings():
        if table_of(info) is None:
            found.append(_setting(path, info))
        entry = entry_of(info)
        if entry is not None:
            found += [_entry(path, name, below) for name, below in entry.model_fields.items()]
    return tuple(found)


def markdown() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    section = ""
    for setting in reference():
        above = setting.key.partition("[]")[0].rpartition(".")[0]
        if above != section:
            section = above
            lines += [f"## {_title(section)}", ""]
        lines += _paragraph(setting)
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(setting: Setting) -> Iterator[str]:
    yield f"### `{setting.key}`"
    yield ""
    names = " or ".join(f"`{name}`" for name in setting.variables)
    yield f"{setting.kind}; default: {setting.default}." + (f" Environment: {names}." if names else "")
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
        variable=variable,
        file_variable=f"{variable}_FILE" if extra.get("secret") else "",
        kind=_capitalised(str(extra["kind"])),
        value=None if "shown" in extra else plain(_value(info)),
        default=str(extra["shown"]) if "shown" in extra else _default(_value(info)),
        description=str(info.description),
    )


def _entry(path: KeyPath, name: str, info: FieldInfo) -> Setting:
    return Setting(
        key=f"{'.'.join(path)}[].{name}",
        kind=_capitalised(str(_extra(info)["kind"])),
        default=_entry_default(info),
        description=str(info.description),
    )


def _entry_default(info: FieldInfo) -> str:
    if info.is_required():
        return "none, it must be given"
    shown = _extra(info).get("shown")
    return str(shown) if shown is not None else _default(_value(info))


def _value(info: FieldInfo) -> object:
    return info.get_default(call_default_factory=True, validated_data={})


def _default(value: object) -> str:
    if isinstance(value, PortRange | DurationValue):
        return f"`{value}`"
    if isinstance(value, Mapping | tuple):
        return "empty"
    return f"`{json.dumps(value)}`"


def _unmarked(text: str) -> str:
    return text.replace("`", "")


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
