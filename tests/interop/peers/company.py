"""Opens peers of every kind on the machines of a network; a browser is started once and opens many."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from icelane.testing.lab import Machine
from tests.interop.peers.chromium import PACKAGE as CHROMIUM_PACKAGE
from tests.interop.peers.chromium import Chromium, chromium
from tests.interop.peers.firefox import PACKAGE as FIREFOX_PACKAGE
from tests.interop.peers.firefox import Firefox, firefox
from tests.interop.peers.program import ROOT, Program
from tests.interop.peers.remote import Abilities, RemotePeer

PEERS_PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
MAKE_PEERS: Final = "make .venv-peers/.installed"
"""The command that makes the environment of that interpreter."""

BROWSERS: Final = {
    "chromium": CHROMIUM_PACKAGE,
    "chromium that hides its addresses": CHROMIUM_PACKAGE,
    "firefox": FIREFOX_PACKAGE,
    "firefox that hides its addresses": FIREFOX_PACKAGE,
}
"""The Debian package of each; the program is named like the package."""

PROGRAMS: Final = {
    "aiortc": Abilities(
        trickles=False,
        restarts_ice=False,
        negotiates_perfectly=False,
        tells_relay_protocol=False,
    ),
    # Its authorities are compiled in.
    "wrtc": Abilities(trusts_our_authority=False),
    "icelane": Abilities(),
    "icelane that hides": Abilities(),
    "icelane that listens": Abilities(),
    "icelane that is lite": Abilities(),
}

# What kinds of our own peer set in RTCConfiguration.
SETTINGS: Final[dict[str, dict[str, object]]] = {
    "icelane": {},
    "icelane that hides": {"hide_addresses": True},
    "icelane that listens": {"ice_tcp": "both"},
    "icelane that is lite": {"ice_lite": True, "ice_tcp": "passive"},
}

NeedProgram: TypeAlias = Callable[[str, str], str]


class Company:
    """Peers of a run. What was started for them ends with `close`."""

    def __init__(self, need_program: NeedProgram, authority: Path, folder: Path) -> None:
        """`need_program` gives a program's path by its name and what brings it, or skips the test.

        The peers trust the PEM file `authority`, those that can; `folder` takes their profiles and logs.
        """
        self._need_program = need_program
        self._authority = authority
        self._folder = folder
        self._numbers = itertools.count(1)
        self._browsers: dict[tuple[str, str], Chromium | Firefox] = {}
        self._stack = contextlib.AsyncExitStack()

    async def open(self, kind: str, machine: Machine) -> RemotePeer:
        """A new peer of a kind out of BROWSERS or PROGRAMS, on `machine`; the caller closes it."""
        if kind in BROWSERS:
            browser = self._browsers.get((kind, machine.name))
            if browser is None:
                browser = self._browsers[kind, machine.name] = await self._start_browser(kind, machine)
            return await browser.open_peer()
        python = sys.executable if kind in SETTINGS else self._need_program(str(PEERS_PYTHON), MAKE_PEERS)
        program_name = "icelane" if kind in SETTINGS else kind
        command = machine.command(python, "-m", f"tests.interop.peers.programs.{program_name}_peer")
        log = self._folder / f"{program_name}-{next(self._numbers)}.log"
        settings = json.dumps(SETTINGS.get(kind, {}))
        environment = {"SSL_CERT_FILE": str(self._authority), "ICELANE_PEER_SETTINGS": settings}
        program = await Program.run(command, log, environment)
        return RemotePeer(kind, program, PROGRAMS[kind])

    async def close(self) -> None:
        await self._stack.aclose()

    async def _start_browser(self, kind: str, machine: Machine) -> Chromium | Firefox:
        package = BROWSERS[kind]
        executable = self._need_program(package, package)
        folder = self._folder / f"{kind}-{machine.name}".replace(" ", "-")
        folder.mkdir()
        hides_addresses = kind not in ("chromium", "firefox")
        if package == FIREFOX_PACKAGE:
            return await self._stack.enter_async_context(
                firefox(executable, machine, self._authority, folder, hides_addresses=hides_addresses)
            )
        return await self._stack.enter_async_context(
            chromium(executable, machine, self._authority, folder, hides_addresses=hides_addresses)
        )
