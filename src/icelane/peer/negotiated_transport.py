"""What the one transport was told so far, so that each description yields the commands for what is new in it."""

from __future__ import annotations

from collections.abc import Iterable

from icelane.ice.event import IceRole
from icelane.peer.local_generation import LocalGenerations
from icelane.peer.media_section import sections_of_transport
from icelane.peer.set_description import SetDescription
from icelane.peer.transport_agreement import TransportAgreement, commands_between
from icelane.peer.transport_command import IceParameters, RestartIce, RolledBack, StartGathering, TransportCommand


class NegotiatedTransport:
    """`agreed` is None until an answer, provisional or not, was set on either side."""

    def __init__(self) -> None:
        self.agreed: TransportAgreement | None = None
        self.generations = LocalGenerations()
        self._gathering: IceParameters | None = None

    def gather(self, ice: IceParameters | None, role: IceRole) -> list[TransportCommand]:
        """A local description with these credentials was set, None when it needs no transport."""
        if ice is None or ice == self._gathering:
            return []
        is_first = self._gathering is None
        self._gathering = ice
        self.generations.begin(ice)
        self._forget_others()
        return [StartGathering(ice, role) if is_first else RestartIce(ice)]

    def roll_back(self) -> list[TransportCommand]:
        """Our offer was taken back."""
        discarded, restored = self._gathering, self.agreed.local if self.agreed is not None else None
        if discarded is None or discarded == restored:
            return []
        self._gathering = restored
        self._forget_others()
        return [RolledBack(discarded, restored)]

    def follow(self, agreed: TransportAgreement | None) -> list[TransportCommand]:
        """A provisional answer was set. One that rejects everything changes nothing yet."""
        if agreed is None:
            return []
        commands = commands_between(self.agreed, agreed)
        self.agreed = agreed
        return commands

    def settle(self, agreed: TransportAgreement) -> list[TransportCommand]:
        """An answer was set: the exchange is over."""
        commands = self.follow(agreed)
        self._gathering = agreed.local
        self._forget_others()
        return commands

    def is_reached_by(self, remote: SetDescription, sections: Iterable[int]) -> bool:
        """Whether a candidate for one of these sections is for this transport, as the peer was last understood."""
        index = remote.tagged
        if self.agreed is None or index is None or remote.ice != self.agreed.remote.ice:
            return False
        return not set(sections).isdisjoint(sections_of_transport(remote.session, index))

    def _forget_others(self) -> None:
        """Keep the candidates of what was agreed on and of what is gathered now."""
        kept = (self.agreed.local if self.agreed is not None else None, self._gathering)
        self.generations.keep(ice.ufrag for ice in kept if ice is not None)
