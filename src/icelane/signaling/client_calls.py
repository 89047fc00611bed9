"""The peer connections of a signaling client: made with the server's ICE servers, kept fresh, negotiated."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from msgspec import UNSET

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.core.clock import Duration
from icelane.errors import IcelaneError, InvalidStateError
from icelane.signaling.client_event import Peer
from icelane.signaling.messages import IceServersBody, LeftReason, SignalData
from icelane.signaling.negotiation import Negotiation

_log = logging.getLogger(__name__)

# Signals of peers that the program has no connection to yet: kept for `connect`. At the bounds the oldest go.
MAX_HELD_PEERS: Final = 128
MAX_HELD_SIGNALS: Final = 64
# After these the person is not gone for certain, only nobody hears him: whether a call still works, ICE knows best.
_UNCERTAIN: Final = frozenset({LeftReason.TIMEOUT, LeftReason.NODE_LOST})


class Calls:
    """One negotiation for each peer. `send(peer, data)` takes what a peer should get."""

    def __init__(self, base: RTCConfiguration, send: Callable[[str, SignalData], None]) -> None:
        self._base = base
        self._send = send
        self._ice: IceServersBody | None = None
        self._negotiations: dict[str, Negotiation] = {}
        self._given: dict[str, tuple[RTCConfiguration | None, bool]] = {}
        self._held: OrderedDict[str, list[SignalData]] = OrderedDict()
        self._left_alone: set[RTCPeerConnection] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def connect(self, peer: Peer, configuration: RTCConfiguration | None, *, relay_only: bool) -> RTCPeerConnection:
        """See `SignalClient.connect_peer`."""
        known = self._negotiations.get(peer.id)
        if known is not None and not known.is_over:
            raise InvalidStateError("there is a connection to this peer already")
        pc = RTCPeerConnection(self.configuration(configuration, relay_only=relay_only))
        negotiation = Negotiation(pc, polite=not peer.polite, send=lambda data: self._send(peer.id, data))
        self._negotiations[peer.id] = negotiation
        self._given[peer.id] = configuration, relay_only
        for data in self._held.pop(peer.id, ()):
            negotiation.handle(data)
        return pc

    def configuration(self, given: RTCConfiguration | None, *, relay_only: bool) -> RTCConfiguration:
        """What a connection is made with now."""
        base = self._base if given is None else given
        configuration = base.copy()
        if self._ice is not None:
            relay_only = relay_only or self._ice.ice_transport_policy == "relay"
            if configuration.iceServers is None:
                configuration = replace(configuration, iceServers=self.servers())
        return _relayed(configuration) if relay_only else configuration

    def servers(self) -> list[RTCIceServer]:
        """The servers of the server."""
        return [
            RTCIceServer(
                urls=list(server.urls),
                username=None if server.username is UNSET else server.username,
                credential=None if server.credential is UNSET else server.credential,
            )
            for server in (() if self._ice is None else self._ice.ice_servers)
        ]

    def restrict(self, peers: Iterable[str], relay_only: bool) -> None:
        """What counts in the room of these is different now: for the next round of ICE of connections to them."""
        for peer in peers:
            if peer in self._given:
                self._given[peer] = self._given[peer][0], relay_only
        self._configure()

    def provide_servers(self, ice: IceServersBody) -> None:
        """Fresh ones, also for the connections that there are."""
        self._ice = ice
        self._configure()

    def _configure(self) -> None:
        for peer, negotiation in list(self._negotiations.items()):
            if negotiation.is_over:
                self.forget(peer)
                continue
            given, relay_only = self._given[peer]
            try:
                negotiation.pc.setConfiguration(self.configuration(given, relay_only=relay_only))
            except (IcelaneError, TypeError) as error:
                _log.warning("fresh ICE servers were not taken: %s", type(error).__name__)

    def handle_signal(self, sender: str, data: SignalData) -> None:
        """From a peer, with whom the program may have no connection yet."""
        negotiation = self._negotiations.get(sender)
        if negotiation is not None and not negotiation.is_over:
            negotiation.handle(data)
            return
        held = self._held.setdefault(sender, [])
        held.append(data)
        del held[:-MAX_HELD_SIGNALS]
        if len(self._held) > MAX_HELD_PEERS:
            self._held.popitem(last=False)

    def handle_departed(self, peer: str, reason: LeftReason) -> None:
        """A peer is gone, or not to be reached any more by way of the server."""
        negotiation = self.forget(peer)
        if negotiation is None or negotiation.is_over:
            return
        if reason in _UNCERTAIN:
            self._left_alone.add(negotiation.pc)
            return
        task = asyncio.ensure_future(negotiation.pc.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def forget(self, peer: str) -> Negotiation | None:
        """Negotiate with him no more."""
        self._held.pop(peer, None)
        self._given.pop(peer, None)
        self._left_alone = {pc for pc in self._left_alone if pc.signalingState != "closed"}
        negotiation = self._negotiations.pop(peer, None)
        if negotiation is not None:
            negotiation.detach()
        return negotiation

    def repeat_offers(self) -> None:
        """Signals may have been lost."""
        for negotiation in self._negotiations.values():
            negotiation.repeat_offer()

    async def close(self, timeout: Duration) -> None:
        """End every call."""
        connections = {negotiation.pc for negotiation in self._negotiations.values()} | self._left_alone
        for peer in list(self._negotiations):
            self.forget(peer)
        self._held.clear()
        self._left_alone.clear()
        await asyncio.gather(*(pc.close(timeout) for pc in connections), *self._closing)


def _relayed(configuration: RTCConfiguration) -> RTCConfiguration:
    """What the program itself asks for may be stricter."""
    strict = configuration.iceTransportPolicy == "relay-strict"
    return configuration if strict else replace(configuration, iceTransportPolicy="relay")
