"""The TLS of our clients: the chain and the name are verified, always, and nothing in the environment changes that.

Trusted are the authorities of this machine, or instead of them the ones in a file that the caller names. SSL_CERT_FILE,
SSL_CERT_DIR and SSLKEYLOGFILE, which Python's default context obeys, count for nothing here.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from icelane.errors import ConfigurationError

# Where systems keep their authorities, for a Python whose OpenSSL was built to look elsewhere.
_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)

# RFC 7443: a port that is shared with HTTPS can tell us apart.
_ALPN: Final = ("stun.turn",)


def client_context(authority: Path | str | None = None, *, alpn: Sequence[str] = _ALPN) -> ssl.SSLContext:
    """A context that accepts a server whose certificate is good for the name it was reached by.

    `authority` is a PEM file with the only authorities to trust, for a private one; `alpn` names what will be spoken.
    Raises ConfigurationError when the file cannot be used, or when this machine has none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.hostname_checks_common_name = False  # RFC 9525 section 2: names stand in subjectAltName
    context.set_alpn_protocols(list(alpn))
    if authority is None:
        _trust_this_machine(context)
    else:
        _trust_file(context, Path(authority))
    return context


def _trust_file(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ConfigurationError("holds no PEM certificate", key="authority", file=str(path)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"cannot be read: {reason}", key="authority", file=str(path)) from None


def _trust_this_machine(context: ssl.SSLContext) -> None:
    if sys.platform == "win32":
        context.load_default_certs()
        return
    # The paths that OpenSSL was built with, and not those that the environment puts in their place.
    paths = ssl.get_default_verify_paths()
    found = False
    if Path(paths.openssl_capath).is_dir() and any(Path(paths.openssl_capath).glob("*.0")):
        context.load_verify_locations(capath=paths.openssl_capath)
        found = True
    for bundle in (Path(paths.openssl_cafile), *_BUNDLES):
        if not found and bundle.is_file():
            context.load_verify_locations(cafile=bundle)
            found = True
    if not found:
        raise ConfigurationError(
            "this machine has no certificate authorities; install ca-certificates, or name a file with one",
            key="authority",
        )
