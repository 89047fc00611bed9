"""A configuration as plain values that can be printed: text, numbers, lists and tables, with every secret masked."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, SecretStr

from icelane.server.config.model import Config
from icelane.server.config.sources import settings, table_of

MASK = "********"

Plain = str | int | bool | list["Plain"] | dict[str, "Plain"]


def presented(config: Config) -> dict[str, Plain]:
    """Every setting by its dotted name; one without a value is left out, in tables of lists as well."""
    found: dict[str, Plain] = {}
    for path, info in settings():
        if table_of(info) is None:
            value: object = config
            for part in path:
                value = getattr(value, part)
            if value is not None:
                found[".".join(path)] = plain(value)
    return found


def plain(value: object) -> Plain:
    """One value; a secret is masked, and what has a written form is its text."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool | int):
        return value
    if isinstance(value, BaseModel):
        held = ((name, getattr(value, name)) for name in type(value).model_fields)
        return {name: plain(one) for name, one in held if one is not None}
    if isinstance(value, Mapping):
        return {str(name): plain(below) for name, below in value.items()}
    # A Listener is a tuple too, and one value.
    if type(value) is tuple:
        return [plain(item) for item in value]
    return str(value)
