"""Builds a lab from its description, and takes it away again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from icelane.testing.lab.addresses import Site, survey
from icelane.testing.lab.description import INTERNET, Firewall, Host, Member, Network, check
from icelane.testing.lab.error import LabError
from icelane.testing.lab.machine import Machine
from icelane.testing.lab.processes import end_processes, new_mark
from icelane.testing.lab.requirements import missing
from icelane.testing.lab.rules import GATE_PORT, ruleset
from icelane.testing.lab.splice import READY
from icelane.testing.link_program import End, link_ends
from icelane.testing.namespace import inside, new_namespace

_END_TIMEOUT: Final = 5.0


class Lab(Mapping[str, Machine]):
    """The machines of a running lab by name: hosts, the gateways by the names of their networks, and "internet"."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self._machines = machines

    def __getitem__(self, name: str) -> Machine:
        return self._machines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._machines)

    def __len__(self) -> int:
        return len(self._machines)


@contextlib.contextmanager
def build(*members: Member, seed: int = 1) -> Iterator[Lab]:
    """The internet with `members` on it, for as long as the block lasts; then all that still runs there is killed.

    Nothing is left behind if this process is killed, either. `seed` decides which packets the lines lose.

    Raises ValueError for a description that makes no sense, TypeError for what is no description, and LabError with
    what `missing` says.
    """
    if type(seed) is not int:
        raise TypeError(f"seed is a number, not {seed!r}")
    internet = Network(INTERNET, *members)
    check(internet)
    lacking = missing(*members)
    if lacking is not None:
        raise LabError(f"the lab {lacking}")
    root, mark = survey(internet), new_mark()
    with contextlib.ExitStack() as stack:
        machines = {site.member.name: _machine(site, mark, stack) for site in (root, *root)}
        namespaces = [machine.namespace for machine in machines.values()]
        _watch(namespaces, mark, stack)
        lab = Lab(machines)
        _tell_names(root, lab)
        for site in (root, *root):
            _set_up(site, lab)
        _lay_lines(root, lab, seed, stack)
        stack.callback(end_processes, namespaces, mark)
        _start_programs(root, lab, stack)
        yield lab


def _machine(site: Site, mark: str, stack: contextlib.ExitStack) -> Machine:
    namespace = stack.enter_context(new_namespace())
    with inside(namespace):
        # Nobody here has the address of another one. While that is looked into, no neighbour is found.
        _set({f"ipv6/conf/{which}/accept_dad": 0 for which in ("all", "default")})
    is_internet = site.member.name == INTERNET
    device = "ethernet" if isinstance(site.member, Host) else "lan" if is_internet else "wan"
    machine = Machine(
        name=site.member.name,
        descriptor=namespace,
        mark=mark,
        device=device,
        ipv4=site.ipv4,
        ipv6=site.ipv6,
        lan_ipv4=None if site.inside is None else site.inside.ipv4(1),
        lan_ipv6=None if site.inside is None else site.inside.ipv6(1),
    )
    stack.callback(setattr, machine, "descriptor", None)
    return machine


def _watch(namespaces: Sequence[int], mark: str, stack: contextlib.ExitStack) -> None:
    """Have somebody who ends what runs there if this process is killed before it can."""
    owner = os.pidfd_open(os.getpid())
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "icelane.testing.lab.watch", mark, str(owner), *map(str, namespaces)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[owner, *namespaces],
            start_new_session=True,  # a signal for all of this program's group is none for it
            env=_environment(),
        )
    finally:
        os.close(owner)
    stack.callback(_end, watcher)


def _tell_names(root: Site, lab: Lab) -> None:
    """Give every machine its file of names, and its proxy."""
    for site in (root, *root):
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for other in root:
            names = " ".join((other.member.name, *(other.member.names if isinstance(other.member, Host) else ())))
            lines += [f"{host} {names}" for host in _reachable(lab[other.member.name], other, site)]
        lab[site.member.name].hosts_file = "\n".join([*lines, ""])
        for member in site.sites:
            if isinstance(site.member, Network) and site.member.proxy is not None:
                lab[member.member.name].proxy = site.member.proxy
                lab[member.member.name].proxy_host = lab[site.member.name].lan_ipv4 or lab[site.member.name].lan_ipv6


def _reachable(machine: Machine, site: Site, seen_from: Site) -> list[str]:
    """The addresses of a machine that mean it where it is looked up."""
    if site.inside is not None and seen_from.around is site.inside:
        found = [machine.lan_ipv4, machine.lan_ipv6]
    elif site.around.is_public or site.around in (seen_from.around, seen_from.inside):
        found = [machine.ipv4, machine.ipv6]
    else:
        found = [machine.ipv6]
    return [host for host in found if host is not None]


def _set_up(site: Site, lab: Lab) -> None:
    """Devices, addresses, routes and rules of one machine; the machine that it is attached to comes before it."""
    machine = lab[site.member.name]
    lines = ["link set lo up"]
    if site.member.name != INTERNET and site.member.up is None:
        lines += [f"link set {machine.device} up"]
        for host, gateway, bits, flag in (
            (site.ipv4, site.around.ipv4(1), 24, ""),
            (site.ipv6, site.around.ipv6(1), 64, " nodad"),
        ):
            if host is not None:
                lines.append(f"address add {host}/{bits} dev {machine.device}{flag}")
                lines.append(f"route add {'::/0' if ':' in host else 'default'} via {gateway}")
    with inside(machine.namespace):
        if isinstance(site.member, Network):
            lines += _gateway_lines(site, lab)
            _set({"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1})
            _set({f"ipv4/conf/{which}/send_redirects": 0 for which in ("all", "default")})
        _give(["ip", "-batch", "-"], "\n".join(lines))
        if isinstance(site.member, Network) and (rules := ruleset(site.member)):
            _give(["nft", "-f", "-"], rules)


def _gateway_lines(site: Site, lab: Lab) -> list[str]:
    """The switch of a network, what is plugged in there, and the ways to what lies behind that."""
    assert site.inside is not None
    # Without a querier, snooping would keep multicast from whom it is for.
    lines = ["link add lan type bridge mcast_snooping 0", "link set lan up"]
    if (ipv4 := site.inside.ipv4(1)) is not None:
        lines.append(f"address add {ipv4}/24 dev lan")
    if (ipv6 := site.inside.ipv6(1)) is not None:
        lines.append(f"address add {ipv6}/64 dev lan nodad")
    for member in site.sites:
        if member.member.up is not None:
            continue
        machine = lab[member.member.name]
        place = f"/proc/{os.getpid()}/fd/{machine.namespace}"
        lines.append(f"link add {_port(member)} type veth peer name {machine.device} netns {place}")
        lines.append(f"link set {_port(member)} master lan up")
        lines += [
            f"route add {behind} via {member.ipv6 if ':' in behind else member.ipv4}"
            for behind in member.ranges_behind()
        ]
    return lines


def _lay_lines(root: Site, lab: Lab, seed: int, stack: contextlib.ExitStack) -> None:
    """The links that do something to packets. They carry no Ethernet, so the gateway answers for who is behind them."""
    for around in (root, *root):
        for site in around.sites:
            if site.member.up is None:
                continue
            machine, gateway = lab[site.member.name], lab[around.member.name]
            near, far = _line(site, machine.device)
            with inside(gateway.namespace):
                _set({"ipv4/conf/lan/proxy_arp": 1, "ipv6/conf/lan/proxy_ndp": 1})
                # Else it would wait up to 0.8 s, in case that somebody answers for himself.
                _set({f"{family}/neigh/lan/proxy_delay": 0 for family in ("ipv4", "ipv6")})
            link = link_ends(
                End(namespace=machine.namespace, device=machine.device, setup=near),
                End(namespace=gateway.namespace, device=_port(site), setup=far),
                there=site.member.up,
                back=site.member.down,
                seed=seed,
            )
            machine.link = stack.enter_context(link)
            seed += 1


def _line(site: Site, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `ip` does at both ends of a line, the member's first."""
    port = _port(site)
    near: list[str] = []
    far = [f"route add {range_} dev {port}" for range_ in site.ranges_behind()]
    if site.ipv4 is not None:
        near += [f"address add {site.ipv4}/32 dev {device}", f"route add default dev {device}"]
        far += [f"route add {site.ipv4}/32 dev {port}"]
    if site.ipv6 is not None:
        near += [f"address add {site.ipv6}/128 dev {device} nodad", f"route add ::/0 dev {device}"]
        far += [f"route add {site.ipv6}/128 dev {port}", f"neighbour add proxy {site.ipv6} dev lan"]
    return tuple(near), tuple(far)


def _start_programs(root: Site, lab: Lab, stack: contextlib.ExitStack) -> None:
    """The gates and proxies of the gateways: all are started, then all are waited for."""
    started = []
    for site in root:
        if not isinstance(site.member, Network):
            continue
        machine, proxy = lab[site.member.name], site.member.proxy
        if site.member.firewall is Firewall.ONLY_TLS:
            started.append(_start(machine, "icelane.testing.lab.tls_gate", str(GATE_PORT)))
        elif proxy is not None and proxy.run:
            ports = ",".join(map(str, proxy.connect_ports))
            user = [] if proxy.user is None else [proxy.user, proxy.password]
            program = "icelane.testing.lab.http_proxy"
            started.append(_start(machine, program, str(proxy.port), ports, *user))
    for process in started:
        stack.callback(_end, process)
    for process in started:
        assert process.stdout is not None
        if process.stdout.readline().strip() != READY:
            raise LabError(f"a program of the lab did not start: {process.args!r}")


def _start(machine: Machine, module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        machine.command(sys.executable, "-m", module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """Where this package is, whatever directory the program starts in."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()  # what it carries goes with the lab
    process.communicate(timeout=_END_TIMEOUT)


def _port(site: Site) -> str:
    """The device of a gateway that a member is plugged in at."""
    return f"p{site.position}"


def _set(settings: dict[str, int]) -> None:
    """Of the kernel, in this network namespace."""
    for name, value in settings.items():
        Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")


def _give(command: list[str], text: str) -> None:
    """Run a program that reads what to do. Raises LabError with what it said if it failed."""
    finished = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise LabError(f"{command[0]} refused: {finished.stderr.strip()}\n{text}")
