"""From the lines of a turnserver.conf to settings of icelane, and to what is to be said about the rest.

Where both servers would do something else by the same words, what clients see stays: coturn's bandwidth counts each
direction for itself and ours both together, so the figure is doubled; an address that is allowed and denied is allowed
there and denied here, so what is allowed is cut out of what is denied. Where coturn is open by default and icelane is
closed (anonymous users, private peers, TCP to peers), icelane's default stays, and `Translation.differences` says so.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from icelane.compat.coturn.file import Line, Problem, TurnserverError
from icelane.compat.coturn.options import OPTIONS, Kind, Shape
from icelane.core.net import AddressFamily, SocketAddress, canonical_host, family_of
from icelane.errors import MalformedError
from icelane.turn.address_range import AddressRange, host_of, parse_address_range

Value = str | int | bool | list[str] | list[int] | dict[str, str]
"""What a setting can be in TOML."""

_PORT: Final = 3478
_TLS_PORT: Final = 5349
_PROMETHEUS_PORT: Final = 9641
_RELAY_PORTS: Final = (49152, 65535)
_MAX_WORKERS: Final = 64
_MAX_NUMBER: Final = 2**31 - 1
_WILDCARDS: Final = {AddressFamily.IPV4: "0.0.0.0", AddressFamily.IPV6: "::"}
_DIGITS: Final = re.compile(r"([0-9]{1,15})[ \t]*(?:#.*)?")
_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_LEVELS: Final = {"debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "warning"}


class Fate(enum.Enum):
    """What has become of a line."""

    SET = "set"
    NEEDLESS = "needless"
    WITHOUT = "without"


class Remark(NamedTuple):
    """What has become of one line, in words; they have no secret of the file in them."""

    line: int
    option: str
    fate: Fate
    text: str


class Setting(NamedTuple):
    """One setting by its dotted name, and the lines that it comes from. `turn.secrets` has kids with secrets."""

    key: str
    value: Value
    lines: tuple[Line, ...]

    @property
    def source(self) -> str:
        """Where it comes from, as a remark says it."""
        return ", ".join(f"{line.name} (line {line.number})" for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the file does not say. `addresses` are one of this machine's for each family that it has.

    Names of files in turnserver.conf are relative to `folder`.
    """

    addresses: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Translation:
    """All of a file: its settings, a remark for each of its lines, and where icelane differs by default."""

    settings: tuple[Setting, ...]
    remarks: tuple[Remark, ...]
    differences: tuple[str, ...]

    @property
    def lets_anybody_in(self) -> bool:
        """Whether somebody can authenticate; a server without users and secrets does not start."""
        return any(setting.key in ("turn.users", "turn.secrets") for setting in self.settings)


def translate(lines: Iterable[Line], surroundings: Surroundings) -> Translation:
    """Settings of icelane that do what `lines` say. Raises TurnserverError that names every line that is wrong."""
    work = _Translator(tuple(lines), surroundings)
    work.translate()
    if work.problems:
        raise TurnserverError(tuple(sorted(work.problems)))
    return Translation(
        settings=tuple(work.settings), remarks=tuple(sorted(work.remarks.values())), differences=tuple(work.differences)
    )


@dataclass
class _Translator:
    """The settings of one file while they are found."""

    lines: tuple[Line, ...]
    surroundings: Surroundings
    settings: list[Setting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    remarks: dict[int, Remark] = field(default_factory=dict)

    def translate(self) -> None:
        self._remark_on_what_is_not_mapped()
        self._realm()
        self._listen()
        self._relay()
        self._behavior()
        self._credentials()
        self._peers()
        self._quotas()
        self._tls()
        self._records()

    # Lines

    def _all(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def _last(self, name: str) -> Line | None:
        """The line that counts; coturn goes by the last one."""
        lines = self._all(name)
        for line in lines[:-1]:
            self._remark(line, Fate.NEEDLESS, f"line {lines[-1].number} says it again, and the last one counts")
        return lines[-1] if lines else None

    def _remark(self, line: Line, fate: Fate, text: str) -> None:
        self.remarks[line.number] = Remark(line.number, line.name, fate, text)

    def _wrong(self, line: Line, message: str) -> None:
        self.problems.append(Problem(line.number, f"{line.name}: {message}"))

    def _set(self, key: str, value: Value, *lines: Line | None) -> None:
        given = tuple(dict.fromkeys(line for line in lines if line is not None))
        self.settings.append(Setting(key, value, given))
        for line in given:
            self._remark(line, Fate.SET, key)

    def _text(self, line: Line) -> str | None:
        """What stands behind the name, without blanks around it."""
        value = (line.value or "").strip(" \t")
        if not value:
            self._wrong(line, "a value is missing")
            return None
        return value

    def _number(self, name: str, low: int = 0, high: int = _MAX_NUMBER) -> tuple[int | None, Line | None]:
        line = self._last(name)
        if line is None:
            return None, None
        match = _DIGITS.fullmatch((line.value or "").strip(" \t"))
        if match is None or not low <= int(match[1]) <= high:
            self._wrong(line, f"should be a number from {low} to {high}")
            return None, line
        return int(match[1]), line

    def _switch(self, name: str) -> Line | None:
        """The line that turns it on; None where it is off or not there."""
        line = self._last(name)
        return line if line is not None and self._is_on(line) else None

    def _is_on(self, line: Line) -> bool:
        """As coturn reads a truth value: by its first letters; nothing is true."""
        value = (line.value or "").strip(" \t").lower()
        if not value or value[0] in "1yt" or value.startswith("on"):
            return True
        if value[0] in "0nf" or value.startswith("of"):
            self._remark(line, Fate.NEEDLESS, "it is turned off")
            return False
        self._wrong(line, "should be yes or no, or nothing behind the name")
        return False

    def _address(self, line: Line, text: str) -> str | None:
        try:
            return canonical_host(text.removeprefix("[").removesuffix("]"))
        except MalformedError:
            self._wrong(line, "not an IP address; names of hosts and of devices are not looked up here")
            return None

    def _addresses(self, name: str) -> dict[str, Line]:
        """The addresses of an option that may come several times, each with its line."""
        found: dict[str, Line] = {}
        for line in self._all(name):
            text = self._text(line)
            address = self._address(line, text) if text else None
            if address is not None:
                found.setdefault(address, line)
                self._remark(line, Fate.NEEDLESS, f"line {found[address].number} says the same")
        return found

    def _remark_on_what_is_not_mapped(self) -> None:
        fates = {Kind.NEEDLESS: Fate.NEEDLESS, Kind.WITHOUT: Fate.WITHOUT}
        for line in self.lines:
            option = OPTIONS[line.name]
            if option.kind is not Kind.MAPPED and (option.shape is not Shape.SWITCH or self._is_on(line)):
                self._remark(line, fates[option.kind], option.text)

    # Sections

    def _realm(self) -> None:
        line = self._last("realm")
        text = self._text(line) if line is not None else None
        if text is not None:
            self._set("turn.realm", text, line)

    def _listen(self) -> None:
        """coturn listens on both ports with everything; here each listener speaks one thing."""
        hosts = self._addresses("listening-ip")
        port, port_line = self._number("listening-port", 1, 65535)
        tls_port, tls_port_line = self._number("tls-listening-port", 1, 65535)
        off = {kind: self._switch(f"no-{kind}") for kind in ("udp", "tcp", "tls")}
        ports = {"udp": port or _PORT, "tcp": port or _PORT, "tls": tls_port or _TLS_PORT}
        kinds = [kind for kind in ports if not off[kind] and (kind != "tls" or self._certificate_lines() is not None)]
        endpoints = [(host, kind, ports[kind]) for host in hosts or self._wildcards() for kind in kinds]
        extra = list(self._endpoints("aux-server"))
        endpoints += [(at.host, kind, at.port) for at, _ in extra for kind in kinds if kind != "tls"]
        switches = [line for line in off.values() if line is not None]
        used_tls_port = tls_port_line if "tls" in kinds else None
        if tls_port_line is not None and used_tls_port is None:
            self._remark(tls_port_line, Fate.NEEDLESS, "there is no TLS without cert and pkey, and none with no-tls")
        lines = [*hosts.values(), port_line, used_tls_port, *switches, *(line for _, line in extra)]
        if not endpoints:
            for line in switches:
                self._wrong(line, "with this nobody is listened to: of UDP, TCP and TLS leave one")
        elif any(lines) or kinds != ["udp", "tcp"]:
            urls = [f"{kind}://{SocketAddress(host, number)}" for host, kind, number in endpoints]
            self._set("turn.listen", list(dict.fromkeys(urls)), *lines)

    def _wildcards(self) -> list[str]:
        families = {family_of(host) for host in self.surroundings.addresses} or {AddressFamily.IPV4}
        return [_WILDCARDS[family] for family in AddressFamily if family in families]

    def _endpoints(self, name: str) -> Iterable[tuple[SocketAddress, Line]]:
        for line in self._all(name):
            match = _ENDPOINT.fullmatch(self._text(line) or "")
            if match is None or not 1 <= int(match["port"]) <= 65535:
                self._wrong(line, "should be ADDRESS:PORT, an IPv6 address in brackets")
                continue
            host = self._address(line, match["v6"] if match["v6"] is not None else match["v4"])
            if host is not None:
                yield SocketAddress(host, int(match["port"])), line

    def _relay(self) -> None:
        relays = self._addresses("relay-ip")
        # Without relay-ip coturn relays on what it listens on.
        hosts = dict(
            relays or {host: line for host, line in self._listening().items() if host not in _WILDCARDS.values()}
        )
        external, external_lines = self._external(list(hosts))
        added = [inner for inner in external if inner not in hosts]
        if added and not hosts:
            families = {family_of(host) for host in added}
            added += [host for host in self.surroundings.addresses if family_of(host) not in families]
        if hosts or added:
            self._set("turn.relay_addresses", [*hosts, *added], *relays.values())
        if external:
            self._set("turn.external_addresses", external, *external_lines)
        self._relay_ports()
        workers, line = self._number("relay-threads")
        cpus, cpus_line = self._number("cpus", 1)
        if line is not None and cpus_line is not None:
            self._remark(cpus_line, Fate.NEEDLESS, f"line {line.number} says how many threads there are")
            cpus_line = None
        count = workers if line is not None else cpus
        if count is not None:
            self._set("turn.workers", max(1, min(count, _MAX_WORKERS)), line, cpus_line)

    def _listening(self) -> dict[str, Line]:
        found: dict[str, Line] = {}
        for line in self._all("listening-ip"):
            try:
                found.setdefault(canonical_host((line.value or "").strip(" \t[]")), line)
            except MalformedError:
                continue  # it has been said
        return found

    def _external(self, relays: list[str]) -> tuple[dict[str, str], list[Line]]:
        """The public address of each relay address, by `PUBLIC` or `PUBLIC/PRIVATE`."""
        found: dict[str, str] = {}
        lines: list[Line] = []
        for line in self._all("external-ip"):
            text = self._text(line)
            if text is None:
                continue
            public_text, slash, private_text = text.partition("/")
            public = self._address(line, public_text.strip())
            private = self._address(line, private_text.strip()) if slash else None
            if public is None or (slash and private is None):
                continue
            if private is not None and family_of(private) is not family_of(public):
                self._wrong(line, "both addresses have to be of one family")
                continue
            candidates = [private] if private else relays or list(self.surroundings.addresses)
            inner = next((host for host in candidates if family_of(host) is family_of(public)), None)
            if inner is None:
                self._wrong(line, "this machine has no address of that family; write PUBLIC/PRIVATE")
            elif found.setdefault(inner, public) != public:
                self._wrong(line, f"{inner} has another public address already; write PUBLIC/PRIVATE")
            else:
                lines.append(line)
        return found, lines

    def _relay_ports(self) -> None:
        first, first_line = self._number("min-port", 1, 65535)
        last, last_line = self._number("max-port", 1, 65535)
        low, high = first or _RELAY_PORTS[0], last or _RELAY_PORTS[1]
        line = last_line or first_line
        if line is not None and low > high:
            self._wrong(line, f"the ports {low} to {high} are none")
        elif line is not None:
            self._set("turn.relay_ports", f"{low}-{high}", first_line, last_line)

    def _behavior(self) -> None:
        """coturn discovers NATs with two addresses of a family, until 4.6 unasked, and icelane when it is told."""
        alternative, line = self._number("alt-listening-port", 0, 65535)
        off, on = self._switch("no-rfc5780"), self._switch("rfc5780")
        hosts = list(self._listening())
        families = [[host for host in hosts if family_of(host) is family][:2] for family in AddressFamily]
        pairs = [host for family in families if len(family) == 2 for host in family]
        if off is not None:
            self._remark(off, Fate.NEEDLESS, "NATs are discovered where stun.behavior_addresses says so")
        asked = [one for one in (line, on) if one is not None]
        if off is not None or not pairs:
            for one in asked:
                text = "NATs are discovered with two listening-ip of a family, which are not here"
                self._remark(one, Fate.WITHOUT, text if off is None else f"line {off.number} turns it off")
        elif asked:
            port = self._number("listening-port", 1, 65535)[0] or _PORT
            self._set("stun.behavior_addresses", pairs, on)
            self._set("stun.behavior_ports", [port, alternative or port + 1], line)

    def _credentials(self) -> None:
        secrets = self._secrets()
        by_secret = self._last("use-auth-secret")
        users: dict[str, str] = {}
        lines: list[Line] = []
        for line in self._all("user"):
            name, colon, password = (line.value or "").partition(":")
            if by_secret is not None:
                text = "with use-auth-secret coturn does not look at users, and so they stay out"
                self._remark(line, Fate.NEEDLESS, text)
            elif not colon or not name or not password:
                self._wrong(line, "should be NAME:PASSWORD")
            elif password.startswith("0x"):
                text = "it has a key in place of a password: put the password into turn.users, or see turn.auth"
                self._remark(line, Fate.WITHOUT, text)
            else:
                users[name] = password
                lines.append(line)
        if users:
            self._set("turn.users", users, *lines)
        if secrets:
            self._set("turn.secrets", secrets, *self._all("static-auth-secret"))

    def _secrets(self) -> dict[str, str]:
        """By kid, in the order of the file: the first one signs, and all are accepted, as there."""
        found: dict[str, str] = {}
        for number, line in enumerate(self._all("static-auth-secret"), start=1):
            if not line.value:
                self._wrong(line, "a value is missing")
            elif line.value not in found.values():
                found[f"coturn{number}"] = line.value
        return found

    def _peers(self) -> None:
        allowed = self._ranges("allowed-peer-ip")
        denied = self._ranges("denied-peer-ip")
        if allowed:
            self._set("turn.peers.allow", _written(allowed), *allowed.values())
        left = {piece: line for one, line in denied.items() for piece in _without(one, allowed)}
        if left:
            self._set("turn.peers.deny", _written(left), *left.values())
        for line in denied.values():
            if line not in left.values():
                self._remark(line, Fate.NEEDLESS, "all of it is allowed by allowed-peer-ip")
        loopback = self._switch("allow-loopback-peers")
        if loopback is not None:
            self._set("turn.dangerously_allow_loopback_peers", True, loopback)
        self.differences.append(
            "coturn relays to private addresses unless denied-peer-ip closes them; icelane relays to those alone that"
            " stand in turn.peers.allow"
        )

    def _ranges(self, name: str) -> dict[AddressRange, Line]:
        found: dict[AddressRange, Line] = {}
        for line in self._all(name):
            text = self._text(line)
            if text is None:
                continue
            try:
                one = parse_address_range(text)
            except MalformedError:
                self._wrong(line, "should be an IP address, or FIRST-LAST")
                continue
            if one.family is AddressFamily.IPV6 and _MAPPED.contains(one):
                self._remark(line, Fate.NEEDLESS, "IPv4-mapped addresses are never relayed to")
                continue
            found.setdefault(one, line)
            self._remark(line, Fate.NEEDLESS, f"line {found[one].number} says the same")
        return found

    def _quotas(self) -> None:
        for name, key, factor in (
            ("user-quota", "allocations_per_user", 1),
            ("total-quota", "allocations_total", 1),
            ("max-bps", "bytes_per_second_per_allocation", 2),
            ("bps-capacity", "bytes_per_second_total", 2),
        ):
            count, line = self._number(name, 0, _MAX_NUMBER // 2)
            if line is not None and count == 0:
                text = f"0 is no limit there; turn.quota.{key} stays at its default"
                self._remark(line, Fate.WITHOUT if factor == 1 else Fate.NEEDLESS, text)
            elif count is not None:
                self._set(f"turn.quota.{key}", count * factor, line)
        off = self._switch("no-tcp-relay")
        if off is not None:
            self._set("turn.tcp_allocations", False, off)
        else:
            self.differences.append(
                "coturn also relays by TCP (RFC 6062) unless no-tcp-relay is set; icelane does with"
                " turn.tcp_allocations = true, and browsers do not use it"
            )
        limited = self._last("unauthorized-ratelimit")
        count, line = self._number("unauthorized-ratelimit-rps", 1)
        if line is not None and count is not None:
            if limited is not None:
                self._set("turn.unauthenticated_replies_per_second", count, line)
            else:
                self._remark(line, Fate.NEEDLESS, "it does not count without unauthorized-ratelimit")

    def _certificate_lines(self) -> tuple[Line, Line] | None:
        """Certificate and key, where TLS is on and its key can be read without a password."""
        certificate, key = self._last("cert"), self._last("pkey")
        if certificate is None or key is None or self._last("pkey-pwd") is not None:
            return None
        return None if self._switch("no-tls") is not None else (certificate, key)

    def _tls(self) -> None:
        pair = self._certificate_lines()
        if pair is not None:
            for key, line in zip(("tls.certificate", "tls.key"), pair, strict=True):
                text = self._text(line)
                if text is not None:
                    self._set(key, str(self.surroundings.folder / text), line)
            return
        for half in (self._last("cert"), self._last("pkey")):
            if half is not None and self._last("pkey-pwd") is not None:
                self._remark(half, Fate.WITHOUT, "the key has a password, so there is no TLS until that is taken off")
            elif half is not None:
                self._remark(half, Fate.NEEDLESS, "no-tls is set, or its other half is missing, so there is no TLS")

    def _records(self) -> None:
        loud, least = self._switch("Verbose"), self._last("log-min-level")
        level = _LEVELS.get((least.value or "").strip().lower()) if least is not None else None
        if least is not None and level is None:
            self._wrong(least, f"should be one of {', '.join(_LEVELS)}")
        elif loud is not None or level is not None:
            self._set("log.level", level or "debug", loud, least)
        self._figures()

    def _figures(self) -> None:
        on = self._switch("prometheus")
        port, port_line = self._number("prometheus-port", 1, 65535)
        place = self._last("prometheus-address")
        host = self._address(place, self._text(place) or "") if place is not None else "127.0.0.1"
        if on is not None and host is not None:
            at = SocketAddress(host, port or _PROMETHEUS_PORT)
            self._set("metrics.listen", str(at), on, port_line, place)
            if place is None:
                self.differences.append(
                    "coturn shows its figures on every address; icelane, whose names for them are others, on loopback"
                    " until metrics.listen says otherwise"
                )
        for line in (port_line, place):
            if on is None and line is not None:
                self._remark(line, Fate.NEEDLESS, "it does not count without prometheus")


_MAPPED: Final = parse_address_range("::ffff:0:0/96")


def _without(one: AddressRange, others: Iterable[AddressRange]) -> list[AddressRange]:
    """What is left of a range without the others, in order."""
    left, start = [], one.first
    for other in sorted(other for other in others if other.family is one.family):
        if other.last < start or other.first > one.last:
            continue
        if other.first > start:
            left.append(AddressRange(one.family, start, other.first - 1))
        start = max(start, other.last + 1)
    if start <= one.last:
        left.append(AddressRange(one.family, start, one.last))
    return left


def _written(ranges: Mapping[AddressRange, Line]) -> list[str]:
    return [host_of(one.family, one.first) if one.first == one.last else str(one) for one in ranges]
