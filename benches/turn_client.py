"""Just enough of a TURN client to set many allocations up at once.

RFC 8656 with the long-term credentials of RFC 8489 section 9.2:

    Allocate            ->
                        <- 401 with REALM and NONCE
    Allocate            ->    (USERNAME, REALM, NONCE, MESSAGE-INTEGRITY from here on)
                        <- XOR-RELAYED-ADDRESS
    CreatePermission    ->
                        <-
    ChannelBind         ->
                        <-

Every step is done for all flows side by side, WINDOW requests in flight, so the server works in batches as it would
under load. IPv4, HMAC-SHA1 and MD5 keys only.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import itertools
import os
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

MAGIC_COOKIE = 0x2112A442
FIRST_CHANNEL = 0x4000
TCP_PROTOCOL = 6  # the values of REQUESTED-TRANSPORT
UDP_PROTOCOL = 17

BINDING_REQUEST = 0x0001
ALLOCATE_REQUEST = 0x0003
REFRESH_REQUEST = 0x0004
SEND_INDICATION = 0x0016
CREATE_PERMISSION_REQUEST = 0x0008
CHANNEL_BIND_REQUEST = 0x0009
CONNECT_REQUEST = 0x000A
CONNECTION_BIND_REQUEST = 0x000B
ERROR_RESPONSE = 0x0110

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA = 0x0013
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_TRANSPORT = 0x0019
CONNECTION_ID = 0x002A

WINDOW = 64
"""Requests in flight: more would overrun the receive buffer of a listening socket and measure retransmissions."""

RETRANSMIT_AFTER = 0.5
ATTEMPTS = 8

Address: TypeAlias = tuple[str, int]
Attributes: TypeAlias = Mapping[int, bytes]


class TurnError(Exception):
    """The server refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, with the first attribute of each type."""

    message_type: int
    transaction_id: bytes
    attributes: Attributes

    @property
    def error_code(self) -> int | None:
        """The code of an error response, None for a success."""
        value = self.attributes.get(ERROR_CODE)
        return None if value is None else value[2] * 100 + value[3]


@dataclass(eq=False, slots=True)
class Flow:
    """One client 5-tuple: a connected, non-blocking socket, of TCP or TLS if `is_stream`, and what the server said."""

    socket: socket.socket
    is_stream: bool
    realm: bytes = b""
    nonce: bytes = b""
    relay: Address = ("", 0)
    received: bytearray = field(default_factory=bytearray)

    def take_reply(self) -> Reply | None:
        """Read once and return a whole reply, or None."""
        try:
            data = self.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        if not self.is_stream:  # after a run, application data that came late may still be there
            return decode(data) if data[4:8] == MAGIC_COOKIE.to_bytes(4, "big") else None
        if not data:
            raise TurnError("the server closed a stream during the set-up")
        self.received += data
        if len(self.received) < 20:
            return None
        length = 20 + struct.unpack_from("!H", self.received, 2)[0]
        if len(self.received) < length:
            return None
        reply = decode(bytes(self.received[:length]))
        del self.received[:length]
        return reply


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user of the server under test."""

    username: str
    password: str

    def key(self, realm: bytes) -> bytes:
        """The long-term key of RFC 8489 section 9.2.2."""
        material = b":".join((self.username.encode(), realm, self.password.encode()))
        return hashlib.md5(material, usedforsecurity=False).digest()


def encode(message_type: int, attributes: Sequence[tuple[int, bytes]] = (), key: bytes | None = None) -> bytes:
    """A STUN message with a fresh transaction id; with `key`, MESSAGE-INTEGRITY comes last."""
    body = b"".join(struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4) for kind, value in attributes)
    signature_length = 0 if key is None else 24
    header = struct.pack("!HHI", message_type, len(body) + signature_length, MAGIC_COOKIE) + os.urandom(12)
    if key is None:
        return header + body
    digest = hmac.new(key, header + body, hashlib.sha1).digest()
    return header + body + struct.pack("!HH", MESSAGE_INTEGRITY, 20) + digest


def decode(data: bytes) -> Reply:
    """The parts of a message from a server that we trust to be well-formed: it is started by this benchmark."""
    message_type, length = struct.unpack_from("!HH", data)
    attributes: dict[int, bytes] = {}
    offset, end = 20, 20 + length
    while offset + 4 <= end:
        kind, size = struct.unpack_from("!HH", data, offset)
        attributes.setdefault(kind, data[offset + 4 : offset + 4 + size])
        offset += 4 + size + -size % 4
    return Reply(message_type, data[8:20], attributes)


def xor_address(address: Address) -> bytes:
    """The value of an XOR-...-ADDRESS attribute (RFC 8489 section 14.2)."""
    host = int.from_bytes(socket.inet_aton(address[0]), "big") ^ MAGIC_COOKIE
    return struct.pack("!xBHI", 1, address[1] ^ (MAGIC_COOKIE >> 16), host)


def parse_xor_address(value: bytes) -> Address:
    """The inverse of `xor_address`."""
    port, host = struct.unpack("!xxHI", value)
    return socket.inet_ntoa((host ^ MAGIC_COOKIE).to_bytes(4, "big")), port ^ (MAGIC_COOKIE >> 16)


def channel_data_prefix(payload_length: int) -> bytes:
    """The header of a ChannelData message on the channel that `open_flows` binds."""
    return struct.pack("!HH", FIRST_CHANNEL, payload_length)


def send_indication_prefix(peer: Address, payload_length: int) -> bytes:
    """A Send indication to `peer` up to the value of DATA, which ends it: `payload_length` is a multiple of 4."""
    peer_attribute = struct.pack("!HH", XOR_PEER_ADDRESS, 8) + xor_address(peer)
    data_header = struct.pack("!HH", DATA, payload_length)
    length = len(peer_attribute) + len(data_header) + payload_length
    header = struct.pack("!HHI", SEND_INDICATION, length, MAGIC_COOKIE) + os.urandom(12)
    return header + peer_attribute + data_header


def connect(server: Address, sources: Iterator[Address], *, is_stream: bool, tls: ssl.SSLContext | None = None) -> Flow:
    """A flow to the server from the next of `sources` that is free; a stream may be one of TLS."""
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
    for source in sources:
        try:
            client.bind(source)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    client.settimeout(5)
    client.connect(server)
    if is_stream:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        client = tls.wrap_socket(client, server_hostname=server[0])
    client.setblocking(False)
    return Flow(client, is_stream)


def answers_binding(server: Address, *, timeout: float) -> bool:
    """Whether the server answers one Binding request over UDP within `timeout` seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(server)
            client.send(encode(BINDING_REQUEST))
            return len(client.recv(2048)) >= 20
        except TimeoutError:
            return False
        except OSError:  # nothing listens there yet: an ICMP error comes back at once
            time.sleep(timeout)
            return False


def open_allocations(flows: Sequence[Flow], credentials: Credentials, protocol: int = UDP_PROTOCOL) -> None:
    """Allocate a relay address on every flow; it is in `flow.relay` then."""
    transport = (REQUESTED_TRANSPORT, bytes((protocol, 0, 0, 0)))
    for flow, reply in _request(flows, credentials, ALLOCATE_REQUEST, [transport]).items():
        flow.relay = parse_xor_address(reply.attributes[XOR_RELAYED_ADDRESS])


def create_permissions(flows: Sequence[Flow], credentials: Credentials, peer: Address) -> None:
    """Let `peer` through on every flow."""
    _request(flows, credentials, CREATE_PERMISSION_REQUEST, [(XOR_PEER_ADDRESS, xor_address(peer))])


def bind_channels(flows: Sequence[Flow], credentials: Credentials, peer: Address) -> None:
    """Bind FIRST_CHANNEL to `peer` on every flow."""
    channel = (CHANNEL_NUMBER, struct.pack("!HH", FIRST_CHANNEL, 0))
    _request(flows, credentials, CHANNEL_BIND_REQUEST, [channel, (XOR_PEER_ADDRESS, xor_address(peer))])


def connect_peers(flows: Sequence[Flow], credentials: Credentials, peer: Address) -> list[bytes]:
    """Connect the TCP allocation of every flow to `peer` (RFC 6062); returns the CONNECTION-ID of each."""
    replies = _request(flows, credentials, CONNECT_REQUEST, [(XOR_PEER_ADDRESS, xor_address(peer))])
    return [replies[flow].attributes[CONNECTION_ID] for flow in flows]


def bind_connection(flow: Flow, credentials: Credentials, connection_id: bytes) -> None:
    """Make a flow the connection with a peer; what is sent on it from now on goes there."""
    _request([flow], credentials, CONNECTION_BIND_REQUEST, [(CONNECTION_ID, connection_id)])


def release_allocations(flows: Sequence[Flow], credentials: Credentials) -> None:
    """End every allocation, so that nothing is left on the server when the sockets close."""
    _request(flows, credentials, REFRESH_REQUEST, [(LIFETIME, bytes(4))])


def _request(
    flows: Sequence[Flow], credentials: Credentials, method: int, attributes: Sequence[tuple[int, bytes]]
) -> dict[Flow, Reply]:
    """Send the request on every flow, answering challenges, until all of them succeeded."""

    def build(flow: Flow) -> bytes:
        if not flow.nonce:
            return encode(method, attributes)
        identity = [(USERNAME, credentials.username.encode()), (REALM, flow.realm), (NONCE, flow.nonce)]
        return encode(method, [*attributes, *identity], credentials.key(flow.realm))

    done: dict[Flow, Reply] = {}
    pending: Sequence[Flow] = flows
    for _ in range(3):  # 401, then perhaps 438
        replies = _exchange(pending, build)
        done.update((flow, reply) for flow, reply in replies.items() if reply.error_code is None)
        pending = [flow for flow, reply in replies.items() if reply.error_code is not None]
        for flow in pending:
            _accept_challenge(flow, replies[flow], method)
        if not pending:
            return done
    raise TurnError(f"the server keeps challenging requests of type {method:#06x}")


def _accept_challenge(flow: Flow, reply: Reply, method: int) -> None:
    if reply.error_code not in (401, 438) or (reply.error_code == 401 and flow.nonce):
        reason = reply.attributes[ERROR_CODE][4:].decode(errors="replace")
        raise TurnError(f"the server refused a request of type {method:#06x}: {reply.error_code} {reason}")
    flow.realm, flow.nonce = reply.attributes[REALM], reply.attributes[NONCE]


def _exchange(flows: Iterable[Flow], build: Callable[[Flow], bytes]) -> dict[Flow, Reply]:
    """One request and its reply on every flow, WINDOW of them at a time."""
    replies: dict[Flow, Reply] = {}
    waiting = iter(flows)
    while window := list(itertools.islice(waiting, WINDOW)):
        with selectors.DefaultSelector() as selector:
            for flow in window:
                selector.register(flow.socket, selectors.EVENT_READ, flow)
            replies.update(_exchange_window(selector, {flow: build(flow) for flow in window}))
    return replies


def _exchange_window(selector: selectors.BaseSelector, requests: Mapping[Flow, bytes]) -> dict[Flow, Reply]:
    replies: dict[Flow, Reply] = {}
    for attempt in range(ATTEMPTS):
        for flow, request in requests.items():
            if flow not in replies and (attempt == 0 or not flow.is_stream):
                flow.socket.send(request)
        deadline = time.monotonic() + RETRANSMIT_AFTER
        while len(replies) < len(requests) and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                flow = key.data
                reply = flow.take_reply()
                if reply is not None and reply.transaction_id == requests[flow][8:20]:
                    replies[flow] = reply
        if len(replies) == len(requests):
            return replies
    raise TurnError(f"{len(requests) - len(replies)} of {len(requests)} requests stayed without an answer")
