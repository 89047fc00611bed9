"""Why a request is refused: the code that goes on the wire, and the word that goes into the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from icelane.core.net import Path, SocketAddress


class Alternate(NamedTuple):
    """A server that clients are sent to instead. `domain` is the name in its certificate, "" for that of this one."""

    server: SocketAddress
    domain: str = ""


class Refusal(Exception):
    """Ends the handling of a request with an error response.

    `code` goes to the client with the standard phrase. `reason` is one of the words of docs/reference/logs.md and never
    leaves this host. `challenge` asks for REALM and NONCE in the response; `silent` for no response at all; `unknown`
    lists the attribute types of a 420, `alternate` is the server that the client may ask instead.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        *,
        challenge: bool = False,
        silent: bool = False,
        unknown: tuple[int, ...] = (),
        alternate: Alternate | None = None,
    ) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
        self.challenge = challenge
        self.silent = silent
        self.unknown = unknown
        self.alternate = alternate


@dataclass(kw_only=True, unsafe_hash=True)
class RequestRefused:
    """An error response was sent, or with `silent` was due and withheld because the source had too many.

    `unreported` counts what was withheld from that source since the last such event, without one of its own.
    """

    __slots__ = ("client", "code", "kid", "method", "reason", "silent", "unreported", "username")

    client: Path
    method: int
    code: int
    reason: str
    username: str
    kid: str
    silent: bool
    unreported: int
