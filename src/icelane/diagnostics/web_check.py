"""Does the name lead anywhere, is HTTPS there, is it ours, does a WebSocket open, and do the clocks agree."""

from __future__ import annotations

import http.client
import json
import ssl
from email.utils import parsedate_to_datetime
from typing import Final

from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from icelane.aio.client_tls import client_context
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, WallClock
from icelane.diagnostics.result import Cause, CheckResult, failed, passed, skipped, warned
from icelane.diagnostics.site import Answered, Site, connect_any, fetch
from icelane.errors import ResolutionError

WHOAMI_PATH: Final = "/v1/diag/whoami"
_SIGNAL_PATH: Final = "/v1/signal"
_SUBPROTOCOL: Final = "icelane.signal.v1"

CLOCK_TOLERANCE: Final[Duration] = 30.0
"""Above it somebody is told: `Date` has whole seconds, and a credential lives for some hundreds of them."""
CLOCK_LIMIT: Final[Duration] = 300.0
"""Above it credentials of the usual 600 s are refused, or live half as long as they should."""


async def check_name(site: Site, *, name: str = "DNS") -> CheckResult:
    """Which addresses the site's name has."""
    try:
        found = await site.lookup.addresses(site.host)
    except ResolutionError as error:
        mend = f"add an A or AAAA record, or check the spelling: `getent ahosts {site.host}` asks the same resolver"
        return failed(name, str(error), Cause.NAME_UNKNOWN, mend)
    return passed(name, f"{site.host} is {', '.join(dict.fromkeys(found))}")


async def check_https(site: Site, *, timeout: Duration = 5.0, name: str = "HTTPS") -> CheckResult:
    """Whether this server answers, and what a proxy before it may have done to the request."""
    try:
        answer = await fetch(site, WHOAMI_PATH, timeout=timeout)
    except ssl.SSLCertVerificationError as error:
        return skipped(name, f"the certificate is refused: {error.verify_message}")
    except ssl.SSLError as error:
        mend = f"name an https:// listener in server.listen; `openssl s_client -connect {site.host}:{site.port}` shows"
        return failed(name, f"{site} does not speak TLS: {error.reason or error}", Cause.NOT_TLS, mend)
    except http.client.HTTPException as error:
        return _not_ours(name, site, f"{type(error).__name__}: {error}")
    except OSError as error:
        return failed(name, f"{site}: {_why(error)}", Cause.HTTPS_SILENT, _open(site))
    return _whoami(name, site, answer)


async def check_websocket(site: Site, *, timeout: Duration = 5.0, name: str = "WSS") -> CheckResult:
    """Whether a WebSocket to signaling opens; nobody is let in by that."""
    context = client_context(site.authority, alpn=("http/1.1",)) if site.secure else None
    try:
        connected = await connect_any(site.lookup, site.host, site.port, timeout)
        opening = connect_websocket(
            site.websocket + _SIGNAL_PATH,
            sock=connected,
            proxy=None,
            compression=None,
            subprotocols=[Subprotocol(_SUBPROTOCOL)],
            open_timeout=timeout,
            close_timeout=1.0,
            ssl=context,
            server_hostname=site.host if site.secure else None,
        )
        async with opening as websocket:
            spoken = websocket.subprotocol
    except ssl.SSLError as error:
        return skipped(name, f"TLS comes first: {getattr(error, 'verify_message', error.reason)}")
    except InvalidHandshake as error:
        mend = (
            "let the proxy before the server pass `Upgrade` and `Connection` on; nginx: `proxy_http_version 1.1;"
            " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;`"
        )
        return failed(name, f"the handshake is refused: {error}", Cause.WEBSOCKET_BLOCKED, mend)
    except (OSError, WebSocketException) as error:
        return failed(name, f"{site.websocket}: {_why(error)}", Cause.HTTPS_SILENT, _open(site))
    if spoken != _SUBPROTOCOL:
        return failed(name, "what answers speaks another protocol", Cause.HTTPS_WRONG, _elsewhere(site))
    return passed(name, f"{site.websocket}{_SIGNAL_PATH} opens")


async def check_clock(
    site: Site, wall_clock: WallClock, *, timeout: Duration = 5.0, name: str = "clock"
) -> CheckResult:
    """How far the server's clock is from `wall_clock`, by the `Date` of an answer.

    The certificate is not verified for it: a wrong clock makes a good one look bad, and what is heard is believed no
    further than this sentence.
    """
    asked = monotonic()
    try:
        answer = await fetch(site, "/healthz", timeout=timeout, verify=False)
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
        return skipped(name, f"the server did not say what time it is: {_why(error)}")
    here = wall_clock.unix_time(monotonic()) - (monotonic() - asked) / 2
    ahead = there + 0.5 - here  # Date is cut off to a second
    if abs(ahead) <= CLOCK_TOLERANCE:
        return passed(name, f"the server's differs by {max(0.0, abs(ahead) - 0.5):.0f} s")
    detail = f"the server's clock is {_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    mend = "on the machine whose clock is wrong: `sudo timedatectl set-ntp true`; `timedatectl` shows which"
    judged = failed if abs(ahead) > CLOCK_LIMIT else warned
    return judged(name, detail, Cause.CLOCK_WRONG, mend)


def _whoami(name: str, site: Site, answer: Answered) -> CheckResult:
    try:
        document = json.loads(answer.body)
        address, is_tls = str(document["ip"]), bool(document["tls"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return _not_ours(name, site, f"{WHOAMI_PATH} answered {answer.status}, and not as this server does")
    detail = f"{site} answers and sees us at {address}"
    return passed(name, detail if is_tls or not site.secure else f"{detail}; a proxy before it speaks TLS")


def _not_ours(name: str, site: Site, detail: str) -> CheckResult:
    return failed(name, detail, Cause.HTTPS_WRONG, _elsewhere(site))


def _elsewhere(site: Site) -> str:
    return f"compare the URL with server.public_url; `curl -v {site}{WHOAMI_PATH}` shows who answers"


def _open(site: Site) -> str:
    return f"see that the server listens (`ss -lnt | grep :{site.port}`), and open it: `sudo ufw allow {site.port}/tcp`"


def _span(seconds: Duration) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "nothing answered in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
