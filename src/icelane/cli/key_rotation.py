"""Puts a table into the text of a configuration, or takes one out, and leaves every other line as it is.

The result is read again and has to be the old document with just that change: a text that was written in another way
than we understand is refused rather than spoilt.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any, Final

Table = tuple[str, str]

_ANY_HEADER: Final = re.compile(r"\s*\[")


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """A configuration with another key. `lines` are those that were put in or taken out."""

    text: str
    lines: str
    added_kid: str | None = None
    dropped_kid: str | None = None
    old_kids: tuple[str, ...] = ()
    secret: str | None = field(default=None, repr=False)


def rotated(text: str, table: Table, kid: str, secret: str, issuer: str | None = None) -> Rotated:
    """A fresh entry before the first, or before the first of `issuer`. Raises ValueError, without any secret."""
    document, entries = _entries(text, table)
    if not entries:
        raise ValueError(f"there is no [[{'.'.join(table)}]] to rotate; `icelane keys new` prints a first one")
    position = _position(entries, issuer)
    like = entries[position]
    if any(entry.get("kid") == kid for entry in entries if entry.get("issuer") == like.get("issuer")):
        raise ValueError(f"the kid {kid} is there already; name another one with --kid")
    entry: dict[str, Any] = {**_copied(like, table), "kid": kid, "secret": secret}
    lines = "\n".join((f"[[{'.'.join(table)}]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())))
    rows = text.splitlines(keepends=True)
    at = _headers(rows, table, len(entries))[position]
    changed = "".join((*rows[:at], lines, "\n\n", *rows[at:]))
    _hold(changed, document, table, [*entries[:position], entry, *entries[position:]])
    old = tuple(str(one["kid"]) for one in entries if "kid" in one and one.get("issuer") == like.get("issuer"))
    return Rotated(text=changed, lines=lines, added_kid=kid, old_kids=old, secret=secret)


def dropped(text: str, table: Table, kid: str, issuer: str | None = None) -> Rotated:
    """Without the entry that has this `kid`. Raises ValueError, also when it is the last one."""
    document, entries = _entries(text, table)
    found = [
        index
        for index, entry in enumerate(entries)
        if entry.get("kid") == kid and issuer in (None, entry.get("issuer"))
    ]
    if not found:
        raise ValueError(f"no entry of [[{'.'.join(table)}]] has the kid {kid}")
    if len(found) > 1:
        raise ValueError(f"several issuers have a key {kid}; name one with --issuer")
    position = found[0]
    if sum(entry.get("issuer") == entries[position].get("issuer") for entry in entries) == 1:
        raise ValueError(f"{kid} is the only one; rotate first, or nothing could be signed")
    rows = text.splitlines(keepends=True)
    at = _headers(rows, table, len(entries))[position]
    end = next((row for row in range(at + 1, len(rows)) if _ANY_HEADER.match(rows[row])), len(rows))
    # Remarks above the next table belong to that one.
    while end > at + 1 and rows[end - 1].lstrip().startswith("#"):
        end -= 1
    changed = "".join((*rows[:at], *rows[end:]))
    _hold(changed, document, table, [*entries[:position], *entries[position + 1 :]])
    kept = "".join(row for row in rows[at:end] if not row.lstrip().startswith("secret")).strip()
    return Rotated(text=changed, lines=kept, dropped_kid=kid)


def _entries(text: str, table: Table) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ValueError("not TOML: `icelane config check` says where") from None
    section = document.get(table[0], {})
    found = section.get(table[1], []) if isinstance(section, dict) else []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{'.'.join(table)} is not a list of tables")
    return document, found


def _position(entries: list[dict[str, Any]], issuer: str | None) -> int:
    if issuer is None:
        return 0
    found = next((index for index, entry in enumerate(entries) if entry.get("issuer") == issuer), None)
    if found is None:
        raise ValueError(f"no entry has the issuer {issuer}")
    return found


def _copied(like: dict[str, Any], table: Table) -> dict[str, Any]:
    """What the new entry has in common with the old one."""
    if table == ("turn", "secrets"):
        return {}
    if "secret" not in like:
        raise ValueError(
            f"the keys of {like.get('issuer')} are files: `icelane keys new --algorithm {like.get('algorithm')} --out"
            " NAME` makes a pair and prints its entry; put that before the old one"
        )
    return {name: like[name] for name in ("issuer", "algorithm", "audience") if name in like}


def _headers(rows: list[str], table: Table, count: int) -> list[int]:
    """The rows on which the tables begin. Raises ValueError when the file is written in another way."""
    header = re.compile(rf"\s*\[\[\s*{table[0]}\s*\.\s*{table[1]}\s*\]\]\s*(?:#.*)?")
    found = [index for index, row in enumerate(rows) if header.fullmatch(row.rstrip("\r\n"))]
    if len(found) != count:
        raise ValueError(
            f"{'.'.join(table)} is not written as [[{'.'.join(table)}]] tables; change it by hand, with what"
            " `icelane keys new` prints"
        )
    return found


def _hold(text: str, document: dict[str, Any], table: Table, entries: list[dict[str, Any]]) -> None:
    """Raises ValueError unless `text` says the same as `document` but for the entries."""
    section = {**document[table[0]], table[1]: entries}
    try:
        same = tomllib.loads(text) == {**document, table[0]: section}
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ValueError("this file is written in a way that we would spoil; change it by hand")
