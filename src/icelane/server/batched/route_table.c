#include "route_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64
/* More than three quarters full, and chains grow long. */
#define CROWDED(count, size) ((count) * 4 > (size) * 3)

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const route_table *table, const route_key *key)
{
    uint64_t words[3];
    memcpy(words, key, sizeof words);
    uint64_t state = mix(words[0] ^ table->secret[0], words[1] ^ table->secret[1]);
    return mix(state ^ table->secret[1], words[2] ^ table->secret[0]);
}

static int same(const route_key *a, const route_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

int route_table_init(route_table *table, const uint64_t secret[2])
{
    _Static_assert(sizeof(route_key) == 24, "a key has no padding");
    table->entries = calloc(FIRST_SIZE, sizeof *table->entries);
    if (table->entries == NULL)
        return -1;
    table->mask = FIRST_SIZE - 1;
    table->count = 0;
    /* mix() of 0 is 0 whatever the other is, so both are odd. */
    table->secret[0] = secret[0] | 1;
    table->secret[1] = secret[1] | 1;
    return 0;
}

void route_table_free(route_table *table)
{
    free(table->entries);
    table->entries = NULL;
}

/* Where the key is, or the free place where it belongs. */
static uint64_t place_of(const route_table *table, const route_key *key)
{
    uint64_t place = hash(table, key) & table->mask;
    while (table->entries[place].value != 0 && !same(&table->entries[place].key, key))
        place = (place + 1) & table->mask;
    return place;
}

uint64_t route_table_find(const route_table *table, const route_key *key)
{
    return table->entries[place_of(table, key)].value;
}

static int resize(route_table *table, uint64_t size)
{
    route_entry *old = table->entries;
    uint64_t old_size = table->mask + 1;
    route_entry *entries = calloc(size, sizeof *entries);
    if (entries == NULL)
        return -1;
    table->entries = entries;
    table->mask = size - 1;
    for (uint64_t place = 0; place < old_size; place++)
        if (old[place].value != 0)
            entries[place_of(table, &old[place].key)] = old[place];
    free(old);
    return 0;
}

int route_table_set(route_table *table, const route_key *key, uint64_t value)
{
    uint64_t place = place_of(table, key);
    if (table->entries[place].value == 0) {
        if (CROWDED(table->count + 1, table->mask + 1)) {
            if (resize(table, (table->mask + 1) * 2) != 0)
                return -1;
            place = place_of(table, key);
        }
        table->entries[place].key = *key;
        table->count++;
    }
    table->entries[place].value = value;
    return 0;
}

uint64_t route_table_remove(route_table *table, const route_key *key)
{
    uint64_t hole = place_of(table, key);
    uint64_t value = table->entries[hole].value;
    if (value == 0)
        return 0;
    /* Move back whoever was pushed past the hole, so that probing never stops short of them. */
    for (uint64_t next = (hole + 1) & table->mask; table->entries[next].value != 0; next = (next + 1) & table->mask) {
        uint64_t home = hash(table, &table->entries[next].key) & table->mask;
        if (((next - home) & table->mask) >= ((next - hole) & table->mask)) {
            table->entries[hole] = table->entries[next];
            hole = next;
        }
    }
    table->entries[hole].value = 0;
    table->count--;
    /* What a flood has blown up goes back; half of the growing threshold, so that nobody can make it swing. */
    if (table->mask + 1 > FIRST_SIZE && table->count * 8 < table->mask + 1)
        (void)resize(table, (table->mask + 1) / 2);
    return value;
}
