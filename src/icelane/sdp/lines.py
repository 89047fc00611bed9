"""The lines of a description: one letter, an equals sign, text (RFC 8866 section 5).

    v=0
    o=- 4962303333179871722 1 IN IP4 127.0.0.1
    a=mid:0

Here a description is cut into lines and put together again, and here is what bounds it: whatever comes later works on
at most MAX_SIZE characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from icelane.errors import LocalProtocolError, MalformedError

# More of any of these is MalformedError before anything else is looked at. A browser writes 6 KB for each video
# section, and lines of 200 characters; the longest that is of use is an identity assertion of some KB.
MAX_SIZE: Final = 256 * 1024
MAX_LINES: Final = 8192
MAX_LINE: Final = 16 * 1024

# How much of a text an error repeats.
_SHOWN: Final = 60
_FORBIDDEN: Final = ("\r", "\n", "\0")


class Line(NamedTuple):
    """`type` is the letter before the equals sign, `value` everything behind it, possibly nothing."""

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}={self.value}"

    def __repr__(self) -> str:
        # k= holds a key in the clear (RFC 4566 section 5.12).
        return f"Line({self.type!r}, {len(self.value)} characters)"


def decode_text(data: bytes) -> str:
    """The text of a description that came as bytes. Raises MalformedError when it is too long or not UTF-8."""
    if len(data) > MAX_SIZE:
        raise MalformedError(f"a description has at most {MAX_SIZE} bytes, not {len(data)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("a description is UTF-8 text") from None


def parse_lines(text: str) -> list[Line]:
    """The lines of `text`, which end with CRLF or LF; the last one may do without, and empty ones may follow it.

    Raises MalformedError for anything else, and beyond the bounds above.
    """
    if len(text) > MAX_SIZE:
        raise MalformedError(f"a description has at most {MAX_SIZE} characters, not {len(text)}")
    text = _parse_line_ends(text)
    if not text:
        raise MalformedError("the description is empty")
    count = text.count("\n") + 1
    if count > MAX_LINES:
        raise MalformedError(f"a description has at most {MAX_LINES} lines, not {count}")
    return [_parse_line(line, number) for number, line in enumerate(text.split("\n"), 1)]


def format_lines(lines: Iterable[Line]) -> str:
    """The text of a description, each line ended by CRLF.

    Raises LocalProtocolError when a value holds a line end or NUL: it would smuggle in lines that nobody meant.
    """
    parts = []
    for line in lines:
        if any(character in line.value for character in _FORBIDDEN):
            raise LocalProtocolError(f"a line of type {line.type!r} has a line end or NUL in its value")
        parts.append(f"{line.type}={line.value}\r\n")
    return "".join(parts)


def shown(text: str) -> str:
    """`text` as an error may repeat it: quoted, and its beginning only."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def _parse_line_ends(text: str) -> str:
    """`text` with LF alone between its lines and nothing behind the last."""
    if "\0" in text:
        raise MalformedError("a description holds no NUL")
    if not text.isascii():
        _check_surrogates(text)
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        raise MalformedError("a line ends with CRLF or LF, not with CR alone")
    return text.rstrip("\n")


def _check_surrogates(text: str) -> None:
    # JSON can spell half a character, which no encoding of the text can hold.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedError("a description holds no unpaired surrogates") from None


def _parse_line(line: str, number: int) -> Line:
    if len(line) > MAX_LINE:
        raise MalformedError(f"line {number}: at most {MAX_LINE} characters, not {len(line)}")
    if line[1:2] != "=" or not "a" <= line[0] <= "z":
        raise MalformedError(f"line {number}: no letter and equals sign at its beginning")
    return Line(line[0], line[2:])
