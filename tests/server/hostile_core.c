/* Drives the relay's core with everything that a network and a confused caller could do to it, by seed.
 *
 *     hostile_core SEED SECONDS
 *
 * Built with the sanitizers, it ends with an error for the first access out of bounds, for undefined behaviour and for
 * what is not freed. It sends to loopback alone: ChannelData of any length against what it claims, datagrams of nothing
 * and of the most that UDP carries, pieces of datagrams as fragments, runs of mixed sizes (UDP_SEGMENT) of as many pieces
 * as the kernel takes, over IPv4 and IPv6, from clients and peers that are known, were known and never were, while
 * sockets, clients, channels and permissions come and go; and to ports that nobody listens on, so that ICMP errors come
 * back. Fragments need a raw socket, and are left out without the right to one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "relay_core.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { LISTENERS = 2, RELAYS = 12, CLIENTS = 10, PEERS = 6, NUMBERS = 5 };

static uint64_t state;
static uint64_t touched; /* that no read of an escape is left out */
static uint64_t fragments;

static uint32_t random_below(uint32_t bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % bound;
}

typedef struct {
    int descriptor;
    relay_address address;
    int64_t number; /* in the core, -1 when it is not there */
} endpoint;

static relay_core *core;
static endpoint listeners[LISTENERS], relays[RELAYS], clients[CLIENTS], peers[PEERS];
static int64_t client_numbers[CLIENTS];
static relay_bucket buckets[3];
static relay_address nobody[2];
static int raw = -1;

static socklen_t length_of(const relay_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

/* Every other one is of IPv6, where there is only one host. */
static endpoint open_endpoint(const char *host, int index)
{
    endpoint opened = {.number = -1};
    socklen_t length = sizeof opened.address;
    int on = 1, is_v6 = index % 2;
    opened.descriptor = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    opened.address.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    if (is_v6)
        opened.address.v6.sin6_addr = in6addr_loopback;
    else
        inet_pton(AF_INET, host, &opened.address.v4.sin_addr);
    if (opened.descriptor < 0 || bind(opened.descriptor, &opened.address.any, length_of(&opened.address)) != 0) {
        perror("bind");
        exit(2);
    }
    if (is_v6)
        setsockopt(opened.descriptor, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    else
        setsockopt(opened.descriptor, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    getsockname(opened.descriptor, &opened.address.any, &length);
    memset((uint8_t *)&opened.address + length, 0, sizeof opened.address - length);
    return opened;
}

static void drain(endpoint *from)
{
    uint8_t data[65536], ancillary[512];
    struct iovec iov = {data, sizeof data};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ancillary};
    while (recv(from->descriptor, data, sizeof data, MSG_DONTWAIT) >= 0)
        ;
    message.msg_controllen = sizeof ancillary;
    while (recvmsg(from->descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
        message.msg_controllen = sizeof ancillary;
}

static uint32_t fill(uint8_t *data)
{
    static const uint32_t sizes[] = {0, 1, 3, 4, 5, 7, 8, 60, 1200, 1400, 9000, 65507};
    uint32_t size = random_below(3) ? random_below(64) : sizes[random_below(12)];
    for (uint32_t index = 0; index < size && index < 64; index++)
        data[index] = (uint8_t)random_below(256);
    if (size >= 4 && random_below(4)) { /* mostly as ChannelData, with a length that is true or nearly so */
        uint16_t number = (uint16_t)(0x4000 + random_below(NUMBERS + 1));
        uint32_t length = size - 4 + random_below(3) - (size > 4 ? random_below(2) : 0);
        data[0] = (uint8_t)(number >> 8);
        data[1] = (uint8_t)number;
        data[2] = (uint8_t)(length >> 8);
        data[3] = (uint8_t)length;
    }
    return size;
}

/* One datagram in two fragments, of which one is missing now and then, or comes first, or overlaps the other. The kernel
 * makes the checksum of the header and fills in its identification, but for ours. */
static void send_fragments(const endpoint *from, const relay_address *to, const uint8_t *data, uint32_t size)
{
    static uint8_t payload[8 + 65536], packet[20 + 65536];
    static uint16_t identification;
    uint32_t length = 8 + size, half = (length / 2 + 7) & ~7u, last_first = random_below(2);
    if (length > 32000 || half == 0 || half >= length)
        return;
    struct udphdr header = {
        .source = from->address.v4.sin_port, .dest = to->v4.sin_port, .len = htons((uint16_t)length)};
    memcpy(payload, &header, sizeof header); /* without a checksum, which IPv4 allows */
    memcpy(payload + sizeof header, data, size);
    identification++;
    for (uint32_t turn = 0; turn < 2; turn++) {
        uint32_t is_last = turn ^ last_first, at = is_last ? half : 0;
        uint32_t own = is_last ? length - half : half;
        if (random_below(8) == 0)
            continue;
        if (is_last && at >= 8 && random_below(8) == 0) {
            at -= 8;
            own += 8;
        }
        struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .id = htons(identification)};
        ip.tot_len = htons((uint16_t)(20 + own));
        ip.frag_off = htons((uint16_t)(at / 8 | (is_last ? 0 : 0x2000)));
        ip.saddr = from->address.v4.sin_addr.s_addr;
        ip.daddr = to->v4.sin_addr.s_addr;
        memcpy(packet, &ip, 20);
        memcpy(packet + 20, payload + at, own);
        fragments += sendto(raw, packet, 20 + own, MSG_DONTWAIT, &to->any, sizeof to->v4) > 0;
    }
}

static void send_something(endpoint *from, const relay_address *to)
{
    static uint8_t data[1 << 18];
    uint32_t size = fill(data);
    struct iovec iov = {data, size};
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    } ancillary = {0};
    struct msghdr message = {
        .msg_name = (void *)to, .msg_namelen = length_of(to), .msg_iov = &iov, .msg_iovlen = 1};
    if (raw >= 0 && to->any.sa_family == AF_INET && from->address.any.sa_family == AF_INET && random_below(8) == 0) {
        send_fragments(from, to, data, size);
        return;
    }
    if (random_below(3) == 0) { /* a run; its last piece may be of any size */
        uint16_t piece = (uint16_t)(1 + random_below(random_below(2) ? 1400 : 20));
        uint32_t pieces = 1 + random_below(random_below(2) ? 64 : 128);
        for (uint32_t at = 0; at < pieces; at++)
            memmove(data + at * piece, data, size < piece ? size : piece);
        iov.iov_len = piece * pieces > 65000 ? 65000 : piece * pieces - random_below(piece);
        ancillary.header.cmsg_level = SOL_UDP;
        ancillary.header.cmsg_type = UDP_SEGMENT;
        ancillary.header.cmsg_len = CMSG_LEN(sizeof piece);
        memcpy(CMSG_DATA(&ancillary.header), &piece, sizeof piece);
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary;
    }
    (void)sendmsg(from->descriptor, &message, MSG_DONTWAIT);
}

static void run(void)
{
    int count = relay_core_run(core);
    const relay_escape *escapes = relay_core_escapes(core);
    for (int index = 0; index < count; index++) {
        for (uint32_t at = 0; at < escapes[index].size; at++)
            touched += escapes[index].data[at];
        if (escapes[index].size > 0 && escapes[index].piece == 0)
            abort(); /* whoever takes the run apart would not get on */
        if (escapes[index].kind == ESCAPE_REPORTS)
            for (int relay = 0; relay < RELAYS; relay++)
                if (relays[relay].number == (int64_t)escapes[index].number)
                    drain(&relays[relay]);
    }
}

static void toggle_socket(endpoint *one, int is_listener)
{
    if (one->number < 0) {
        one->number = relay_core_add_socket(core, one->descriptor, is_listener);
    } else if (random_below(8) == 0) {
        relay_core_remove_socket(core, (uint32_t)one->number);
        one->number = -1;
    }
}

static void toggle_client(int index)
{
    if (client_numbers[index] < 0) {
        const endpoint *listener = &listeners[random_below(LISTENERS)];
        int64_t at = random_below(4) ? listener->number : -1;
        client_numbers[index] = relay_core_add_client(core, at, &clients[index].address);
    } else if (random_below(8) == 0) {
        relay_core_remove_client(core, (uint32_t)client_numbers[index]);
        client_numbers[index] = -1;
    }
}

static void change_a_route(void)
{
    int client = (int)random_below(CLIENTS), relay = (int)random_below(RELAYS);
    uint16_t number = (uint16_t)(0x4000 + random_below(NUMBERS));
    const relay_address *peer = random_below(6) ? &peers[random_below(PEERS)].address : &nobody[random_below(2)];
    if (client_numbers[client] < 0 || relays[relay].number < 0)
        return;
    uint32_t to = (uint32_t)client_numbers[client], by = (uint32_t)relays[relay].number;
    switch (random_below(8)) {
    case 0:
        relay_core_remove_channel(core, to, number);
        break;
    case 1:
        relay_core_permit(core, by, peer, (int)random_below(2));
        break;
    case 2: {
        relay_bucket *some[] = {&buckets[0], &buckets[1], &buckets[2]};
        relay_core_set_buckets(core, to, some, (int)random_below(4));
        break;
    }
    case 3:
        relay_core_lead_back(core, to, number);
        break;
    default:
        relay_core_assign(core, by, to);
        relay_core_set_channel(core, to, number, by, peer, random_below(10) ? 1e12 : 0);
        relay_core_lead_back(core, to, number);
    }
}

static void relay_from_stream(void)
{
    static uint8_t data[70000];
    int client = (int)random_below(CLIENTS);
    if (client_numbers[client] < 0)
        return;
    uint32_t size = fill(data);
    /* Of its exact size, so that one byte too many is seen. */
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    (void)relay_core_relay_stream(core, (uint32_t)client_numbers[client], exact, size);
    free(exact);
}

static void step(void)
{
    switch (random_below(10)) {
    case 0:
        toggle_socket(&relays[random_below(RELAYS)], 0);
        break;
    case 1:
        toggle_client((int)random_below(CLIENTS));
        break;
    case 2:
    case 3:
        change_a_route();
        break;
    case 4:
        relay_from_stream();
        break;
    case 5:
    case 6:
        send_something(&clients[random_below(CLIENTS)], &listeners[random_below(LISTENERS)].address);
        break;
    case 7:
    case 8:
        send_something(&peers[random_below(PEERS)], &relays[random_below(RELAYS)].address);
        break;
    default:
        run();
    }
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    state = strtoull(arguments[1], NULL, 10) * 2654435761u + 88172645463325252u;
    relay_settings settings = {.runs = 1, .coalesce_ns = 1000};
    uint64_t secret[2] = {state, ~state};
    core = relay_core_new(&settings, secret);
    for (int index = 0; index < LISTENERS; index++) {
        listeners[index] = open_endpoint("127.0.0.1", index);
        toggle_socket(&listeners[index], 1);
    }
    for (int index = 0; index < RELAYS; index++)
        relays[index] = open_endpoint("127.0.0.1", index);
    for (int index = 0; index < CLIENTS; index++) {
        clients[index] = open_endpoint("127.0.0.2", index);
        client_numbers[index] = -1;
    }
    for (int index = 0; index < PEERS; index++)
        peers[index] = open_endpoint("127.0.0.3", index);
    for (int index = 0; index < 2; index++) {
        endpoint gone = open_endpoint("127.0.0.4", index);
        nobody[index] = gone.address;
        close(gone.descriptor);
    }
    raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    for (int index = 0; index < 3; index++)
        buckets[index] = (relay_bucket){.rate = 1e6 * (index + 1), .full_at = &buckets[index].own};

    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double end = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 + atof(arguments[2]);
    uint64_t steps = 0;
    do {
        for (int index = 0; index < 256; index++, steps++)
            step();
        for (int index = 0; index < CLIENTS; index++)
            drain(&clients[index]);
        for (int index = 0; index < PEERS; index++)
            drain(&peers[index]);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)now.tv_sec + (double)now.tv_nsec * 1e-9 < end);

    relay_activity activity = relay_core_activity(core);
    printf("%llu steps, %llu datagrams in, %llu out, %llu fragments\n", (unsigned long long)steps,
           (unsigned long long)activity.received, (unsigned long long)activity.sent, (unsigned long long)fragments);
    relay_core_free(core);
    return activity.received > 0 && activity.sent > 0 ? 0 : 3;
}
