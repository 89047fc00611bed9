"""`icelane doctor`: why there is no call, in one cause and one mend."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from icelane.cli.extras import require_extra
from icelane.cli.output import ConfigFile, ExitCode, JsonFlag, Output, speaking, usage
from icelane.cli.proxy import ProxyOption, checked_proxy
from icelane.errors import MalformedError

if TYPE_CHECKING:
    from icelane.aio.resolver import Lookup
    from icelane.diagnostics import CheckResult, Report
    from icelane.diagnostics.ice_body import IceBody
    from icelane.diagnostics.plan import Subject

EXAMPLE = 'Example: `icelane doctor --url https://call.example.org --token "$TOKEN"`'

_STYLES: Final = {"passed": "green", "warned": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The server's pages: https://HOST[:PORT].")
    ] = None,
    file: ConfigFile = None,
    domain: Annotated[
        str | None,
        typer.Option("--domain", metavar="NAME", help="The server's name, instead of what the configuration says."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ICELANE_DOCTOR_TOKEN",
            show_envvar=True,
            help="With --url: a join token or an API key, to be handed TURN credentials for.",
        ),
    ] = None,
    ice: Annotated[
        str | None,
        typer.Option(
            "--ice",
            metavar="FILE",
            help="Check these instead: a JSON file with iceServers, as a backend hands them to its pages.",
        ),
    ] = None,
    resolve: Annotated[
        list[str] | None,
        typer.Option(
            "--resolve", metavar="NAME=ADDRESS", help="Ask NAME at ADDRESS, whatever DNS says of it now. Repeatable."
        ),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A PEM file with the authorities to trust instead of this machine's."),
    ] = None,
    proxy: ProxyOption = None,
    timeout: Annotated[float, typer.Option(min=0.5, max=30, help="Seconds to wait for each answer.")] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Check a server from here as its clients use it, and name the one cause of what is wrong, with the mend.

    DNS, clocks, certificate, HTTPS, WebSocket, STUN, TURN over UDP, TCP and TLS one by one, packets from relay to
    relay, and from outside to a relay. Without --url the configuration says what there is, and makes the credential;
    where there is none, the `icelane dev` that runs here is asked.

    Exits with 0 when all is well (also with warnings), with 1 when a check failed, with 2 for a wrong command line or
    configuration, with 4 when nothing answers at all.
    """
    with speaking(as_json) as output:
        from icelane.diagnostics.site import FixedLookup

        lookup = FixedLookup(_told(resolve or []))
        subject = asyncio.run(_subject(url, file, domain, token, ice, authority, lookup, timeout))
        subject = replace(subject, lookup=lookup, http_proxy=checked_proxy(proxy), timeout=timeout)
        report = asyncio.run(_run(output, subject))
        _print(output, report)
        output.result(report.document())
        code = _exit_code(report)
        if code is not ExitCode.WELL:
            raise typer.Exit(code)


def _told(pairs: list[str]) -> dict[str, str]:
    from icelane.stun.uri import is_ip_address

    found: dict[str, str] = {}
    for pair in pairs:
        name, _, address = pair.partition("=")
        if not name or not is_ip_address(address):
            raise usage(f"{pair!r} is not NAME=ADDRESS", "--resolve call.example.org=192.0.2.1")
        found[name] = address
    return found


async def _subject(
    url: str | None,
    file: str | None,
    domain: str | None,
    token: str | None,
    ice: str | None,
    authority: str | None,
    lookup: Lookup,
    timeout: float,
) -> Subject:
    """What to check, by what was said: --url or --ice, else a configuration, --domain alone, or what runs here."""
    if url is not None and (file is not None or domain is not None):
        raise usage("--url says where the server is; leave out --config and --domain")
    if url is None and ice is None:
        found = _configured(file, domain, authority, lookup)
        if found is not None:
            return found
        if domain is None:
            return await _development(authority, lookup)
        url = f"https://{domain}"
    return await _remote(url, token, ice, authority, lookup, timeout)


async def _development(authority: str | None, lookup: Lookup) -> Subject:
    """The `icelane dev` that runs for this user, by the servers and the credential that it tells whoever enters."""
    from icelane.cli.admin import development_socket
    from icelane.cli.node_access import NodeOptions, development_authority, entered, node_access
    from icelane.diagnostics.plan import Subject
    from icelane.diagnostics.relay_check import Login
    from icelane.diagnostics.site import parse_site

    if development_socket() is None:
        raise usage(
            "there is no configuration here and no `icelane dev` runs, so say which server: --url, --domain or -c FILE",
            "icelane doctor --url https://call.example.org",
        )
    from icelane import RTCConfiguration

    chosen = Path(authority) if authority is not None else development_authority()
    access = node_access(None, NodeOptions(authority=chosen), identity="doctor")
    async with entered(access, RTCConfiguration(), name="icelane doctor") as signal:
        servers = signal.ice_servers
    urls = tuple(str(uri) for server in servers for uri in server.uris())
    logins = (
        Login(username=one.username, password=one.credential) for one in servers if one.username and one.credential
    )
    authority = str(chosen) if chosen is not None else None
    site = parse_site(access.shown, authority=authority, lookup=lookup)
    return Subject(site=site, urls=urls, login=next(logins, None), authority=authority)


async def _remote(
    url: str | None, token: str | None, ice: str | None, authority: str | None, lookup: Lookup, timeout: float
) -> Subject:
    """Somebody else's server, or ours from a machine without its configuration."""
    from icelane.diagnostics.ice_body import IceBody, ask_for_ice_body, ask_for_relay_ports
    from icelane.diagnostics.plan import Subject
    from icelane.diagnostics.result import skipped
    from icelane.diagnostics.site import parse_site

    try:
        site = parse_site(url, authority=authority, lookup=lookup) if url is not None else None
    except MalformedError as error:
        raise usage(str(error), "icelane doctor --url https://call.example.org") from None
    if ice is not None:
        body: IceBody | CheckResult = _read(ice)
    elif token is not None and site is not None:
        body = await ask_for_ice_body(site, token, timeout=timeout)
    else:
        body = skipped("credential", "none was given, so TURN is not tried: --token, or --ice FILE")
    if isinstance(body, IceBody):
        subject = Subject(site=site, urls=body.urls, login=body.login, authority=authority)
        if ice is not None or token is None or site is None:
            return subject
        return replace(subject, relay_ports=partial(ask_for_relay_ports, site, token, timeout=timeout))
    return Subject(site=site, without=body, authority=authority)


def _read(ice: str) -> IceBody:
    from icelane.diagnostics.ice_body import parse_ice_body

    try:
        return parse_ice_body(Path(ice).read_bytes())
    except MalformedError as error:
        raise usage(f"{ice}: {error}", "icelane ice > ice.json") from None
    except OSError as error:
        raise usage(f"{ice}: {error.strerror}") from None


def _configured(file: str | None, domain: str | None, authority: str | None, lookup: Lookup) -> Subject | None:
    """The server that the configuration describes; None where there is none, and none was asked for."""
    import os

    from icelane.server.config.load import SEARCHED

    if file is None and "ICELANE_CONFIG_BODY" not in os.environ and not any(path.is_file() for path in SEARCHED):
        return None
    require_extra("server")
    from icelane.aio.system import SystemWallClock, monotonic
    from icelane.node.subject import subject_of
    from icelane.server.config import load_config

    now = SystemWallClock().unix_time(monotonic())
    subject = subject_of(load_config(file), now, authority=authority, hostname=domain)
    return replace(subject, site=replace(subject.site, lookup=lookup)) if subject.site is not None else subject


async def _run(output: Output, subject: Subject) -> Report:
    from icelane.diagnostics import run_checks
    from icelane.diagnostics.plan import plan

    checks = plan(subject)
    done: list[str] = []
    status = None
    if output.terminal and not output.as_json:
        status = output.errors.status(f"0 of {len(checks)} checks")

    def tell(result: CheckResult) -> None:
        done.append(result.name)
        if status is not None:
            status.update(f"{len(done)} of {len(checks)} checks; {result.name}: {result.status.value}")

    with status if status is not None else nullcontext():
        return await run_checks(checks, tell)


def _print(output: Output, report: Report) -> None:
    from icelane.diagnostics.report import mark

    rows = [
        (
            Text(mark(result.status), style=_STYLES[result.status.value]),
            result.name,
            f"{result.duration * 1000:.0f} ms" if result.status.value != "skipped" else "",
            result.detail,
        )
        for result in report.results
    ]
    output.table(("", "check", "time", "found"), rows)
    verdict = report.verdict
    output.line("")
    if verdict is None:
        output.line("all is well: calls get through from here", "green")
        return
    output.line(f"cause: {verdict.sentence}: {verdict.detail}", "bold red" if not report.ok else "yellow")
    output.line(f"mend: {verdict.mend}", "green")


def _exit_code(report: Report) -> ExitCode:
    from icelane.diagnostics import Cause

    verdict = report.verdict
    if report.ok or verdict is None:
        return ExitCode.WELL
    unreachable = verdict.cause in (Cause.SERVER_SILENT, Cause.NAME_UNKNOWN)
    return ExitCode.NETWORK if unreachable else ExitCode.CHECK_FAILED
