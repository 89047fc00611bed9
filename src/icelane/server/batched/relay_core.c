#define _GNU_SOURCE
#include "relay_core.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

/* A batch is what lies in the slots: received, looked up, and sent before the slots are used again. */
#define SLOTS 64
#define SLOT_SIZE 65536
/* One ready socket gets no more of a batch than this, so that a busy one does not fill it alone. */
#define RECEIVE_AT_ONCE 32
#define MAX_ITEMS 4096
#define MAX_MESSAGES 512
/* UDP_MAX_SEGMENTS of every kernel that has runs, and what IP carries in one piece without the longest headers. */
#define MAX_SEGMENTS 64
#define MAX_RUN_BYTES 65000
#define MAX_IOV (MAX_MESSAGES * 2 + MAX_SEGMENTS * 2)
#define MAX_EVENTS 64
#define MAX_ESCAPES (MAX_ITEMS + MAX_EVENTS)

#define HEADER 4
#define NOTHING (-1)
/* A client, a socket or the list of free ones ends here. */
#define NOBODY UINT32_MAX

/* Under load the packets of one window are at least so many: 10 000 per second. */
#define WINDOW 0.01
#define BUSY_WINDOW 100
/* A wake that brought so many needs no company. */
#define ENOUGH 8
/* The loop that calls is kept from its other work for no longer than this, in seconds. */
#define LINGER 0.001

typedef struct {
    uint32_t socket;                 /* that it leaves from */
    socklen_t length;
    relay_address to;
    int32_t first, last;             /* items that wait in this batch */
    uint8_t singly;                  /* the kernel has refused a run to there */
} flow;

typedef struct channel {
    struct channel *next, *previous; /* of the same client */
    flow up;
    uint32_t client;
    uint16_t number;
    double expires_at;
    relay_counters counters;
} channel;

typedef struct {
    flow down;
    relay_address remote;
    channel *channels;
    relay_bucket *buckets[RELAY_MAX_BUCKETS];
    uint8_t bucket_count, on_stream, used;
    uint32_t next_free;
    relay_counters counters;
} client_slot;

typedef struct {
    int descriptor;
    uint8_t is_listener, used;
    uint32_t client;                 /* whose relay it is */
    uint32_t channels;               /* that lead through it; its number is not used again before they are gone */
    uint32_t next_free;
    relay_socket_counters counters;
} socket_slot;

typedef struct {
    const uint8_t *payload;
    uint32_t size;
    int32_t next;                    /* for the same destination */
    uint8_t header[HEADER];
    uint8_t has_header;
} item;

typedef struct {
    flow *flow;
    int32_t first;
    uint32_t segments;
} message_origin;

typedef union {
    struct cmsghdr header;           /* for its alignment */
    uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t))];
} ancillary;

struct relay_core {
    relay_settings settings;
    route_table routes;
    int epoll;

    socket_slot *sockets;
    uint32_t socket_count, free_socket;
    client_slot *clients;            /* may move; flows are reached through it anew in every batch */
    uint32_t client_count, free_client;

    uint8_t *slots;
    uint32_t slots_used;
    struct mmsghdr incoming[SLOTS];
    struct iovec incoming_iov[SLOTS];
    relay_address sources[SLOTS];
    ancillary incoming_ancillary[SLOTS];

    item items[MAX_ITEMS];
    int32_t items_used;
    flow *up[MAX_ITEMS], *down[MAX_ITEMS];
    uint32_t up_used, down_used;

    struct mmsghdr outgoing[MAX_MESSAGES];
    message_origin origins[MAX_MESSAGES];
    struct iovec outgoing_iov[MAX_IOV];
    ancillary outgoing_ancillary[MAX_MESSAGES];

    relay_escape escapes[MAX_ESCAPES];
    int escapes_used;

    double window_began;
    uint32_t window_packets;
    uint8_t busy, impatient;
    relay_activity activity;
};

/* The clock of icelane.aio.system, which the routes' expiry and Python's part of the buckets go by. */
static double monotonic(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Addresses and keys */

static socklen_t address_length(const relay_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

static route_key key_of(uint8_t kind, uint32_t owner, const relay_address *address)
{
    route_key key;
    memset(&key, 0, sizeof key);
    key.kind = kind;
    key.owner = owner;
    if (address->any.sa_family == AF_INET6) {
        key.family = 6;
        key.port = ntohs(address->v6.sin6_port);
        memcpy(key.host, &address->v6.sin6_addr, 16);
    } else {
        key.family = 4;
        key.port = ntohs(address->v4.sin_port);
        memcpy(key.host, &address->v4.sin_addr, 4);
    }
    return key;
}

static route_key permission_key(uint32_t relay, const relay_address *peer)
{
    route_key key = key_of(ROUTE_PERMISSION, relay, peer);
    key.port = 0;
    return key;
}

static channel *find_channel(const relay_core *core, uint32_t client, uint16_t number)
{
    route_key key;
    memset(&key, 0, sizeof key);
    key.kind = ROUTE_CHANNEL_NUMBER;
    key.owner = client;
    key.port = number;
    return (channel *)(uintptr_t)route_table_find(&core->routes, &key);
}

static channel *find_channel_of_peer(const relay_core *core, uint32_t relay, const relay_address *peer)
{
    route_key key = key_of(ROUTE_CHANNEL_PEER, relay, peer);
    return (channel *)(uintptr_t)route_table_find(&core->routes, &key);
}

/* Begin and end */

relay_core *relay_core_new(const relay_settings *settings, const uint64_t secret[2])
{
    relay_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->settings = *settings;
    core->free_socket = core->free_client = NOBODY;
    core->epoll = epoll_create1(EPOLL_CLOEXEC);
    core->slots = malloc((size_t)SLOTS * SLOT_SIZE);
    if (core->epoll < 0 || core->slots == NULL || route_table_init(&core->routes, secret) != 0) {
        int error = errno;
        if (core->epoll >= 0)
            close(core->epoll);
        free(core->slots);
        free(core);
        errno = error;
        return NULL;
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        core->incoming_iov[slot].iov_base = core->slots + (size_t)slot * SLOT_SIZE;
        core->incoming_iov[slot].iov_len = SLOT_SIZE;
        struct msghdr *message = &core->incoming[slot].msg_hdr;
        message->msg_name = &core->sources[slot];
        message->msg_iov = &core->incoming_iov[slot];
        message->msg_iovlen = 1;
        message->msg_control = &core->incoming_ancillary[slot];
    }
    return core;
}

static void free_channel(relay_core *core, channel *gone);

void relay_core_free(relay_core *core)
{
    if (core == NULL)
        return;
    for (uint32_t client = 0; client < core->client_count; client++)
        while (core->clients[client].used && core->clients[client].channels != NULL)
            free_channel(core, core->clients[client].channels);
    route_table_free(&core->routes);
    close(core->epoll);
    free(core->sockets);
    free(core->clients);
    free(core->slots);
    free(core);
}

int relay_core_descriptor(const relay_core *core)
{
    return core->epoll;
}

/* Sockets */

int64_t relay_core_add_socket(relay_core *core, int descriptor, int is_listener)
{
    uint32_t number = core->free_socket;
    if (number == NOBODY) {
        number = core->socket_count;
        socket_slot *grown = realloc(core->sockets, (size_t)(number + 1) * sizeof *grown);
        if (grown == NULL)
            return -1;
        core->sockets = grown;
        core->sockets[number].next_free = NOBODY;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    int wanted = core->settings.runs;
    /* Where the kernel has no runs, each datagram comes alone. */
    (void)setsockopt(descriptor, SOL_UDP, UDP_GRO, &wanted, sizeof wanted);
    uint32_t next_free = core->sockets[number].next_free;
    if (epoll_ctl(core->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0)
        return -1;
    if (number == core->socket_count)
        core->socket_count++;
    else
        core->free_socket = next_free;
    socket_slot *slot = &core->sockets[number];
    memset(slot, 0, sizeof *slot);
    slot->descriptor = descriptor;
    slot->is_listener = is_listener != 0;
    slot->used = 1;
    slot->client = NOBODY;
    slot->next_free = NOBODY;
    return number;
}

static void free_socket_when_unused(relay_core *core, uint32_t number)
{
    socket_slot *slot = &core->sockets[number];
    if (!slot->used && slot->channels == 0) {
        slot->next_free = core->free_socket;
        core->free_socket = number;
    }
}

void relay_core_remove_socket(relay_core *core, uint32_t number)
{
    socket_slot *slot = &core->sockets[number];
    epoll_ctl(core->epoll, EPOLL_CTL_DEL, slot->descriptor, NULL);
    slot->descriptor = -1;
    slot->used = 0;
    free_socket_when_unused(core, number);
}

void relay_core_assign(relay_core *core, uint32_t relay, uint32_t client)
{
    core->sockets[relay].client = client;
}

/* Clients */

static void lead_to(flow *to, uint32_t socket, const relay_address *address)
{
    to->socket = socket;
    to->to = *address;
    to->length = address_length(address);
    to->first = to->last = NOTHING;
    to->singly = 0;
}

int64_t relay_core_add_client(relay_core *core, int64_t listener, const relay_address *remote)
{
    uint32_t number = core->free_client;
    if (number == NOBODY) {
        number = core->client_count;
        client_slot *grown = realloc(core->clients, (size_t)(number + 1) * sizeof *grown);
        if (grown == NULL)
            return -1;
        core->clients = grown;
        core->clients[number].next_free = NOBODY;
    }
    uint32_t next_free = core->clients[number].next_free;
    if (listener >= 0) {
        route_key key = key_of(ROUTE_CLIENT, (uint32_t)listener, remote);
        if (route_table_set(&core->routes, &key, (uint64_t)number + 1) != 0)
            return -1;
    }
    if (number == core->client_count)
        core->client_count++;
    else
        core->free_client = next_free;
    client_slot *slot = &core->clients[number];
    memset(slot, 0, sizeof *slot);
    slot->remote = *remote;
    slot->on_stream = listener < 0;
    slot->used = 1;
    slot->next_free = NOBODY;
    lead_to(&slot->down, listener < 0 ? NOBODY : (uint32_t)listener, remote);
    return number;
}

void relay_core_remove_client(relay_core *core, uint32_t number)
{
    client_slot *slot = &core->clients[number];
    while (slot->channels != NULL)
        free_channel(core, slot->channels);
    if (!slot->on_stream) {
        route_key key = key_of(ROUTE_CLIENT, slot->down.socket, &slot->remote);
        if (route_table_find(&core->routes, &key) == (uint64_t)number + 1)
            route_table_remove(&core->routes, &key);
    }
    slot->used = 0;
    slot->next_free = core->free_client;
    core->free_client = number;
}

void relay_core_set_buckets(relay_core *core, uint32_t client, relay_bucket *const *buckets, int count)
{
    client_slot *slot = &core->clients[client];
    slot->bucket_count = (uint8_t)(count < RELAY_MAX_BUCKETS ? count : RELAY_MAX_BUCKETS);
    for (int index = 0; index < slot->bucket_count; index++)
        slot->buckets[index] = buckets[index];
}

/* Routes */

/* Nothing may come back by it any more. */
static void lead_back_no_more(relay_core *core, const channel *from)
{
    route_key key = key_of(ROUTE_CHANNEL_PEER, from->up.socket, &from->up.to);
    if (route_table_find(&core->routes, &key) == (uint64_t)(uintptr_t)from)
        route_table_remove(&core->routes, &key);
}

static void leave_socket(relay_core *core, uint32_t socket)
{
    core->sockets[socket].channels--;
    free_socket_when_unused(core, socket);
}

static void free_channel(relay_core *core, channel *gone)
{
    route_key key;
    memset(&key, 0, sizeof key);
    key.kind = ROUTE_CHANNEL_NUMBER;
    key.owner = gone->client;
    key.port = gone->number;
    route_table_remove(&core->routes, &key);
    lead_back_no_more(core, gone);
    leave_socket(core, gone->up.socket);
    if (gone->previous != NULL)
        gone->previous->next = gone->next;
    else
        core->clients[gone->client].channels = gone->next;
    if (gone->next != NULL)
        gone->next->previous = gone->previous;
    free(gone);
}

int relay_core_set_channel(
    relay_core *core, uint32_t client, uint16_t number, uint32_t relay, const relay_address *peer, double expires_at)
{
    channel *known = find_channel(core, client, number);
    if (known != NULL) {
        known->expires_at = expires_at;
        if (known->up.socket == relay && memcmp(&known->up.to, peer, address_length(peer)) == 0)
            return 0;
        lead_back_no_more(core, known);
        core->sockets[relay].channels++;
        leave_socket(core, known->up.socket);
        lead_to(&known->up, relay, peer);
        return 0;
    }
    channel *made = calloc(1, sizeof *made);
    if (made == NULL)
        return -1;
    route_key key;
    memset(&key, 0, sizeof key);
    key.kind = ROUTE_CHANNEL_NUMBER;
    key.owner = client;
    key.port = number;
    if (route_table_set(&core->routes, &key, (uint64_t)(uintptr_t)made) != 0) {
        free(made);
        return -1;
    }
    made->client = client;
    made->number = number;
    made->expires_at = expires_at;
    lead_to(&made->up, relay, peer);
    core->sockets[relay].channels++;
    client_slot *owner = &core->clients[client];
    made->next = owner->channels;
    if (made->next != NULL)
        made->next->previous = made;
    owner->channels = made;
    return 0;
}

int relay_core_lead_back(relay_core *core, uint32_t client, uint16_t number)
{
    channel *back = find_channel(core, client, number);
    if (back == NULL)
        return 0;
    route_key key = key_of(ROUTE_CHANNEL_PEER, back->up.socket, &back->up.to);
    return route_table_set(&core->routes, &key, (uint64_t)(uintptr_t)back);
}

void relay_core_remove_channel(relay_core *core, uint32_t client, uint16_t number)
{
    channel *gone = find_channel(core, client, number);
    if (gone != NULL)
        free_channel(core, gone);
}

int relay_core_permit(relay_core *core, uint32_t relay, const relay_address *peer, int permitted)
{
    route_key key = permission_key(relay, peer);
    if (permitted)
        return route_table_set(&core->routes, &key, 1);
    route_table_remove(&core->routes, &key);
    return 0;
}

/* Limits */

double relay_bucket_fill(relay_bucket *bucket, double now)
{
    double level = bucket->level + (now - bucket->filled_at) * bucket->rate;
    bucket->level = level < bucket->rate ? level : bucket->rate;
    bucket->filled_at = now;
    return bucket->level;
}

static int admit(client_slot *client, uint32_t size, double now)
{
    for (int index = 0; index < client->bucket_count; index++)
        if (relay_bucket_fill(client->buckets[index], now) <= 0)
            return 0;
    for (int index = 0; index < client->bucket_count; index++)
        client->buckets[index]->level -= size;
    return 1;
}

/* Items: what is to leave, chained by where it goes, so that each destination gets its own in order and in runs */

static int has_room(const relay_core *core)
{
    return core->items_used < MAX_ITEMS && core->escapes_used < MAX_ITEMS;
}

static void append(relay_core *core, flow *to, flow **active, uint32_t *active_count, item added)
{
    int32_t index = core->items_used++;
    added.next = NOTHING;
    core->items[index] = added;
    if (to->first == NOTHING) {
        to->first = index;
        active[(*active_count)++] = to;
    } else {
        core->items[to->last].next = index;
    }
    to->last = index;
}

static relay_escape *escape(relay_core *core, enum relay_escape_kind kind, uint32_t number)
{
    relay_escape *made = &core->escapes[core->escapes_used++];
    memset(made, 0, sizeof *made);
    made->kind = kind;
    made->number = number;
    return made;
}

static void escape_datagram(
    relay_core *core, uint32_t socket, const relay_address *source, const uint8_t *data, uint32_t size)
{
    relay_escape *made = escape(core, ESCAPE_DATAGRAM, socket);
    made->data = data;
    made->size = size;
    made->source = *source;
}

/* One message of ChannelData from a client. RFC 8656 section 12.6. */
static void relay_up(relay_core *core, uint32_t number, const uint8_t *data, uint32_t size, double now)
{
    client_slot *client = &core->clients[number];
    if (size < HEADER) {
        client->counters.dropped++;
        return;
    }
    uint32_t length = (uint32_t)data[2] << 8 | data[3];
    channel *by = find_channel(core, number, (uint16_t)(data[0] << 8 | data[1]));
    if (by == NULL || HEADER + length > size || now >= by->expires_at || !admit(client, length, now)) {
        client->counters.dropped++;
        return;
    }
    client->counters.packets_up++;
    client->counters.bytes_up += length;
    by->counters.packets_up++;
    by->counters.bytes_up += length;
    append(core, &by->up, core->up, &core->up_used, (item){.payload = data + HEADER, .size = length});
}

/* One datagram of a peer. RFC 8656 section 12.7. */
static void relay_down(
    relay_core *core, uint32_t relay, const relay_address *source, const uint8_t *data, uint32_t size, double now)
{
    socket_slot *slot = &core->sockets[relay];
    if (slot->client == NOBODY || !core->clients[slot->client].used)
        return;
    channel *by = find_channel_of_peer(core, relay, source);
    if (by == NULL) {
        route_key key = permission_key(relay, source);
        if (route_table_find(&core->routes, &key) != 0)
            escape_datagram(core, relay, source, data, size);
        else
            core->clients[slot->client].counters.dropped++;
        return;
    }
    client_slot *client = &core->clients[by->client];
    if (now >= by->expires_at || !admit(client, size, now)) {
        client->counters.dropped++;
        return;
    }
    by->counters.packets_down++;
    by->counters.bytes_down += size;
    if (client->on_stream) {
        /* Counted by whoever writes to the stream, which may be full. */
        relay_escape *made = escape(core, ESCAPE_STREAM, by->client);
        made->channel = by->number;
        made->data = data;
        made->size = size;
        return;
    }
    client->counters.packets_down++;
    client->counters.bytes_down += size;
    item added = {.payload = data, .size = size, .has_header = 1};
    added.header[0] = (uint8_t)(by->number >> 8);
    added.header[1] = (uint8_t)by->number;
    added.header[2] = (uint8_t)(size >> 8);
    added.header[3] = (uint8_t)size;
    append(core, &client->down, core->down, &core->down_used, added);
}

/* Sending */

static int is_busy(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM;
}

/* How the kernel says that a run cannot go there: no checksums by the device, or pieces longer than the path takes. */
static int refuses_runs(int error)
{
    return error == EIO || error == EMSGSIZE || error == EINVAL || error == EOPNOTSUPP || error == ENOPROTOOPT;
}

static uint32_t put_item(struct iovec *iov, item *put)
{
    uint32_t used = 0;
    if (put->has_header) {
        iov[used].iov_base = put->header;
        iov[used++].iov_len = HEADER;
    }
    iov[used].iov_base = (void *)put->payload;
    iov[used++].iov_len = put->size;
    return used;
}

static uint32_t size_of(const item *sent)
{
    return sent->size + (sent->has_header ? HEADER : 0);
}

/* Send what the kernel did not take as a run piece by piece; it is not asked again for that destination. */
static void send_singly(relay_core *core, const message_origin *origin)
{
    flow *to = origin->flow;
    socket_slot *slot = &core->sockets[to->socket];
    int32_t index = origin->first;
    slot->counters.refused_runs++;
    to->singly = 1;
    for (uint32_t segment = 0; segment < origin->segments; segment++, index = core->items[index].next) {
        struct iovec iov[2];
        struct msghdr message = {.msg_name = &to->to, .msg_namelen = to->length, .msg_iov = iov};
        message.msg_iovlen = put_item(iov, &core->items[index]);
        core->activity.sends++;
        if (sendmsg(slot->descriptor, &message, MSG_DONTWAIT) >= 0)
            core->activity.sent++;
        else if (is_busy(errno))
            slot->counters.busy_sends++;
        else
            slot->counters.failed_sends++;
    }
}

static void send_messages(relay_core *core, uint32_t socket, uint32_t count)
{
    socket_slot *slot = &core->sockets[socket];
    uint32_t done = 0;
    int again = 0;
    while (done < count) {
        core->activity.sends++;
        int sent = sendmmsg(slot->descriptor, core->outgoing + done, count - done, MSG_DONTWAIT);
        if (sent > 0) {
            for (int index = 0; index < sent; index++)
                core->activity.sent += core->origins[done + (uint32_t)index].segments;
            core->activity.sent_messages += (uint64_t)sent;
            done += (uint32_t)sent;
            again = 0;
            continue;
        }
        int error = errno;
        const message_origin *origin = &core->origins[done];
        if (error == EINTR)
            continue;
        if (!is_busy(error) && !again) {
            /* Linux fails the next call on a socket for what an earlier datagram met, so that one peer's closed port
             * would cost datagrams to other peers. */
            again = 1;
            continue;
        }
        if (origin->segments > 1 && refuses_runs(error))
            send_singly(core, origin);
        else if (is_busy(error))
            slot->counters.busy_sends += origin->segments;
        else
            slot->counters.failed_sends += origin->segments;
        done++;
        again = 0;
    }
}

/* The next message of `from`: as long a run as the kernel takes. Returns the places in `iov` that it has used. */
static uint32_t build_message(relay_core *core, flow *from, uint32_t index, struct iovec *iov)
{
    struct msghdr *message = &core->outgoing[index].msg_hdr;
    message_origin *origin = &core->origins[index];
    uint32_t size = size_of(&core->items[from->first]), total = 0, used = 0, segments = 0;
    int32_t next = from->first;
    origin->flow = from;
    origin->first = next;
    while (next != NOTHING) {
        item *piece = &core->items[next];
        uint32_t own = size_of(piece);
        if (segments > 0 && (own == 0 || own > size || total + own > MAX_RUN_BYTES))
            break;
        used += put_item(iov + used, piece);
        total += own;
        segments++;
        next = piece->next;
        if (own < size || own == 0 || segments == MAX_SEGMENTS || !core->settings.runs || from->singly)
            break;
    }
    from->first = next;
    origin->segments = segments;
    message->msg_name = &from->to;
    message->msg_namelen = from->length;
    message->msg_iov = iov;
    message->msg_iovlen = used;
    message->msg_flags = 0;
    if (segments > 1) {
        struct cmsghdr *header = &core->outgoing_ancillary[index].header;
        uint16_t piece = (uint16_t)size;
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof piece);
        memcpy(CMSG_DATA(header), &piece, sizeof piece);
        message->msg_control = header;
        message->msg_controllen = CMSG_SPACE(sizeof piece);
    } else {
        message->msg_control = NULL;
        message->msg_controllen = 0;
    }
    return used;
}

static void flush_flows(relay_core *core, flow **flows, uint32_t count)
{
    uint32_t messages = 0, iov_used = 0, socket = NOBODY;
    for (uint32_t index = 0; index < count; index++) {
        flow *from = flows[index];
        if (from->socket != socket && messages > 0) {
            send_messages(core, socket, messages);
            messages = iov_used = 0;
        }
        socket = from->socket;
        while (from->first != NOTHING) {
            if (messages == MAX_MESSAGES || iov_used + MAX_SEGMENTS * 2 > MAX_IOV) {
                send_messages(core, socket, messages);
                messages = iov_used = 0;
            }
            iov_used += build_message(core, from, messages++, core->outgoing_iov + iov_used);
        }
        from->last = NOTHING;
    }
    if (messages > 0)
        send_messages(core, socket, messages);
}

/* Everything that lies in the slots leaves; what is handed up stays there. */
static void flush(relay_core *core)
{
    flush_flows(core, core->up, core->up_used);
    flush_flows(core, core->down, core->down_used);
    core->up_used = core->down_used = 0;
    core->items_used = 0;
}

/* Receiving */

static uint32_t segment_size(struct msghdr *message, uint32_t size)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
            int piece;
            memcpy(&piece, CMSG_DATA(header), sizeof piece);
            if (piece > 0 && (uint32_t)piece < size)
                return (uint32_t)piece;
        }
    }
    return size;
}

static void take_datagram(
    relay_core *core, uint32_t socket, uint64_t client, const relay_address *source, const uint8_t *data,
    uint32_t size, double now)
{
    if (!core->sockets[socket].is_listener)
        relay_down(core, socket, source, data, size, now);
    else if (client != 0 && size > 0 && (data[0] & 0xC0) == 0x40)
        relay_up(core, (uint32_t)(client - 1), data, size, now);
    else
        escape_datagram(core, socket, source, data, size);
}

static int is_scoped(const relay_address *source)
{
    return source->any.sa_family == AF_INET6 && source->v6.sin6_scope_id != 0;
}

/* All datagrams of one message: one, or the pieces of a run. */
static void take_message(relay_core *core, uint32_t socket, int slot, double now)
{
    struct msghdr *message = &core->incoming[slot].msg_hdr;
    const relay_address *source = &core->sources[slot];
    const uint8_t *data = core->incoming_iov[slot].iov_base;
    uint32_t size = core->incoming[slot].msg_len, at = 0;
    uint64_t client = 0;
    if (message->msg_flags & MSG_TRUNC)
        return; /* longer than any datagram */
    if (core->sockets[socket].is_listener && !is_scoped(source)) {
        route_key key = key_of(ROUTE_CLIENT, socket, source);
        client = route_table_find(&core->routes, &key);
    }
    uint32_t piece = segment_size(message, size);
    do {
        uint32_t own = size - at < piece ? size - at : piece;
        if (!has_room(core)) {
            core->sockets[socket].counters.receive_errors++; /* more pieces than any kernel makes of a run */
            return;
        }
        take_datagram(core, socket, client, source, data + at, own, now);
        core->activity.received++;
        core->window_packets++;
        at += own;
    } while (at < size);
}

static void receive(relay_core *core, uint32_t socket, double now)
{
    socket_slot *slot = &core->sockets[socket];
    uint32_t first = core->slots_used;
    uint32_t wanted = SLOTS - first < RECEIVE_AT_ONCE ? SLOTS - first : RECEIVE_AT_ONCE;
    for (uint32_t index = first; index < first + wanted; index++) {
        struct msghdr *message = &core->incoming[index].msg_hdr;
        message->msg_namelen = sizeof(relay_address);
        message->msg_controllen = sizeof(ancillary);
        message->msg_flags = 0;
    }
    core->activity.receives++;
    int received = recvmmsg(slot->descriptor, core->incoming + first, wanted, MSG_DONTWAIT, NULL);
    if (received < 0) {
        /* ICMP answers to what was sent: the socket itself is well. */
        if (errno != EAGAIN && errno != EINTR)
            slot->counters.receive_errors++;
        return;
    }
    core->slots_used += (uint32_t)received;
    for (int index = 0; index < received; index++)
        take_message(core, socket, (int)first + index, now);
}

/* Coalescing */

static void watch_load(relay_core *core, double now)
{
    double passed = now - core->window_began;
    if (passed < WINDOW)
        return;
    core->busy = core->window_packets >= BUSY_WINDOW * passed / WINDOW;
    core->window_began = now;
    core->window_packets = 0;
}

static void wait_for_company(relay_core *core)
{
    struct timespec pause = {.tv_nsec = (long)core->settings.coalesce_ns};
    if (!core->impatient) {
        /* The default slack of 50 us would double the pause. */
        prctl(PR_SET_TIMERSLACK, 1000UL);
        core->impatient = 1;
    }
    core->activity.coalesced++;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* One batch. Returns how many datagrams it had, NOTHING when no socket was ready within `timeout` milliseconds. */
static int run_batch(relay_core *core, int timeout, double *now)
{
    struct epoll_event events[MAX_EVENTS];
    int ready = epoll_wait(core->epoll, events, MAX_EVENTS, timeout);
    if (ready <= 0)
        return NOTHING;
    uint64_t before = core->activity.received;
    core->activity.wakes++;
    core->slots_used = 0;
    *now = monotonic();
    for (int index = 0; index < ready; index++) {
        uint32_t number = events[index].data.u32;
        if (number >= core->socket_count || !core->sockets[number].used)
            continue;
        if (core->slots_used == SLOTS || core->items_used + RECEIVE_AT_ONCE * MAX_SEGMENTS > MAX_ITEMS) {
            flush(core);
            if (core->escapes_used > 0)
                break; /* they lie in the slots; whoever is left is ready the next time, too */
            core->slots_used = 0;
        }
        /* An ICMP error, which is in a queue of its own, and once in the way of whoever receives. */
        if (events[index].events & EPOLLERR)
            escape(core, ESCAPE_REPORTS, number);
        receive(core, number, *now);
    }
    flush(core);
    watch_load(core, *now);
    return (int)(core->activity.received - before);
}

int relay_core_run(relay_core *core)
{
    double began = monotonic(), now = began;
    int timeout = 0;
    core->escapes_used = 0;
    for (;;) {
        int packets = run_batch(core, timeout, &now);
        if (core->escapes_used > 0 || !core->busy || now - began > LINGER)
            break;
        timeout = 0;
        if (packets >= ENOUGH)
            continue;
        if (packets == NOTHING) {
            watch_load(core, now = monotonic());
            break;
        }
        if (core->settings.coalesce_ns > 0)
            wait_for_company(core);
        else
            timeout = 1;
    }
    return core->escapes_used;
}

const relay_escape *relay_core_escapes(const relay_core *core)
{
    return core->escapes;
}

uint32_t relay_core_relay_stream(relay_core *core, uint32_t client, const uint8_t *data, uint32_t size)
{
    double now = monotonic();
    uint32_t at = 0;
    while (size - at >= HEADER && (data[at] & 0xC0) == 0x40) {
        uint32_t length = HEADER + ((uint32_t)data[at + 2] << 8 | data[at + 3]);
        uint32_t padded = (length + 3) & ~UINT32_C(3); /* RFC 8656 section 12.5 */
        if (size - at < padded)
            break;
        if (!has_room(core))
            flush(core);
        relay_up(core, client, data + at, length, now);
        at += padded;
    }
    flush(core);
    return at;
}

/* Figures */

relay_counters relay_core_client_counters(const relay_core *core, uint32_t client)
{
    return core->clients[client].counters;
}

relay_counters relay_core_channel_counters(const relay_core *core, uint32_t client, uint16_t number)
{
    const channel *counted = find_channel(core, client, number);
    return counted != NULL ? counted->counters : (relay_counters){0};
}

relay_socket_counters relay_core_socket_counters(const relay_core *core, uint32_t socket)
{
    return core->sockets[socket].counters;
}

relay_activity relay_core_activity(const relay_core *core)
{
    return core->activity;
}
