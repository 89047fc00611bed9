"""STUN and TURN over each transport by itself, with what the server answers in words.

A 401 is told apart by what else is known: when the credential ends, which realm the server has, and so at last that it
is the secret.
"""

from __future__ import annotations

from typing import Final

from icelane.aio.resolver import Lookup
from icelane.aio.stun_client import binding
from icelane.core.clock import Duration, UnixSeconds
from icelane.core.net import NamedPlace, Transport
from icelane.diagnostics.relay_check import Login, PacketLostError, check_relay
from icelane.diagnostics.result import Cause, CheckResult, failed, passed, warned
from icelane.errors import (
    CertificateRefusedError,
    IcelaneError,
    MalformedError,
    ResolutionError,
    StunError,
    TlsHandshakeError,
    TurnError,
)
from icelane.stun.uri import StunUri, TurnUri
from icelane.turn.credentials import parse_rest_username
from icelane.turn.explanation import explain

SHORT: Final[Duration] = 60.0
"""A credential that ends within it may be over before the call has begun."""

_UNAUTHORIZED: Final = 401


def transport_of(uri: StunUri | TurnUri) -> Transport:
    """What a URI is reached over."""
    if uri.secure:
        return Transport.TLS
    return (uri.transport if isinstance(uri, TurnUri) else None) or Transport.UDP


async def check_stun(
    uri: StunUri, *, timeout: Duration = 5.0, lookup: Lookup | None = None, name: str = "STUN udp"
) -> CheckResult:
    """Whether a server answers Binding over UDP, and whether a NAT is in between."""
    try:
        found = await binding(uri, timeout=timeout, lookup=lookup)
    except StunError as error:
        return _refused(name, error.code, error.reason)
    except IcelaneError as error:
        return _unreached(name, uri, error)
    nat = f"behind a NAT, from {found.local.host}" if found.mapped.host != found.local.host else "no NAT"
    return passed(name, f"we are {found.mapped}, {nat}; {found.rtt * 1000:.1f} ms")


async def check_turn(
    uri: TurnUri,
    login: Login,
    unix_time: UnixSeconds,
    *,
    realm: str | None = None,
    timeout: Duration = 5.0,
    authority: str | None = None,
    lookup: Lookup | None = None,
    http_proxy: str | None = None,
    name: str = "TURN",
) -> CheckResult:
    """Allocate twice over the URI's transport and send a packet through both. `realm` is the one that is expected."""
    try:
        report = await check_relay(uri, login, timeout, authority=authority, http_proxy=http_proxy, lookup=lookup)
    except IcelaneError as error:
        return _unreached(name, uri, error)
    if report.error is None and report.round_trip is not None:
        detail = f"relays at {report.relayed}, {report.round_trip * 1000:.1f} ms there and back"
        return passed(name, detail if report.proxy is None else f"{detail}, through the proxy {report.proxy}")
    return _explained(name, report.error, report.steps[-1].detail, report.steps[-1].mend or "", login, realm, unix_time)


def check_credential(username: str, unix_time: UnixSeconds, *, name: str = "credential") -> CheckResult:
    """How long the name of an ephemeral credential is good for."""
    expiry = _expiry(username)
    if expiry is None:
        return passed(name, "of a user whose password does not expire")
    left = expiry - unix_time
    if left <= 0:
        return failed(name, f"it ended {-left:.0f} s ago", Cause.CREDENTIAL_EXPIRED, _FRESH)
    detail = f"good for {left:.0f} s"
    if left < SHORT:
        return warned(name, detail, Cause.CREDENTIAL_SHORT, f"{_FRESH}; ask for a longer `ttl`")
    return passed(name, detail)


_FRESH: Final = (
    "make a fresh one: `icelane ice`, or POST /v1/ice-servers; and let whoever hands them out make them per call"
)


def _explained(
    name: str, error: IcelaneError | None, detail: str, mend: str, login: Login, realm: str | None, now: UnixSeconds
) -> CheckResult:
    """Why the relay check has stopped."""
    if isinstance(error, CertificateRefusedError):
        return failed(name, detail, Cause.CERTIFICATE_REFUSED, mend)
    if isinstance(error, PacketLostError):
        return failed(name, detail, Cause.RELAY_RANGE_CLOSED, mend)
    if isinstance(error, TurnError) and error.code == _UNAUTHORIZED:
        return _unauthorized(name, error, login, realm, now)
    return failed(name, detail, Cause.TURN_REFUSED, mend)


def _unauthorized(name: str, error: TurnError, login: Login, realm: str | None, now: UnixSeconds) -> CheckResult:
    expiry = _expiry(login.username)
    if expiry is not None and expiry <= now:
        detail = f"401: the credential ended {now - expiry:.0f} s ago"
        return failed(name, detail, Cause.CREDENTIAL_EXPIRED, _FRESH)
    if realm is not None and error.realm and error.realm != realm:
        detail = f"401: the server's realm is {error.realm!r}, and the configuration says {realm!r}"
        mend = (
            "another server answers there, or it runs with another configuration: compare turn.realm, and start it"
            " with this one: `icelane serve -c FILE`"
        )
        return failed(name, detail, Cause.REALM_WRONG, mend)
    what = "user or password" if expiry is None else "secret"
    detail = f"401: the credential has not ended, so its {what} is not what the server has"
    mend = (
        "give the server and whoever makes credentials the same turn.secrets (kid and secret) or turn.users, then"
        " `icelane turn reload`"
    )
    return failed(name, detail, Cause.SECRET_WRONG, mend)


def _unreached(name: str, uri: StunUri | TurnUri, error: IcelaneError) -> CheckResult:
    """Nobody answered, or nothing that can be believed."""
    port, transport = uri.port_or_default, transport_of(uri)
    if isinstance(error, ResolutionError):
        mend = f"add an A or AAAA record for {uri.host}, or correct turn.hostname"
        return failed(name, str(error), Cause.NAME_UNKNOWN, mend)
    if isinstance(error, CertificateRefusedError):
        where = NamedPlace(uri.host, port)
        mend = f"`icelane doctor --authority FILE` for a private one; `openssl s_client -connect {where}`"
        return failed(name, str(error), Cause.CERTIFICATE_REFUSED, mend)
    if isinstance(error, TlsHandshakeError):
        return failed(name, str(error), Cause.NOT_TLS, "name the port of a tls:// listener in the turns: URL")
    if isinstance(error, MalformedError):
        return failed(name, f"what answers there is no STUN server: {error}", Cause.TURN_SILENT, "check the port")
    word = "udp" if transport is Transport.UDP else "tcp"
    mend = (
        f"open {port}/{word} in the server's firewall and the cloud's: `sudo ufw allow {port}/{word}`; on the server"
        f" `ss -ln{word[0]}` shows whether it listens"
    )
    if transport is Transport.UDP:
        mend += "; where the network around the caller blocks UDP, give programs a turns: URL on port 443"
        return failed(name, str(error), Cause.UDP_BLOCKED, mend)
    return failed(name, str(error), Cause.TURN_SILENT, mend)


def _refused(name: str, code: int, reason: str) -> CheckResult:
    explanation = explain(code)
    return failed(name, f"{code} {reason}: {explanation.meaning}", Cause.TURN_REFUSED, explanation.mend)


def _expiry(username: str) -> int | None:
    """When an ephemeral name ends; None for a static one."""
    try:
        return parse_rest_username(username).expiry
    except MalformedError:
        return None
