"""The settings: what each key is, what it is when left out, and why. `icelane config docs` prints this module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr

from icelane.core.net import SocketAddress, Transport
from icelane.core.origin import parse_origin
from icelane.server.config.admission import AuthSettings, HookSettings, LimitSettings, ListSettings
from icelane.server.config.section import (
    EMPTY,
    AsList,
    Count,
    FileName,
    Filled,
    Percent,
    Rate,
    Section,
    Switch,
    Unique,
    optional,
    read_only,
    strong,
)
from icelane.server.config.section import setting as _key
from icelane.server.config.values import (
    AddressSource,
    DurationValue,
    Listener,
    PortRange,
    WebListener,
    check_password,
    check_trusted_proxies,
    parse_address,
    parse_address_source,
    parse_behavior_port,
    parse_duration,
    parse_engine_url,
    parse_external_address,
    parse_function_name,
    parse_hostname,
    parse_http_address,
    parse_interval,
    parse_kid,
    parse_leeway,
    parse_listener,
    parse_nat64,
    parse_node_name,
    parse_peers,
    parse_port_range,
    parse_proxies,
    parse_public_url,
    parse_realm,
    parse_relay_address,
    parse_username,
    parse_web_listener,
)
from icelane.stun.nonce import KEY_SIZE
from icelane.turn.credentials import MAX_SECRETS

PlaneName = Literal["auto", "pure", "compiled"]

DEFAULT_REALM = "icelane"

MAX_WORKERS = 64
"""No more processes than this."""

DEFAULT_BEHAVIOR_PORTS = (3478, 3479)
"""Used when `stun.behavior_ports` is left out: the port of STUN, and the next one, as coturn has it."""

DEFAULT_LISTEN = ("udp://0.0.0.0:3478", "tcp://0.0.0.0:3478", "udp://[::]:3478", "tcp://[::]:3478")
"""Used when `turn.listen` is left out; the family that the machine does not have is then passed over."""


def _coalesce(microseconds: int) -> int:
    if microseconds and not 50 <= microseconds <= 150:
        raise ValueError("should be 0, or 50 to 150")
    return microseconds


def _workers(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_WORKERS):
        return value
    if isinstance(value, str) and value.isdecimal():  # from the environment
        return _workers(int(value))
    raise ValueError(f"should be auto, or 1 to {MAX_WORKERS}")


def _long(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < KEY_SIZE:
        raise ValueError(f"a nonce key has at least {KEY_SIZE} bytes; `openssl rand -base64 32` prints one")
    return strong(key)


def _sendable(password: SecretStr) -> SecretStr:
    check_password(password.get_secret_value())
    return password


Listeners = Annotated[tuple[Annotated[Listener, PlainValidator(parse_listener)], ...], AsList, Unique]
WebListeners = Annotated[tuple[Annotated[WebListener, PlainValidator(parse_web_listener)], ...], AsList, Unique]
Compat = Annotated[tuple[Literal["uberti", "matrix", "twilio", "cloudflare", "xirsys"], ...], AsList, Unique]
RelayAddresses = Annotated[tuple[Annotated[str, PlainValidator(parse_relay_address)], ...], AsList, Filled, Unique]
AddressRanges = Annotated[tuple[Annotated[str, PlainValidator(parse_peers)], ...], AsList, Unique]
Nat64Prefixes = Annotated[tuple[Annotated[str, PlainValidator(parse_nat64)], ...], AsList, Unique]
Proxies = Annotated[tuple[Annotated[str, PlainValidator(parse_proxies)], ...], AsList, Unique]
TrustedProxies = Annotated[
    tuple[Annotated[str, PlainValidator(parse_proxies)], ...], AsList, Unique, AfterValidator(check_trusted_proxies)
]
Origins = Annotated[tuple[Annotated[str, PlainValidator(parse_origin)], ...], AsList, Unique]
ExternalAddresses = Annotated[
    Mapping[
        Annotated[str, PlainValidator(parse_relay_address)], Annotated[str, PlainValidator(parse_external_address)]
    ],
    AfterValidator(read_only),
]
Users = Annotated[
    Mapping[Annotated[str, PlainValidator(parse_username)], Annotated[SecretStr, AfterValidator(_sendable)]],
    AfterValidator(read_only),
]
ExternalAddressSource = Annotated[AddressSource | None, PlainValidator(parse_address_source)]
Interval = Annotated[DurationValue, PlainValidator(parse_interval)]
HttpAddress = Annotated[SocketAddress | None, PlainValidator(parse_http_address)]
BehaviorPorts = Annotated[tuple[Annotated[int, PlainValidator(parse_behavior_port)], ...], AsList, Filled, Unique]


class SharedSecret(Section):
    """One entry of `[[turn.secrets]]`: what ephemeral credentials are signed with."""

    kid: Annotated[str, PlainValidator(parse_kid)] = Field(
        description="Public name of the secret, carried in user names as `expiry:kid:user`. It lets two secrets live"
        " side by side while one replaces the other.",
        json_schema_extra={"kind": "text"},
    )
    secret: Annotated[SecretStr, AfterValidator(strong)] = Field(
        description="At least 128 bits of randomness, since whoever guesses it is every user (RFC 8489 section 9.2)."
        " `openssl rand -base64 32` prints one.",
        json_schema_extra={"kind": "text", "secret": True},
    )


def _distinct_kids(secrets: tuple[SharedSecret, ...]) -> tuple[SharedSecret, ...]:
    if len(secrets) > MAX_SECRETS:
        raise ValueError(f"at most {MAX_SECRETS} secrets can live at a time")
    kids = [entry.kid for entry in secrets]
    for index, kid in enumerate(kids):
        if kid in kids[:index]:
            raise ValueError(f"the kid {kid} stands here twice")
    return secrets


Secrets = Annotated[tuple[SharedSecret, ...], AsList, AfterValidator(_distinct_kids)]


class PeerSettings(Section):
    """`[turn.peers]`: whom clients may reach through the relay."""

    allow: AddressRanges = _key(
        (),
        kind="list of address ranges",
        doc="Peers that may be reached although they are private or special-purpose: `10.1.0.0/16`, `2001:db8::7`, or"
        " `10.1.0.5-10.1.0.9`. Loopback, link-local, multicast,"
        " metadata services and this server's own addresses stay closed whatever stands here.",
    )
    deny: AddressRanges = _key(
        (),
        kind="list of address ranges",
        doc="Peers that may not be reached although they are public. It comes before `allow`.",
    )
    nat64_prefixes: Nat64Prefixes = _key(
        (),
        kind="list of IPv6 prefixes",
        doc="NAT64 prefixes of the network around this server, such as `2001:db8:64::/96`, beside the well-known"
        " `64:ff9b::/96`. Their addresses stand for IPv4 ones, private ones too, so that no client reaches any of them"
        " whatever `allow` says.",
    )


class QuotaSettings(Section):
    """`[turn.quota]`: how much one user, one allocation and everybody may take."""

    allocations_per_user: Count = _key(
        12,
        kind="number",
        doc="Allocations that one user may hold at a time. A browser takes one for each server URL, network interface"
        " and address family, so one call needs several.",
    )
    allocations_total: Count = _key(
        10000, kind="number", doc="Allocations of all users together. Each holds at least one relay port."
    )
    connections_total: Count = _key(
        10000, kind="number", doc="TCP and TLS connections of all clients together. More are closed at once."
    )
    connections_per_source: Count = _key(
        1000,
        kind="number",
        doc="TCP and TLS connections from one IPv4 address or IPv6 /64. Everybody behind one NAT shares it, and a"
        " browser opens several in a call.",
    )
    bytes_per_second_per_allocation: Rate = _key(
        0, kind="bytes per second", doc="Relayed bytes of one allocation, both directions together; 0 is no limit."
    )
    bytes_per_second_per_user: Rate = _key(
        0, kind="bytes per second", doc="Relayed bytes of all allocations of one user; 0 is no limit."
    )
    bytes_per_second_total: Rate = _key(
        0, kind="bytes per second", doc="Relayed bytes of the whole server; 0 is no limit."
    )


class TurnSettings(Section):
    """`[turn]`: the STUN and TURN server."""

    realm: Annotated[str | None, PlainValidator(parse_realm)] = _key(
        None,
        kind="text",
        shown="`turn.hostname` where that has at most 16 bytes, otherwise `icelane`",
        doc="The realm in which user names and passwords are valid. Every challenge to an unknown client carries it, so"
        " keep it within 16 bytes: then a challenge never exceeds five times the request.",
    )
    hostname: Annotated[str | None, PlainValidator(parse_hostname)] = _key(
        None,
        kind="host name",
        shown="none: addresses are printed",
        doc="The name under which clients reach this server, for the `iceServers` that are printed and handed out.",
    )
    listen: Listeners = _key(
        (),
        kind="list of URLs",
        shown=", ".join(f"`{url}`" for url in DEFAULT_LISTEN),
        doc="Where clients are taken: `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT` or `tls://ADDRESS:PORT`, as many as"
        " you like; without a port it is 3478, with TLS 5349. 443 is the best port for TLS, because the strictest"
        " networks let it out; TLS needs `[tls]`. `0.0.0.0` and `[::]` stand for every address that the machine has at"
        " the start: a socket is bound to each, so that an answer always leaves from the address that was asked. Empty,"
        " `[]`, where clients come to an `https://` listener of `server.listen` and nowhere else.",
    )
    relay_addresses: RelayAddresses = _key(
        (),
        kind="list of IP addresses",
        shown="the machine's own address of each family",
        doc="Addresses of this machine that relayed traffic leaves from and arrives at. Those of one"
        " family are used in turn.",
    )
    relay_ports: Annotated[PortRange, PlainValidator(parse_port_range)] = _key(
        PortRange(49152, 65535),
        kind="port range",
        doc="Ports for allocations, the range of RFC 8656 section 7.2 by default. Open them for UDP in the firewall.",
    )
    external_addresses: ExternalAddresses = _key(
        EMPTY,
        kind="table of IP addresses",
        doc="For a server behind 1:1 NAT, as in most clouds: each of `relay_addresses` with the public address that"
        " stands for it. Clients are told the public one. An address that is not among `relay_addresses` counts for"
        " nothing, and `icelane config check` says so.",
    )
    external_address_from: ExternalAddressSource = _key(
        None,
        kind="`stun:HOST` or `command:PROGRAM`",
        shown="none: `turn.external_addresses` counts alone",
        doc="Who knows the public address where it may change: a STUN server outside, `stun:stun.example.org`, which is"
        " asked from each of `relay_addresses`; or a program, `command:/usr/local/bin/public-address`, which prints"
        " one address a line, one of each family at most, and ends within five seconds; what it has started is ended"
        " with it. An address that stands in `turn.external_addresses` is not looked for. New allocations are told the"
        " new address without a restart.",
    )
    external_address_interval: Interval = _key(
        DurationValue(300),
        kind="duration",
        doc="How often `turn.external_address_from` is asked again; after a failure it is asked every 30 s.",
    )
    dangerously_allow_loopback_peers: Switch = _key(
        False,
        kind="true or false",
        doc="Lets clients reach 127.0.0.0/8 and ::1 through the relay. For tests on one machine only: it opens every"
        " service that listens on loopback and is not in `turn.peers.deny`.",
    )
    tcp_allocations: Switch = _key(
        False,
        kind="true or false",
        doc="Whether clients over TCP and TLS may also reach peers by TCP (RFC 6062), from and at `relay_ports`; then"
        " open those for TCP in the firewall too. Browsers do not use it. Off by default, because it lets every user"
        " speak to any public web or mail server in your name.",
    )
    plane: PlaneName = _key(
        "auto",
        kind="`auto`, `pure` or `compiled`",
        doc="What relays packets: `compiled` does it in batches and without Python, `pure` is Python throughout. `auto`"
        " takes the compiled one where it has been built. `icelane serve` says which one runs.",
    )
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = _key(
        1,
        kind="number or `auto`",
        doc="In how many processes the server runs; `auto` is one for each processor that it may use. They share the"
        " listening addresses, and each has its part of `relay_ports`. A client stays with the process that the system"
        " has given it to; one that dies is replaced at once, and the clients of the others lose nothing."
        " More than one needs Linux.",
    )
    coalesce_microseconds: Annotated[int, AfterValidator(_coalesce)] = _key(
        150,
        kind="0, or 50 to 150",
        doc="How long the compiled plane waits for more packets to send together, when it relays more than about 10,000"
        " a second and the pauses bring some. It costs so much latency and saves much of the processor; 0 sends"
        " everything at once.",
    )
    strict_expiry: Switch = _key(
        False,
        kind="true or false",
        doc="Whether an allocation ends when its ephemeral credential expires. Off by default, so that long calls"
        " survive short credentials; expiry is then checked when an allocation is made.",
    )
    expiry_leeway: Annotated[DurationValue, PlainValidator(parse_leeway)] = _key(
        DurationValue(0),
        kind="duration",
        doc="How long after its expiry an ephemeral credential is still good, for issuers whose clock is behind this"
        " server's; an hour at most.",
    )
    unauthenticated_replies_per_second: Rate = _key(
        200,
        kind="number",
        doc="Challenges (401 and 438) over UDP to one source address, IPv6 counted by /64, after a burst of 1,000;"
        " above that the server is silent, so that it cannot be used to flood a forged source. 0 is no limit.",
    )
    proxy_protocol_from: Proxies = _key(
        (),
        kind="list of address ranges",
        doc="Proxies and load balancers in front of the TCP and TLS listeners, such as `10.0.0.0/8`. Their connections"
        " must begin with a PROXY header, version 1 or 2, and the client is whom that names; nobody else's header is"
        " believed.",
    )
    nonce_key: Annotated[SecretStr | None, AfterValidator(optional(_long))] = _key(
        None,
        kind="text",
        shown="a fresh one at each start",
        secret=True,
        doc="What nonces are signed with: at least 32 bytes. Give the same to all servers behind one address, and a"
        " client may go on with any of them, or after a restart, without being challenged again.",
    )
    auth: Annotated[str | None, PlainValidator(parse_function_name)] = _key(
        None,
        kind="text",
        shown="none",
        doc="`package.module:function`, an `async def` that is asked about names that are neither static users nor"
        " ephemeral ones. It gets a `CredentialQuery` and answers with a `Password`, a `LongTermKey` or None, within a"
        " second; answers are remembered for a minute.",
    )
    revoked_file: FileName = _key(
        None,
        kind="file name",
        shown="none",
        doc="Credentials that were taken back, one a line: a user name, a user, or `--kid KID`. Read again on reload;"
        " what it names ends then, and is refused as long as it stands there.",
    )
    drain_deadline: Annotated[DurationValue, PlainValidator(parse_duration)] = _key(
        DurationValue(600),
        kind="duration",
        doc="How long a server that was told to stop waits for live allocations to end by themselves. Then it ends"
        " them. A supervisor has to wait longer: systemd's `TimeoutStopSec`, Kubernetes'"
        " `terminationGracePeriodSeconds`.",
    )
    alternate_server: Annotated[SocketAddress | None, PlainValidator(parse_address)] = _key(
        None,
        kind="address",
        shown="none",
        doc="`ADDRESS:PORT` of another server that takes the same credentials. While this one drains, new clients of"
        " that address family are told it in the 508 that they get, whichever transport they come over.",
    )
    alternate_domain: Annotated[str | None, PlainValidator(parse_hostname)] = _key(
        None,
        kind="host name",
        shown="none: the certificate is for the name of this server",
        doc="The name that the certificate of `turn.alternate_server` is for, told to clients with it.",
    )
    users: Users = _key(
        EMPTY,
        kind="table of passwords",
        secret=True,
        doc="Static users: name and password.",
    )
    secrets: Secrets = _key(
        (),
        kind="list of tables",
        secret=True,
        doc="Shared secrets for ephemeral credentials. The first signs; all are accepted. To rotate, put the new one"
        " first, and take the old one out when the last credential that it signed has expired.",
    )
    peers: PeerSettings = Field(default_factory=PeerSettings)
    quota: QuotaSettings = Field(default_factory=QuotaSettings)

    @property
    def external_by_relay(self) -> dict[str, str]:
        """The external addresses that count: of those that are relayed on."""
        return {inner: outer for inner, outer in self.external_addresses.items() if inner in self.relay_addresses}


class StunSettings(Section):
    """`[stun]`: what the STUN server does beside telling clients their address."""

    behavior_addresses: RelayAddresses = _key(
        (),
        kind="list of IP addresses",
        shown="none: requests for an answer from elsewhere are refused with 420",
        doc="Two addresses of this machine, of one family or of each, which let clients find out what kind of NAT they"
        " are behind (RFC 5780): `icelane stun URL --behavior`. Clients are taken over UDP on both, at both of"
        " `stun.behavior_ports`, beside what `turn.listen` says; open all four in the firewall. Behind 1:1 NAT each"
        " needs its public address in `turn.external_addresses`. Answers from elsewhere go out as often to one source"
        " as `turn.unauthenticated_replies_per_second` says of challenges.",
    )
    behavior_ports: BehaviorPorts = _key(
        (),
        kind="list of numbers",
        shown=", ".join(f"`{port}`" for port in DEFAULT_BEHAVIOR_PORTS),
        doc="The two UDP ports of `stun.behavior_addresses`. Clients ask at the first one of the first address, unless"
        " they are told otherwise: all four are the same.",
    )


class TlsSettings(Section):
    """`[tls]`: the certificate of `tls://` and `https://`. Read again on reload; new connections get the new one."""

    certificate: FileName = _key(
        None,
        kind="file name",
        shown="none; needed for `tls://` and `https://`",
        doc="A PEM file with the server's certificate and then its intermediates, `fullchain.pem` in certbot's words."
        " A relative name is relative to the configuration file.",
    )
    key: FileName = _key(
        None,
        kind="file name",
        shown="none; needed for `tls://` and `https://`",
        doc="A PEM file with the private key, without a password. Only the server's user should be able to read it.",
    )


class ServerSettings(Section):
    """`[server]`: HTTPS, WebSocket and TURN over TLS on one port."""

    listen: WebListeners = _key(
        (),
        kind="list of URLs",
        shown="none: nobody listens",
        doc="Where signaling is taken: `https://ADDRESS:PORT`, without a port 443. HTTPS, WebSocket (WSS) and TURN over"
        " TLS share it, told apart by ALPN and by the first byte, and it needs `[tls]`. `http://ADDRESS:PORT`, without"
        " a port 80, sends everybody on to HTTPS; only on loopback, for a proxy on this machine, it serves. `0.0.0.0`"
        " and `[::]` stand for every address that the machine has at the start. `turn.listen` says where else TURN is"
        " taken; with several `turn.workers` the first of them has these listeners.",
    )
    public_url: Annotated[str | None, PlainValidator(parse_public_url)] = _key(
        None,
        kind="URL",
        shown="none: worked out from `turn.hostname` and the first `https://` listener",
        doc="What clients reach this server by, `https://call.example.org`: links, redirections and the URL in join"
        " tokens go by it, and never by what a request says in `Host`.",
    )
    trusted_proxies: TrustedProxies = _key(
        (),
        kind="list of address ranges",
        doc="Proxies in front of this server, such as `10.0.0.0/8`, that may say whom they speak for in `Forwarded` or"
        " `X-Forwarded-For`: of the hops that those name, the right-most that is not listed here is the client. From"
        " everybody else these headers do not count.",
    )
    allowed_origins: Origins = _key(
        (),
        kind="list of origins",
        doc="Whose pages may connect: `https://app.example.org`, as browsers send it in `Origin`, and no pattern. The"
        " origin of `server.public_url` is allowed as well. Programs that are no browsers send none and are let"
        " through; then no cookie counts.",
    )
    compat: Compat = _key(
        (),
        kind="list of names",
        doc="Shapes of others in which TURN credentials are handed out as well, so that programs written for them need"
        " another host name only: `uberti` (`/turn`), `matrix`, `twilio`, `cloudflare` with its revoke, `xirsys`.",
    )
    pages: Switch = _key(
        True,
        kind="true or false",
        doc="Whether there are pages for people: a call at `/` and `/r/ROOM`, and a diagnosis at `/diag`. They hold"
        " nothing that is secret; without an invitation nobody gets into a room.",
    )
    hsts: Annotated[DurationValue, PlainValidator(parse_duration)] = _key(
        DurationValue(365 * 86_400),
        kind="duration",
        doc="For how long browsers are told to come to this host by HTTPS only (`Strict-Transport-Security`); `0s`"
        " tells them nothing.",
    )
    dangerously_serve_in_clear: Switch = _key(
        False,
        kind="true or false",
        doc="Lets `http://` listeners that others than this machine reach serve signaling and hand out credentials"
        " without TLS, for a network that a proxy in front of it closes off. Whoever is on the way reads the tokens.",
    )


class EngineSettings(Section):
    """`[engine]`: where rooms are kept."""

    url: Annotated[str, PlainValidator(parse_engine_url)] = _key(
        "memory://",
        kind="URL",
        doc="`memory://` is this process, for one node. A restart forgets rooms; clients join anew.",
    )
    node: Annotated[str | None, PlainValidator(optional(parse_node_name))] = _key(
        None,
        kind="name",
        shown="the host name of the machine",
        doc="What this node is called, to hooks and to operators. Clients are not told.",
    )


class DiagSettings(Section):
    """`[diag]`: what the page of diagnosis and `icelane doctor` ask of a server with `server.listen`."""

    enabled: Switch = _key(
        True,
        kind="true or false",
        doc="Whether users may have the server check itself, call it over its own relay, which sends back what it gets,"
        " and keep a report to share. Nobody else may, and nothing that a request names is contacted.",
    )
    sessions: Count = _key(8, kind="number", doc="Such calls at a time, of everybody; each ends within 45 seconds.")
    reports: Count = _key(
        500,
        kind="number",
        doc="Reports that are kept, in memory and of 32 KiB at most; the oldest goes for one more. Addresses in them"
        " are cut to /24 and /48 unless whoever keeps one says otherwise.",
    )
    report_lifetime: Annotated[DurationValue, PlainValidator(parse_duration)] = _key(
        DurationValue(7 * 86_400), kind="duration", doc="How long a report is kept."
    )


class LogSettings(Section):
    """`[log]`: records on standard error."""

    format: Literal["human", "json"] = _key(
        "human", kind="`human` or `json`", doc="Lines for people, in colour on a terminal, or one JSON object a line."
    )
    level: Literal["debug", "info", "warning"] = _key(
        "info",
        kind="`debug`, `info` or `warning`",
        doc="The least that is written. `warning` leaves out allocations; `debug` adds the refusals that belong to"
        " every session.",
    )
    addresses: Switch = _key(
        False,
        kind="true or false",
        doc="Whether client addresses are written in full. Off by default: they are personal data, and /24 and /48 tell"
        " networks apart well enough.",
    )


class MetricsSettings(Section):
    """`[metrics]`: figures for Prometheus and answers for probes, over HTTP."""

    listen: HttpAddress = _key(
        None,
        kind="address and port",
        shown="none: nobody listens",
        doc="Where `/metrics`, `/healthz` and `/readyz` are served: `127.0.0.1:9641`. There is no authentication; the"
        " pages name no user and no client, but keep them inside all the same.",
    )
    ready_load_percent: Percent = _key(
        0,
        kind="percentage",
        doc="From this load on `/readyz` says 503, so that a load balancer sends new clients elsewhere; 0 never does."
        " The load is the largest of: allocations of `turn.quota.allocations_total`, relay ports of"
        " `turn.relay_ports`, and the average lateness of the event loop, of which 100 ms are 100 %.",
    )


class AdminSettings(Section):
    """`[admin]`: commands to the running server, for this machine alone."""

    socket: FileName = _key(
        None,
        kind="file name",
        shown="none: nobody listens",
        doc="A Unix socket for `icelane turn sessions`, `users`, `kick`, `revoke`, `reload` and `drain`, such as"
        " `/run/icelane/admin.sock`. Only the server's user can open it; its directory has to be that user's.",
    )


class Config(Section):
    """All settings. Made by `load_config` or `parse_config`, never by hand."""

    turn: TurnSettings = Field(default_factory=TurnSettings)
    stun: StunSettings = Field(default_factory=StunSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    hooks: HookSettings = Field(default_factory=HookSettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    diag: DiagSettings = Field(default_factory=DiagSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """All that is listened on: `turn.listen`, and what `[stun]` adds to it."""
        return tuple(dict.fromkeys((*self.turn.listen, *self.behavior_listeners)))

    @property
    def behavior_listeners(self) -> tuple[Listener, ...]:
        """Every address of `[stun]` at every port."""
        stun = self.stun
        return tuple(
            Listener(Transport.UDP, host, port) for host in stun.behavior_addresses for port in stun.behavior_ports
        )
