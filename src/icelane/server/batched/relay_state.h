/* What the parts of the core share, and nobody else sees: relay_routes.c keeps it, relay_core.c fills the batch, and
 * relay_send.c empties it.
 */
#ifndef ICELANE_RELAY_STATE_H
#define ICELANE_RELAY_STATE_H

#include <stddef.h>
#include <sys/uio.h>

#include "relay_core.h"

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
/* Of a run that is sent: UDP_MAX_SEGMENTS of every kernel that has runs (later ones take 128), and what IP carries in one
 * piece without the longest headers. One that comes in may have as many pieces as it has bytes. */
#define MAX_SEGMENTS 64
#define MAX_RUN_BYTES 65000
#define MAX_IOV (MAX_MESSAGES * 2 + MAX_SEGMENTS * 2)
#define MAX_EVENTS 64
/* What one message brings and is handed up lies in one piece, with one gap at most, where a limit has begun to hold;
 * more would be counted as a receive error. */
#define MAX_ESCAPES (SLOTS * 2 + MAX_EVENTS)

#define HEADER 4
#define NOTHING (-1)
/* A client, a socket or the list of free ones ends here. */
#define NOBODY UINT32_MAX

/* Under load the packets of one window are at least so many: 10 000 per second. */
#define WINDOW 0.01
#define BUSY_WINDOW 100
/* A wake that brought so many has left more behind. */
#define ENOUGH RECEIVE_AT_ONCE
/* Where most of so many pauses or more brought nobody, the next windows have none. */
#define JUDGED_PAUSES 4
#define WINDOWS_ALONE 10
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
    uint64_t handed_up;              /* the turn in which something of its own was */
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
    uint64_t turn;                   /* calls of relay_core_run, from 1 on: behind each one the escapes are handled */

    double window_began;
    uint32_t window_packets, window_pauses, window_in_vain;
    uint8_t busy, impatient, alone;
    relay_activity activity;
};

/* relay_routes.c */
route_key relay_key_of(uint8_t kind, uint32_t owner, const relay_address *address);
route_key relay_permission_key(uint32_t relay, const relay_address *peer);
channel *relay_find_channel(const relay_core *core, uint32_t client, uint16_t number);
channel *relay_find_channel_of_peer(const relay_core *core, uint32_t relay, const relay_address *peer);

/* relay_send.c: everything that lies in the slots leaves; what is handed up stays there. */
void relay_flush(relay_core *core);

#endif
