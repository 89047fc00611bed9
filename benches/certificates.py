"""The certificate that every server under test shows: made for one run of a benchmark, by an authority of that run.

One key for all servers, so that what differs between them is not the signature of a handshake.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import trustme


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A chain and its key, as PEM files."""

    chain: Path
    key: Path


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _leaf(host: str) -> trustme.LeafCert:
    return _authority().issue_cert(host)


def write_certificate(host: str, directory: Path) -> Certificate:
    """Put a certificate for `host` into `directory`."""
    leaf = _leaf(host)
    certificate = Certificate(chain=directory / "certificate.pem", key=directory / "key.pem")
    certificate.chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    certificate.key.write_bytes(leaf.private_key_pem.bytes())
    return certificate


@cache
def client_context() -> ssl.SSLContext:
    """What the clients use: the default of this Python, which trusts that authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context
