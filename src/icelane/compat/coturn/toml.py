"""The text of an icelane.toml out of a translation, with a remark at each setting about where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from icelane.compat.coturn.translation import Fate, Remark, Setting, Translation, Value

_WIDTH: Final = 118
_SECTIONS: Final = ("turn", "turn.peers", "turn.quota", "stun", "tls", "metrics", "log")

_HEAD: Final = """\
# icelane, from {name} of coturn. Every key, its default and the reason for it: icelane config docs
#
# This file holds secrets: keep it readable for the server alone (chmod 600). After a change: icelane config check
"""

_GROUPS: Final = {
    Fate.WITHOUT: "Lines that have no counterpart, and what that means",
    Fate.NEEDLESS: "Lines that need no setting, and why",
}


def toml(translation: Translation, name: str, *, fresh_secret: str | None = None) -> str:
    """The whole text. `name` is that of the file it comes from.

    With `fresh_secret` it gets that one, for a file that lets nobody in.
    """
    lines = list(_HEAD.format(name=_printable(name)).splitlines())
    for section in _SECTIONS:
        settings = [one for one in translation.settings if _section(one.key) == section and one.key != "turn.secrets"]
        if settings or section == "turn":
            lines += ["", f"[{section}]"]
        if section == "turn":
            lines += [
                "# The name under which clients reach this server; coturn has no setting for it. TLS needs one.",
                '# hostname = "turn.example.org"',
            ]
        for setting in settings:
            lines += [f"# from {setting.source}" if setting.lines else "# worked out", *_entry(setting)]
    lines += _secrets(translation, fresh_secret)
    lines += [line for fate, title in _GROUPS.items() for line in _remarks(title, translation.remarks, fate)]
    lines += ["", "# Where icelane is another by default:"]
    lines += [line for text in translation.differences for line in _folded(f"- {text}")]
    return "\n".join(lines) + "\n"


def _secrets(translation: Translation, fresh_secret: str | None) -> Iterator[str]:
    for setting in translation.settings:
        if setting.key == "turn.secrets" and isinstance(setting.value, dict):
            yield ""
            yield f"# What ephemeral credentials are signed with, from {setting.source}"
            for kid, secret in setting.value.items():
                yield from ("[[turn.secrets]]", f"kid = {_value(kid)}", f"secret = {_value(secret)}")
    if fresh_secret is not None:
        yield ""
        yield "# A fresh one: by what the file says nobody could authenticate. Make credentials with it: icelane ice"
        yield from ("[[turn.secrets]]", 'kid = "k1"', f"secret = {_value(fresh_secret)}")


def _remarks(title: str, remarks: tuple[Remark, ...], fate: Fate) -> Iterator[str]:
    found = [remark for remark in remarks if remark.fate is fate]
    if found:
        yield ""
        yield f"# {title}:"
    for remark in found:
        yield from _folded(f"- line {remark.line}, {remark.option}: {remark.text}")


def _folded(text: str) -> Iterator[str]:
    """A remark in lines that fit."""
    line = "#"
    for word in text.split(" "):
        if len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = "#  "
        line += f" {word}"
    yield line


def _section(key: str) -> str:
    return key.rpartition(".")[0]


def _entry(setting: Setting) -> Iterator[str]:
    yield f"{setting.key.rpartition('.')[2]} = {_value(setting.value)}"


def _value(value: Value) -> str:
    """A value in TOML: its basic strings are JSON's, but for DEL, which JSON leaves as it is."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_value(name)} = {_value(below)}' for name, below in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
