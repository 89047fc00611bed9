"""What the tests can ask of a peer, whichever program it is and wherever that runs.

A peer is a program that knows the methods below under the names in camel case, each of which takes and returns JSON:
`page.js` in a browser, `programs/` in Python. `RemotePeer` is the near end of one; `Control` is how it gets there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias

IceServer: TypeAlias = Mapping[str, str | Sequence[str]]
"""One entry of `iceServers`: `urls`, `username`, `credential`."""

LABEL = "data"
CHUNK = 16384  # bytes in a message: what everybody takes
TIMEOUT = 30.0  # seconds for one call; the slowest is 10 MB from a program in pure Python
CLOSE_TIMEOUT = 5.0


class PeerError(Exception):
    """The peer's program refused or failed what it was asked; the text is its own."""


class Control(Protocol):
    """The way to one peer's program."""

    async def call(self, method: str, given: Mapping[str, object]) -> Any:
        """What the method returns, as JSON gives it back; raises PeerError with the words of the program."""

    async def close(self) -> None:
        """End the peer and what it runs in, unless others share that."""


@dataclass(frozen=True)
class Description:
    """An RTCSessionDescription."""

    type: str
    sdp: str

    @property
    def ice_ufrag(self) -> str:
        """The user name fragment of the first media section."""
        return self.lines("ice-ufrag")[0]

    @property
    def candidates(self) -> list[str]:
        """The values of the candidate lines."""
        return self.lines("candidate")

    def lines(self, attribute: str) -> list[str]:
        """The values of every `a=attribute:`."""
        start = f"a={attribute}:"
        return [line.removeprefix(start) for line in self.sdp.splitlines() if line.startswith(start)]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An RTCIceCandidate. An empty `candidate` is the end of one generation, as Firefox says it."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None
    username_fragment: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdp_mid,
            "sdpMLineIndex": self.sdp_m_line_index,
            "usernameFragment": self.username_fragment,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Candidate:
        return cls(
            candidate=given["candidate"],
            sdp_mid=given.get("sdpMid"),
            sdp_m_line_index=given.get("sdpMLineIndex"),
            username_fragment=given.get("usernameFragment"),
        )


@dataclass(frozen=True, kw_only=True)
class SelectedPair:
    """The candidates in use, in the words of `getStats`; None for what the peer does not tell."""

    local: str
    remote: str
    protocol: str | None
    relay_protocol: str | None
    local_address: str | None
    remote_address: str | None
    remote_ufrag: str | None = None


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a peer can do beyond the least that all of them can."""

    trickles: bool = True
    """It hands over candidates as they come. Otherwise they stand in its description, and it takes trickled ones."""
    restarts_ice: bool = True
    negotiates_perfectly: bool = True
    trusts_our_authority: bool = True
    """It can be told to trust the authority of the tests, and so reach the relay by TLS."""
    tells_relay_protocol: bool = True


@dataclass(eq=False)
class RemotePeer:
    """One peer connection, elsewhere. Data channels are known by their label."""

    name: str
    control: Control
    abilities: Abilities = field(default_factory=Abilities)
    patience: float = TIMEOUT
    """Seconds that one call may take."""

    # -- negotiation

    async def start(
        self, ice_servers: Sequence[IceServer] = (), ice_transport_policy: str = "all", **of_a_page: object
    ) -> None:
        """Make the connection. A page also takes `bundlePolicy` and `media`, kinds that stand first in its offers."""
        servers = list(ice_servers)
        await self.ask("start", iceServers=servers, iceTransportPolicy=ice_transport_policy, **of_a_page)

    async def create_channel(self, label: str = LABEL, options: Mapping[str, object] | None = None) -> None:
        """`createDataChannel`, with the options of RTCDataChannelInit."""
        await self.ask("createChannel", label=label, options=dict(options or {}))

    async def offer(self) -> Description:
        """Make an offer and apply it; what it holds of candidates is up to the peer."""
        return Description(**await self.ask("offer"))

    async def accept_offer(self, description: Description) -> Description:
        """Apply an offer and make and apply the answer."""
        return Description(**await self.ask("acceptOffer", description=asdict(description)))

    async def accept_answer(self, description: Description) -> None:
        await self.ask("acceptAnswer", description=asdict(description))

    async def add_candidate(self, candidate: Candidate | None) -> None:
        """`addIceCandidate`; None is the end of the candidates."""
        await self.ask("addCandidate", candidate=candidate and candidate.to_json())

    async def next_local_candidate(self) -> Candidate | None:
        """The next that `icecandidate` brought, or brings; None is the end."""
        found = await self.ask("nextLocalCandidate")
        return found and Candidate.from_json(found)

    async def wait_complete_description(self) -> Description:
        """The local description once all candidates stand in it."""
        return Description(**await self.ask("completeDescription"))

    async def restart_ice(self) -> None:
        """The next offer has new credentials."""
        await self.ask("restartIce")

    # -- perfect negotiation

    async def negotiate_by_itself(self, *, polite: bool) -> None:
        """From now on every `negotiationneeded` makes an offer; what to tell the other peer comes by `next_signal`."""
        await self.ask("negotiateByItself", polite=polite)

    async def next_signal(self) -> dict[str, Any]:
        """A description or a candidate for the other peer, to be handed to its `deliver` as it is."""
        signal: dict[str, Any] = await self.ask("nextSignal")
        return signal

    async def deliver(self, signal: Mapping[str, Any]) -> None:
        await self.ask("deliver", signal=dict(signal))

    # -- data

    async def wait_open(self, label: str = LABEL) -> None:
        """Wait until there is a channel of that label and it is open."""
        await self.ask("waitOpen", label=label)

    async def send_bytes(self, total: int, *, seed: int = 1, chunk: int = CHUNK, label: str = LABEL) -> str:
        """Send bytes that `seed` decides, made there, in messages of `chunk`; returns their SHA-256 in hexadecimal."""
        digest: str = await self.ask("sendBytes", label=label, total=total, seed=seed, chunk=chunk)
        return digest

    async def receive_bytes(self, total: int, *, label: str = LABEL) -> str:
        """Wait for `total` bytes or the message that goes beyond; returns their SHA-256 in hexadecimal."""
        digest: str = await self.ask("receiveBytes", label=label, total=total)
        return digest

    async def channel_state(self, *, label: str = LABEL) -> str:
        """The `readyState` of a channel that has been open."""
        state: str = await self.ask("channelState", label=label)
        return state

    async def send_text(self, text: str, *, label: str = LABEL) -> None:
        await self.ask("sendText", label=label, text=text)

    async def receive_text(self, *, label: str = LABEL) -> str:
        text: str = await self.ask("receiveText", label=label)
        return text

    # -- state

    async def selected_pair(self) -> SelectedPair | None:
        """What `getStats` says is in use."""
        found = await self.ask("selectedPair")
        return found and SelectedPair(
            local=found["local"],
            remote=found["remote"],
            protocol=found["protocol"],
            relay_protocol=found["relayProtocol"],
            local_address=found["localAddress"],
            remote_address=found["remoteAddress"],
            remote_ufrag=found.get("remoteUfrag"),
        )

    async def states(self) -> dict[str, str]:
        """The states of the connection: `connection`, `ice`, `signaling`."""
        states: dict[str, str] = await self.ask("states")
        return states

    async def connection_state(self) -> str:
        return (await self.states())["connection"]

    async def close(self) -> None:
        """Close the connection and end what only it needs."""
        with contextlib.suppress(PeerError, TimeoutError):  # of a peer that is lost, the test has said so
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.control.call("close", {})
        await self.control.close()

    async def ask(self, method: str, **given: object) -> Any:
        """Call a method of its program by name, in the words of its errors."""
        try:
            async with asyncio.timeout(self.patience):
                return await self.control.call(method, given)
        except TimeoutError:
            late = f"{self.name}: {method} is not done after {self.patience:g} s"
            raise TimeoutError(f"{late}, {await self._told()}") from None
        except PeerError as error:
            raise PeerError(f"{self.name}: {method}: {error}") from None

    async def _told(self) -> str:
        """What it says of itself when something took too long."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                return f"its states are {await self.control.call('states', {})}"
        except (PeerError, TimeoutError) as error:
            return f"and it does not tell its states: {error!r}"
