"""`/trust`: a phone gets the authority's certificate here, once, and is told what to press.

    /trust                                   the page, what concerns the asking browser first
    /trust/icelane-development.crt           the certificate, in DER
    /trust/icelane-development.pem           the same for programs
    /trust/icelane-development.mobileconfig  the same as a profile for iPhone and iPad

It comes over the connection that is not trusted yet, so the page shows the fingerprint that the terminal shows, too.
"""

from __future__ import annotations

import html
import plistlib
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from icelane.crypto.provider import sha256
from icelane.node.development.authority import Authority
from icelane.node.development.trust_steps import TITLES, Step, System, system_of_browser, trust_steps
from icelane.signaling.http.endpoint import Endpoint, Handler

PATH: Final = "/trust"
NAME: Final = "icelane-development"

_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
# A page of anywhere has no use for it, and a browser asks whether to install what it is given.
_DOWNLOADS: Final = {
    "crt": "application/x-x509-ca-cert",
    "pem": "application/x-pem-file",
    "mobileconfig": "application/x-apple-aspen-config",
}


def trust_endpoints(authority: Authority) -> list[Endpoint]:
    """The page and what it offers."""
    bodies = {"crt": authority.der, "pem": authority.pem, "mobileconfig": profile(authority)}
    files = [
        _endpoint(f"{PATH}/{NAME}.{kind}", _file(bodies[kind], media_type), "The development authority")
        for kind, media_type in _DOWNLOADS.items()
    ]

    async def page(request: Request) -> Response:
        first = system_of_browser(request.headers.get("user-agent", ""))
        return Response(trust_page(authority, first), headers=dict(_HEADERS), media_type="text/html")

    return [_endpoint(PATH, page, "How to trust this server's certificate"), *files]


def profile(authority: Authority) -> bytes:
    """An Apple configuration profile with the certificate. The same authority gives the same profile."""
    inner, outer = (_identifier(f"{part}:{authority.fingerprint}") for part in ("root", "all"))
    certificate = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"icelane.development.{inner}",
        "PayloadUUID": inner,
        "PayloadDisplayName": authority.name,
        "PayloadCertificateFileName": f"{NAME}.crt",
        "PayloadContent": authority.der,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"icelane.development.{outer}",
            "PayloadUUID": outer,
            "PayloadDisplayName": authority.name,
            "PayloadDescription": "Lets this device trust icelane's development server on your network.",
            "PayloadContent": [certificate],
        }
    )


def _identifier(text: str) -> str:
    """The same for the same text: version 8 of RFC 9562, whose bits are anybody's own."""
    data = bytearray(sha256(text.encode())[:16])
    data[6] = data[6] & 0x0F | 0x80
    data[8] = data[8] & 0x3F | 0x80
    digits = data.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def trust_page(authority: Authority, first: System | None) -> str:
    """The page; what concerns `first` is open."""
    order = sorted(System, key=lambda system: system is not first)
    parts = "\n".join(_section(system, authority, is_open=system is first) for system in order)
    name = html.escape(authority.name)
    digits = "\n".join(f"<code>{quarter}</code>" for quarter in authority.fingerprint_lines(4))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Trust this server</title>
<link rel="icon" href="/pages/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/pages/style.css">
<link rel="stylesheet" href="/pages/trust.css">
</head>
<body class="trust">
<header class="top">
<p class="brand"><img src="/pages/icon.svg" alt="" width="24" height="24"><span>icelane</span></p>
</header>
<main id="main">
<h1>Trust this server, once</h1>
<p>Calls need a connection that your browser trusts. This server has a certificate of an authority that was made on its
own machine, so your browser cannot know it yet. It counts for private addresses and for names ending in
<code>.local</code> alone; its owner could not pass for a bank with it.</p>
<p>Compare this with what <code>icelane dev</code> or <code>icelane certs show</code> says in the terminal:</p>
<p class="fingerprint">{digits}</p>
<p class="downloads">
<a class="button" href="{PATH}/{NAME}.crt" download>Certificate</a>
<a class="button" href="{PATH}/{NAME}.mobileconfig">Profile for iPhone and iPad</a>
<a class="button" href="{PATH}/{NAME}.pem" download>PEM file</a>
</p>
<p>It is listed as <strong>{name}</strong>.</p>
{parts}
<p><a href="/">Back to the call page</a></p>
</main>
</body>
</html>
"""


def _section(system: System, authority: Authority, *, is_open: bool) -> str:
    steps = trust_steps(system, f"{NAME}.{'pem' if system is not System.WINDOWS else 'crt'}", authority.name)
    items = "\n".join(f"<li>{_step(step)}</li>" for step in steps)
    return f"<details{' open' if is_open else ''}><summary>{TITLES[system]}</summary><ol>{items}</ol></details>"


def _step(step: Step) -> str:
    commands = "".join(f"<pre><code>{html.escape(command)}</code></pre>" for command in step.commands)
    return html.escape(step.text) + commands


def _endpoint(path: str, handler: Handler, summary: str) -> Endpoint:
    return Endpoint(method="GET", path=path, handler=handler, summary=summary, screened=False, tags=("pages",))


def _file(body: bytes, media_type: str) -> Handler:
    async def answer(request: Request) -> Response:
        del request
        return Response(body, media_type=media_type)

    return answer
