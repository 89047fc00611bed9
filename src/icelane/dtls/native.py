"""The backend over the system's OpenSSL: sessions of `libssl`, and when their flights are repeated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from icelane.core.clock import Duration, Instant, later
from icelane.crypto.certificate import Certificate
from icelane.dtls import libssl
from icelane.dtls.options import GROUPS, DtlsOptions, DtlsRole
from icelane.dtls.record import MAX_HANDSHAKE_MESSAGE

# RFC 6347 section 4.2.4.1 begins at 1 s and doubles, for peers about whom nothing is known. Here ICE has just measured
# the path, and what is lost costs the user a wait. Ten repetitions span the 30 s that a handshake has, most of them in
# the first seconds: 0.25, 0.6, 1.2, 2.0, 3.3, 5.2, 8.0, 12.3, 18.7 and 28.3 s after the flight.
FIRST_INTERVAL: Final[Duration] = 0.25
INTERVAL_GROWTH: Final = 1.5
# Of the ten, so many are kept for those times when the peer makes us hurry.
KEPT_FOR_THE_TIMER: Final = 4
# Combinations of options whose OpenSSL context is kept; the one that was not used for longest is made anew.
CONTEXTS: Final = 8


class NativeSession(libssl.Session):
    """A session whose flights are repeated when `handle_timeout` is told that it is time."""

    _copies: list[bytes]
    _pending: bytes
    _interval: Duration
    _due: Instant | None
    _written_at: Instant

    def __init__(
        self, certificate: Certificate, role: DtlsRole, options: DtlsOptions, verify: Callable[[bytes], bool]
    ) -> None:
        super().__init__(
            _context(options.suite_list, options.srtp_list),
            certificate.der,
            certificate.private_key_der(),
            certificate.chain_der,
            client=role is DtlsRole.CLIENT,
            mtu=options.mtu,
            verify=verify,
        )
        self._copies = []
        self._pending = b""
        self._interval = FIRST_INTERVAL
        self._due = None
        self._written_at = Instant(0.0)

    def handshake(self, datagram: bytes, now: Instant) -> bool:
        """See Session."""
        if self.step(datagram):
            self._copies, self._due = [], None
            return True
        if copies := self.retransmissions():  # a new flight has been written
            self._copies = copies[::-1]
            self._interval = FIRST_INTERVAL
            self._written_at = now
            self._due = later(now, self._interval)
        return False

    def hurry(self, now: Instant) -> None:
        """See Session."""
        if len(self._copies) > KEPT_FOR_THE_TIMER and now >= later(self._written_at, FIRST_INTERVAL):
            self._due = now
            self.handle_timeout(now)

    def handle_timeout(self, now: Instant) -> None:
        """See Session."""
        if self._due is None or now < self._due:
            return
        self._pending += self._copies.pop()
        self._interval *= INTERVAL_GROWTH
        self._written_at = now
        self._due = later(now, self._interval) if self._copies else None

    def next_timeout(self) -> Instant | None:
        """See Session."""
        return self._due

    def output(self) -> bytes:
        """See Session."""
        written = super().output()
        if self._pending:
            written, self._pending = self._pending + written, b""
        return written


class NativeBackend:
    """The system's OpenSSL. Raises NotSupportedError when it is not here."""

    name = "native"
    told_time = True

    def __init__(self) -> None:
        self.version = libssl.load()

    def open_session(
        self, certificate: Certificate, role: DtlsRole, options: DtlsOptions, verify: Callable[[bytes], bool]
    ) -> NativeSession:
        """See Backend."""
        return NativeSession(certificate, role, options, verify)


@functools.lru_cache(CONTEXTS)
def _context(suites: str, srtp_profiles: str) -> libssl.Context:
    return libssl.Context(suites, GROUPS, srtp_profiles, MAX_HANDSHAKE_MESSAGE)
