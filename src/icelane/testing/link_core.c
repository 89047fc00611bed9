/*
 * link_core: carries IP packets between two TUN devices as a slow and lossy link would.
 *
 *   link_core LEFT_FD RIGHT_FD SEED  DELAY JITTER LOSS RATE QUEUE  DELAY JITTER LOSS RATE QUEUE
 *
 * The devices are inherited descriptors in the mode IFF_TUN | IFF_NO_PI. The first five numbers are for the way from
 * left to right, the others for the way back: seconds, seconds, a chance from 0 to 1, bits per second (0: no limit),
 * seconds. It runs until its standard input ends, then prints one line of JSON with what it counted.
 *
 *   packet -> lost? -> bottleneck: queue, rate -> delay + jitter, order kept -> the other device
 *
 * link_program.py makes the devices and starts it; see there for what each number means.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PACKET = 2048,    /* room for the largest packet of a TUN device with an MTU of up to this */
    FLIGHT = 1 << 14, /* packets on one way at a time; what comes beyond is lost and counted in "crowded" */
    BATCH = 64,       /* packets read from one device before the others are looked at */
};

static const int64_t SECOND = 1000000000;

struct packet {
    int64_t due;
    uint32_t size;
    unsigned char data[PACKET];
};

struct way {
    int from, to;
    int64_t delay, jitter, queue;
    double loss, rate;
    uint64_t random;
    int64_t free_at;  /* when the bottleneck has sent what it holds */
    int64_t last_due; /* no packet leaves before the one in front of it */
    struct packet *flight;
    uint32_t head, count;
    uint64_t arrived, lost, overflowed, crowded, delivered, refused, bytes;
    int64_t lateness, most_late;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* xorshift64*: the same seed, the same luck. */
static double draw(struct way *way)
{
    way->random ^= way->random >> 12;
    way->random ^= way->random << 25;
    way->random ^= way->random >> 27;
    return (double)((way->random * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static void take(struct way *way, int64_t now)
{
    struct packet *packet = &way->flight[(way->head + way->count) % FLIGHT];
    /* Each draw is made whatever comes of it, so that one setting does not change the luck of another. */
    bool lost = draw(way) < way->loss;
    int64_t due = now + way->delay + (int64_t)(draw(way) * (double)way->jitter);

    way->arrived++;
    if (lost) {
        way->lost++;
        return;
    }
    if (way->rate > 0) {
        int64_t waiting = way->free_at > now ? way->free_at - now : 0;
        if (waiting > way->queue) {
            way->overflowed++;
            return;
        }
        waiting += (int64_t)(packet->size * 8.0 / way->rate * (double)SECOND);
        way->free_at = now + waiting;
        due += waiting;
    }
    if (way->count == FLIGHT - 1) { /* the last slot is where packets are read into */
        way->crowded++;
        return;
    }
    if (due < way->last_due)
        due = way->last_due;
    way->last_due = packet->due = due;
    way->count++;
}

/* To ff02::/16: what a kernel that routes IPv6 says by itself, at times of its own. It may not take a draw of the seed. */
static bool is_for_neighbours(const struct packet *packet)
{
    return packet->size >= 40 && packet->data[0] >> 4 == 6 && packet->data[24] == 0xff && packet->data[25] == 0x02;
}

/* Read what the device has; false when there was nothing. */
static bool receive(struct way *way)
{
    int64_t now = now_ns();
    for (int turn = 0; turn < BATCH; turn++) {
        struct packet *packet = &way->flight[(way->head + way->count) % FLIGHT];
        ssize_t size = read(way->from, packet->data, PACKET);
        if (size <= 0)
            return turn > 0;
        packet->size = (uint32_t)size;
        if (!is_for_neighbours(packet))
            take(way, now);
    }
    return true;
}

/* Write what is due; returns when the next is, or INT64_MAX. */
static int64_t deliver(struct way *way)
{
    int64_t now = now_ns();
    while (way->count > 0) {
        struct packet *packet = &way->flight[way->head];
        if (packet->due > now) {
            now = now_ns();
            if (packet->due > now)
                return packet->due;
        }
        if (write(way->to, packet->data, packet->size) == (ssize_t)packet->size) {
            int64_t late = now - packet->due;
            way->delivered++;
            way->bytes += packet->size;
            way->lateness += late;
            if (late > way->most_late)
                way->most_late = late;
        } else {
            way->refused++;
        }
        way->head = (way->head + 1) % FLIGHT;
        way->count--;
    }
    return INT64_MAX;
}

static void prepare(struct way *way, int from, int to, uint64_t seed, char **numbers)
{
    way->from = from;
    way->to = to;
    way->delay = (int64_t)(atof(numbers[0]) * (double)SECOND);
    way->jitter = (int64_t)(atof(numbers[1]) * (double)SECOND);
    way->loss = atof(numbers[2]);
    way->rate = atof(numbers[3]);
    way->queue = (int64_t)(atof(numbers[4]) * (double)SECOND);
    way->random = (seed + 1) * 0x9E3779B97F4A7C15ULL | 1;
    for (int turn = 0; turn < 16; turn++) /* neighbouring seeds part */
        draw(way);
    way->flight = calloc(FLIGHT, sizeof *way->flight);
    if (way->flight == NULL || fcntl(from, F_SETFL, O_NONBLOCK) < 0) {
        perror("link_core");
        exit(1);
    }
}

static void report(const struct way *way, const char *name, const char *end)
{
    printf("\"%s\": {\"arrived\": %llu, \"lost\": %llu, \"overflowed\": %llu, \"crowded\": %llu, \"delivered\": %llu, "
           "\"refused\": %llu, \"bytes\": %llu, \"mean_lateness\": %.9f, \"most_lateness\": %.9f}%s",
           name, (unsigned long long)way->arrived, (unsigned long long)way->lost, (unsigned long long)way->overflowed,
           (unsigned long long)way->crowded, (unsigned long long)way->delivered, (unsigned long long)way->refused,
           (unsigned long long)way->bytes,
           way->delivered ? (double)way->lateness / (double)way->delivered / (double)SECOND : 0.0,
           (double)way->most_late / (double)SECOND, end);
}

int main(int argc, char **argv)
{
    static struct way there, back;
    struct sched_param priority = {.sched_priority = 1};

    if (argc != 14) {
        fprintf(stderr, "usage: see link_core.c\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1UL);
    /* Without the right to it the link still works, and is late whenever the CPUs are busy. */
    sched_setscheduler(0, SCHED_FIFO, &priority);
    prepare(&there, atoi(argv[1]), atoi(argv[2]), strtoull(argv[3], NULL, 10) * 2, argv + 4);
    prepare(&back, atoi(argv[2]), atoi(argv[1]), strtoull(argv[3], NULL, 10) * 2 + 1, argv + 9);

    struct pollfd polled[3] = {
        {.fd = there.from, .events = POLLIN}, {.fd = back.from, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        int64_t due = deliver(&there), other = deliver(&back);
        if (other < due)
            due = other;
        struct timespec wait = {0}, *timeout = NULL;
        if (due != INT64_MAX) {
            int64_t left = due - now_ns();
            if (left > 0)
                wait = (struct timespec){.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
            timeout = &wait;
        }
        if (ppoll(polled, 3, timeout, NULL) < 0 && errno != EINTR) {
            perror("link_core: ppoll");
            return 1;
        }
        if (polled[0].revents)
            receive(&there);
        if (polled[1].revents)
            receive(&back);
        if (polled[2].revents) {
            char ignored;
            if (read(0, &ignored, 1) <= 0)
                break;
        }
    }
    printf("{");
    report(&there, "there", ", ");
    report(&back, "back", "}\n");
    return 0;
}
