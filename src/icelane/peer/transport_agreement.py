"""What both descriptions together say about the transport, and what has to happen when they say something else.

An ICE restart is a change of both ufrag and password (RFC 8839 section 4.4.1.1). A new DTLS association comes of
another fingerprint, another tls-id or another role (RFC 8842 section 4), and is only to be had together with an ICE
restart (RFC 9429 section 5.11): without one, packets of the old and of the new association could not be told apart, and
a fingerprint that anybody could exchange under a running connection would be worth nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from icelane.crypto.provider import equal
from icelane.dtls.options import DtlsRole
from icelane.errors import InvalidAccessError
from icelane.ice.event import IceRole
from icelane.peer.media_section import is_alive, read_remote_transport, read_sctp, role_against
from icelane.peer.set_description import SetDescription
from icelane.peer.transport_command import (
    DataChannelsNegotiated,
    DataChannelsRejected,
    DtlsRoleDecided,
    IceParameters,
    NewDtlsAssociation,
    RemoteTransport,
    SetRemoteTransport,
    TransportCommand,
)
from icelane.sdp.transport_attributes import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportAgreement:
    """What the transport was told: both ends' parameters and our roles; and the SCTP that runs on it.

    `sctp` is the peer's port and how long a message may be, None where there is nothing but media. `mids` are those of
    the sections on it. `association` counts those of DTLS that began though the certificate stayed.
    """

    local: IceParameters
    remote: RemoteTransport
    ice_role: IceRole
    dtls_role: DtlsRole
    sctp: tuple[int, int] | None
    mids: frozenset[str | None] = frozenset()
    association: int = 0


def is_remote_restart(agreed: TransportAgreement | None, remote: RemoteTransport) -> bool:
    """Whether the peer has new ICE credentials. Raises InvalidAccessError when only one of the two is new."""
    if agreed is None or agreed.remote.ice == remote.ice:
        return False
    before, now = agreed.remote.ice, remote.ice
    if before.ufrag == now.ufrag or equal(before.password.encode(), now.password.encode()):
        raise InvalidAccessError("an ICE restart changes both the ufrag and the password")
    return True


def decide_dtls_role(agreed: TransportAgreement | None, remote: RemoteTransport, setup: Setup | None) -> DtlsRole:
    """Our role against the `a=setup` of the peer, as answerer where it says `actpass`, and as offerer.

    Raises InvalidAccessError for a new association without an ICE restart, and for half a restart.
    """
    left = role_against(setup)
    if agreed is None:
        return left or DtlsRole.CLIENT
    is_restart = is_remote_restart(agreed, remote)
    same_peer = is_same_certificate(agreed.remote, remote)
    role = left or (agreed.dtls_role if same_peer else DtlsRole.CLIENT)
    if (not same_peer or role is not agreed.dtls_role) and not is_restart:
        what = "role" if same_peer else "fingerprint or tls-id"
        raise InvalidAccessError(f"another DTLS {what} needs an ICE restart (RFC 9429 section 5.11)")
    return role


def is_same_certificate(before: RemoteTransport, now: RemoteTransport) -> bool:
    """Whether nothing asks for another DTLS association. A tls-id that one of the two lacks says nothing."""
    if None not in (before.tls_id, now.tls_id) and before.tls_id != now.tls_id:
        return False
    return set(before.fingerprints) == set(now.fingerprints)


def keep_tls_id(agreed: TransportAgreement | None, remote: RemoteTransport) -> RemoteTransport:
    """`remote`, with the tls-id of before where it names none: an answer to us has none, because we offer none."""
    if agreed is None or remote.tls_id is not None or not is_same_certificate(agreed.remote, remote):
        return remote
    return replace(remote, tls_id=agreed.remote.tls_id)


def commands_between(before: TransportAgreement | None, after: TransportAgreement) -> list[TransportCommand]:
    """What the transport has to be told, in order; our own gathering is not in it."""
    commands: list[TransportCommand] = []
    remote, role = after.remote, after.ice_role
    if before is None or (before.remote, before.local, before.ice_role) != (remote, after.local, role):
        commands.append(SetRemoteTransport(remote, role, is_remote_restart(before, remote)))
    if before is None:
        commands.append(DtlsRoleDecided(after.dtls_role, remote.fingerprints))
    elif _is_other_association(before, after):
        commands.append(NewDtlsAssociation(after.dtls_role, remote.fingerprints))
        before = None  # what ran on the old association ends with it
    if after.sctp is not None and (before is None or before.sctp != after.sctp):
        commands.append(DataChannelsNegotiated(*after.sctp))
    elif after.sctp is None and before is not None and before.sctp is not None:
        commands.append(DataChannelsRejected(keeps_transport=True))
    return commands


def agree(
    before: TransportAgreement | None,
    local: SetDescription,
    remote: SetDescription,
    *,
    we_answer: bool,
    we_are_lite: bool = False,
) -> TransportAgreement | None:
    """What the two descriptions of an exchange come to; None when no section is left. Raises InvalidAccessError.

    `before` is the last exchange, or what a provisional answer of this one came to.
    """
    answer = local if we_answer else remote
    ice, index = local.ice, answer.tagged
    if ice is None or index is None:
        return None
    transport = read_remote_transport(remote.session, index)
    if before is not None and before.local == ice and is_remote_restart(before, transport):
        # RFC 8839 section 4.4.1.1.1: the offer restarts ICE, for both. An answer that does is somebody else's.
        raise InvalidAccessError("only after an offer that restarts ICE has the answer other ICE credentials")
    dtls_role = decide_dtls_role(before, transport, remote.session.transports()[index].setup)
    data = answer.data_section
    number = 0 if before is None else before.association + _has_other_transport(before, transport, answer, index)
    return TransportAgreement(
        local=ice,
        remote=keep_tls_id(before, transport),
        ice_role=_ice_role(before, transport, we_answer, we_are_lite),
        dtls_role=dtls_role,
        sctp=None if data is None else read_sctp(remote.session.media[data]),
        mids=frozenset(section.mid for section in answer.session.media if is_alive(section)),
        association=number,
    )


def _is_other_association(before: TransportAgreement, after: TransportAgreement) -> bool:
    return (
        not is_same_certificate(before.remote, after.remote)
        or before.dtls_role is not after.dtls_role
        or before.association != after.association
    )


def _has_other_transport(
    before: TransportAgreement, remote: RemoteTransport, answer: SetDescription, tagged: int
) -> bool:
    """Whether the peer has made another transport, DTLS included, and moved all sections to it.

    Chromium does that when the first section of its bundle is a new one, in the place of one that was stopped. It says
    so by new ICE credentials, which would be a mere restart for a section that was there before.
    """
    return is_remote_restart(before, remote) and answer.session.media[tagged].mid not in before.mids


def _ice_role(
    before: TransportAgreement | None, remote: RemoteTransport, we_answer: bool, we_are_lite: bool
) -> IceRole:
    """The offerer controls, for the life of the transport; over a lite peer the full one (RFC 8445 section 6.1.1)."""
    if remote.is_lite is not we_are_lite:
        return IceRole.CONTROLLED if we_are_lite else IceRole.CONTROLLING
    if before is not None:
        return before.ice_role
    return IceRole.CONTROLLED if we_answer else IceRole.CONTROLLING
