"""Two negotiations that talk to each other, each above a transport that only remembers what it was told."""

from __future__ import annotations

from typing import Final, TypeVar, assert_never

from icelane.dtls.options import DtlsRole
from icelane.errors import InvalidStateError, OperationError
from icelane.ice.event import IceRole
from icelane.peer.description import Description
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.media_event import NegotiatedMediaEvent
from icelane.peer.negotiation import Negotiation
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transport_command import (
    DataChannelsNegotiated,
    DataChannelsRejected,
    DtlsRoleDecided,
    IceParameters,
    LocalApplied,
    MediaNegotiated,
    NewDtlsAssociation,
    RemoteApplied,
    RemoteTransport,
    RestartIce,
    RolledBack,
    SetRemoteTransport,
    StartGathering,
    TransportCommand,
)
from icelane.sdp.session import SessionDescription, parse_session
from icelane.testing.entropy import SeededEntropy

Applied = TypeVar("Applied", LocalApplied, RemoteApplied)

CANDIDATE: Final = "candidate:1 1 udp 2122260223 192.0.2.10 50000 typ host"
OTHER_CANDIDATE: Final = "candidate:2 1 udp 2122260223 192.0.2.11 50001 typ host"
RELAYED: Final = "candidate:3 1 udp 16777215 203.0.113.9 49160 typ relay raddr 0.0.0.0 rport 9"


class FakeTransport:
    """Carries commands out in its memory, and refuses those that make no sense where it is."""

    def __init__(self) -> None:
        self.local: IceParameters | None = None
        self.remote: RemoteTransport | None = None
        self.ice_role: IceRole | None = None
        self.dtls_role: DtlsRole | None = None
        self.fingerprints: tuple[tuple[str, bytes], ...] = ()
        self.channels: DataChannelsNegotiated | None = None
        self.associations = 0
        self.exchanges = 0

    def carry_out(self, command: TransportCommand) -> None:
        match command:
            case StartGathering(local, role):
                assert self.local is None
                self.local, self.ice_role = local, role
            case RestartIce(local):
                assert self.local is not None
                assert local.ufrag != self.local.ufrag
                assert local.password != self.local.password
                self.local = local
            case SetRemoteTransport(remote, role, is_restart):
                assert self.local is not None
                assert is_restart == (self.remote is not None and self.remote.ice != remote.ice)
                self.remote, self.ice_role = remote, role
            case DtlsRoleDecided(role, fingerprints):
                assert self.remote is not None
                assert self.dtls_role is None
                self.dtls_role, self.fingerprints = role, fingerprints
                self.associations = 1
            case NewDtlsAssociation(role, fingerprints):
                assert self.dtls_role is not None
                self.dtls_role, self.fingerprints, self.channels = role, fingerprints, None
                self.associations += 1
            case DataChannelsNegotiated():
                assert self.dtls_role is not None
                self.channels = command
            case DataChannelsRejected(keeps_transport=True):
                self.channels = None
            case DataChannelsRejected():
                self.__init__()  # type: ignore[misc]  # everything from the beginning is just what is meant
            case MediaNegotiated():
                self.exchanges += 1
            case RolledBack(discarded, restored):
                assert self.local == discarded
                if restored is None:
                    self.__init__()  # type: ignore[misc]  # see above
                else:
                    self.local = restored
            case never:
                assert_never(never)


class Peer:
    """A negotiation and its transport. `told` has every command since it was last cleared."""

    def __init__(
        self,
        seed: int,
        *,
        wants_data: bool = True,
        relay_only: bool = False,
        media: MediaCapabilities | None = None,
    ) -> None:
        self.digest = bytes([seed % 256]) * 32
        self.negotiation = Negotiation(
            entropy=SeededEntropy(seed),
            fingerprints=[("sha-256", self.digest)],
            relay_only=relay_only,
            media=media,
        )
        self.transport = FakeTransport()
        self.told: list[TransportCommand] = []
        self.heard: list[NegotiatedMediaEvent] = []
        if wants_data:
            self.negotiation.request_data_channels()

    @property
    def state(self) -> SignalingState:
        return self.negotiation.signaling_state

    @property
    def local(self) -> Description:
        """The newest description of its own."""
        description = self.negotiation.local_description
        assert description is not None
        return description

    def set_local(self, description: Description | None = None) -> LocalApplied:
        return self._carry_out(self.negotiation.set_local_description(description))

    def set_remote(self, description: Description) -> RemoteApplied:
        return self._carry_out(self.negotiation.set_remote_description(description))

    def forget(self) -> None:
        """Begin `told` anew."""
        self.told.clear()

    def _carry_out(self, applied: Applied) -> Applied:
        for command in applied.commands:
            self.transport.carry_out(command)
            self.told.append(command)
        self.heard += applied.media
        return applied


class PerfectPeer(Peer):
    """The handlers of W3C webrtc-pc section 10.7. `sent` is what its signaling carries to the other side."""

    def __init__(self, seed: int, *, polite: bool) -> None:
        super().__init__(seed, wants_data=False)
        self._polite = polite
        self._ignores_offer = False
        self.sent: list[Description | str] = []

    def want_data(self) -> None:
        """`createDataChannel`."""
        if self.negotiation.request_data_channels():
            self.negotiate()

    def restart(self) -> None:
        """`restartIce`."""
        if self.negotiation.restart_ice():
            self.negotiate()

    def negotiate(self) -> None:
        """`onnegotiationneeded`."""
        self.set_local()
        self.sent.append(self.local)
        self._trickle()

    def give_up(self) -> None:
        """Take an offer back that was not sent yet, as a program may; what was wanted is announced again."""
        assert self.state is SignalingState.HAVE_LOCAL_OFFER
        self.sent.clear()
        if self.set_local(rollback()).negotiation_is_needed:
            self.negotiate()

    def receive(self, message: Description | str) -> None:
        """`signaler.onmessage`."""
        if isinstance(message, str):
            self._receive_candidate(message)
            return
        collides = message.type is DescriptionType.OFFER and self.state is not SignalingState.STABLE
        self._ignores_offer = not self._polite and collides
        if self._ignores_offer:
            return
        needed = self.set_remote(message).negotiation_is_needed
        if message.type is DescriptionType.OFFER:
            needed = self.set_local().negotiation_is_needed
            self.sent.append(self.local)
            self._trickle()
        if needed and self.state is SignalingState.STABLE:
            self.negotiate()

    def _trickle(self) -> None:
        """`onicecandidate`, once for each description."""
        if self.transport.local is None:
            return
        text = f"{CANDIDATE} ufrag {self.transport.local.ufrag}"
        self.negotiation.add_local_candidate(text)
        self.sent.append(text)

    def _receive_candidate(self, text: str) -> None:
        try:
            self.negotiation.add_remote_candidate(text, "0")
        except (InvalidStateError, OperationError):
            if not self._ignores_offer:
                raise


def deliver_all(one: PerfectPeer, other: PerfectPeer) -> int:
    """Carry every message to the other side until nobody says anything. Returns how many there were."""
    count = 0
    while one.sent or other.sent:
        for sender, receiver in ((one, other), (other, one)):
            if sender.sent:
                receiver.receive(sender.sent.pop(0))
                count += 1
        assert count < 100
    return count


def rollback() -> Description:
    return Description(DescriptionType.ROLLBACK)


def typed(description: Description, kind: DescriptionType) -> Description:
    """The same text as another type."""
    return Description(kind, description.sdp)


def pair(seed: int = 1) -> tuple[Peer, Peer]:
    """Two that have not spoken; the first wants data channels."""
    return Peer(seed), Peer(seed + 1, wants_data=False)


def exchange(offerer: Peer, answerer: Peer, *, ice_restart: bool = False) -> None:
    """One round, offer and answer."""
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=ice_restart))
    answerer.set_remote(offerer.local)
    answerer.set_local()
    offerer.set_remote(answerer.local)


def connected(seed: int = 1) -> tuple[Peer, Peer]:
    """Two after their first round."""
    offerer, answerer = pair(seed)
    exchange(offerer, answerer)
    offerer.forget()
    answerer.forget()
    return offerer, answerer


def check_agreement(one: Peer, other: Peer) -> None:
    """Both are stable and each has what the other wrote, told to its transport."""
    assert one.state is other.state is SignalingState.STABLE
    for peer, against in ((one, other), (other, one)):
        mine, theirs = peer.negotiation, against.negotiation
        assert mine.current_local_description is not None
        assert theirs.current_remote_description is not None
        assert mine.pending_local_description is mine.pending_remote_description is None
        if peer.transport.remote is None:
            assert against.transport.remote is None
            continue
        assert peer.transport.remote.ice == against.transport.local
        assert peer.transport.fingerprints == (("sha-256", against.digest),)
        assert peer.transport.channels == DataChannelsNegotiated(5000, 262_144)
    assert {one.transport.ice_role, other.transport.ice_role} in ({None}, {IceRole.CONTROLLING, IceRole.CONTROLLED})
    assert {one.transport.dtls_role, other.transport.dtls_role} in ({None}, {DtlsRole.CLIENT, DtlsRole.SERVER})
    assert one.negotiation.ice_role is one.transport.ice_role
    assert one.transport.associations == other.transport.associations


def bundle_what_is_alive(session: SessionDescription) -> None:
    """One bundle of every section that has a port."""
    alive = [section.mid or "" for section in session.media if section.port]
    session.remove("group")
    if alive:
        session.replace("group", " ".join(["BUNDLE", *alive]))


def rejecting_answer(offered: Description) -> Description:
    """An answer that takes nothing."""
    session = parse_session(offered.sdp)
    for section in session.media:
        section.port = 0
        section.remove("setup")
    bundle_what_is_alive(session)
    return Description(DescriptionType.ANSWER, str(session))
