"""Every option of turnserver.conf, of coturn 4.5 to 4.17, and what becomes of it.

An option is one of three: MAPPED to a setting, NEEDLESS because icelane does that anyway or somebody else does it, or
WITHOUT a counterpart; then its text says what that means for whoever comes from coturn.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Shape(enum.Enum):
    """What stands behind the name."""

    SWITCH = "switch"
    """Nothing, or a truth value; nothing is true."""

    NUMBER = "number"
    TEXT = "text"


class Kind(enum.Enum):
    """What becomes of an option."""

    MAPPED = "mapped"
    NEEDLESS = "needless"
    WITHOUT = "without"


class Option(NamedTuple):
    """One option: what stands behind it, what becomes of it, and the reason in words where it is not mapped."""

    shape: Shape
    kind: Kind
    text: str


_DATABASE: Final = (
    "users and secrets in a database are not read: put secrets into [[turn.secrets]] and users into turn.users, or ask"
    " the database yourself in a function that turn.auth names"
)
_DH: Final = "TLS here has ECDHE alone, and no parameters to choose"
_TELNET: Final = "there is no telnet console: `icelane turn sessions`, `kick` and the others ask at admin.socket"
_WEB: Final = "there are no pages for administrators: see the `icelane turn` commands, and metrics.listen"
_REDIRECT: Final = (
    "clients are not sent to other servers for load; name several in iceServers, or one in turn.alternate_server, which"
    " is told while this one drains"
)
_JOURNAL: Final = "records go to standard error, and whoever starts the server keeps them: the journal under systemd"
_BATCHES: Final = "packets are read and sent in batches as it is; see turn.plane"
_MULTIPLEX: Final = "each allocation has a relay port of its own"
_OLD_TLS: Final = "only TLS 1.2 and 1.3 are spoken"
_DYNAMIC: Final = "lists and realms of a database are not read; a reload changes turn.peers while the server runs"
_DTLS: Final = "TURN over DTLS is not supported; browsers do not use it"
_SERVICE: Final = "the service manager does it: `icelane init --systemd` writes a unit"
_NONCE: Final = "nonces are always signed, kept nowhere, and good for a limited time; turn.nonce_key shares their key"
_RFC: Final = "it is what RFC 8656 says, and no setting"


def _options() -> dict[str, Option]:
    found: dict[str, Option] = {}

    def add(shape: Shape, kind: Kind, text: str, *names: str) -> None:
        for name in names:
            assert name not in found, name
            found[name] = Option(shape, kind, text)

    switch, number, text = Shape
    mapped, needless, without = Kind

    add(text, mapped, "turn.listen", "listening-ip", "aux-server")
    add(number, mapped, "turn.listen", "listening-port", "tls-listening-port")
    add(switch, mapped, "turn.listen", "no-udp", "no-tcp", "no-tls")
    add(number, mapped, "stun.behavior_ports", "alt-listening-port")
    add(switch, mapped, "stun.behavior_addresses", "no-rfc5780", "rfc5780")
    add(text, mapped, "turn.relay_addresses", "relay-ip")
    add(text, mapped, "turn.external_addresses", "external-ip")
    add(number, mapped, "turn.relay_ports", "min-port", "max-port")
    add(number, mapped, "turn.workers", "relay-threads", "cpus")
    add(text, mapped, "turn.users", "user")
    add(text, mapped, "turn.secrets", "static-auth-secret")
    add(text, mapped, "turn.realm", "realm")
    add(number, mapped, "turn.quota.allocations_per_user", "user-quota")
    add(number, mapped, "turn.quota.allocations_total", "total-quota")
    add(number, mapped, "turn.quota.bytes_per_second_per_allocation", "max-bps")
    add(number, mapped, "turn.quota.bytes_per_second_total", "bps-capacity")
    add(text, mapped, "tls.certificate", "cert")
    add(text, mapped, "tls.key", "pkey")
    add(switch, mapped, "turn.dangerously_allow_loopback_peers", "allow-loopback-peers")
    add(text, mapped, "turn.peers.allow", "allowed-peer-ip")
    add(text, mapped, "turn.peers.deny", "denied-peer-ip")
    add(switch, mapped, "turn.tcp_allocations", "no-tcp-relay")
    add(switch, mapped, "log.level", "Verbose")
    add(text, mapped, "log.level", "log-min-level")
    add(switch, mapped, "metrics.listen", "prometheus")
    add(number, mapped, "metrics.listen", "prometheus-port")
    add(text, mapped, "metrics.listen", "prometheus-address")
    add(number, mapped, "turn.unauthenticated_replies_per_second", "unauthorized-ratelimit-rps")

    add(switch, needless, "user name and password are always asked for", "lt-cred-mech")
    add(switch, needless, "a secret in [[turn.secrets]] is the switch", "use-auth-secret")
    add(switch, needless, "multicast and broadcast addresses are never relayed to", "no-multicast-peers")
    add(switch, needless, "they are closed unless somebody opens them", "no-loopback-peers")
    add(switch, needless, "an answer has FINGERPRINT where the request had it", "fingerprint")
    add(switch, needless, "no answer names the software", "no-software-attribute", "prod")
    add(switch, needless, "challenges over UDP are always limited", "unauthorized-ratelimit")
    add(switch, needless, _NONCE, "stateless-nonce")
    add(number, needless, _NONCE, "stale-nonce")
    add(switch, needless, _DTLS, "no-dtls")
    add(switch, needless, _OLD_TLS, "no-sslv2", "no-sslv3", "no-tlsv1", "no-tlsv1_1")
    add(switch, needless, _SERVICE, "daemon")
    add(text, needless, _SERVICE, "pidfile", "proc-user", "proc-group")
    add(switch, needless, _JOURNAL, "no-stdout-log", "syslog", "simple-log", "new-log-timestamp")
    add(text, needless, _JOURNAL, "log-file", "syslog-facility", "new-log-timestamp-format")
    add(switch, needless, "allocations are written at the level `info` as it is", "verbose")
    add(switch, needless, "there is no telnet console that could be turned off", "no-cli")
    add(switch, needless, _BATCHES, "udp-recvmmsg", "udp-recvmmsg-log", "udp-gso")
    add(
        switch, needless, "RESPONSE-ORIGIN goes with stun.behavior_addresses alone", "response-origin-only-with-rfc5780"
    )
    add(switch, needless, "clients of RFC 3489 get no answer", "no-stun-backward-compatibility")
    add(switch, needless, "channel numbers of RFC 5766 are taken as well", "rfc5766-channel-numbers")
    add(switch, needless, "users are not looked for in a database", "no-auth-pings")
    add(switch, needless, _DYNAMIC, "no-dynamic-ip-list", "no-dynamic-realms")
    add(number, needless, "coturn itself does not use it any more", "ne", "secret-ts-exp-time")
    add(number, needless, "a client has a minute to allocate", "max-allocate-timeout")

    add(text, without, "name addresses in turn.listen; sockets are not bound to a device", "listening-device")
    add(text, without, "name addresses in turn.relay_addresses; sockets are not bound to a device", "relay-device")
    add(number, without, "only UDP takes part in the discovery of a NAT", "alt-tls-listening-port")
    add(
        number,
        without,
        "any tcp:// or tls:// listener takes the PROXY protocol: list the balancers in turn.proxy_protocol_from",
        "tcp-proxy-port",
    )
    add(switch, without, "as many processes as turn.workers says share each address", "udp-self-balance")
    add(switch, without, "nobody is served without a name and a password; hand out credentials", "no-auth")
    add(text, without, _DATABASE, "userdb", "db", "psql-userdb", "sql-userdb", "mysql-userdb", "mongo-userdb")
    add(text, without, _DATABASE, "redis-userdb", "secret-key-file")
    add(text, without, "figures are for Prometheus: metrics.listen", "redis-statsdb")
    add(text, without, "third-party authorisation (RFC 7635) is not supported", "server-name")
    add(switch, without, "third-party authorisation (RFC 7635) is not supported", "oauth")
    add(switch, without, "ORIGIN says nothing that could be trusted, and is not looked at", "check-origin-consistency")
    add(text, without, "a name is EXPIRY:USER with a colon; whoever makes credentials must do so", "rest-api-separator")
    add(switch, without, "UDP is always relayed", "no-udp-relay")
    add(switch, without, "STUN and TURN are served together", "stun-only", "no-stun")
    add(switch, without, "clients may always ask for their address", "secure-stun")
    add(
        switch,
        without,
        "mobility (RFC 8016) is not supported: after a change of network clients restart ICE",
        "mobility",
    )
    add(switch, without, "no answer names the software", "software-attribute")
    add(switch, without, _DTLS, "dtls")
    add(switch, without, "clients of RFC 3489 get no answer", "stun-backward-compatibility", "rfc3489-compatibility")
    add(switch, without, "who asks for no address family gets IPv4, by RFC 8656", "keep-address-family")
    add(text, without, "who asks for no address family gets IPv4, by RFC 8656", "allocation-default-address-family")
    add(text, without, "take the password off: `openssl pkey -in OLD -out NEW`; then name NEW in tls.key", "pkey-pwd")
    add(text, without, "cipher suites are Mozilla's intermediate ones", "cipher-list")
    add(text, without, "groups are OpenSSL's defaults", "ec-curve-name")
    add(text, without, "certificates of clients are not asked for", "CA-file")
    add(switch, without, "certificates are X.509", "raw-public-keys")
    add(switch, without, _DH, "dh566", "dh1066", "dh2066")
    add(text, without, _DH, "dh-file")
    add(switch, without, _OLD_TLS, "tlsv1", "tlsv1_1")
    add(switch, without, "TLS 1.2 stays, for clients that have no 1.3", "no-tlsv1_2")
    add(text, without, _REDIRECT, "alternate-server", "tls-alternate-server", "udp-alternate-server")
    add(text, without, _REDIRECT, "tcp-alternate-server")
    add(number, without, _RFC, "channel-lifetime", "permission-lifetime")
    add(
        number, without, "an allocation lives for an hour at most, and is refreshed until then", "max-allocate-lifetime"
    )
    add(text, without, "set turn.nonce_key to 32 random bytes, the same for all servers", "stateless-nonce-secret")
    add(switch, without, "whether an answer has the reason in words is no setting", "include-reason-string")
    add(text, without, "challenges of ACME are not answered here: renew by DNS, or on another address", "acme-redirect")
    add(switch, without, _TELNET, "cli")
    add(text, without, _TELNET, "cli-ip", "cli-password")
    add(number, without, _TELNET, "cli-port", "cli-max-output-sessions")
    add(switch, without, _WEB, "web-admin", "web-admin-listen-on-workers")
    add(text, without, _WEB, "web-admin-ip")
    add(number, without, _WEB, "web-admin-port")
    add(switch, without, "a peer needs a permission; programs use `connect_turn` at their end", "server-relay")
    add(text, without, "figures are at /metrics", "prometheus-path")
    add(switch, without, "no figure names a user; `icelane turn users` does", "prometheus-username-labels")
    add(switch, without, "a Binding request leaves no record", "log-binding")
    add(number, without, "buffers are the system's: sysctl net.core.rmem_max and wmem_max", "sock-buf-size")
    add(switch, without, _MULTIPLEX, "multiplex-peer")
    add(number, without, _MULTIPLEX, "multiplex-peer-port", "multiplex-peer-max-peers")
    add(
        number, without, "the end comes with the last allocation, or after turn.drain_deadline", "drain-min-allocations"
    )
    add(
        switch,
        without,
        "an HTTP request at a TURN port is closed; server.listen has ports for both",
        "respond-http-unsupported",
    )
    return found


OPTIONS: Final[Mapping[str, Option]] = MappingProxyType(_options())
"""By the long name, which is the one that the file has."""
