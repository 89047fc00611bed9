"""From raw values to a checked `Config`, and from pydantic's errors to ours.

pydantic's own texts and exceptions carry the refused input, which may be a password; nothing of them is let out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from icelane.errors import ConfigurationError
from icelane.server.config.model import Config
from icelane.server.config.sources import KeyPath, Tree, entry_of, table_of

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_type": "should be a string",
    "bool_type": "should be true or false",
    "int_type": "should be a whole number",
    "model_type": "should be a table",
    "dict_type": "should be a table",
    "mapping_type": "should be a table",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
}


class InvalidConfigurationError(ConfigurationError):
    """Several settings are wrong at once. `problems` has one error for each; `key` and `file` are the first one's."""

    def __init__(self, problems: tuple[ConfigurationError, ...]) -> None:
        self.problems = problems
        first = problems[0]
        rest = "".join(f"\n{problem}" for problem in problems[1:])
        super().__init__(f"{first.message}{rest}", key=first.key, file=first.file)


def problems_of(error: ConfigurationError) -> tuple[ConfigurationError, ...]:
    """Every single error inside `error`."""
    return error.problems if isinstance(error, InvalidConfigurationError) else (error,)


def refuse(problems: Iterable[ConfigurationError]) -> None:
    """Raises one ConfigurationError that names all of `problems`; returns when there are none."""
    distinct = tuple({str(problem): problem for problem in problems}.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise InvalidConfigurationError(distinct)


def failures_of(*checks: Callable[[], object]) -> list[ConfigurationError]:
    """What `checks` raise, each of which is made whatever the others find."""
    found = []
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            found.append(error)
    return found


def validate(tree: Tree) -> Config:
    """The checked settings of `tree`. Raises ConfigurationError for all that is wrong, in sources and values."""
    config, details = _try(tree.values)
    for detail in details:
        path = tuple(str(part) for part in detail["loc"] if part != "[key]")
        tree.problem(_words(detail, path), tree.origin_of(path))
    refuse(tree.problems)
    assert config is not None
    return config


def _try(values: dict[str, Any]) -> tuple[Config | None, list[ErrorDetails]]:
    # The exception ends here: raising ours from inside `except` would keep it, and the input, as the context.
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _words(detail: ErrorDetails, path: KeyPath) -> str:
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "literal_error":
        return f"should be {context['expected']}"
    if kind == "greater_than_equal":
        return f"should be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"should be at most {context['le']}"
    return _PLAIN_WORDS.get(kind, "cannot be used")


def _unknown_key(path: KeyPath) -> str:
    near = get_close_matches(path[-1], _neighbours(path), n=1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _neighbours(path: KeyPath) -> list[str]:
    model: type[BaseModel] = Config
    for part in path[:-1]:
        info = model.model_fields.get(part)
        below = table_of(info) if info is not None else None
        if below is None and info is not None:
            below = entry_of(info)
        if below is not None:
            model = below
        elif not part.isdigit():  # the number of an entry in a list of tables
            return []
    return list(model.model_fields)
