# cython: language_level=3
"""The relay's way of a packet without Python, as an object: see relay_core.h.

    core = RelayCore(runs=True, coalesce=0.0001, secret=entropy.token(16))
    number = core.add_socket(udp.fileno(), is_listener=True)
    client = core.add_client(number, ("192.0.2.1", 5000))
    loop.add_reader(core.fileno(), run)

    def run():
        for kind, number, channel, data, piece, source in core.run():
            ...
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_FromStringAndSize

import errno
import os

cdef extern from "<sys/socket.h>" nogil:
    int AF_INET
    int AF_INET6

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)
    uint32_t ntohl(uint32_t value)
    uint32_t htonl(uint32_t value)

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        pass
    cdef struct in6_addr:
        pass
    cdef struct sockaddr:
        uint16_t sa_family
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id

cdef extern from "relay_core.h" nogil:
    ctypedef union relay_address:
        sockaddr any
        sockaddr_in v4
        sockaddr_in6 v6
    ctypedef struct relay_bucket:
        double rate
        uint64_t *full_at
        uint64_t own
    ctypedef struct relay_counters:
        uint64_t packets_up, bytes_up, packets_down, bytes_down, dropped
    ctypedef struct relay_socket_counters:
        uint64_t busy_sends, failed_sends, receive_errors, refused_runs
    ctypedef enum relay_escape_kind:
        ESCAPE_DATAGRAM
        ESCAPE_STREAM
        ESCAPE_REPORTS
    ctypedef struct relay_escape:
        relay_escape_kind kind
        uint32_t number
        uint16_t channel
        uint32_t size
        uint32_t piece
        const uint8_t *data
        relay_address source
    ctypedef struct relay_settings:
        int runs
        uint32_t coalesce_ns
    ctypedef struct relay_activity:
        uint64_t wakes, receives, received, sends, sent_messages, sent, coalesced
    ctypedef struct relay_core:
        pass
    relay_core *relay_core_new(const relay_settings *settings, const uint64_t *secret)
    void relay_core_free(relay_core *core)
    int relay_core_descriptor(const relay_core *core)
    int64_t relay_core_add_socket(relay_core *core, int descriptor, int is_listener)
    void relay_core_remove_socket(relay_core *core, uint32_t socket)
    int64_t relay_core_add_client(relay_core *core, int64_t listener, const relay_address *remote)
    void relay_core_remove_client(relay_core *core, uint32_t client)
    void relay_core_set_buckets(relay_core *core, uint32_t client, relay_bucket **buckets, int count)
    void relay_core_assign(relay_core *core, uint32_t relay, uint32_t client)
    int relay_core_set_channel(
        relay_core *core, uint32_t client, uint16_t number, uint32_t relay, const relay_address *peer,
        double expires_at)
    int relay_core_lead_back(relay_core *core, uint32_t client, uint16_t number)
    void relay_core_remove_channel(relay_core *core, uint32_t client, uint16_t number)
    int relay_core_permit(relay_core *core, uint32_t relay, const relay_address *peer, int permitted)
    int relay_core_run(relay_core *core)
    const relay_escape *relay_core_escapes(const relay_core *core)
    uint32_t relay_core_relay_stream(relay_core *core, uint32_t client, const uint8_t *data, uint32_t size)
    relay_counters relay_core_client_counters(const relay_core *core, uint32_t client)
    relay_counters relay_core_channel_counters(const relay_core *core, uint32_t client, uint16_t number)
    relay_socket_counters relay_core_socket_counters(const relay_core *core, uint32_t socket)
    relay_activity relay_core_activity(const relay_core *core)
    double relay_bucket_full_at(const relay_bucket *bucket, double now)
    int relay_bucket_has_some(const relay_bucket *bucket, double now)
    void relay_bucket_take(relay_bucket *bucket, uint32_t size, double now)

DATAGRAM = <int>ESCAPE_DATAGRAM
STREAM = <int>ESCAPE_STREAM
REPORTS = <int>ESCAPE_REPORTS


cdef class Bucket:
    """A limit that the core and Python draw on alike; `icelane.server.bandwidth` says how it works."""

    cdef relay_bucket state
    cdef double[::1] cell

    def __cinit__(self, rate, cell=None):
        """`cell` is shared memory that holds a double."""
        self.state.rate = float(rate)
        self.state.own = 0
        self.state.full_at = &self.state.own
        if cell is not None:
            self.cell = cell
            self.state.full_at = <uint64_t *>&self.cell[0]

    def has_some(self, double now):
        """Whether there is something in it now."""
        return relay_bucket_has_some(&self.state, now) != 0

    def take(self, uint32_t size, double now):
        """Take so many bytes, whether they are in it or not."""
        relay_bucket_take(&self.state, size, now)

    def full_at(self, double now):
        """When it holds all it can, if nothing is taken; `now` when it does."""
        return relay_bucket_full_at(&self.state, now)


cdef class RelayCore:
    """Sockets, clients and routes by number. Raises OSError where a system call fails, MemoryError without memory.

    Whoever calls knows which numbers are in use; one that is not raises ValueError and changes nothing.
    """

    cdef relay_core *core
    cdef set _sockets
    cdef dict _meters_by_client

    def __cinit__(self, *, bint runs, double coalesce, bytes secret):
        cdef relay_settings settings
        cdef uint64_t words[2]
        if len(secret) != 16:
            raise ValueError("the secret has 16 bytes")
        memcpy(words, <const char *>secret, 16)
        settings.runs = runs
        settings.coalesce_ns = <uint32_t>(coalesce * 1e9)
        self.core = relay_core_new(&settings, words)
        if self.core == NULL:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self._sockets = set()
        self._meters_by_client = {}

    def __dealloc__(self):
        relay_core_free(self.core)
        self.core = NULL

    def close(self):
        """Let go of everything; again is harmless. Nothing else may be called afterwards, which raises ValueError."""
        relay_core_free(self.core)
        self.core = NULL
        self._sockets.clear()
        self._meters_by_client.clear()

    def fileno(self):
        """Readable when `run` has something to do."""
        self._know_core()
        return relay_core_descriptor(self.core)

    def add_socket(self, int descriptor, *, bint is_listener):
        """Read a non-blocking UDP socket from now on; its number. It stays the caller's, who closes it later."""
        self._know_core()
        number = relay_core_add_socket(self.core, descriptor, is_listener)
        if number < 0:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self._sockets.add(number)
        return number

    def remove_socket(self, number):
        """Read it no more; to be called before it is closed."""
        self._know_socket(number)
        self._sockets.discard(number)
        relay_core_remove_socket(self.core, number)

    def add_client(self, listener, tuple remote):
        """A client whose datagrams come to the socket `listener`, or one on a stream where that is None; its number."""
        cdef relay_address address
        cdef int64_t socket = -1
        if listener is not None:
            self._know_socket(listener)
            socket = listener
        _parse(remote, &address)
        self._know_core()
        number = relay_core_add_client(self.core, socket, &address)
        if number < 0:
            raise MemoryError
        self._meters_by_client[number] = ()
        return number

    def remove_client(self, client):
        """Forget it, and its channels."""
        self._know_client(client)
        del self._meters_by_client[client]
        relay_core_remove_client(self.core, client)

    def limit(self, client, tuple buckets):
        """From now on what the client relays is paid for from these buckets, three at most."""
        cdef relay_bucket *pointers[3]
        cdef Bucket bucket
        self._know_client(client)
        if len(buckets) > 3:
            raise ValueError("three buckets at most")
        for index, one in enumerate(buckets):
            bucket = one
            pointers[index] = &bucket.state
        relay_core_set_buckets(self.core, client, pointers, <int>len(buckets))
        self._meters_by_client[client] = buckets  # that they live as long as they are drawn on

    def assign(self, relay, client):
        """The relay socket is that client's."""
        self._know_socket(relay)
        self._know_client(client)
        relay_core_assign(self.core, relay, client)

    def set_channel(self, client, uint16_t number, relay, tuple peer, double expires_at):
        """Payload of the channel goes out of `relay` to `peer`, until then."""
        cdef relay_address address
        self._know_client(client)
        self._know_socket(relay)
        _parse(peer, &address)
        if relay_core_set_channel(self.core, client, number, relay, &address, expires_at) != 0:
            raise MemoryError

    def lead_back(self, client, uint16_t number):
        """What comes from the channel's peer leaves by this channel."""
        self._know_client(client)
        if relay_core_lead_back(self.core, client, number) != 0:
            raise MemoryError

    def remove_channel(self, client, uint16_t number):
        """Forget it; nothing comes back by it."""
        self._know_client(client)
        relay_core_remove_channel(self.core, client, number)

    def permit(self, relay, tuple peer, bint permitted):
        """Whether datagrams of that host are handed up where no channel leads; the port does not matter."""
        cdef relay_address address
        self._know_socket(relay)
        _parse(peer, &address)
        if relay_core_permit(self.core, relay, &address, permitted) != 0:
            raise MemoryError

    def run(self):
        """Relay what there is, and return what is not for the core: (kind, number, channel, data, piece, source).

        Where `data` is longer than `piece`, it is a run of datagrams, each of them but the last so long.
        """
        cdef int count
        cdef const relay_escape *escapes
        self._know_core()
        with nogil:
            count = relay_core_run(self.core)
        if count == 0:
            return ()
        escapes = relay_core_escapes(self.core)
        return [
            (
                <int>escapes[index].kind,
                escapes[index].number,
                escapes[index].channel,
                PyBytes_FromStringAndSize(<const char *>escapes[index].data, escapes[index].size),
                escapes[index].piece,
                _format(&escapes[index].source) if escapes[index].kind == ESCAPE_DATAGRAM else None,
            )
            for index in range(count)
        ]

    def relay_stream(self, client, const uint8_t[::1] data):
        """Relay ChannelData as it came from a stream; how many bytes were taken, up to what is something else."""
        cdef uint32_t size = <uint32_t>data.shape[0]
        cdef uint32_t number = client
        cdef uint32_t taken
        self._know_client(client)
        if size == 0:
            return 0
        with nogil:
            taken = relay_core_relay_stream(self.core, number, &data[0], size)
        return taken

    def client_counters(self, client):
        """Packets and bytes from the client, packets and bytes to it, dropped ones."""
        self._know_client(client)
        found = relay_core_client_counters(self.core, client)
        return (found.packets_up, found.bytes_up, found.packets_down, found.bytes_down, found.dropped)

    def channel_counters(self, client, uint16_t number):
        """The same of one channel; it drops nothing of its own."""
        self._know_client(client)
        found = relay_core_channel_counters(self.core, client, number)
        return (found.packets_up, found.bytes_up, found.packets_down, found.bytes_down)

    def socket_counters(self, number):
        """Datagrams without room, failed otherwise, errors while receiving, runs that were refused."""
        self._know_socket(number)
        found = relay_core_socket_counters(self.core, number)
        return (found.busy_sends, found.failed_sends, found.receive_errors, found.refused_runs)

    def activity(self):
        """How often the kernel was asked, and for how much: what batching gains."""
        self._know_core()
        return relay_core_activity(self.core)

    cdef int _know_core(self) except -1:
        if self.core == NULL:
            raise ValueError("the core is closed")
        return 0

    cdef int _know_socket(self, number) except -1:
        if number not in self._sockets:
            raise ValueError(f"no socket {number}")
        return 0

    cdef int _know_client(self, client) except -1:
        if client not in self._meters_by_client:
            raise ValueError(f"no client {client}")
        return 0


cdef int _parse(tuple raw, relay_address *address) except -1:
    """`(host, port)` or `(host, port, flow, scope)`."""
    host, port = raw[0], raw[1]
    text = host.encode()
    memset(address, 0, sizeof(relay_address))
    if inet_pton(AF_INET, text, &address.v4.sin_addr) == 1:
        address.v4.sin_family = AF_INET
        address.v4.sin_port = htons(port)
    elif inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1:
        address.v6.sin6_family = AF_INET6
        address.v6.sin6_port = htons(port)
    else:
        raise ValueError(f"{host!r} is not an address")
    return 0


cdef tuple _format(const relay_address *address):
    """As `recvfrom` spells it."""
    cdef char text[64]
    if address.any.sa_family == AF_INET6:
        inet_ntop(AF_INET6, &address.v6.sin6_addr, text, 64)
        return (
            (<bytes>text).decode(), ntohs(address.v6.sin6_port), ntohl(address.v6.sin6_flowinfo),
            address.v6.sin6_scope_id,
        )
    inet_ntop(AF_INET, &address.v4.sin_addr, text, 64)
    return ((<bytes>text).decode(), ntohs(address.v4.sin_port))
