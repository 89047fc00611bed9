"""Is the certificate good for the name that it is reached by: the reason that OpenSSL has, told apart and in words."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from icelane.aio.client_tls import client_context
from icelane.aio.resolver import Lookup, SystemLookup
from icelane.core.clock import Duration, UnixSeconds
from icelane.core.net import NamedPlace
from icelane.diagnostics.result import Cause, CheckResult, failed, passed, warned
from icelane.diagnostics.site import connect_any

# Let's Encrypt's are renewed when 30 of 90 days are left; below this nobody renews any more.
SOON: Final[Duration] = 14 * 86_400.0

# OpenSSL's X509_V_ERR_*, which `verify_code` repeats.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME: Final = frozenset({62, 64})

_RENEW: Final = "renew it (`certbot renew`), name the new files in [tls], then `icelane turn reload`"
_OTHER_AUTHORITY: Final = (
    "trust its authority where you ask from (`icelane doctor --authority FILE`), or get one that everybody trusts:"
    " `certbot certonly`"
)


class _Place(NamedTuple):
    host: str
    port: int
    lookup: Lookup
    timeout: Duration

    async def shake_hands(self, context: ssl.SSLContext) -> bytes:
        """The server's certificate in DER. Raises OSError, ssl.SSLError among them."""
        connected = await connect_any(self.lookup, self.host, self.port, self.timeout)
        async with asyncio.timeout(self.timeout):
            _, writer = await asyncio.open_connection(sock=connected, ssl=context, server_hostname=self.host)
        encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        assert isinstance(encoded, bytes), "a TLS server has a certificate"
        return encoded


async def check_certificate(
    host: str,
    port: int,
    unix_time: UnixSeconds,
    *,
    authority: str | None = None,
    alpn: str = "http/1.1",
    lookup: Lookup | None = None,
    timeout: Duration = 5.0,
    name: str = "certificate",
) -> CheckResult:
    """Shake hands as a browser would. `unix_time` is now, for what is left; OpenSSL goes by this machine's clock.

    Raises IcelaneError where the name leads nowhere.
    """
    place = _Place(host, port, lookup or SystemLookup(), timeout)
    try:
        encoded = await place.shake_hands(client_context(authority, alpn=[alpn]))
    except ssl.SSLCertVerificationError as error:
        return await _refused(name, error, place, alpn, unix_time)
    except ssl.SSLError as error:
        said, where = error.reason or str(error), NamedPlace(host, port)
        mend = f"`openssl s_client -connect {where}` shows what speaks there; name a tls:// or https:// listener"
        return failed(name, f"{where} does not speak TLS: {said}", Cause.NOT_TLS, mend)
    except (OSError, TimeoutError) as error:
        mend = f"open the port: `sudo ufw allow {port}/tcp`, and see that the server listens: `ss -lnt`"
        return failed(name, f"{NamedPlace(host, port)}: {_why(error)}", Cause.HTTPS_SILENT, mend)
    return _judged(name, host, x509.load_der_x509_certificate(encoded), unix_time)


def _judged(name: str, host: str, certificate: x509.Certificate, unix_time: UnixSeconds) -> CheckResult:
    ends = certificate.not_valid_after_utc
    left = ends.timestamp() - unix_time
    detail = f"good for {host}, {left / 86_400:.0f} days left"
    if left < SOON:
        return warned(name, detail, Cause.CERTIFICATE_ENDS_SOON, _RENEW)
    return passed(name, detail)


async def _refused(
    name: str, error: ssl.SSLCertVerificationError, place: _Place, alpn: str, unix_time: UnixSeconds
) -> CheckResult:
    certificate, host, port = await _unverified(place, alpn), place.host, place.port
    code = error.verify_code
    if code == _EXPIRED:
        return failed(name, f"it ended {_when(certificate, unix_time, ended=True)}", Cause.CERTIFICATE_EXPIRED, _RENEW)
    if code == _NOT_YET_VALID:
        detail = f"it begins {_when(certificate, unix_time, ended=False)}"
        mend = "compare the clocks: `timedatectl` on both machines; else wait for it, or use the one before"
        return failed(name, detail, Cause.CERTIFICATE_NOT_YET_VALID, mend)
    if code in _OTHER_NAME:
        mend = (
            f"ask by a name that it is for, or get one that has this name: `certbot certonly -d {host}`, then"
            " `icelane turn reload`"
        )
        detail = f"it is for {_names(certificate)}, and not for {host}"
        return failed(name, detail, Cause.CERTIFICATE_WRONG_NAME, mend)
    if code in _UNKNOWN_ISSUER:
        return _unknown_issuer(name, certificate)
    mend = f"`openssl s_client -connect {NamedPlace(host, port)} -servername {host}` shows it"
    return failed(name, error.verify_message, Cause.CERTIFICATE_REFUSED, mend)


def _unknown_issuer(name: str, certificate: x509.Certificate | None) -> CheckResult:
    if certificate is None:
        detail = "nobody whom this machine trusts has signed it"
    elif certificate.issuer == certificate.subject:
        detail = "it has signed itself"
    elif _is_published(certificate):
        # Who says where its issuer's certificate can be had has one that lies between it and an authority.
        detail = f"it was signed by {_text(certificate.issuer)}, whose certificate the server does not send"
        mend = (
            "name a file with the intermediates in tls.certificate, certbot's fullchain.pem; then `icelane turn reload`"
        )
        return failed(name, detail, Cause.CERTIFICATE_CHAIN_INCOMPLETE, mend)
    else:
        detail = (
            f"it was signed by {_text(certificate.issuer)}, whom this machine does not trust; if that is between it and"
            " a known authority, the server's file lacks it"
        )
    return failed(name, detail, Cause.CERTIFICATE_UNKNOWN_AUTHORITY, _OTHER_AUTHORITY)


async def _unverified(place: _Place, alpn: str) -> x509.Certificate | None:
    """What was refused, to say what it is: nothing is sent to who has it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    try:
        return x509.load_der_x509_certificate(await place.shake_hands(context))
    except (OSError, TimeoutError, ValueError):
        return None


def _when(certificate: x509.Certificate | None, unix_time: UnixSeconds, *, ended: bool) -> str:
    if certificate is None:
        return "at another time"
    at = certificate.not_valid_after_utc if ended else certificate.not_valid_before_utc
    days = abs(unix_time - at.timestamp()) / 86_400
    return f"{at:%Y-%m-%d %H:%M} UTC, {days:.1f} days {'ago' if ended else 'from now'}"


def _names(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return "another name"
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return "no name at all"
    shown = [str(one.value) for one in found][:4]
    return ", ".join(shown) or "no name at all"


def _is_published(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in found)


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()[:120]


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "nothing answered in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
