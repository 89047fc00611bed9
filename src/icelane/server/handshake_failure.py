"""Why a TLS handshake failed, as one of the reasons that docs/reference/logs.md explains."""

from __future__ import annotations

import ssl
from typing import Final

# OpenSSL's own names. An ALERT is what the client thought of us; the rest is what we thought of the client.
_REASONS: Final = {
    "TLSV1_ALERT_UNKNOWN_CA": "client-does-not-know-authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "client-says-expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "client-refuses-certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client-refuses-certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "client-refuses-certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "client-refuses-certificate",
    "TLSV1_UNRECOGNIZED_NAME": "client-refuses-certificate",
    "UNSUPPORTED_PROTOCOL": "old-version",
    "VERSION_TOO_LOW": "old-version",
    "UNKNOWN_PROTOCOL": "old-version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "old-version",
    "NO_SHARED_CIPHER": "no-shared-cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no-shared-cipher",
    "HTTP_REQUEST": "not-tls",
    "HTTPS_PROXY_REQUEST": "not-tls",
    "WRONG_VERSION_NUMBER": "not-tls",
}


def failure_reason(error: OSError) -> tuple[str, str]:
    """The reason and, where it is none that we know, what OpenSSL calls it."""
    if isinstance(error, ssl.SSLError):
        name = error.reason or ""
        reason = _REASONS.get(name)
        return (reason, "") if reason is not None else ("handshake-failed", name)
    # The loops word a timeout in two ways, and only one of them has a type of its own.
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "too-slow", ""
    return "connection-lost", ""
