/* Sockets, clients and routes of the core: what is installed, removed and counted, never what is relayed. */
#define _GNU_SOURCE
#include "relay_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Addresses and keys */

static socklen_t address_length(const relay_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

route_key relay_key_of(uint8_t kind, uint32_t owner, const relay_address *address)
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

route_key relay_permission_key(uint32_t relay, const relay_address *peer)
{
    route_key key = relay_key_of(ROUTE_PERMISSION, relay, peer);
    key.port = 0;
    return key;
}

static route_key channel_key(uint32_t client, uint16_t number)
{
    route_key key;
    memset(&key, 0, sizeof key);
    key.kind = ROUTE_CHANNEL_NUMBER;
    key.owner = client;
    key.port = number;
    return key;
}

channel *relay_find_channel(const relay_core *core, uint32_t client, uint16_t number)
{
    route_key key = channel_key(client, number);
    return (channel *)(uintptr_t)route_table_find(&core->routes, &key);
}

channel *relay_find_channel_of_peer(const relay_core *core, uint32_t relay, const relay_address *peer)
{
    route_key key = relay_key_of(ROUTE_CHANNEL_PEER, relay, peer);
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
        route_key key = relay_key_of(ROUTE_CLIENT, (uint32_t)listener, remote);
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
        route_key key = relay_key_of(ROUTE_CLIENT, slot->down.socket, &slot->remote);
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
    route_key key = relay_key_of(ROUTE_CHANNEL_PEER, from->up.socket, &from->up.to);
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
    route_key key = channel_key(gone->client, gone->number);
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
    channel *known = relay_find_channel(core, client, number);
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
    route_key key = channel_key(client, number);
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
    channel *back = relay_find_channel(core, client, number);
    if (back == NULL)
        return 0;
    route_key key = relay_key_of(ROUTE_CHANNEL_PEER, back->up.socket, &back->up.to);
    return route_table_set(&core->routes, &key, (uint64_t)(uintptr_t)back);
}

void relay_core_remove_channel(relay_core *core, uint32_t client, uint16_t number)
{
    channel *gone = relay_find_channel(core, client, number);
    if (gone != NULL)
        free_channel(core, gone);
}

int relay_core_permit(relay_core *core, uint32_t relay, const relay_address *peer, int permitted)
{
    route_key key = relay_permission_key(relay, peer);
    if (permitted)
        return route_table_set(&core->routes, &key, 1);
    route_table_remove(&core->routes, &key);
    return 0;
}

/* Figures */

relay_counters relay_core_client_counters(const relay_core *core, uint32_t client)
{
    return core->clients[client].counters;
}

relay_counters relay_core_channel_counters(const relay_core *core, uint32_t client, uint16_t number)
{
    const channel *counted = relay_find_channel(core, client, number);
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
