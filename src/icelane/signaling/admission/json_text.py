"""JSON from strangers, read so that no two programs could read it differently: names once, numbers finite."""

from __future__ import annotations

import json
from typing import Final

import msgspec

from icelane.errors import MalformedError

# Digits of a number. RFC 8259 section 6: what is longer than this is beyond what others can hold.
_MAX_DIGITS: Final = 20


def parse_json_object(data: bytes) -> dict[str, object]:
    """An object in UTF-8. Raises MalformedError for anything else, a repeated name, NaN and half a surrogate pair.

    Its texts repeat nothing of the input, which may be secret.
    """
    try:
        msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        # msgspec takes the last of two names, Python's own module lets us see both.
        found: object = json.loads(
            data, object_pairs_hook=_once_each, parse_constant=_no_constant, parse_int=_integer, parse_float=_number
        )
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair
        problem = "" if isinstance(found, dict) else "not a JSON object"
    except (ValueError, RecursionError):
        found, problem = None, "not JSON, or not such as everybody reads alike"
    if not isinstance(found, dict):
        raise MalformedError(problem)  # out here: the exception that led here carries the text
    return found


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(text: str) -> float:
    del text
    raise ValueError("not a number of JSON")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(text)


def _number(text: str) -> float:
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return found
