"""How a peer connection is configured (W3C WebRTC sections 4.2.1 to 4.2.5).

    RTCConfiguration(
        iceServers=[RTCIceServer(urls="turn:turn.example.org", username="alice", credential="wonderland")],
        iceTransportPolicy="relay",
    )

The JSON object that a server hands out for browsers goes in by `RTCConfiguration.from_json`. Names in snake_case are
ours. Nobody is contacted whom `iceServers` does not name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final, cast, get_args

from icelane.aio.address_filter import AddressFilter, address_filter
from icelane.aio.certificate import RTCCertificate
from icelane.aio.frame_queue import MAX_CAPACITY, QueuePolicy
from icelane.aio.port_range import PortRange, parse_port_range
from icelane.aio.proxy import ENVIRONMENT, parse_proxy
from icelane.aio.udp_mux import UdpMux
from icelane.core.clock import Duration
from icelane.errors import InvalidAccessError, InvalidModificationError, MalformedError, NotSupportedError, SyntaxError_
from icelane.media.codecs.registry import CodecRegistry
from icelane.peer.external_addresses import external_addresses
from icelane.peer.ice_server import MAX_URLS
from icelane.peer.negotiation import BundlePolicy
from icelane.stun.attributes import MAX_USERNAME
from icelane.stun.uri import StunUri, TurnUri, parse_uri

# The last one is ours: see RTCConfiguration.
_ICE_POLICIES: Final = ("all", "relay", "relay-strict")
# Candidates of TCP (RFC 6544): to connect to the peer, to be connected to, or both.
_ICE_TCP: Final = ("off", "active", "passive", "both")
_BUNDLE_POLICIES: Final = get_args(BundlePolicy)
# What the object that browsers take can say; every other setting is ours, or holds what JSON cannot.
_IN_JSON: Final = frozenset(
    {"iceServers", "iceTransportPolicy", "bundlePolicy", "rtcpMuxPolicy", "iceCandidatePoolSize"}
)

_SWITCHES: Final = ("legacy_peers", "include_loopback", "hide_addresses", "ice_lite", "restart_on_network_change")

_UNCHANGING: Final = (
    "bundlePolicy", "rtcpMuxPolicy", "legacy_peers", "patience", "external_addresses", "external_address_type",
    "hide_addresses", "udp_mux", "ice_tcp", "ice_lite", "codecs", "track_policy", "track_capacity",
)  # fmt: skip


@dataclass(kw_only=True)
class RTCIceServer:
    """One STUN or TURN server, by one URL or several. `credential` is the password; its repr hides it."""

    urls: str | Sequence[str]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)
    credentialType: str = "password"  # noqa: N815  (W3C name)

    def uris(self) -> list[StunUri | TurnUri]:
        """What the URLs say.

        Raises SyntaxError_ for a URL that does not parse and for none at all, InvalidAccessError for a TURN server
        without user name or password (W3C section 4.4.1.6) and for a user name that does not fit into a message,
        NotSupportedError for OAuth as W3C once had it, TypeError for another kind of credential.
        """
        if self.credentialType == "oauth":
            raise NotSupportedError("credentials of OAuth are not supported: credentialType is password")
        if self.credentialType != "password":
            raise TypeError(f"credentialType is password, not {self.credentialType!r}")
        account: tuple[object, ...] = self.username, self.credential
        if not all(isinstance(text, str | None) for text in account):
            raise TypeError("username and credential of an ICE server are strings")
        urls = [self.urls] if isinstance(self.urls, str) else list(self.urls)
        if not urls:
            raise SyntaxError_("an ICE server needs at least one URL")
        found = []
        for url in urls:
            try:
                uri = parse_uri(url)
            except MalformedError as error:
                raise SyntaxError_(f"{url!r}: {error}") from None
            if isinstance(uri, TurnUri) and (not self.username or self.credential is None):
                raise InvalidAccessError(f"{url}: a TURN server needs username and credential")
            if isinstance(uri, TurnUri) and len((self.username or "").encode("utf-8", "surrogatepass")) > MAX_USERNAME:
                # RFC 8489 section 14.3
                raise InvalidAccessError(f"{url}: a username has {MAX_USERNAME} bytes of UTF-8 at most")
            found.append(uri)
        return found


@dataclass(kw_only=True)
class RTCConfiguration:
    """What a peer connection may be told.

    The first of `certificates` is used for DTLS, by default one is made for each connection. With an
    `iceCandidatePoolSize` above 0, candidates are gathered from the start, for the one transport that there is.
    `bundlePolicy` is accepted in all its values; there is one transport for everything in each case.

    An `iceTransportPolicy` of ours is `relay-strict`: as `relay`, and candidates of the peer that are not relayed are
    refused, so that no server is asked to reach the peer where it is.

    Ours: `authority` is a PEM file with the only authorities to trust for `turns:` servers; `legacy_peers` also offers
    the CBC suites of DTLS; `patience` is how many seconds a peer has to be found and to answer, before the connection
    is `failed`: by default 39.5 for ICE and 30 for DTLS, and not enough where a person carries the answer.

    Ours, about addresses of this machine: `interfaces` are the names of the only network interfaces to use;
    `addresses` are the only networks whose addresses are used, such as `["192.0.2.0/24"]`, those with `!` in front are
    left out, and a function is asked about each address. On Linux, packets then leave by the interface that is chosen,
    whatever the routes say. `include_loopback` uses 127.0.0.1 and ::1 too, which otherwise
    happens only where there is no other address; `port_range` is the first and the last port that sockets are bound to,
    in random order. `external_addresses` are the public addresses of a 1:1 NAT, which translates port by port: a
    mapping of addresses of this machine to public ones, or one public address for all of its family. The peer is told
    of them in place of ours, or beside ours where `external_address_type` is `srflx`. `udp_mux` is a UDP port that many
    connections share; the addresses that it is bound to are then the ones that peers reach over UDP, and `interfaces`,
    `addresses` and `port_range` speak of the sockets to TURN servers. With `hide_addresses` the peer and the statistics
    are told names in place of addresses of this machine, as browsers do; peers on the same link ask for them by
    multicast DNS, and those elsewhere need a STUN or TURN server, or to be reached by us.

    Ours: `http_proxy` leads to TURN servers over TCP and TLS: `http://user:password@host:port`, also `https:`, or
    "environment" for HTTPS_PROXY, ALL_PROXY and NO_PROXY. Its repr hides it. `restart_on_network_change` calls
    `restartIce` by itself when an address of this machine is gone and with it the path in use, and when the path did
    not outlive the machine's sleep: `negotiationneeded` then asks for an offer.

    Ours: `ice_tcp` says which candidates of TCP there are: `off`, `active` ones, which connect to a peer that listens,
    as browsers have them; `passive` ones, for each of which we listen on a port; `both`. UDP is preferred where it
    passes. With the policy `relay` there are none.

    Ours: `codecs` is a registry of what audio and video is encoded and decoded with, by default all that this machine
    has. Frames that were received wait in the queue of their track: `track_policy` says what happens when it is full,
    `drop-oldest`, `latest`, which keeps one alone, or `block`, which stops decoding until somebody reads;
    `track_capacity` how many wait, by default 100 of sound and 30 pictures.

    Ours: `ice_lite` makes a lite agent of ICE, for servers with a public address: it tells host candidates only, checks
    nothing and answers, and the peer finds the path and chooses it.
    """

    iceServers: Sequence[RTCIceServer] | None = None  # noqa: N815  (W3C names)
    iceTransportPolicy: str = "all"  # noqa: N815
    bundlePolicy: BundlePolicy = "balanced"  # noqa: N815
    rtcpMuxPolicy: str = "require"  # noqa: N815
    certificates: Sequence[RTCCertificate] = ()
    iceCandidatePoolSize: int = 0  # noqa: N815
    authority: Path | str | None = None
    legacy_peers: bool = False
    interfaces: Sequence[str] | None = None
    addresses: AddressFilter | None = None
    include_loopback: bool = False
    port_range: PortRange | None = None
    external_addresses: Mapping[str, str] | str | None = None
    external_address_type: str = "host"
    hide_addresses: bool = False
    udp_mux: UdpMux | None = None
    patience: Duration | None = None
    http_proxy: str | None = field(default=None, repr=False)
    ice_tcp: str = "active"
    ice_lite: bool = False
    restart_on_network_change: bool = False
    codecs: CodecRegistry | None = None
    track_policy: QueuePolicy = "drop-oldest"
    track_capacity: int | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> RTCConfiguration:
        """The configuration in the JSON object that browsers take; keys that W3C does not know are ignored.

        Raises TypeError when it has another shape, as Web IDL does; `check` looks at the rest.
        """
        servers = body.get("iceServers") or []
        if not isinstance(servers, Sequence) or isinstance(servers, str):
            raise TypeError("iceServers is a list")
        policy, bundle = body.get("iceTransportPolicy", "all"), body.get("bundlePolicy", "balanced")
        pool = body.get("iceCandidatePoolSize", 0)
        if not isinstance(pool, int):
            raise TypeError("iceCandidatePoolSize is a number")
        return cls(
            iceServers=[_server_of(server) for server in servers],
            iceTransportPolicy=str(policy),
            bundlePolicy=cast(BundlePolicy, str(bundle)),  # looked at by `check`
            rtcpMuxPolicy=str(body.get("rtcpMuxPolicy", "require")),
            iceCandidatePoolSize=pool,
        )

    @property
    def relay_only(self) -> bool:
        """Whether nobody but the TURN servers may hear of us."""
        return self.iceTransportPolicy != "all"

    @property
    def relay_strict(self) -> bool:
        """Whether the peer is to be reached at relayed addresses alone, too."""
        return self.iceTransportPolicy == "relay-strict"

    def with_settings_of(self, other: RTCConfiguration) -> RTCConfiguration:
        """The same with the settings of `other` that no JSON object holds."""
        ours = {setting.name: getattr(other, setting.name) for setting in fields(self)}
        return replace(self, **{name: value for name, value in ours.items() if name not in _IN_JSON})

    def copy(self) -> RTCConfiguration:
        """An equal one that shares nothing with this one that can be changed.

        Raises TypeError for what is another thing than its annotation says, SyntaxError_ for networks that are none; an
        ICE server may be a mapping.
        """
        if isinstance(self.interfaces, str):
            raise TypeError("interfaces is a list of names, not one name")
        for name in self.interfaces or ():
            if not isinstance(name, str):
                raise TypeError(f"interfaces is a list of names, each a string, and {name!r} is none")
        for name in _SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise TypeError(f"{name} is True or False, not {getattr(self, name)!r}")
        address_filter(self.addresses)
        if not isinstance(self.authority, Path | str | None):
            raise TypeError("authority is the path of a file")
        if not isinstance(self.udp_mux, UdpMux | None):
            raise TypeError("udp_mux is a UdpMux")
        if not all(isinstance(certificate, RTCCertificate) for certificate in self.certificates):
            raise TypeError("certificates is a list of RTCCertificate")
        if isinstance(self.iceServers, str | Mapping):
            raise TypeError("iceServers is a list")
        if self.http_proxy is not None and not isinstance(self.http_proxy, str):
            raise TypeError("http_proxy is the text of a URL")
        return replace(
            self,
            iceServers=None if self.iceServers is None else [_copy_of(server) for server in self.iceServers],
            certificates=list(self.certificates),
            interfaces=None if self.interfaces is None else list(self.interfaces),
            addresses=list(self.addresses) if isinstance(self.addresses, Sequence) else self.addresses,
            external_addresses=(
                dict(self.external_addresses)
                if isinstance(self.external_addresses, Mapping)
                else self.external_addresses
            ),
        )

    def check(self) -> list[tuple[RTCIceServer, StunUri | TurnUri]]:
        """Every server with every URI of it, in order.

        Raises what `RTCIceServer.uris` does, TypeError for words that W3C does not have, and NotSupportedError.
        """
        if self.iceTransportPolicy not in _ICE_POLICIES:
            raise TypeError(f"iceTransportPolicy is one of {', '.join(_ICE_POLICIES)}, not {self.iceTransportPolicy!r}")
        if self.bundlePolicy not in _BUNDLE_POLICIES:
            raise TypeError(f"bundlePolicy is one of {', '.join(_BUNDLE_POLICIES)}, not {self.bundlePolicy!r}")
        if self.rtcpMuxPolicy == "negotiate":
            raise NotSupportedError("RTCP without multiplexing is not supported: rtcpMuxPolicy is require")
        if self.rtcpMuxPolicy != "require":
            raise TypeError(f"rtcpMuxPolicy is require, not {self.rtcpMuxPolicy!r}")
        if self.iceCandidatePoolSize not in range(256):
            raise TypeError("iceCandidatePoolSize is 0 to 255")
        if self.patience is not None and not _is_positive(self.patience):
            raise TypeError(f"patience is a positive number of seconds, not {self.patience!r}")
        address_filter(self.addresses)
        external_addresses(self.external_addresses, self.external_address_type)
        if self.port_range is not None:
            parse_port_range(self.port_range)
        if self.http_proxy not in (None, ENVIRONMENT):
            try:
                parse_proxy(self.http_proxy)
            except MalformedError as error:
                raise SyntaxError_(str(error)) from None
        if self.track_policy not in get_args(QueuePolicy):
            raise TypeError(f"track_policy is one of {', '.join(get_args(QueuePolicy))}, not {self.track_policy!r}")
        if self.track_capacity is not None and not 1 <= self.track_capacity <= MAX_CAPACITY:
            raise TypeError(f"track_capacity is 1 to {MAX_CAPACITY}")
        if not isinstance(self.codecs, CodecRegistry | None):
            raise TypeError("codecs is a CodecRegistry")
        if self.ice_lite and (self.iceServers or self.iceTransportPolicy != "all"):
            raise NotSupportedError("ice_lite has host candidates alone: no iceServers, and iceTransportPolicy is all")
        if self.ice_tcp not in _ICE_TCP:
            raise TypeError(f"ice_tcp is one of {', '.join(_ICE_TCP)}, not {self.ice_tcp!r}")
        found = [(server, uri) for server in self.iceServers or () for uri in server.uris()]
        if len(found) > MAX_URLS:
            raise SyntaxError_(f"more than {MAX_URLS} URLs of ICE servers")
        return found


def check_unchanged(old: RTCConfiguration, new: RTCConfiguration, certificate: RTCCertificate) -> None:
    """Raises InvalidModificationError where `new` has other than a connection began with (W3C section 4.4.1.6)."""
    if new.certificates and new.certificates != [certificate] and new.certificates != old.certificates:
        raise InvalidModificationError("the certificates of a connection do not change")
    for name in _UNCHANGING:
        if getattr(old, name) != getattr(new, name):
            raise InvalidModificationError(f"the {name} of a connection does not change")


def names_other_paths(old: RTCConfiguration, new: RTCConfiguration) -> bool:
    """Whether gathering would find something else."""
    return _deciding(old) != _deciding(new)


def _deciding(configuration: RTCConfiguration) -> tuple[object, ...]:
    """What decides which addresses and servers are gathered from, and by which way."""
    ports = configuration.port_range
    return (
        configuration.iceTransportPolicy,
        list(configuration.iceServers or ()),
        configuration.interfaces,
        configuration.addresses,
        configuration.include_loopback,
        None if ports is None else tuple(ports),
        configuration.authority,
        configuration.http_proxy,
    )


def _is_positive(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < float("inf")


def _copy_of(server: RTCIceServer | Mapping[str, object]) -> RTCIceServer:
    if isinstance(server, Mapping):
        return _server_of(server)
    if not isinstance(server, RTCIceServer):
        raise TypeError(f"an ICE server is an RTCIceServer, not {server!r}")
    if not all(isinstance(url, str) for url in server.urls):
        raise TypeError("urls of an ICE server is a string or a list of strings")
    return replace(server, urls=server.urls if isinstance(server.urls, str) else list(server.urls))


def _server_of(server: object) -> RTCIceServer:
    if not isinstance(server, Mapping):
        raise TypeError("an entry of iceServers is an object")
    urls, username, credential = server.get("urls"), server.get("username"), server.get("credential")
    if isinstance(urls, str):
        listed = [urls]
    elif isinstance(urls, Sequence) and all(isinstance(url, str) for url in urls):
        listed = [str(url) for url in urls]
    else:
        raise TypeError("urls of an ICE server is a string or a list of strings")
    return RTCIceServer(
        urls=listed,
        username=None if username is None else str(username),
        credential=None if credential is None else str(credential),
        credentialType=str(server.get("credentialType", "password")),
    )
