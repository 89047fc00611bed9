"""What signaling needs of admission, which `icelane.signaling.admission` has, and of whoever makes ICE servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from icelane.core.clock import Instant
from icelane.signaling.admission.request import (
    Connected,
    ConnectRequest,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
    TlsFacts,
)
from icelane.signaling.admitted import Admission, IcePolicy, Refusal
from icelane.signaling.frame_rules import FrameRules
from icelane.signaling.messages import IceServersBody
from icelane.turn.access_list import Client


class Place(Protocol):
    """A place among the connections."""

    def close(self) -> None:
        """Give it back."""
        ...


class Gate(FrameRules, Protocol):
    """Who may enter, and what he may do. Refusals of `screen` and `open_connection` come before the upgrade."""

    def request(
        self,
        *,
        peer: str,
        raw_headers: Iterable[tuple[bytes, bytes]],
        query: bytes = b"",
        path: str = "/",
        transport: str = "websocket",
        tls: TlsFacts | None = None,
    ) -> ConnectRequest:
        """What came in. Raises MalformedError for what is to be answered with 400."""
        ...

    def open_connection(self, request: ConnectRequest) -> Place | Refusal:
        """A place, to be closed with the connection."""
        ...

    def screen(self, request: ConnectRequest) -> Refusal | None:
        """Lists, rates and Origin."""
        ...

    async def admit(self, request: ConnectRequest, *, screened: bool = False) -> Admission | Refusal:
        """Who it is."""
        ...

    async def before_join(self, event: JoinRequest) -> Refusal | None:
        """Why somebody may not join."""
        ...

    async def before_message(self, event: MessageRequest, ip: str) -> Refusal | None:
        """Why a frame is not passed on."""
        ...

    @property
    def asks_about_ice(self) -> bool:
        """Whether a hook has a say about policies."""
        ...

    async def before_ice(self, event: IceRequest, policy: IcePolicy) -> IcePolicy | Refusal:
        """The policy that credentials are made by."""
        ...

    def tell(self, notice: Connected | Left) -> None:
        """Tell the program, some time."""
        ...

    def refused_now(self, clients: Iterable[Client[str]]) -> Iterator[tuple[str, Refusal]]:
        """Those who are connected and may not be any more."""
        ...


class IceSource(Protocol):
    """Who makes ICE servers."""

    def ice_servers(self, admission: Admission, now: Instant) -> IceServersBody:
        """For somebody who was admitted."""
        ...
