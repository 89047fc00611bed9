/* One hash table for everything that a packet is looked up by: client by source, channel by number, channel by peer,
 * permission by host. Keys are 24 bytes, values a number that is never 0.
 *
 * Open addressing with linear probing; removal shifts back, so there are no tombstones and a table that was once large
 * is as fast as a new one. Keys come from the network, so they are hashed with a secret (TQ-7).
 */
#ifndef ICELANE_ROUTE_TABLE_H
#define ICELANE_ROUTE_TABLE_H

#include <stdint.h>

enum route_kind {
    ROUTE_CLIENT = 1,        /* listener, source address           -> client */
    ROUTE_CHANNEL_NUMBER,    /* client, channel number             -> channel */
    ROUTE_CHANNEL_PEER,      /* relay socket, peer address         -> channel */
    ROUTE_PERMISSION,        /* relay socket, peer host (port 0)   -> 1 */
};

typedef struct {
    uint32_t owner;          /* number of a socket or of a client */
    uint16_t port;           /* or the channel number, in host order */
    uint8_t kind;
    uint8_t family;          /* 4, 6, or 0 where there is no host */
    uint8_t host[16];        /* in network order; of IPv4 the first four */
} route_key;

typedef struct {
    route_key key;
    uint64_t value;          /* 0: the place is free */
} route_entry;

typedef struct {
    route_entry *entries;
    uint64_t mask;           /* size - 1; the size is a power of two */
    uint64_t count;
    uint64_t secret[2];
} route_table;

int route_table_init(route_table *table, const uint64_t secret[2]);
void route_table_free(route_table *table);

/* The value, 0 when there is none. */
uint64_t route_table_find(const route_table *table, const route_key *key);

/* Sets or replaces; -1 when there is no memory, and then nothing has changed. */
int route_table_set(route_table *table, const route_key *key, uint64_t value);

/* The value that was there, 0 when there was none. */
uint64_t route_table_remove(route_table *table, const route_key *key);

#endif
