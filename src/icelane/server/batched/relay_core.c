/* One batch after the other: receive, look up, and have it sent. */
#define _GNU_SOURCE
#include "relay_state.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

/* The clock of icelane.aio.system, which the routes' expiry and Python's part of the buckets go by. */
static double monotonic(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Limits */

/* What a bucket holds, and how much room is none, in seconds. */
#define CAPACITY 1.0
#define GRAIN 1e-6

static double as_instant(uint64_t word)
{
    double instant;
    memcpy(&instant, &word, sizeof instant);
    return instant;
}

static double later_of(double one, double other)
{
    return one > other ? one : other;
}

double relay_bucket_full_at(const relay_bucket *bucket, double now)
{
    return later_of(as_instant(__atomic_load_n(bucket->full_at, __ATOMIC_RELAXED)), now);
}

int relay_bucket_has_some(const relay_bucket *bucket, double now)
{
    return as_instant(__atomic_load_n(bucket->full_at, __ATOMIC_RELAXED)) - now < CAPACITY - GRAIN;
}

void relay_bucket_take(relay_bucket *bucket, uint32_t size, double now)
{
    uint64_t before = __atomic_load_n(bucket->full_at, __ATOMIC_RELAXED), after;
    do {
        double instant = later_of(as_instant(before), now) + (double)size / bucket->rate;
        memcpy(&after, &instant, sizeof after);
    } while (!__atomic_compare_exchange_n(bucket->full_at, &before, after, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static int admit(client_slot *client, uint32_t size, double now)
{
    for (int index = 0; index < client->bucket_count; index++)
        if (!relay_bucket_has_some(client->buckets[index], now))
            return 0;
    for (int index = 0; index < client->bucket_count; index++)
        relay_bucket_take(client->buckets[index], size, now);
    return 1;
}

/* Where a message came in, and how long its datagrams are: the last may be shorter. */
typedef struct {
    uint32_t socket;
    uint64_t client;                 /* the known one that it is from, plus 1 */
    const relay_address *source;
    uint32_t piece;
    double now;
} arrival;

/* Items: what is to leave, chained by where it goes, so that each destination gets its own in order and in runs */

static void append(relay_core *core, flow *to, flow **active, uint32_t *active_count, item added)
{
    if (core->items_used == MAX_ITEMS)
        relay_flush(core);
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

/* One datagram, which goes on where the one before it ends when both are of one run. */
static void escape_datagram(relay_core *core, relay_escape as, const arrival *from, const uint8_t *data, uint32_t size)
{
    relay_escape *last = core->escapes_used > 0 ? &core->escapes[core->escapes_used - 1] : NULL;
    if (last != NULL && size > 0 && last->size > 0 && last->data + last->size == data && last->kind == as.kind &&
        last->number == as.number && last->channel == as.channel) {
        last->size += size;
        return;
    }
    if (core->escapes_used == MAX_ESCAPES) {
        core->sockets[from->socket].counters.receive_errors++;
        return;
    }
    as.data = data;
    as.size = size;
    as.piece = from->piece;
    as.source = *from->source;
    core->escapes[core->escapes_used++] = as;
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
    channel *by = relay_find_channel(core, number, (uint16_t)(data[0] << 8 | data[1]));
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

/* Neither a client nor the peer of a channel is known by a scope. */
static int is_scoped(const relay_address *source)
{
    return source->any.sa_family == AF_INET6 && source->v6.sin6_scope_id != 0;
}

/* One datagram of a peer. RFC 8656 section 12.7. */
static void relay_down(relay_core *core, const arrival *from, const uint8_t *data, uint32_t size)
{
    socket_slot *slot = &core->sockets[from->socket];
    if (slot->client == NOBODY || !core->clients[slot->client].used)
        return;
    channel *by = is_scoped(from->source) ? NULL : relay_find_channel_of_peer(core, from->socket, from->source);
    if (by == NULL) {
        route_key key = relay_permission_key(from->socket, from->source);
        if (route_table_find(&core->routes, &key) != 0)
            escape_datagram(core, (relay_escape){.kind = ESCAPE_DATAGRAM, .number = from->socket}, from, data, size);
        else
            core->clients[slot->client].counters.dropped++;
        return;
    }
    client_slot *client = &core->clients[by->client];
    if (from->now >= by->expires_at || !admit(client, size, from->now)) {
        client->counters.dropped++;
        return;
    }
    by->counters.packets_down++;
    by->counters.bytes_down += size;
    if (client->on_stream) {
        /* Counted by whoever writes to the stream, which may be full. */
        relay_escape as = {.kind = ESCAPE_STREAM, .number = by->client, .channel = by->number};
        escape_datagram(core, as, from, data, size);
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

/* One datagram of a client. What is handed up may change a route, so that whatever the client has sent behind it goes the
 * same way: it meets the routes as they are then. */
static void take_from_client(relay_core *core, const arrival *from, const uint8_t *data, uint32_t size)
{
    client_slot *client = from->client != 0 ? &core->clients[from->client - 1] : NULL;
    if (client != NULL && size > 0 && (data[0] & 0xC0) == 0x40 && client->handed_up != core->turn) {
        relay_up(core, (uint32_t)(from->client - 1), data, size, from->now);
        return;
    }
    if (client != NULL)
        client->handed_up = core->turn;
    escape_datagram(core, (relay_escape){.kind = ESCAPE_DATAGRAM, .number = from->socket}, from, data, size);
}

/* All datagrams of one message: one, or the pieces of a run. */
static void take_message(relay_core *core, uint32_t socket, int slot, double now)
{
    struct msghdr *message = &core->incoming[slot].msg_hdr;
    const uint8_t *data = core->incoming_iov[slot].iov_base;
    uint32_t size = core->incoming[slot].msg_len, at = 0;
    int is_listener = core->sockets[socket].is_listener;
    arrival from = {.socket = socket, .source = &core->sources[slot], .piece = segment_size(message, size), .now = now};
    if (message->msg_flags & MSG_TRUNC) {
        core->sockets[socket].counters.receive_errors++; /* longer than any datagram */
        return;
    }
    if (is_listener && !is_scoped(from.source)) {
        route_key key = relay_key_of(ROUTE_CLIENT, socket, from.source);
        from.client = route_table_find(&core->routes, &key);
    }
    do {
        uint32_t own = size - at < from.piece ? size - at : from.piece;
        if (is_listener)
            take_from_client(core, &from, data + at, own);
        else
            relay_down(core, &from, data + at, own);
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
    if (core->alone > 0)
        core->alone--;
    else if (core->window_pauses >= JUDGED_PAUSES && core->window_in_vain * 2 > core->window_pauses)
        core->alone = WINDOWS_ALONE;
    core->window_began = now;
    core->window_packets = core->window_pauses = core->window_in_vain = 0;
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
    core->window_pauses++;
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
        if (core->slots_used == SLOTS) {
            relay_flush(core);
            if (core->escapes_used > 0)
                break; /* they lie in the slots; whoever is left is ready the next time, too */
            core->slots_used = 0;
        }
        /* An ICMP error, which is in a queue of its own, and once in the way of whoever receives. */
        if (events[index].events & EPOLLERR && core->escapes_used < MAX_ESCAPES)
            core->escapes[core->escapes_used++] = (relay_escape){.kind = ESCAPE_REPORTS, .number = number};
        receive(core, number, *now);
    }
    relay_flush(core);
    watch_load(core, *now);
    return (int)(core->activity.received - before);
}

/* A busy relay sleeps here for a while, where that costs a fraction of what it costs in the loop: for a pause, in which
 * the next packets gather, or else until there is one. */
int relay_core_run(relay_core *core)
{
    double began = monotonic(), now = began;
    int timeout = 0, paused = 0;
    core->escapes_used = 0;
    core->turn++;
    for (;;) {
        int packets = run_batch(core, timeout, &now);
        if (packets == NOTHING) {
            core->window_in_vain += (uint32_t)paused;
            watch_load(core, now = monotonic());
            break;
        }
        if (core->escapes_used > 0 || !core->busy || now - began > LINGER)
            break;
        timeout = paused = 0;
        if (packets >= ENOUGH)
            continue;
        paused = core->settings.coalesce_ns > 0 && core->alone == 0;
        if (paused)
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
        relay_up(core, client, data + at, length, now);
        at += padded;
    }
    relay_flush(core);
    return at;
}
