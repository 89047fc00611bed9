"""The rules of nftables by which a gateway translates and filters."""

from __future__ import annotations

from typing import Final

from icelane.testing.lab.description import Firewall, Nat, Network

GATE_PORT: Final = 8443
"""Where the gate that looks for TLS listens on the gateway."""

_MASQUERADE: Final = {
    # Keeps the port, and so the mapping is the same for every destination. A packet from outside that nobody asked for
    # must be dropped before connection tracking confirms it: else it would hold the 5-tuple that the host behind wants
    # for the other direction, the port would change, and no two peers could punch through.
    Nat.PORT_PRESERVING: "masquerade",
    Nat.SYMMETRIC: "masquerade random,fully-random",
}

_LETS_OUT: Final = {
    Firewall.STATEFUL: ['iifname != "wan" accept'],
    Firewall.UDP_BLOCKED: ['iifname != "wan" meta l4proto tcp accept'],
    Firewall.ONLY_443: ['iifname != "wan" tcp dport 443 accept'],
    # What they let out is the gateway's own: it comes from the gate or the proxy there.
    Firewall.ONLY_TLS: [],
    Firewall.ONLY_PROXY: [],
}

# A member reaches the gateway itself at these only.
_AT_THE_GATEWAY: Final = {
    Firewall.STATEFUL: ['iifname != "wan" accept'],
    Firewall.UDP_BLOCKED: ['iifname != "wan" meta l4proto { tcp, icmp } accept'],
    Firewall.ONLY_443: ['iifname != "wan" icmp type echo-request accept'],
    Firewall.ONLY_TLS: [f'iifname != "wan" tcp dport {GATE_PORT} ct status dnat accept'],
}


def ruleset(network: Network) -> str:
    """What `nft -f` reads; empty for a plain router."""
    if network.nat is None and network.firewall is None:
        return ""
    firewall = network.firewall or Firewall.STATEFUL
    at_the_gateway = (
        [f'iifname != "wan" tcp dport {network.proxy.port} accept']
        if network.proxy is not None
        else _AT_THE_GATEWAY[firewall]
    )
    answers = ["ct state established,related accept", "ct state invalid drop"]
    neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept"
    chains = [
        # Between members there is no gateway, even where br_netfilter shows it their packets.
        _chain("forward", "filter", "forward", "filter", "drop",
               [*answers, 'iifname != "wan" oifname != "wan" accept', *_LETS_OUT[firewall]]),
        _chain("input", "filter", "input", "filter", "drop",
               [*answers, 'iifname "lo" accept', neighbours, *at_the_gateway]),
    ]  # fmt: skip
    if network.nat is not None:
        rule = f'oifname "wan" meta nfproto ipv4 {_MASQUERADE[network.nat]}'
        chains.append(_chain("postrouting", "nat", "postrouting", "srcnat", "accept", [rule]))
    if firewall is Firewall.ONLY_TLS:
        rule = f'iifname != "wan" tcp dport 443 redirect to :{GATE_PORT}'
        chains.append(_chain("prerouting", "nat", "prerouting", "dstnat", "accept", [rule]))
    return "table inet lab {\n" + "".join(chains) + "}\n"


def _chain(name: str, kind: str, hook: str, priority: str, policy: str, rules: list[str]) -> str:
    head = f"type {kind} hook {hook} priority {priority}; policy {policy};"
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in (head, *rules)) + "  }\n"
