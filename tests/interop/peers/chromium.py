"""Debian's Chromium as a peer, driven by playwright over a pipe, so that it can be on another machine."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

from demo.trust import environment_that_trusts
from icelane.testing.lab import Machine
from tests.interop.peers.remote import Abilities, PeerError, RemotePeer

PACKAGE = "chromium"  # the Debian package that brings the program of the same name
PAGE = Path(__file__).parent / "page.html"

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    # Without these a start asks for the vendor's hosts.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PLAIN_ADDRESSES = "--disable-features=WebRtcHideLocalIpsWithMdns"


@dataclass(frozen=True)
class _Page:
    """The control of a peer in a page."""

    page: Page

    async def call(self, method: str, given: Mapping[str, object]) -> Any:
        try:
            return await self.page.evaluate("([method, given]) => call(method, given)", [method, given])
        except PlaywrightError as error:
            raise PeerError(error.message) from None

    async def close(self) -> None:
        await self.page.context.close()


@dataclass(frozen=True)
class Chromium:
    """A Chromium that is running; each peer is a page of a context of its own."""

    browser: Browser

    async def open_peer(self) -> RemotePeer:
        page = await (await self.browser.new_context()).new_page()
        await page.goto(PAGE.as_uri())
        return RemotePeer("chromium", _Page(page), Abilities())


@contextlib.asynccontextmanager
async def chromium(
    executable: str, machine: Machine, authority: Path, folder: Path, *, hides_addresses: bool = False
) -> AsyncIterator[Chromium]:
    """Chromium on `machine`, with the PEM file `authority` trusted, and a home in the empty directory `folder`.

    `hides_addresses`: its host candidates are names of mDNS, as they are by default.
    """
    home = folder / "home"
    home.mkdir()
    # Playwright starts a program, not a command.
    starter = folder / "chromium"
    starter.write_text(f'#!/bin/sh\nexec {shlex.join(machine.command(executable))} "$@"\n')
    starter.chmod(0o700)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=starter,
            headless=True,
            args=[*_ARGUMENTS, *([] if hides_addresses else [_PLAIN_ADDRESSES])],
            env={**environment_that_trusts(authority, home), "XDG_CONFIG_HOME": str(home)},
        )
        try:
            yield Chromium(browser)
        finally:
            await browser.close()
