"""What a machine needs for a lab: rights, Debian packages, and a kernel that can do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import Final

from icelane.testing import link_program
from icelane.testing.lab.description import Firewall, Member, Nat, Network
from icelane.testing.lab.rules import ruleset
from icelane.testing.namespace import inside, new_namespace

_PACKAGES_BY_PROGRAM: Final = {
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def missing(*members: Member) -> str | None:
    """What this machine or user lacks to build a lab of `members`, in words; None when it can be built.

    The answer is about any lab without slow lines when nothing is given.
    """
    everything = list(Network("internet", *members))
    networks = [member for member in everything if isinstance(member, Network)]
    lacking = _missing(with_rules=not members or any(ruleset(network) for network in networks))
    if lacking is None and any(member.up is not None for member in everything):
        lacking = link_program.missing()
    return lacking


@cache
def _missing(*, with_rules: bool) -> str | None:
    if not hasattr(os, "pidfd_open"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    for program, package in _PACKAGES_BY_PROGRAM.items():
        if shutil.which(program) is None and (with_rules or program != "nft"):
            return f"needs the Debian package {package}"
    try:
        with new_namespace() as namespace, inside(namespace):
            return _missing_in_the_kernel(with_rules=with_rules)
    except OSError as error:
        return f"needs the right to make network namespaces (CAP_SYS_ADMIN): {error.strerror}"


def _missing_in_the_kernel(*, with_rules: bool) -> str | None:
    """Try what all labs are made of, in a namespace that is thrown away."""
    tries = [("devices", ["ip", "-batch", "-"], "link add lan type bridge\nlink add p2 type veth peer name ethernet\n")]
    for nat, firewall in ((Nat.SYMMETRIC, Firewall.UDP_BLOCKED), (None, Firewall.ONLY_TLS)) if with_rules else ():
        rules = "flush ruleset\n" + ruleset(Network("tried", nat=nat, firewall=firewall))
        tries.append(("rules", ["nft", "-f", "-"], rules))
    for what, command, text in tries:
        tried = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            said = tried.stderr.strip().splitlines() or ["no reason given"]
            return f"needs a kernel that takes its {what}, and the right to make them (CAP_NET_ADMIN): {said[0]}"
    return None
