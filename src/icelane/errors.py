"""Every exception that icelane raises on purpose.

IcelaneError
├── ConfigurationError           a key, a file or an environment name is wrong; names the key and the file
├── LocalProtocolError           our caller broke a rule of the protocol
│   ├── InvalidStateError        W3C: not in this state
│   ├── InvalidAccessError       W3C: not with these arguments
│   ├── InvalidModificationError W3C: a description was changed after it was made
│   ├── NotSupportedError        W3C: not here, or not yet
│   │   └── MissingExtraError    an optional dependency is not installed; also an ImportError
│   ├── SyntaxError_             W3C: text that our caller passed does not parse
│   └── MessageTooLargeError     W3C (a TypeError there): longer than the peer takes; also a ValueError
├── OperationError               W3C: asked rightly, and it failed
├── MediaStreamError             a track has ended
├── RemoteProtocolError          the peer broke a rule of the protocol
│   ├── MalformedError           bytes that do not parse; also a ValueError: the one parse error
│   ├── IntegrityError           MESSAGE-INTEGRITY or FINGERPRINT is missing or wrong
│   ├── HandshakeError           DTLS: no handshake, or not with the peer whose fingerprint was signalled
│   ├── AuthenticationError      SRTP: not the peer's packet, or not as the peer sent it
│   ├── ReplayError              SRTP: a packet that came already, or is too old to know
│   ├── AssociationError         SCTP: the peer aborted the association or broke its rules
│   └── DowngradeError           somebody tried to weaken the authentication
├── TransactionTimeoutError      no answer after every retransmission; also a TimeoutError
├── ResolutionError              a name has no usable address
├── SignalError                  a signaling server does not do what was asked
│   └── SignalRefusedError       a signaling server does not let us in, or has sent us away
├── StunError                    a STUN server answered with an error code
│   └── TurnError                a TURN server answered with an error code
└── TransportClosedError         the connection under us is gone; also a ConnectionError
    ├── CertificateRefusedError  the server's certificate is not good for its name
    └── ProxyError               the HTTP proxy on the way to a server did not lead there
"""

from __future__ import annotations


class IcelaneError(Exception):
    """Root of all exceptions raised on purpose."""


class ConfigurationError(IcelaneError):
    """A configuration value cannot be used.

    `key` is the dotted name of the setting or of the environment variable, empty when it is the whole of `file` that
    cannot be used; `file` is where it stands, None when it came from the environment or from a keyword argument.
    """

    def __init__(self, message: str, *, key: str, file: str | None = None) -> None:
        self.key = key
        self.file = file
        self.message = message
        where = " in ".join(part for part in (key, file) if part)
        super().__init__(f"{where}: {message}")


class LocalProtocolError(IcelaneError):
    """Our caller asked for something that the protocol does not allow now."""


class InvalidStateError(LocalProtocolError):
    """W3C `InvalidStateError`: not in the state that the object is in."""


class InvalidAccessError(LocalProtocolError):
    """W3C `InvalidAccessError`: not with these arguments."""


class InvalidModificationError(LocalProtocolError):
    """W3C `InvalidModificationError`: what we made was changed before it came back to us."""


class NotSupportedError(LocalProtocolError):
    """W3C `NotSupportedError`: icelane does not do that."""


class MissingExtraError(NotSupportedError, ImportError):
    """What was asked for needs a package that `pip install 'icelane[extra]'` brings; `extra` is its name."""

    def __init__(self, message: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{message}: pip install 'icelane[{extra}]'")


class SyntaxError_(LocalProtocolError):  # noqa: N801  (named in the documentation)
    """W3C `SyntaxError`: text that our caller passed on does not parse. Python's own name is taken, hence the dash."""


class MessageTooLargeError(LocalProtocolError, ValueError):
    """A message is longer than what the peer takes (W3C RTCDataChannel.send raises a TypeError for it)."""


class OperationError(IcelaneError):
    """W3C `OperationError`: what was asked for is allowed, and failed."""


class MediaStreamError(IcelaneError):
    """A track has ended: there is no further frame."""


class RemoteProtocolError(IcelaneError):
    """The peer sent something that the protocol does not allow."""


class MalformedError(RemoteProtocolError, ValueError):
    """Bytes or text from the network do not parse. The only exception a `parse_*` function raises."""


class IntegrityError(RemoteProtocolError):
    """MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 or FINGERPRINT is missing or does not match."""


class HandshakeError(RemoteProtocolError):
    """DTLS came to no connection, or to one with somebody whose fingerprint was not signalled."""


class AuthenticationError(RemoteProtocolError):
    """SRTP or SRTCP: the authentication tag does not match, or there is none."""


class ReplayError(RemoteProtocolError):
    """SRTP or SRTCP: this packet came already, or it is so old that nobody knows."""


class AssociationError(RemoteProtocolError):
    """SCTP: the peer aborted the association, does not answer any more, or broke a rule that ends it."""


class DowngradeError(RemoteProtocolError):
    """The server's nonce promises a stronger mechanism than the message offers (RFC 8489 section 9.2.5)."""


class TransactionTimeoutError(IcelaneError, TimeoutError):
    """A request was retransmitted to the end and nothing came back."""


class ResolutionError(IcelaneError):
    """A host name or service record leads to no usable address."""


class StunError(IcelaneError):
    """A server answered a request with an error response.

    `code` is 300 to 699 (RFC 8489 section 14.8), `reason` the phrase it sent, `server` who it was as `host:port`.
    """

    def __init__(self, code: int, reason: str = "", server: str = "") -> None:
        self.code = code
        self.reason = reason
        self.server = server
        text = f"{code} {reason}".rstrip()
        super().__init__(f"{server}: {text}" if server else text)


class TurnError(StunError):
    """A TURN server answered a request with an error response.

    `realm` is what a 401 said of the server's realm, "" where it said nothing. Nothing proves it: it is for people.
    """

    def __init__(self, code: int, reason: str = "", server: str = "", *, realm: str = "") -> None:
        super().__init__(code, reason, server)
        self.realm = realm


class SignalError(IcelaneError):
    """A signaling server answered that it does not do what was asked.

    `code` is its word for programs, such as `peer_not_found`, `message` its sentence for people; `retryable` says
    whether the same may work later, `after` in how many seconds, None where it did not say.
    """

    def __init__(self, code: str, message: str = "", *, retryable: bool = False, after: float | None = None) -> None:
        self.code = code
        self.message = message
        self.retryable = retryable
        self.after = after
        super().__init__(f"{code}: {message}" if message and message != code else code)


class SignalRefusedError(SignalError):
    """A signaling server does not let us in, or has sent us away for good.

    `close_code` is that of the WebSocket (4401, 4403 and so on), or the status of an HTTP answer.
    """

    def __init__(self, code: str, message: str = "", *, close_code: int) -> None:
        self.close_code = close_code
        super().__init__(code, message)


class TransportClosedError(IcelaneError, ConnectionError):
    """The connection that carried the protocol was closed or reset."""


class TlsHandshakeError(TransportClosedError):
    """A server was reached by TCP, and no TLS came of it: the port speaks something else, or nothing."""


class CertificateRefusedError(TransportClosedError):
    """A server was reached over TLS, and its certificate is expired, from an unknown authority, or for another name."""


class ProxyError(TransportClosedError):
    """The HTTP proxy on the way to a server did not lead there. `status` is its answer, None when it gave none."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)
