"""Everything that a development node needs, made before it starts: addresses, ports, certificate, configuration.

with prepared_folder(places) as folder:
    prepared = await prepare(Wishes(room="demo"), folder, places=places, entropy=..., machine=..., unix_time=now)
    server = serving(prepared.config, prepared.program)
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from icelane.core.clock import UnixSeconds
from icelane.core.entropy import Entropy
from icelane.diagnostics.relay_check import Login
from icelane.errors import ConfigurationError
from icelane.node.development.addresses import chosen_hosts, is_loopback, left_out
from icelane.node.development.authority import NAMES, Authority, authority_of
from icelane.node.development.configuration import (
    WEB_PORT,
    Ports,
    development_configuration,
    page_url,
    relay_hosts,
)
from icelane.node.development.guests import IDENTITY, Guests
from icelane.node.development.places import Places
from icelane.node.development.program import development_program
from icelane.node.development.room_name import room_name
from icelane.node.development.self_test import Reach, Subject, resolves_to
from icelane.node.development.trust_page import PATH as TRUST_PATH
from icelane.node.development.trust_page import trust_endpoints
from icelane.node.development.trusted import is_trusted_here
from icelane.server.companion import CompanionProgram
from icelane.server.config import Config
from icelane.server.config.values import parse_hostname
from icelane.server.credentials import issue
from icelane.server.ice_servers import advertised, turn_url
from icelane.server.machine import Machine
from icelane.signaling.messages import SIGNAL_PATH

_TEST_SECONDS: Final = 60
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asks for. Empty and None are the usual."""

    room: str | None = None
    listen: Sequence[str] = ()
    port: int = WEB_PORT
    hostname: str | None = None
    level: str = "warning"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A node that may be started."""

    room: str
    hosts: Sequence[str]
    public: Sequence[str]
    """Addresses of this machine that are left out."""
    ports: Ports
    moved: Mapping[int, int]
    """Ports that somebody else has, and what is used instead."""
    config: Config
    authority: Authority
    guests: Guests = field(repr=False)
    reach: Reach
    program: CompanionProgram

    def urls(self) -> dict[str, str]:
        """What people open, by what it is for. The key in the fragment reaches no server and no log."""
        key, room = f"#token={self.guests.key}", quote(self.room, safe="")
        there = {
            "call": self._url(f"/r/{room}{key}"),
            "diagnose": self._url(f"/diag{key}"),
            "trust": self._url(TRUST_PATH),
            "signal": "wss" + self._url(SIGNAL_PATH).removeprefix("https"),
        }
        if not is_loopback(self.hosts[0]):
            there["here"] = page_url("localhost", self.ports.web, f"/r/{room}{key}")
        return there

    def turn_urls(self) -> list[str]:
        """What clients are told."""
        return [turn_url(listener) for listener in advertised(self.config)]

    def subject(self, bound: int, unix_time: UnixSeconds) -> Subject:
        """For the self-test of the node once it runs."""
        credential = issue(self.config, IDENTITY, _TEST_SECONDS, unix_time)
        return Subject(
            hosts=self.hosts,
            ports=self.ports,
            bound=bound,
            login=Login(username=credential.username, password=credential.password),
            realm=self.config.turn.realm or "",
            authority=str(self.authority.file),
            reach=self.reach,
        )

    def _url(self, path: str) -> str:
        return page_url(self.hosts[0], self.ports.web, path)


@contextmanager
def prepared_folder(places: Places) -> Iterator[Path]:
    """The directory of one run, gone at its end. Raises ConfigurationError."""
    try:
        folder = places.begin_run(os.getpid())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"cannot be made: {reason}", key="XDG_RUNTIME_DIR", file=str(places.running)) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def prepare(
    wishes: Wishes,
    folder: Path,
    *,
    places: Places,
    entropy: Entropy,
    machine: Machine,
    unix_time: UnixSeconds,
    trusted: Path | None = None,
) -> Prepared:
    """Look at the machine, make what is missing. Raises ConfigurationError, NotPrivateError among them.

    `trusted` is a PEM file with the authorities that count as this machine's, None for its own.
    """
    hosts = chosen_hosts(machine, wishes.listen)
    relays = relay_hosts(hosts)
    ports = Ports.free(hosts, relays, wishes.port)
    authority = authority_of(places.authority, unix_time, host_name=socket.gethostname(), make=not places.borrowed)
    name = _name(wishes.hostname)
    leaf = authority.issue(
        names=tuple(dict.fromkeys((name, "localhost"))),
        hosts=tuple(dict.fromkeys((*hosts, "127.0.0.1", "::1"))),
        unix_time=unix_time,
    )
    certificate, key = folder / "leaf.pem", folder / "leaf.key"
    for path, content in ((certificate, leaf.chain), (key, leaf.key)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    reach = Reach(
        name=name,
        resolves=await resolves_to(name, relays),
        trusted=is_trusted_here(certificate, key, name, trusted),
    )
    config = development_configuration(
        machine=machine,
        hosts=hosts,
        ports=ports,
        folder=folder,
        entropy=entropy,
        name=name if reach.pages_get_turns else None,
        level=wishes.level,
    )
    guests = Guests(entropy)
    return Prepared(
        room=wishes.room or room_name(entropy),
        hosts=hosts,
        public=left_out(machine),
        ports=ports,
        moved=ports.moved(wishes.port),
        config=config,
        authority=authority,
        guests=guests,
        reach=reach,
        program=development_program(guests, trust_endpoints(authority)),
    )


def _name(asked: str | None) -> str:
    """The name that the certificate is for beside the addresses. Raises ConfigurationError."""
    key = "--hostname"
    if asked is None:
        label = socket.gethostname().partition(".")[0].lower()
        try:
            return parse_hostname(f"{label}.local")
        except ValueError:
            return "icelane.local"
    try:
        name = parse_hostname(asked)
    except ValueError as error:
        raise ConfigurationError(str(error), key=key) from None
    if not any(name == known or name.endswith(f".{known}") for known in NAMES):
        text = f"{name} is not for development: the authority signs for localhost and for names ending in .local"
        raise ConfigurationError(text, key=key)
    return name
