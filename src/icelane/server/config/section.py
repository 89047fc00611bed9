"""What every table of the configuration is made of: a base class, a way to describe a key, and shapes of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SecretStr

from icelane.server.config.strength import weakness
from icelane.server.config.values import parse_path

T = TypeVar("T")

EMPTY: Mapping[str, Any] = MappingProxyType({})


def setting(default: object, *, kind: str, doc: str, shown: str | None = None, secret: bool = False) -> Any:
    """A setting. `kind` and `doc` go into the reference; `shown` replaces the default there when it is worked out."""
    extra: dict[str, Any] = {"kind": kind, "secret": secret}
    if shown is not None:
        extra["shown"] = shown
    if default is EMPTY:
        # pydantic copies defaults, and a read-only table cannot be copied.
        return Field(default_factory=lambda: EMPTY, description=doc, json_schema_extra=extra)
    return Field(default=default, description=doc, json_schema_extra=extra)


class Section(BaseModel):
    """A table of the file: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False, arbitrary_types_allowed=True
    )


def strong(secret: SecretStr) -> SecretStr:
    """A secret that is hard to guess. Raises ValueError."""
    reason = weakness(secret.get_secret_value())
    if reason is not None:
        raise ValueError(reason)
    return secret


def read_only(table: Mapping[str, T]) -> Mapping[str, T]:
    """A table that nobody changes."""
    return MappingProxyType(dict(table))


def optional(check: Callable[[T], T]) -> Callable[[T | None], T | None]:
    """The same check, which lets None pass."""
    return lambda value: None if value is None else check(value)


def _no_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} stands here twice")
    return values


def _not_nothing(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("the list is empty; leave the key out for the default")
    return values


def _list(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise ValueError("should be a list")
    return value


AsList = BeforeValidator(_list)
Unique = AfterValidator(_no_repeats)
Filled = AfterValidator(_not_nothing)
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
Count = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Rate = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]
Switch = Annotated[bool, Field(strict=True)]
FileName = Annotated[Path | None, PlainValidator(parse_path)]
Secret = Annotated[SecretStr, AfterValidator(strong)]
