"""The file that `icelane init` writes: what most people decide, with the reason beside it, and secrets of its own."""

from __future__ import annotations

import base64
import json
from typing import Final

from icelane.core.entropy import Entropy
from icelane.server.config.values import PortRange

FILE_NAME: Final = "icelane.toml"

DEFAULT_RELAY_PORTS: Final = PortRange(49152, 65535)

# Twice what RFC 8489 section 9.2 asks for; base64 because it goes through shells and environment files unharmed.
_SECRET_BYTES: Final = 32

_TEXT: Final = """\
# icelane: STUN, TURN and signaling server. Every key, its default and the reason for it: icelane config docs
#
# This file holds secrets: keep it readable for the server alone (chmod 600). A key that is left out has its default; a
# key that is misspelt stops the start. After a change: icelane config check -c {file_name}

[turn]
# The name under which clients reach this server. It is also the realm while it has at most 16 bytes.
{hostname}

# Where clients are taken. Left out: UDP and TCP on port 3478 of every address of this machine.
# listen = ["udp://0.0.0.0:3478", "tcp://0.0.0.0:3478"]

# Ports for relayed traffic, one for each allocation. Open them for UDP in the firewall, both ways.
relay_ports = "{relay_ports}"

# Behind 1:1 NAT, as in most clouds: the machine's own address, and the public one that clients are told.
# relay_addresses = ["10.0.0.5"]
# external_addresses = {{ "10.0.0.5" = "203.0.113.7" }}

# Static users, for programs that cannot make credentials. Browsers should get ephemeral ones: icelane ice
# users = {{ alice = "a long password" }}

# What ephemeral credentials are signed with. To rotate, put a second table above this one: the first signs, all are
# accepted, and this one goes when the last credential that it signed has expired.
[[turn.secrets]]
kid = "k1"
secret = {secret}

[turn.peers]
# Private and special-purpose addresses cannot be reached through the relay. To open some of them:
# allow = ["10.1.0.0/16"]

[turn.quota]
# A browser takes an allocation for each server URL, network interface and address family, so one call needs several.
allocations_per_user = 12
# Each allocation holds a relay port and an open file: `ulimit -n` must be well above this.
allocations_total = 10000
# bytes_per_second_per_user = 1250000    # 10 Mbit/s

[server]
# Signaling, TURN credentials over HTTPS and TURN over TLS on one port; [tls] has the certificate. 443 passes best.
# listen = ["https://0.0.0.0:443", "http://0.0.0.0:80"]
# What clients call it by. Left out: worked out of turn.hostname and the first https:// listener.
# public_url = "https://{named}"
# Pages that may use it; its own origin always may.
# allowed_origins = ["https://app.example.org"]

[tls]
# certificate = "fullchain.pem"
# key = "privkey.pem"

[auth]
# Programs of yours that make tokens and rule rooms, each with the hash of its key: icelane keys new --for api-key
# api_keys = {{ backend = "sha256:{hash}" }}

# Whose join tokens let somebody in. This entry makes them too: icelane token create, or /v1/tokens with an API key.
# [[auth.jwt]]
# issuer = "icelane"
# algorithm = "HS256"
# secret = {signing}

[hooks]
# Your own word about everybody who connects: `package.module:function`, or a URL. No answer within a second is no.
# before_connect = "https://app.example.org/icelane/before-connect"
# What requests to URLs are signed with.
# secret = {hook}

[lists]
# Addresses, and identities as identity:alice. Deny wins, ends whoever is there, and counts for the relay too.
# deny = ["203.0.113.0/24"]
# allow = ["198.51.100.0/24"]

[limits]
# Everybody behind one NAT shares this.
# connects_per_minute_per_address = 60
# messages_per_second = 50

[metrics]
# Figures for Prometheus, /healthz and /readyz. Plain HTTP without authentication: keep it on loopback or inside.
listen = "127.0.0.1:9641"

[log]
# "json" for a program that collects records, "human" for people.
format = "human"
# "debug" writes every refusal, also those that belong to every session; "warning" leaves out allocations.
# level = "info"
# Client addresses are personal data: without this they are masked to /24 and /48.
# addresses = true
"""


def starting_configuration(
    entropy: Entropy, hostname: str | None = None, relay_ports: PortRange = DEFAULT_RELAY_PORTS
) -> str:
    """The text of a configuration with fresh secrets. `hostname` must have passed `parse_hostname`."""
    turn, signing, hook = (_secret(entropy) for _ in range(3))
    return _TEXT.format(
        file_name=FILE_NAME,
        relay_ports=relay_ports,
        hostname=f"hostname = {json.dumps(hostname)}" if hostname else '# hostname = "turn.example.org"',
        named=hostname or "turn.example.org",
        secret=turn,
        signing=signing,
        hook=hook,
        hash="0" * 64,
    )


def _secret(entropy: Entropy) -> str:
    return json.dumps(base64.b64encode(entropy.token(_SECRET_BYTES)).decode())
