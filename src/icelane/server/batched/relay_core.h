/* The relay's way of a packet without Python: ChannelData of bound channels, in both directions, in batches.
 *
 *     epoll -> recvmmsg (GRO) -> route_table -> items, chained by destination -> sendmmsg (GSO)
 *
 * It decides nothing. Channels, permissions and clients are installed by whoever carries out the engine's commands;
 * what none of them covers is either dropped and counted, or handed up as an `escape`, unchanged.
 *
 * Payload is copied nowhere. Up, the pieces of a run begin behind their ChannelData headers; down, each piece has a
 * header of its own before it. Nothing here allocates memory for a packet, and nothing blocks, but for the wait that
 * coalescing asks for. One thread at a time may call.
 */
#ifndef ICELANE_RELAY_CORE_H
#define ICELANE_RELAY_CORE_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "route_table.h"

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} relay_address;

/* A limit of so many bytes per second that holds one second's worth; like `Bucket` in bandwidth.py, to the last bit.
 * When it is full is a double in the word `full_at`, which other processes may change at any time.
 */
typedef struct {
    double rate;
    uint64_t *full_at;
    uint64_t own;                    /* where `full_at` leads when nobody shares it */
} relay_bucket;

enum { RELAY_MAX_BUCKETS = 3 };      /* of the allocation, of its user, of the server */

typedef struct {
    uint64_t packets_up, bytes_up, packets_down, bytes_down, dropped;
} relay_counters;

typedef struct {
    uint64_t busy_sends;             /* for which the kernel had no room */
    uint64_t failed_sends;           /* refused for any other reason */
    uint64_t receive_errors;
    uint64_t refused_runs;           /* sent once more, one by one */
} relay_socket_counters;

enum relay_escape_kind {
    ESCAPE_DATAGRAM = 1,             /* `data` came to socket `number` from `source`, and no route covers it, or
                                        something of the same client that none covers came before it */
    ESCAPE_STREAM,                   /* `data` is payload of `channel` for client `number`, who is on a stream */
    ESCAPE_REPORTS,                  /* socket `number` has something in its queue of errors */
};

typedef struct {
    enum relay_escape_kind kind;
    uint32_t number;
    uint16_t channel;
    uint32_t size;
    uint32_t piece;                  /* of a run: each datagram in `data` but the last is so long */
    const uint8_t *data;             /* valid until the next call of relay_core_run */
    relay_address source;
} relay_escape;

typedef struct {
    int runs;                        /* whether the kernel may be given runs, and asked for them */
    uint32_t coalesce_ns;            /* how long to wait for company under load; 0: never */
} relay_settings;

typedef struct {
    uint64_t wakes, receives, received, sends, sent_messages, sent, coalesced;
} relay_activity;

typedef struct relay_core relay_core;

relay_core *relay_core_new(const relay_settings *settings, const uint64_t secret[2]);
void relay_core_free(relay_core *core);

/* Readable when relay_core_run has something to do. */
int relay_core_descriptor(const relay_core *core);

/* Every function that returns a number returns -1 when there is no memory, and errno where a system call has failed.
 * Numbers are used again after removal. A descriptor stays the caller's, who closes it after removal. */
int64_t relay_core_add_socket(relay_core *core, int descriptor, int is_listener);
void relay_core_remove_socket(relay_core *core, uint32_t socket);

/* `listener` is the socket that the client's datagrams come to, -1 for a client on a stream. */
int64_t relay_core_add_client(relay_core *core, int64_t listener, const relay_address *remote);
void relay_core_remove_client(relay_core *core, uint32_t client);
void relay_core_set_buckets(relay_core *core, uint32_t client, relay_bucket *const *buckets, int count);

/* Whose the relay socket is: what is dropped there counts for that client. */
void relay_core_assign(relay_core *core, uint32_t relay, uint32_t client);

/* Payload of the channel goes out of `relay` to `peer` from now on, until `expires_at` on CLOCK_BOOTTIME. */
int relay_core_set_channel(
    relay_core *core, uint32_t client, uint16_t number, uint32_t relay, const relay_address *peer, double expires_at);
/* What comes from the channel's peer leaves by this channel, and by no other that leads there. */
int relay_core_lead_back(relay_core *core, uint32_t client, uint16_t number);
void relay_core_remove_channel(relay_core *core, uint32_t client, uint16_t number);

/* Whether datagrams of a peer without a channel are handed up; others are dropped. The port is ignored. */
int relay_core_permit(relay_core *core, uint32_t relay, const relay_address *peer, int permitted);

/* Do what there is to do, and return how many escapes there are. */
int relay_core_run(relay_core *core);
const relay_escape *relay_core_escapes(const relay_core *core);

/* Messages of a client on a stream, ChannelData one behind the other, padded: relay them. Returns the bytes that were
 * taken: less than `size` where something else or an unfinished message begins. */
uint32_t relay_core_relay_stream(relay_core *core, uint32_t client, const uint8_t *data, uint32_t size);

relay_counters relay_core_client_counters(const relay_core *core, uint32_t client);
relay_counters relay_core_channel_counters(const relay_core *core, uint32_t client, uint16_t number);
relay_socket_counters relay_core_socket_counters(const relay_core *core, uint32_t socket);
relay_activity relay_core_activity(const relay_core *core);

/* When it is full, now or later; whether something may pass; and to take what has passed. For what Python relays, too. */
double relay_bucket_full_at(const relay_bucket *bucket, double now);
int relay_bucket_has_some(const relay_bucket *bucket, double now);
void relay_bucket_take(relay_bucket *bucket, uint32_t size, double now);

#endif
