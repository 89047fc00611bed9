"""Offers and answers: the JSEP engine (RFC 9429, W3C webrtc-pc section 4.4).

It reads and writes descriptions and says what the transports must do about them. Nothing here waits: gathering feeds
candidates in as they come, and each description is shown with those that are known. Every command either succeeds
or raises, and what raises has changed nothing.

    1. offerer    create_offer, set_local_description      -> StartGathering
    2. answerer   set_remote_description                   (nothing yet: the offer may be taken back)
    3. answerer   create_answer, set_local_description     -> StartGathering, SetRemoteTransport, DtlsRoleDecided, ...
    4. offerer    set_remote_description                   -> SetRemoteTransport, DtlsRoleDecided, ...

    negotiation = Negotiation(entropy=SystemEntropy(), fingerprints=[("sha-256", digest)])
    negotiation.request_data_channels()
    for command in negotiation.set_local_description().commands:
        carry_out(command)
    send(negotiation.local_description)
    for command in negotiation.set_remote_description(receive()).commands:
        carry_out(command)

All sections share one transport, which is what `bundlePolicy: "max-bundle"` asks for, and the other policies allow
where the peer bundles. A peer that does not bundle gets the one section that we accept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from icelane.core.entropy import Entropy
from icelane.errors import InvalidStateError, LocalProtocolError, OperationError
from icelane.ice.event import IceRole
from icelane.peer.candidate_text import check_is_relayed, parse_candidate_text
from icelane.peer.description import Description
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.media_negotiation import MediaNegotiation
from icelane.peer.media_section import (
    LocalTransport,
    read_remote_transport,
    setup_for,
)
from icelane.peer.negotiated_transport import NegotiatedTransport
from icelane.peer.offer_answer import (
    NegotiatedSections,
    OfferPlan,
    build_answer,
    build_offer,
    check_follows,
    highest_mid,
)
from icelane.peer.remote_candidate import (
    EndOfRemoteCandidates,
    RemoteCandidate,
    TrickledCandidate,
    of_newest_generation,
    parse_trickled,
    record,
    sections_meant,
)
from icelane.peer.section_choice import SectionChoice, choose_sections, sections_in_use
from icelane.peer.set_description import (
    SetDescription,
    check_unchanged,
    describe,
    parse_remote,
    show_local,
    show_remote,
)
from icelane.peer.signaling_state import (
    DescriptionType,
    Side,
    SignalingState,
    implied_type,
    next_state,
    rolls_back_first,
)
from icelane.peer.transport_agreement import (
    TransportAgreement,
    agree,
    decide_dtls_role,
    is_remote_restart,
)
from icelane.peer.transport_command import (
    DataChannelsRejected,
    IceParameters,
    LocalApplied,
    MediaNegotiated,
    RemoteApplied,
    SectionPlace,
    TransportCommand,
    fresh_ice_parameters,
)
from icelane.sdp.fields import Origin
from icelane.sdp.session import SessionDescription
from icelane.sdp.transport_attributes import Setup

BundlePolicy = Literal["balanced", "max-compat", "max-bundle"]

# RFC 9429 section 5.2.1: 62 random bits, so that the number is positive wherever it is read.
_SESSION_ID_LIMIT: Final = 2**62


class Negotiation:
    """One peer connection's offers and answers.

    `fingerprints` are those of our certificates. With `relay_only` no candidate is shown but relayed ones; `o=` and
    `c=` never hold an address of ours; `strict` is kept for whoever gathers. With `is_lite` our end of ICE is a lite
    one, and says so. Every policy of `bundle_policy` behaves as `max-bundle`.
    """

    def __init__(
        self,
        *,
        entropy: Entropy,
        fingerprints: Sequence[tuple[str, bytes]],
        bundle_policy: BundlePolicy = "balanced",
        relay_only: bool = False,
        strict: bool = False,
        is_lite: bool = False,
        media: MediaCapabilities | None = None,
    ) -> None:
        if not fingerprints:
            raise LocalProtocolError("a description needs the fingerprint of a certificate")
        self.bundle_policy = bundle_policy
        self._entropy = entropy
        self._fingerprints = tuple(fingerprints)
        self.relay_only = relay_only
        self.strict = strict
        self._is_lite = is_lite
        self._state = SignalingState.STABLE
        self._session_id = entropy.below(_SESSION_ID_LIMIT)
        self._session_version = 0
        self._next_mid = 0
        self._current_local: SetDescription | None = None
        self._current_remote: SetDescription | None = None
        self._pending_local: SetDescription | None = None
        self._pending_remote: SetDescription | None = None
        self._created_offer: OfferPlan | None = None
        self._created_answer: SessionDescription | None = None
        self._wants_data = False
        self._negotiation_needed = False
        self._transport = NegotiatedTransport()
        self.media = MediaNegotiation(entropy, media)
        # W3C [[LocalIceCredentialsToReplace]], and those that were made under another configuration.
        self._credentials_to_replace: frozenset[IceParameters] = frozenset()
        self._credentials_outdated: frozenset[IceParameters] = frozenset()

    # -- commands

    def request_data_channels(self) -> bool:
        """The first channel was created: from now on our offers have a section for it.

        Returns whether `negotiationneeded` is to be fired, as `update_negotiation_needed` does.
        """
        self._check_open()
        self._wants_data = True
        return self.update_negotiation_needed()

    def restart_ice(self) -> bool:
        """The next offer will have new ICE credentials (W3C `restartIce`). Returns as `request_data_channels`."""
        self._check_open()
        self._credentials_to_replace = self._local_credentials()
        return self.update_negotiation_needed()

    def change_ice_configuration(self, *, relay_only: bool, strict: bool = False) -> None:
        """Servers or policy changed: whenever the next offer is made, it restarts ICE (RFC 9429 section 5.2.2)."""
        self._check_open()
        self.relay_only = relay_only or strict
        self.strict = strict
        self._credentials_outdated = self._local_credentials()

    def update_negotiation_needed(self) -> bool:
        """W3C section 4.7.3, without what is asynchronous: whether `negotiationneeded` is to be fired now.

        Whoever fires looks at `negotiation_needed` and the state again when the event's turn has come.
        """
        if self._state is not SignalingState.STABLE:
            return False
        was_needed, self._negotiation_needed = self._negotiation_needed, self._is_negotiation_needed()
        return self._negotiation_needed and not was_needed

    def create_offer(self, *, ice_restart: bool = False) -> Description:
        """An offer of all that is wanted now. Raises InvalidStateError unless it is our turn, and once closed."""
        self._check_open()
        if self._state not in (SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER):
            raise InvalidStateError(f"no offer can be made in {self._state.value}")
        base = self._pending_local.ice if self._pending_local else None
        base = base or (self._transport.agreed.local if self._transport.agreed else None)
        if ice_restart or base is None or self._must_replace(base):
            base = fresh_ice_parameters(self._entropy)
        self._created_offer = self._build_offer(base)
        return Description(DescriptionType.OFFER, str(self._created_offer.session))

    def create_answer(self) -> Description:
        """The answer to the remote offer. Raises InvalidStateError when there is none, and once closed."""
        self._check_open()
        if self._state not in (SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER):
            raise InvalidStateError(f"no answer can be made in {self._state.value}")
        self._created_answer = self._build_answer()
        return Description(DescriptionType.ANSWER, str(self._created_answer))

    def set_local_description(self, description: Description | None = None) -> LocalApplied:
        """Apply an offer or answer that was made last; without one, or without text, make it first.

        Candidates in the text are ignored. Raises InvalidStateError, and InvalidModificationError for a text that is
        not the one made last.
        """
        self._check_open()
        kind = implied_type(self._state) if description is None else description.type
        reached = next_state(self._state, Side.LOCAL, kind)
        if kind is DescriptionType.ROLLBACK:
            commands = self._take_back_offer()
        elif kind is DescriptionType.OFFER:
            commands = self._apply_local_offer(self._offer_to_set(description))
        else:
            commands = self._apply_local_answer(kind, self._answer_to_set(description))
        return LocalApplied(tuple(commands), self._enter(reached), self.media.take_events())

    def set_remote_description(self, description: Description) -> RemoteApplied:
        """Apply what the peer sent. A remote offer while ours is out takes ours back first.

        Raises InvalidStateError, OperationError for a text that does not parse, InvalidAccessError for one that cannot
        be used.
        """
        self._check_open()
        kind = description.type
        takes_back = rolls_back_first(self._state, Side.REMOTE, kind)
        reached = next_state(SignalingState.STABLE if takes_back else self._state, Side.REMOTE, kind)
        commands: list[TransportCommand] = []
        if kind is DescriptionType.ROLLBACK:
            self._pending_remote = self._created_answer = None
            self.media.roll_back()
        elif kind is DescriptionType.OFFER:
            session = parse_remote(description.sdp, None)
            choice = self._check_remote_offer(session)
            commands = self._take_back_offer() if takes_back else []
            self._pending_remote = SetDescription(kind, session, choice.tagged)
            self._created_answer = None
            self.media.set_remote_offer(session, choice.accepted)
        else:
            commands = self._apply_remote_answer(kind, parse_remote(description.sdp, self._pending_local))
        return RemoteApplied(tuple(commands), self._enter(reached), self.media.take_events())

    def add_local_candidate(self, text: str, username_fragment: str | None = None) -> SectionPlace | None:
        """Gathering found a candidate, for the newest generation unless a ufrag is named.

        Returns where it belongs, for the `icecandidate` event; None when its generation is gone. Raises
        LocalProtocolError for one that `relay_only` forbids to show.
        """
        candidate = parse_candidate_text(text)
        if self.relay_only:
            check_is_relayed(candidate)
        generation = self._transport.generations.find(username_fragment)
        if generation is None:
            return None
        if candidate.attribute_value not in generation.candidates:
            generation.candidates.append(candidate.attribute_value)
        return self.candidate_place

    def local_candidates_done(self, username_fragment: str | None = None) -> SectionPlace | None:
        """Gathering is complete: `a=end-of-candidates` is shown. Returns as `add_local_candidate`."""
        generation = self._transport.generations.find(username_fragment)
        if generation is None:
            return None
        generation.is_complete = True
        return self.candidate_place

    def add_remote_candidate(
        self,
        candidate_text: str,
        sdp_mid: str | None = None,
        sdp_mline_index: int | None = None,
        username_fragment: str | None = None,
    ) -> RemoteCandidate | EndOfRemoteCandidates | None:
        """W3C `addIceCandidate`; "" ends the candidates. Returns what ICE is to be told now.

        None when that is nothing: the section is rejected, the candidate known or one too many, or it belongs to an
        offer that is not answered, and will be in its SetRemoteTransport. Raises TypeError when nothing names a
        section, InvalidStateError without a remote description, OperationError when no section of it can be meant.
        """
        self._check_open()
        newest = self._pending_remote or self._current_remote
        if newest is None:
            if candidate_text and sdp_mid is None and sdp_mline_index is None:
                raise TypeError("a candidate needs sdpMid or sdpMLineIndex")
            raise InvalidStateError("there is no remote description yet")
        trickled = parse_trickled(candidate_text, sdp_mid, sdp_mline_index, username_fragment, newest.session)
        return self._record_candidate(trickled, newest)

    def close(self) -> None:
        """The end: the descriptions stay as they are, and nothing can be set any more."""
        self._state = SignalingState.CLOSED
        self._negotiation_needed = False

    # -- what is asked about it

    @property
    def signaling_state(self) -> SignalingState:
        return self._state

    @property
    def negotiation_needed(self) -> bool:
        """W3C [[NegotiationNeeded]]."""
        return self._negotiation_needed

    def has_generation(self, username_fragment: str) -> bool:
        """Whether a description of ours still speaks of these ICE credentials."""
        return self._transport.generations.find(username_fragment) is not None

    @property
    def current_local_description(self) -> Description | None:
        return show_local(self._current_local, self._transport.generations)

    @property
    def pending_local_description(self) -> Description | None:
        return show_local(self._pending_local, self._transport.generations)

    @property
    def local_description(self) -> Description | None:
        """The pending one, otherwise the current one."""
        return show_local(self._pending_local or self._current_local, self._transport.generations)

    @property
    def current_remote_description(self) -> Description | None:
        return show_remote(self._current_remote)

    @property
    def pending_remote_description(self) -> Description | None:
        return show_remote(self._pending_remote)

    @property
    def remote_description(self) -> Description | None:
        """The pending one, otherwise the current one."""
        return show_remote(self._pending_remote or self._current_remote)

    @property
    def can_trickle(self) -> bool | None:
        """W3C `canTrickleIceCandidates`: None before the peer has said anything."""
        newest = self._pending_remote or self._current_remote
        return None if newest is None else "trickle" in newest.session.ice_options

    @property
    def ice_role(self) -> IceRole | None:
        """Ours; None before anybody offered.

        The offerer of the exchange that made the transport controls (RFC 9429 section 4.1.6), and keeps doing so in
        later ones; over a lite peer we always do, and as a lite one only over another (RFC 8445 section 6.1.1).
        """
        if self._transport.agreed is not None:
            return self._transport.agreed.ice_role
        if self._pending_local is not None and self._pending_local.type is DescriptionType.OFFER:
            return self._offerer_role
        return IceRole.CONTROLLED if self._pending_remote is not None else None

    @property
    def _offerer_role(self) -> IceRole:
        """What we are when we offer, before it is known whether the peer is lite."""
        return IceRole.CONTROLLED if self._is_lite else IceRole.CONTROLLING

    @property
    def candidate_place(self) -> SectionPlace | None:
        """Which section our candidates belong to; None while there is no transport."""
        newest = self._pending_local or self._current_local
        index = newest.tagged if newest is not None else None
        if newest is None or index is None:
            return None
        return SectionPlace(newest.session.media[index].mid, index)

    # -- making descriptions

    @property
    def _negotiated(self) -> NegotiatedSections | None:
        if self._current_local is None or self._current_remote is None:
            return None
        return NegotiatedSections(self._current_local.session, self._current_remote.session)

    @property
    def _origin(self) -> Origin:
        return Origin(self._session_id, self._session_version)

    def _build_offer(self, ice: IceParameters) -> OfferPlan:
        agreed = self._transport.agreed
        # RFC 8842 section 5.5: an offer that keeps the association may say its role. To `actpass` the answerer ought to
        # keep it, and Firefox answers what it likes.
        setup = Setup.ACTPASS if agreed is None else setup_for(agreed.dtls_role)
        transport = LocalTransport(ice, self._fingerprints, setup, self._is_lite)
        return build_offer(
            self._origin,
            self._negotiated,
            transport,
            self.media,
            wants_data=self._wants_data,
            next_mid=self._next_mid,
        )

    def _build_answer(self) -> SessionDescription:
        assert self._pending_remote is not None
        offer = self._pending_remote.session
        choice = self._choose(offer)
        if choice.tagged is None:
            unused = LocalTransport(IceParameters("", ""), (), Setup.ACTIVE, self._is_lite)
            return build_answer(self._origin, offer, unused, self.media, choice)
        remote = read_remote_transport(offer, choice.tagged)
        role = decide_dtls_role(self._transport.agreed, remote, offer.transports()[choice.tagged].setup)
        ice = self._answering_credentials(is_remote_restart(self._transport.agreed, remote))
        transport = LocalTransport(ice, self._fingerprints, setup_for(role), self._is_lite)
        return build_answer(self._origin, offer, transport, self.media, choice)

    def _choose(self, offer: SessionDescription) -> SectionChoice:
        """Which sections of the peer's offer we accept, as things are now."""
        negotiated = self._negotiated
        in_use = () if negotiated is None else negotiated.alive
        return choose_sections(offer, self.media.acceptable_sections(offer), in_use)

    def _answering_credentials(self, is_restart: bool) -> IceParameters:
        # What was made for this offer already, or set by a provisional answer, stays.
        for made in (self._created_answer, self._pending_local.session if self._pending_local else None):
            if made is not None and (ice := describe(DescriptionType.ANSWER, made).ice) is not None:
                return ice
        if self._transport.agreed is None or is_restart:
            return fresh_ice_parameters(self._entropy)
        return self._transport.agreed.local

    def _offer_to_set(self, description: Description | None) -> OfferPlan:
        if description is not None and description.sdp:
            created = self._created_offer
            check_unchanged(None if created is None else created.session, description.sdp)
            assert created is not None
            return created
        # W3C section 4.4.2: what was made last, while it still says how things are.
        if self._created_offer is None or not self._is_up_to_date(self._created_offer):
            self.create_offer()
        assert self._created_offer is not None
        return self._created_offer

    def _is_up_to_date(self, offer: OfferPlan) -> bool:
        ice = describe(DescriptionType.OFFER, offer.session).ice
        if ice is None:
            return not self._wants_data and not any(not one.is_stopping for one in self.media.transceivers)
        return not self._must_replace(ice) and str(self._build_offer(ice).session) == str(offer.session)

    def _answer_to_set(self, description: Description | None) -> SessionDescription:
        if description is not None and description.sdp:
            return check_unchanged(self._created_answer, description.sdp)
        self.create_answer()
        assert self._created_answer is not None
        return self._created_answer

    # -- applying descriptions

    def _apply_local_offer(self, offer: OfferPlan) -> list[TransportCommand]:
        self._pending_local = describe(DescriptionType.OFFER, offer.session)
        self.media.set_local_offer(offer.associations)
        self._session_version += 1
        return self._transport.gather(self._pending_local.ice, self._offerer_role)

    def _take_back_offer(self) -> list[TransportCommand]:
        self._pending_local = None
        self.media.roll_back()
        return self._transport.roll_back()

    def _check_remote_offer(self, session: SessionDescription) -> SectionChoice:
        check_follows(self._negotiated, session)
        choice = self._choose(session)
        if choice.tagged is not None:
            remote = read_remote_transport(session, choice.tagged)
            decide_dtls_role(self._transport.agreed, remote, session.transports()[choice.tagged].setup)
        return choice

    def _apply_local_answer(self, kind: DescriptionType, session: SessionDescription) -> list[TransportCommand]:
        assert self._pending_remote is not None
        local = describe(kind, session)
        agreed = agree(self._transport.agreed, local, self._pending_remote, we_answer=True, we_are_lite=self._is_lite)
        commands = self._transport.gather(local.ice, agreed.ice_role if agreed else IceRole.CONTROLLED)
        self._session_version += 1
        self._pending_local = local
        self._pending_remote = replace(self._pending_remote, tagged=local.tagged)
        told = self._set_answer(local, self._pending_remote, we_answer=True)
        if kind is DescriptionType.PRANSWER:
            return commands + self._transport.follow(agreed) + told
        return commands + self._finish(local, self._pending_remote, agreed) + told

    def _apply_remote_answer(self, kind: DescriptionType, session: SessionDescription) -> list[TransportCommand]:
        assert self._pending_local is not None
        remote = describe(kind, session)
        agreed = agree(self._transport.agreed, self._pending_local, remote, we_answer=False, we_are_lite=self._is_lite)
        self._pending_remote = remote
        self._pending_local = replace(self._pending_local, tagged=remote.tagged)
        told = self._set_answer(self._pending_local, remote, we_answer=False)
        if kind is DescriptionType.PRANSWER:
            return self._transport.follow(agreed) + told
        return self._finish(self._pending_local, remote, agreed) + told

    def _set_answer(self, local: SetDescription, remote: SetDescription, *, we_answer: bool) -> list[TransportCommand]:
        if not len(self.media.transceivers):
            return []
        answer = local if we_answer else remote
        self.media.set_answer(local.session, remote.session, sections_in_use(answer.session), we_answer=we_answer)
        return [MediaNegotiated()]

    def _finish(
        self, local: SetDescription, remote: SetDescription, agreed: TransportAgreement | None
    ) -> list[TransportCommand]:
        """The exchange is over: what was pending is current."""
        offer = remote if local.type is DescriptionType.ANSWER else local
        before = self._transport.agreed
        is_rejected = offer.data_section is not None and (agreed is None or agreed.sctp is None)
        had_data = before is not None and before.sctp is not None
        self._current_local, self._current_remote = local, remote
        self._pending_local = self._pending_remote = None
        self._created_offer = self._created_answer = None
        self.media.settle()
        self._next_mid = max(self._next_mid, highest_mid(local.session.media) + 1)
        if agreed is None or agreed.local not in self._credentials_to_replace:
            self._credentials_to_replace = frozenset()
        if agreed is not None:
            if agreed.sctp is None and (is_rejected or had_data):
                self._wants_data = False
            ended = [DataChannelsRejected(keeps_transport=True)] if is_rejected and not had_data else []
            return self._transport.settle(agreed) + ended
        if before is None and not is_rejected:
            return []
        # The channels end, so nothing is wanted any more until another is created.
        self._wants_data = False
        self._transport = NegotiatedTransport()
        return [DataChannelsRejected()]

    def _enter(self, state: SignalingState) -> bool:
        """W3C section 4.4.1.5, the last steps: whether to fire `negotiationneeded`."""
        self._state = state
        if state is SignalingState.STABLE:
            self._negotiation_needed = False
        return self.update_negotiation_needed()

    def _is_negotiation_needed(self) -> bool:
        if self._credentials_to_replace:
            return True
        negotiated = self._negotiated
        if self._wants_data and not (negotiated is not None and negotiated.has_data):
            return True
        local, remote = (negotiated.local, negotiated.remote) if negotiated is not None else (None, None)
        we_offered = self._current_local is not None and self._current_local.type is DescriptionType.OFFER
        return self.media.needs_negotiation(local, remote, we_offered=we_offered)

    def _record_candidate(
        self, trickled: TrickledCandidate, newest: SetDescription
    ) -> RemoteCandidate | EndOfRemoteCandidates | None:
        """Steps of W3C section 4.4.1.6 once the section is found: which generation, and who has to know."""
        if trickled.index is not None and newest.session.media[trickled.index].is_rejected:
            return None
        trickled = of_newest_generation(trickled, newest.session)
        applied = [one for one in (self._pending_remote, self._current_remote) if one is not None]
        meant = [(one, sections_meant(one.session, trickled)) for one in applied]
        if trickled.username_fragment is not None and not any(indices for _, indices in meant):
            raise OperationError("no remote description has this usernameFragment in the section")
        is_new = False
        for one, indices in meant:
            new = [index for index in indices if record(one.session, index, trickled)]
            is_new = is_new or self._transport.is_reached_by(one, new)
        agreed = self._transport.agreed
        if not is_new or agreed is None:
            return None
        if trickled.candidate is None:
            return EndOfRemoteCandidates(agreed.remote.ice.ufrag)
        return RemoteCandidate(trickled.candidate.text, agreed.remote.ice.ufrag)

    def _local_credentials(self) -> frozenset[IceParameters]:
        found = (one.ice for one in (self._current_local, self._pending_local) if one is not None)
        return frozenset(ice for ice in found if ice is not None)

    def _must_replace(self, ice: IceParameters) -> bool:
        return ice in self._credentials_to_replace or ice in self._credentials_outdated

    def _check_open(self) -> None:
        if self._state is SignalingState.CLOSED:
            raise InvalidStateError("the connection is closed")
