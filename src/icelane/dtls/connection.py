"""One DTLS connection: handshake, proof of who the peer is, then records both ways.

    client                                  server              flights of RFC 6347 section 4.2.4

    start() -> ClientHello            -->                       1
                                      <--   ServerHello         4  (2 and 3 are the cookie exchange, which we do not
                                            Certificate             ask for: ICE has authenticated the peer's address)
                                            ServerKeyExchange
                                            CertificateRequest
                                            ServerHelloDone
    Certificate                       -->                       5
    ClientKeyExchange
    CertificateVerify
    ChangeCipherSpec, Finished
                                      <--   ChangeCipherSpec    6
                                            Finished
    fingerprint matches?                    fingerprint matches?
    HandshakeCompleted                      HandshakeCompleted

The fingerprint may be known later than the handshake is done; nothing is believed, exported or delivered before it is.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from icelane.core.clock import Instant, earliest, later
from icelane.crypto.certificate import Certificate, fingerprint_of
from icelane.dtls.backend import Backend, default_backend
from icelane.dtls.identity import Fingerprint, RemoteIdentity
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.dtls.record import RecordFilter, is_encrypted_data, pack_records
from icelane.dtls.security import (
    KeyingMaterial,
    SecurityParameters,
    export_keys,
    negotiated_profile,
    negotiated_suite,
)
from icelane.errors import (
    HandshakeError,
    InvalidAccessError,
    InvalidStateError,
    MessageTooLargeError,
    RemoteProtocolError,
    TransportClosedError,
)

# RFC 6347 section 4.1.1: a record holds 2^14 bytes at most.
MAX_PAYLOAD: Final = 16_384
# Payloads that wait, undelivered, until the fingerprint is known; further ones are dropped, and SCTP repeats them.
MAX_HELD: Final = 16


class DtlsState(enum.Enum):
    """The states of W3C's RTCDtlsTransport."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The peer is who was signalled. `keying_material` is None when no SRTP profile was agreed on."""

    security: SecurityParameters
    keying_material: KeyingMaterial | None


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """There will be no connection: refused by either side, with the wrong peer, or out of time."""

    error: HandshakeError


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended: by the peer's close_notify or fatal alert, or by us."""

    by_peer: bool


DtlsEvent: TypeAlias = HandshakeCompleted | HandshakeFailed | Closed


class DtlsConnection:
    """The engine of one connection; see the module's docstring.

    `backend` is for tests and measurements; by default it is the compiled one where that can be had.
    """

    def __init__(
        self,
        certificate: Certificate,
        *,
        role: DtlsRole,
        options: DtlsOptions | None = None,
        backend: Backend | None = None,
    ) -> None:
        self._certificate = certificate
        self._options = options or DtlsOptions()
        self._identity = RemoteIdentity(certificate)
        backend = backend or default_backend()
        self._session = backend.open_session(certificate, role, self._options, self._identity.may_be)
        self._open = self._session.open
        self._seal = self._session.seal
        self._filter = RecordFilter(role)
        self._role = role
        self._state = DtlsState.NEW
        self._finished = False
        self._deadline: Instant | None = None
        self._security: SecurityParameters | None = None
        self._transmits: deque[bytes] = deque()
        self._events: deque[DtlsEvent] = deque()
        self._data: deque[bytes] = deque()

    # Inputs

    def handle_datagram(self, data: bytes, now: Instant) -> None:
        """A datagram came. What is no DTLS, not for this state, or not from the peer is dropped and counted."""
        if self._state is DtlsState.CONNECTED:
            try:
                payload = self._open(data)
            except (RemoteProtocolError, TransportClosedError):
                self._end(by_peer=True)
                return
            if payload:
                self._data.append(payload)
            elif payload is None:
                self._read(self._filter.admit(data))
            else:
                self._filter.discarded += 1
        elif self._state is DtlsState.CONNECTING:
            self._handle_early(data, now)
        else:
            self._filter.discarded += 1

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed. Calling it early is harmless."""
        if self._state is not DtlsState.CONNECTING:
            return
        if self._deadline is not None and now >= self._deadline:
            missing = "no fingerprint was signalled" if self._finished else "the peer did not answer"
            self._fail(HandshakeError(f"{missing} within {self._options.handshake_timeout:g} s"))
            return
        self._session.handle_timeout(now)
        self._collect(repeated=True)

    # Commands

    def set_remote_fingerprints(self, fingerprints: Sequence[Fingerprint], now: Instant) -> None:  # noqa: ARG002  (every mutator is told)
        """Who the peer has to be: the name of a hash and its value, from the session description.

        All that are by SHA-256, SHA-384 or SHA-512 have to match. When there are none, or one is our own, the
        connection fails. Raises InvalidStateError when they change after the peer was believed, or after the end.
        """
        if self._state in (DtlsState.CLOSED, DtlsState.FAILED):
            raise InvalidStateError(f"the connection has {self._state.value}")
        if self._security is not None:
            self._expect_no_change(fingerprints)
            return
        try:
            self._identity.expect(fingerprints)
        except HandshakeError as error:
            self._fail(error)
            return
        if self._finished:
            self._complete()

    def start(self, now: Instant) -> None:
        """The client sends its ClientHello, the server begins to listen; both have `handshake_timeout` from now.

        Raises InvalidStateError when called again or after the end.
        """
        if self._state is not DtlsState.NEW:
            raise InvalidStateError(f"the connection is {self._state.value}")
        self._state = DtlsState.CONNECTING
        self._deadline = later(now, self._options.handshake_timeout)
        if self._role is DtlsRole.CLIENT:
            self._advance(b"", now)

    def send(self, data: bytes, now: Instant) -> None:  # noqa: ARG002
        """Send `data`, 1 to 16,384 bytes, in one record and datagram.

        Raises InvalidStateError unless connected, MessageTooLargeError when it does not fit.
        """
        if self._state is not DtlsState.CONNECTED:
            raise InvalidStateError(f"the connection is {self._state.value}")
        if not 0 < len(data) <= MAX_PAYLOAD:
            if not data:
                raise InvalidAccessError("there is nothing to send")
            raise MessageTooLargeError(f"{len(data)} bytes do not fit into a record of {MAX_PAYLOAD}")
        try:
            self._transmits.append(self._seal(data))
        except (RemoteProtocolError, TransportClosedError):
            self._end(by_peer=False)

    def close(self, now: Instant) -> None:  # noqa: ARG002
        """Say close_notify when connected, and end. Nothing happens after the end."""
        if self._state not in (DtlsState.CLOSED, DtlsState.FAILED):
            self._end(by_peer=False)

    # Outputs

    def poll_transmit(self) -> bytes | None:
        """The next datagram to send, or None."""
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> DtlsEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def poll_data(self) -> bytes | None:
        """The next payload from the peer, or None; nothing before the peer is believed."""
        return self._data.popleft() if self._data and self._security is not None else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        if self._state is not DtlsState.CONNECTING:
            return None
        return earliest(self._deadline, self._session.next_timeout())

    # Looking at it

    @property
    def state(self) -> DtlsState:
        """Where the connection stands."""
        return self._state

    @property
    def role(self) -> DtlsRole:
        """Which end we are."""
        return self._role

    @property
    def security(self) -> SecurityParameters | None:
        """What was agreed on, once the peer is believed; it stays after the end."""
        return self._security

    @property
    def discarded(self) -> int:
        """How many records, or datagrams that are none, were dropped."""
        return self._filter.discarded

    # The handshake

    def _handle_early(self, data: bytes, now: Instant) -> None:
        admitted = self._filter.admit(data)
        if not admitted:
            return
        if self._finished:
            self._read(admitted)
            return
        self._advance(admitted, now)
        if is_encrypted_data(data) and self._state is DtlsState.CONNECTING and not self._finished:
            # The peer is connected already, and its last flight was lost: ours makes it say it again.
            self._session.hurry(now)
            self._collect(repeated=True)

    def _advance(self, datagram: bytes, now: Instant) -> None:
        try:
            finished = self._session.handshake(datagram, now)
        except HandshakeError as error:
            self._fail(error)
            return
        self._collect()
        if finished:
            self._finished = self._filter.connected = True
            if self._identity.known:
                self._complete()

    def _complete(self) -> None:
        """The handshake is done and the fingerprints are known: believe the peer, or fail."""
        session = self._session
        certificate = session.peer_certificate
        try:
            self._identity.verify(certificate)
            suite = negotiated_suite(session)
            profile = negotiated_profile(session, self._options.srtp_profiles)
            if profile is None and self._options.srtp_required:
                raise HandshakeError("the peer agrees to no SRTP profile")
            keys = export_keys(session, profile) if profile is not None else None
        except HandshakeError as error:
            session.shutdown()
            self._fail(error)
            return
        self._security = SecurityParameters(
            protocol=session.protocol,
            cipher_suite=suite,
            srtp_profile=profile,
            remote_certificate=certificate,
            remote_fingerprint=fingerprint_of(certificate, "sha-256"),
            remote_fingerprints=self._identity.fingerprints,
            local_fingerprint=self._certificate.fingerprint("sha-256"),
        )
        self._state = DtlsState.CONNECTED
        self._deadline = None
        self._events.append(HandshakeCompleted(self._security, keys))
        self._read(b"")  # what came in the datagram of the last flight, or before it

    def _expect_no_change(self, fingerprints: Sequence[Fingerprint]) -> None:
        again = RemoteIdentity(self._certificate)
        try:
            again.expect(fingerprints)
            again.verify(self._security.remote_certificate if self._security else b"")
        except HandshakeError as error:
            raise InvalidStateError(f"the peer is connected already, and {error}") from error

    # Records

    def _read(self, datagram: bytes) -> None:
        """Hand protected records to the session and take out what is in them."""
        try:
            payload = self._session.read(datagram)
            while payload is not None:
                self._keep(payload)
                payload = self._session.read(b"")
        except (RemoteProtocolError, TransportClosedError):
            self._end(by_peer=True)
            return
        self._collect(repeated=True)

    def _keep(self, payload: bytes) -> None:
        if self._security is None and len(self._data) >= MAX_HELD:
            self._filter.discarded += 1
        elif payload:
            self._data.append(payload)

    def _collect(self, *, repeated: bool = False) -> None:
        """Take what the session wrote. A flight that is `repeated` goes out twice: losing it again costs a second."""
        if written := self._session.output():
            datagrams = list(pack_records(written, self._options.mtu))
            self._transmits.extend(datagrams * 2 if repeated else datagrams)

    # The end

    def _fail(self, error: HandshakeError) -> None:
        self._collect()
        self._state = DtlsState.FAILED
        self._deadline = None
        self._data.clear()  # from somebody who was never believed
        self._events.append(HandshakeFailed(error))

    def _end(self, *, by_peer: bool) -> None:
        self._session.shutdown()
        if by_peer and self._security is None:
            self._fail(HandshakeError("the peer ended the connection before its fingerprint was known"))
            return
        self._collect()
        self._state = DtlsState.CLOSED
        self._deadline = None
        self._events.append(Closed(by_peer))
