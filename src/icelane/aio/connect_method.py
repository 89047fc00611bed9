"""The CONNECT method of HTTP, as a client speaks it to a proxy (RFC 9110 section 9.3.6, RFC 9112).

    -> CONNECT turn.example.org:443 HTTP/1.1          encode_connect
       Host: turn.example.org:443
       Proxy-Authorization: Basic ...                 only with a user name (RFC 7617)

    <- HTTP/1.1 200 Connection established            AnswerReader
       ...                                            fields, of which only Proxy-Authenticate counts
       (an empty line; the server's own bytes follow)

Left out on purpose: every authentication but Basic; the body of a refusal, which is a page for people.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from icelane.errors import MalformedError

# What a proxy may send until its answer is complete, interim answers included; real ones have a few hundred bytes.
MAX_HEAD: Final = 16 * 1024
MAX_FIELDS: Final = 100
# Of the authentications that a proxy asks for, so many are told, each of at most so many characters.
MAX_SCHEMES: Final = 8
_MAX_SCHEME_LENGTH: Final = 32

_BEGIN: Final = b"HTTP/1."
# RFC 9112 section 2.2: a line may end in LF alone.
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_END: Final = 4
_END_OF_LINE: Final = re.compile(rb"\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)(?: .*)?", re.DOTALL)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)", re.DOTALL)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
# RFC 9110 section 11.6.1: a scheme stands first, or behind a comma; what has `=` behind it is a parameter.
_SCHEME: Final = re.compile(r"(?:^|,)[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[ \t]+[^ \t=]|[ \t]*(?:,|$))")


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """The final answer to CONNECT. `schemes` are the authentications that a 407 asks for, as it spells them."""

    status: int
    schemes: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the server is at the other end from now on."""
        return 200 <= self.status < 300


def encode_connect(place: str, username: str | None = None, password: str = "") -> bytes:
    """The request to connect to `place`, which is `host:port`, an IPv6 address in brackets."""
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if username is not None:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def parse_answer(head: bytes) -> ProxyAnswer:
    """One answer without its empty line. Raises MalformedError."""
    status_line, *lines = _END_OF_LINE.split(head)
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None:
        raise MalformedError("the answer is not one of HTTP/1.1")
    if len(lines) > MAX_FIELDS:
        raise MalformedError(f"the answer has more than {MAX_FIELDS} fields")
    schemes: dict[str, None] = {}
    for line in lines:
        if line.startswith((b" ", b"\t")):
            continue  # RFC 9112 section 5.2: the continuation of a field, as HTTP/1.0 had it
        field = _FIELD.fullmatch(line)
        if field is None:
            raise MalformedError("the answer has a line that is no field")
        if field[1].lower() == b"proxy-authenticate":
            schemes |= dict.fromkeys(_schemes(field[2].decode("latin-1")))
    return ProxyAnswer(int(status[1]), tuple(schemes)[:MAX_SCHEMES])


class AnswerReader:
    """Collects one final answer; `answer` is None until it is complete, `rest` is what came behind it."""

    __slots__ = ("_data", "_searched", "_taken", "answer")

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken = 0
        self._searched = 0
        self.answer: ProxyAnswer | None = None

    def handle_bytes(self, data: bytes) -> None:
        """Bytes came in. Raises MalformedError as soon as they cannot become an answer, or only too long a one."""
        self._data += data
        while self.answer is None:
            begin = bytes(self._data[self._taken : self._taken + len(_BEGIN)])
            if not _BEGIN.startswith(begin):
                raise MalformedError("the answer is not one of HTTP/1.1")
            end = _END_OF_HEAD.search(self._data, max(self._taken, self._searched), MAX_HEAD)
            if end is None:
                self._searched = len(self._data) - _LONGEST_END
                if len(self._data) >= MAX_HEAD:
                    raise MalformedError(f"the answer has no end within {MAX_HEAD} bytes")
                return
            answer = parse_answer(bytes(self._data[self._taken : end.start()]))
            self._taken = end.end()
            # RFC 9110 section 15.2: any number of interim answers comes before the final one. 101 ends HTTP.
            if answer.status >= 200 or answer.status == 101:
                self.answer = answer

    @property
    def rest(self) -> bytes:
        """What came behind the answer."""
        return bytes(self._data[self._taken :])


def _schemes(value: str) -> list[str]:
    return [found[:_MAX_SCHEME_LENGTH] for found in _SCHEME.findall(_QUOTED.sub('""', value))]
