"""Debian's Firefox as a peer: headless, in a profile of its own, driven by the WebDriver BiDi that it speaks itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.trust import make_trusting_database
from icelane.testing.lab import Machine
from tests.interop.peers.bidi import Session
from tests.interop.peers.program import END_TIMEOUT, end
from tests.interop.peers.remote import Abilities, RemotePeer

PACKAGE = "firefox-esr"  # the Debian package that brings the program of the same name
PAGE = Path(__file__).parent / "page.html"
START_TIMEOUT = 60.0  # seconds; a first start on a busy machine

_ANNOUNCEMENT = re.compile(r"WebDriver BiDi listening on (ws://127\.0\.0\.1:(\d+))")
_CALL = "async (method, given) => JSON.stringify(await call(method, JSON.parse(given)))"

_ENVIRONMENT = (
    "MOZ_CRASHREPORTER_DISABLE=1",
    "MOZ_REMOTE_SETTINGS_DEVTOOLS=1",  # without it the preference for the settings' server is not heeded
)

_PREFERENCES: Mapping[str, bool | int | str] = {
    # Media and candidates without asking anybody.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    # Sound without a device: otherwise a graph of sound never starts.
    "media.cubeb.force_mock_context": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Nothing is fetched that no test asked for.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.contentblocking.report.hide_vpn_banner": True,
    "browser.newtabpage.enabled": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "geo.provider.testing": True,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.prefetch-next": False,
    "network.trr.mode": 5,
    "security.OCSP.enabled": 0,
    "services.settings.server": "data:,#",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
}


_HIDING = "media.peerconnection.ice.obfuscate_host_addresses"


class Here:
    """This machine, for a browser that needs no other."""

    def command(self, *command: str) -> tuple[str, ...]:
        """As it is."""
        return command

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """We are there."""
        yield


@dataclass(frozen=True)
class _Tab:
    """The control of a peer in a tab."""

    session: Session
    context: str

    async def call(self, method: str, given: Mapping[str, object]) -> Any:
        return json.loads(await self.session.call_function(self.context, _CALL, method, json.dumps(given)))

    async def close(self) -> None:
        await self.session.close_page(self.context)


@dataclass(frozen=True)
class Firefox:
    """A Firefox that is running; each peer is a tab."""

    session: Session

    async def open_peer(self) -> RemotePeer:
        context = await self.session.open_page(PAGE.as_uri())
        return RemotePeer("firefox", _Tab(self.session, context), Abilities())


@contextlib.asynccontextmanager
async def firefox(
    executable: str, machine: Machine | Here, authority: Path, folder: Path, *, hides_addresses: bool = False
) -> AsyncIterator[Firefox]:
    """Firefox on `machine`, with the PEM file `authority` trusted, and a profile in the empty directory `folder`.

    `hides_addresses`: its host candidates are names of mDNS, as they are by default.
    """
    profile = folder / "profile"
    profile.mkdir()
    preferences = {**_PREFERENCES, _HIDING: hides_addresses}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
    (profile / "user.js").write_text("".join(lines))
    make_trusting_database(authority, profile)
    command = [executable, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    log = folder / "firefox.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *machine.command("env", f"HOME={folder}", *_ENVIRONMENT, *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        url, port = await _announced(process, log)
        with machine.inside():
            reached = socket.create_connection(("127.0.0.1", port))
        session = await Session.begin(url, reached)
        try:
            yield Firefox(session)
        finally:
            await session.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_TIMEOUT)
    finally:
        await end(process)


async def _announced(process: asyncio.subprocess.Process, log: Path) -> tuple[str, int]:
    """Where it listens, as it says when it is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT):
            while process.returncode is None:
                if found := _ANNOUNCEMENT.search(_said(log)):
                    return found[1], int(found[2])
                await asyncio.sleep(0.05)
    raise AssertionError(f"Firefox did not start:\n{_said(log)}")


def _said(log: Path) -> str:
    return log.read_text(errors="replace")
